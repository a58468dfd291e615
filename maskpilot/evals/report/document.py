"""Pages of a run: the frame of every page, with a style sheet of their own."""

from __future__ import annotations

from pathlib import Path

from maskpilot.report import document as frame
from maskpilot.report.markup import Markup

__all__ = ["document"]

CSS = Path(__file__).with_name("report.css")


def document(title: str, body: Markup, *, script: str = "") -> str:
    """As `maskpilot.report.document.document`."""
    return frame.document(title, body, style=CSS.read_text(encoding="utf-8"), script=script)

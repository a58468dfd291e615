"""The frame of every page: self-contained, with a policy that lets nothing else run or load."""

from __future__ import annotations

import base64
import hashlib

from maskpilot.report.markup import Markup, tag

__all__ = ["document"]


def document(title: str, body: Markup, *, style: str, script: str = "") -> str:
    """A whole page around a body, as HTML.

    Args:
        title: as text.
        body: the body element.
        style: a style sheet of ours.
        script: one of ours. Style and script are allowed by their hash; whatever else a page might come to
            hold cannot run.
    """
    rules = [
        "default-src 'none'",
        f"style-src '{_digest(style)}'",
        f"script-src '{_digest(script)}'" if script else "script-src 'none'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content="; ".join(rules)),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("title", title),
        tag("style", Markup(style)),
    )
    end = tag("script", Markup(script)) if script else None
    return "<!DOCTYPE html>\n" + tag("html", head, body, end, lang="en") + "\n"


def _digest(content: str) -> str:
    digest = hashlib.sha256(content.encode()).digest()
    return "sha256-" + base64.b64encode(digest).decode("ascii")

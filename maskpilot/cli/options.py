"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

__all__ = [
    "CheckpointOption",
    "DeviceOption",
    "JsonOption",
    "OverwriteOption",
    "SegmenterName",
    "SegmenterOption",
    "ToolSet",
    "refuse",
]


class SegmenterName(StrEnum):
    """The segmenters that `maskpilot.segmenters` knows; spelled out so that --help needs no import."""

    sam3 = "sam3"
    nano = "nano"
    untrained = "untrained"


class ToolSet(StrEnum):
    """Which tools are on offer."""

    phrases = "phrases"
    core = "core"
    full = "full"


SegmenterOption = Annotated[SegmenterName, typer.Option(help="What finds the masks.")]
CheckpointOption = Annotated[
    Path | None, typer.Option(help="A file of weights, in place of those of the segmenter's own.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cuda, cpu or mps (untested).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a run in this folder.")]


def refuse(options: Mapping[str, Any], why: str) -> None:
    """Refuse options that would have no effect: what is ignored in silence is believed to have had one.

    Args:
        options: by parameter; None where one was not given, False where its --no- form was.
        why: what they would have to go with.

    Raises:
        InvalidInput: one of them was given.
    """
    from maskpilot.errors import InvalidInput

    given = [
        f"--{'no-' if value is False else ''}{name.replace('_', '-')}"
        for name, value in options.items()
        if value is not None
    ]
    if given:
        raise InvalidInput(f"{', '.join(given)}: {why}")

"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from maskpilot.types import Budget

__all__ = [
    "CheckpointOption",
    "DeviceOption",
    "JsonOption",
    "OverwriteOption",
    "SegmenterName",
    "SegmenterOption",
    "ToolSet",
    "budget_of",
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
    Path | None, typer.Option(help="A file of weights, in place of the segmenter's own.")
]
DeviceOption = Annotated[str, typer.Option(help="auto, cuda, cpu or mps (untested).")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a run in this folder.")]


def budget_of(
    *, max_rounds: int, max_seconds: float | None, max_tokens: int | None, max_cost: float | None = None
) -> Budget:
    """A session's limits, from options of these names.

    Raises:
        InvalidInput: one of them is not positive.
    """
    from maskpilot.errors import InvalidInput
    from maskpilot.types import Budget

    for name, value in (("seconds", max_seconds), ("tokens", max_tokens), ("cost", max_cost)):
        if value is not None and not value > 0:
            raise InvalidInput(f"--max-{name}: expected a positive number, got {value:g}")
    return Budget(max_rounds=max_rounds, max_seconds=max_seconds, max_tokens=max_tokens, max_cost=max_cost)


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

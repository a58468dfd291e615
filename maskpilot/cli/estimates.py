"""Numbers with intervals, as the tables of several commands show them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from maskpilot.evals.statistics import Estimate

__all__ = ["AsZeroOption", "cells"]

AsZeroOption = Annotated[
    bool, typer.Option("--count-failures-as-zero", help="Failed samples count as the worst answer.")
]


def cells(found: Estimate | None, sign: str = "") -> tuple[str, str, str]:
    """Value, 95% interval and samples; `sign` is "+" where a difference is shown."""
    if found is None:
        return ("not defined", "", "0")
    interval = (
        ""
        if found.low is None or found.high is None
        else f"{_short(found.low, sign)} to {_short(found.high, sign)}"
    )
    return (_short(found.value, sign), interval, str(found.samples))


def _short(value: float, sign: str) -> str:
    return f"{value:{sign}.3f}" if abs(value) < 100 else f"{value:{sign},.0f}"

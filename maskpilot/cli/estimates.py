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


def cells(found: Estimate | None, sign: str = "", form: str = ".3f") -> tuple[str, str, str]:
    """Value, 95% interval and samples; `sign` is "+" where a difference is shown, `form` as in `format`."""
    if found is None:
        return ("not defined", "", "0")
    interval = (
        ""
        if found.low is None or found.high is None
        else f"{_short(found.low, sign, form)} to {_short(found.high, sign, form)}"
    )
    return (_short(found.value, sign, form), interval, str(found.samples))


def _short(value: float, sign: str, form: str) -> str:
    return f"{value:{sign}{form}}" if abs(value) < 100 else f"{value:{sign},.0f}"

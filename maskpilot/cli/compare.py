"""`maskpilot compare`: two runs of `maskpilot eval` side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from maskpilot.cli.console import print_json, printable
from maskpilot.cli.estimates import AsZeroOption, cells
from maskpilot.cli.options import JsonOption

if TYPE_CHECKING:
    from maskpilot.evals.compare import Comparison

__all__ = ["compare"]

LISTED = 10
"""Samples that a terminal shows; --json has more."""


def compare(
    first: Annotated[Path, typer.Argument(help="Folder of a run of eval.")],
    second: Annotated[Path, typer.Argument(help="Folder of another one on the same data set.")],
    failures_as_zero: AsZeroOption = False,
    as_json: JsonOption = False,
) -> None:
    """The second run less the first one, paired by sample."""
    from maskpilot.evals.compare import compare as work
    from maskpilot.evals.compare import comparison_record
    from maskpilot.evals.run import read_run

    runs = [read_run(path, failures_as_zero=failures_as_zero) for path in (first, second)]
    comparison = work(*runs)
    if as_json:
        print_json(comparison_record(comparison))
    else:
        _differences(comparison)


def _differences(comparison: Comparison) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from maskpilot.evals.loop_metrics import LOOP_METRICS
    from maskpilot.evals.metrics import METRICS
    from maskpilot.evals.notices import run_notices

    console = Console(highlight=False)
    table = Table("second less first", "difference", "95% interval", "samples")
    for name, found in comparison.metrics.items():
        table.add_row(METRICS[name].title, *cells(found, "+"))
    table.add_section()
    for name, found in comparison.loop.items():
        metric = LOOP_METRICS[name]
        table.add_row(metric.title, *cells(found, "+", metric.form))
    console.print(table)
    most = Table("sample", "query", "first", "second", "difference")
    for one in comparison.differences[:LISTED]:
        sample, query = (Text(printable(" ".join(words.split())[:80])) for words in (one.sample, one.query))
        most.add_row(sample, query, f"{one.first:.3f}", f"{one.second:.3f}", f"{one.gain:+.3f}")
    console.print(most)
    console.print(
        f"IoU: {comparison.wins} better, {comparison.losses} worse, {comparison.ties} the same. "
        f"In one run only: {comparison.only_first} in the first, {comparison.only_second} in the second. "
        f"Failed: {comparison.failed_first} and {comparison.failed_second}."
    )
    for change in comparison.changed:
        console.print(f"setting {change}", markup=False, soft_wrap=True)
    for run in (comparison.first, comparison.second):
        for line in run_notices(run):
            console.print(f"{run.path}: {line}", markup=False, soft_wrap=True)

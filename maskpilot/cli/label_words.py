"""What `maskpilot label` prints: a run's summary, and what a run would take."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from maskpilot.cli.console import print_json, printable
from maskpilot.wording import amount, counted

if TYPE_CHECKING:
    from maskpilot.labeling.estimate import Expected, Prospects
    from maskpilot.labeling.plan import Outcome
    from maskpilot.labeling.survey import Survey

__all__ = ["outcome_record", "print_json_survey", "print_outcome", "print_survey"]

MEASURE = 20
"""Images of the sample that measures what a run will take."""

LISTED = 5

COPIES = "files with the content of another one, which is labeled once"


def outcome_record(outcome: Outcome, notices: tuple[str, ...]) -> dict[str, Any]:
    """What --json prints of a run."""
    from maskpilot.labeling.store import LABELS
    from maskpilot.labeling.summary import summary_record

    return {
        "run_dir": str(outcome.path),
        "labels": str(outcome.path / LABELS),
        "export": _export(outcome.path),
        "ended": outcome.ended.value,
        "notices": list(notices),
        "files": outcome.total,
        "done": outcome.done,
        "failed": outcome.failed,
        "left": outcome.total - outcome.done - outcome.failed,
        "left_out": dict(outcome.left_out),
        "problems": list(outcome.problems),
        **summary_record(outcome.summary),
    }


def print_outcome(outcome: Outcome, notices: tuple[str, ...]) -> None:
    """The summary of a run, in words."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("class", "images", "instances", "mean score", "to review")
    for one in outcome.summary.classes:
        score = "" if one.mean_score is None else f"{one.mean_score:.2f}"
        cells = (f"{one.images:,}", f"{one.instances:,}", score, f"{one.review:.0%}")
        table.add_row(Text(_line(one.name)), *cells)
    Console(highlight=False).print(table)
    print_lines([*_of_outcome(outcome), *(_line(one) for one in (*outcome.problems, *notices))])
    print_lines(_of_results(outcome))


def print_lines(lines: Iterable[str]) -> None:
    """On stdout, each on a line of its own however long it is."""
    for line in lines:
        sys.stdout.write(line + "\n")


def _of_outcome(outcome: Outcome) -> Iterator[str]:
    summary, left = outcome.summary, outcome.total - outcome.done - outcome.failed
    files = counted(outcome.total, "file")
    yield f"{files}: {outcome.done:,} labeled, {outcome.failed:,} failed, {left:,} to go"
    for reason, count in outcome.left_out.items():
        yield f"left out: {count:,} ({reason})"
    if summary.copies:
        yield f"{COPIES}: {summary.copies:,}"
    images, instances = counted(summary.images, "image"), counted(summary.instances, "instance")
    yield f"{images}, {instances}, {counted(summary.review, 'image')} to review"
    for reason, count in sorted(summary.reasons.items(), key=lambda item: -item[1]):
        yield f"  {reason}: {count:,}"
    for failures in summary.failures:
        yield f"{failures.count:,} failed with {failures.cause}:"
        for path, error in failures.examples.items():
            yield f"  {_line(path)}: {_line(error)}"
        if failures.count > len(failures.examples):
            yield f"  and {failures.count - len(failures.examples):,} more"
    if summary.failures:
        yield "a failed file is tried again when it has changed, and with --retry-failed"


def _of_results(outcome: Outcome) -> Iterator[str]:
    from maskpilot.labeling.store import LABELS

    usage = outcome.summary.usage
    if usage.calls:
        cost = "" if usage.cost is None else f", cost {amount(usage.cost)}"
        yield f"{counted(usage.calls, 'request')}, {counted(usage.tokens, 'token')}{cost}"
    yield f"labels: {_line(str(outcome.path / LABELS))}"
    if outcome.summary.images:
        yield f"next: {_line(_export(outcome.path))}"


def print_json_survey(
    found: Survey, prospects: Prospects, left_out: Mapping[str, int], *, classes: int
) -> None:
    """What a run would take, as one JSON object."""
    record = {
        "dry_run": True,
        "files": found.files,
        "labeled": found.labeled,
        "failed": found.failed,
        "left": found.left,
        "classes": classes,
        "sessions": found.left * classes,
        "left_out": dict(left_out),
        "duplicates": {"at_least": found.duplicates, "all_compared": found.all_compared},
        "checked": found.checked,
        "unreadable": dict(found.unreadable),
        "measured_images": found.measured.images,
        "expected": {name: one.record for name, one in prospects.expected.items()},
        "computed": dict(prospects.computed),
    }
    print_json(record)


def print_survey(found: Survey, prospects: Prospects, left_out: Mapping[str, int], *, classes: int) -> None:
    """What a run would take, in words."""
    print_lines(_of_files(found, left_out, classes))
    if not found.left:
        print_lines(["nothing is left to label"])
        return
    print_lines(_of_cost(found, prospects))


def _of_files(found: Survey, left_out: Mapping[str, int], classes: int) -> Iterator[str]:
    files = counted(found.files, "file")
    yield f"{files}: {found.labeled:,} labeled, {found.failed:,} failed, {found.left:,} to label"
    for reason, count in left_out.items():
        yield f"left out: {count:,} ({reason})"
    least = "" if found.all_compared else "at least "
    yield f"{COPIES}: {least}{found.duplicates:,}"
    if found.checked:
        yield f"tried {counted(found.checked, 'file')}: {len(found.unreadable):,} cannot be read"
    for path, error in list(found.unreadable.items())[:LISTED]:
        yield f"  {_line(path)}: {_line(error)}"
    sessions = counted(found.left * classes, "session")
    yield f"{counted(classes, 'class', 'classes')}, so {sessions} of the first policy"


def _of_cost(found: Survey, prospects: Prospects) -> Iterator[str]:
    from maskpilot.crew.progress import span

    if found.measured.images:
        measured = counted(found.measured.images, "labeled image")
        yield f"expected for the rest, from {measured}, if it is like these (95% interval):"
        for name, one in prospects.expected.items():
            form = span if name == "time" else amount if name == "cost" else "{:,.0f}".format
            yield f"  {name}: {_interval(one, form)}"
        if found.measured.images < MEASURE:
            yield "  few images are behind this; more make it surer"
    else:
        yield (
            f"nothing is measured yet: the same command with --sample {MEASURE} in place of --dry-run "
            "labels a sample, after which --dry-run knows more"
        )
    for name, number in prospects.computed.items():
        yield f"computed, not measured: {name}: {number:,}"


def _interval(one: Expected, form: Callable[[float], str]) -> str:
    if one.low is None or one.high is None:
        return f"{form(one.value)} (too few images for an interval)"
    return f"{form(one.value)} ({form(one.low)} to {form(one.high)})"


def _export(path: Path) -> str:
    return shlex.join(["maskpilot", "export", str(path), "--format", "coco", "--out", f"{path}-coco"])


def _line(text: str) -> str:
    """On one line."""
    return printable(text.replace("\n", "\N{REPLACEMENT CHARACTER}"))

"""The table of all samples: plain HTML, which a script of ours makes sortable and searchable."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskpilot.evals.loop_metrics import LOOP_METRICS
from maskpilot.evals.results import Outcome
from maskpilot.report.markup import Markup, join, tag

__all__ = ["SCRIPT", "sample_table"]

SCRIPT = Path(__file__).with_name("table.js").read_text(encoding="utf-8")
MAX_QUERY = 200
MAX_TAGS = 6
"""Tags with a column of their own."""


@dataclass(frozen=True)
class _Column:
    """One column; left out where no sample has anything in it."""

    name: str
    title: str
    of: Callable[[Outcome], str]
    is_number: bool = True


def sample_table(outcomes: Sequence[Outcome], pages: frozenset[int]) -> Markup:
    """One row a sample.

    Args:
        outcomes: by number.
        pages: numbers of the samples that have a page of their own.
    """
    columns = _columns(outcomes)
    cells = [[column.of(outcome) for column in columns] for outcome in outcomes]
    used = [number for number in range(len(columns)) if any(row[number] for row in cells)]
    heads = [tag("th", columns[number].title, scope="col", data_name=columns[number].name) for number in used]
    rows = join(
        tag(
            "tr",
            _query_cell(outcome, outcome.number in pages),
            *(
                tag("td", row[number], class_="number" if columns[number].is_number else None)
                for number in used
            ),
        )
        for outcome, row in zip(outcomes, cells, strict=True)
    )
    head = tag("thead", tag("tr", tag("th", "Query", scope="col", data_name="query"), *heads))
    return tag("div", tag("table", head, tag("tbody", rows)), class_="samples", id="samples")


def _query_cell(outcome: Outcome, has_page: bool) -> Markup:
    query = " ".join(outcome.score.query.split())
    cut = query if len(query) <= MAX_QUERY else query[: MAX_QUERY - 1] + "…"
    shown = tag("a", cut, href=f"samples/{outcome.number:06d}.html") if has_page else cut
    error = tag("span", " ", outcome.score.error[:MAX_QUERY], class_="error") if outcome.failed else None
    return tag("td", tag("bdi", shown), error)


def _columns(outcomes: Sequence[Outcome]) -> list[_Column]:
    tags = list(dict.fromkeys(name for outcome in outcomes for name in outcome.score.tags))[:MAX_TAGS]
    return [
        _Column("iou", "IoU", _number("iou", 3)),
        _Column("one_shot", "One shot", _number("one_shot_iou", 3)),
        _Column("gain", "Gain", _metric("gain", 3)),
        _Column("regret", "Regret", _metric("regret", 3)),
        _Column("rounds", "Rounds", _number("rounds", 0)),
        _Column("stop", "Stop", lambda one: one.score.values.get("stop") or "failed", is_number=False),
        _Column("verdict", "Verdict", lambda one: one.score.values.get("verdict", ""), is_number=False),
        _Column("tokens", "Tokens", lambda one: str(one.usage.tokens or "")),
        _Column("cost", "Cost", lambda one: "" if one.usage.cost is None else f"{one.usage.cost:.4g}"),
        _Column("recorded_cost", "Recorded cost", _metric("recorded_cost", 4)),
        _Column("seconds", "Seconds", _number("seconds", 1)),
        # A data set calls its tags what it likes, also "iou".
        *(_Column(f"tag.{name}", f"tag.{name}", _tag(name), is_number=False) for name in tags),
        _Column("sample", "Sample", lambda one: one.score.sample, is_number=False),
    ]


def _number(name: str, digits: int) -> Callable[[Outcome], str]:
    return lambda outcome: _shown(outcome.score.values.get(name), digits)


def _metric(name: str, digits: int) -> Callable[[Outcome], str]:
    of = LOOP_METRICS[name].of
    return lambda outcome: "" if outcome.failed else _shown(of(outcome.score.values), digits)


def _tag(name: str) -> Callable[[Outcome], str]:
    return lambda outcome: _text(outcome.score.tags, name)


def _text(tags: Mapping[str, Any], name: str) -> str:
    return str(tags.get(name, ""))[:80]


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"

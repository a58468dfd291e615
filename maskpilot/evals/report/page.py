"""The page: what the run comes to, how it got there, and every sample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from maskpilot.evals.loop_metrics import LOOP_METRICS
from maskpilot.evals.metrics import METRICS
from maskpilot.evals.notices import run_notices
from maskpilot.evals.report.charts import cloud_chart, curve_chart
from maskpilot.evals.report.document import document
from maskpilot.evals.report.sample import LEGEND
from maskpilot.evals.report.table import SCRIPT, sample_table
from maskpilot.evals.results import Outcome
from maskpilot.evals.run import Run
from maskpilot.evals.statistics import Estimate
from maskpilot.evals.summary import Summary
from maskpilot.report.markup import Markup, tag
from maskpilot.report.parts import facts, words

__all__ = ["Shown", "render_page"]


@dataclass(frozen=True)
class Shown:
    """A sample that the page shows with pictures, and why."""

    outcome: Outcome
    reason: str
    rounds: Markup


def render_page(
    run: Run, summary: Summary, shown: Sequence[Shown] = (), pages: frozenset[int] = frozenset()
) -> str:
    """The page, as HTML.

    Args:
        run: complete or not.
        summary: of it.
        shown: samples with pictures inside the page.
        pages: numbers of the samples that have a page of their own.
    """
    settings = run.settings
    title = f"{settings['policy'].get('name')} on {settings['dataset']['name']}"
    body = tag(
        "body",
        tag("header", *(tag("p", notice, class_="banner") for notice in run_notices(run))),
        tag("h1", title),
        facts(_facts(run)),
        _headline(run, summary),
        _charts(run, summary),
        _groups(summary),
        _pictures(shown),
        tag("h2", "All samples"),
        sample_table(run.outcomes, pages),
        _provenance(run),
    )
    return document(title, body, script=SCRIPT)


def _facts(run: Run) -> dict[str, str | None]:
    settings, usage = run.settings, run.usage
    data = settings["dataset"]
    model = settings["policy"].get("model")
    return {
        "Samples": f"{len(run.answered)} scored, {len(run.failed)} failed, of {run.total}",
        "Data set": f"{data['name']} ({data['samples']} of {data['of']}, seed {settings['seed']})",
        "Policy": " · ".join(str(part) for part in (settings["policy"].get("name"), model) if part),
        "Segmenter": str(settings["segmenter"].get("name")),
        "Tools": ", ".join(settings["tools"]),
        "Tokens": f"{usage.tokens:,}" if usage.tokens else None,
        "Cost": None if usage.cost is None else f"{usage.cost:.4g}",
        "Created": run.about.get("created"),
    }


def _headline(run: Run, summary: Summary) -> Markup:
    official = [
        _row(METRICS[name].title, METRICS[name].source, found) for name, found in summary.official.items()
    ]
    loop = [
        _row(metric.title, metric.meaning, found, metric.form)
        for metric, found in ((LOOP_METRICS[name], found) for name, found in summary.loop.items())
    ]
    found = [one for one in summary.official.values() if one] or list(summary.loop.values())
    rough = any(one.is_rough for one in found)
    how = (
        "95% intervals. Means: standard errors clustered by image; ratios of sums: bootstrap over images. "
        + ("With fewer than 30 images the intervals are too narrow. " if rough else "")
        + (_over_answered(run) if run.failed else "")
    )
    return tag(
        "div",
        tag("h2", "Results"),
        tag(
            "div",
            tag("div", _table(official, "Official metric", "Definition"), class_="card wide headline"),
            tag("div", _table(loop, "The loop", "Meaning"), class_="card wide headline"),
            class_="stack",
        ),
        tag("p", how, class_="quiet"),
    )


def _over_answered(run: Run) -> str:
    but_for = ", but for IoU," if run.failures_as_zero else ""
    return f"Loop numbers{but_for} are over answered samples alone."


def _table(rows: Sequence[Markup], name: str, meaning: str) -> Markup:
    heads = (name, "Value", "95% interval", "Samples", "Images", meaning)
    return tag("table", tag("tr", *(tag("th", head, scope="col") for head in heads)), *rows)


def _row(title: str, meaning: str, found: Estimate | None, form: str = ".3f") -> Markup:
    if found is None:
        numbers = ["not defined", "", "0", "0"]
    else:
        interval = "—" if found.low is None else f"{_short(found.low, form)} to {_short(found.high, form)}"
        numbers = [_short(found.value, form), interval, str(found.samples), str(found.clusters)]
    cells = [tag("td", number, class_="number") for number in numbers]
    return tag("tr", tag("td", title), *cells, tag("td", meaning, class_="quiet"))


def _charts(run: Run, summary: Summary) -> Markup | None:
    if not run.answered:
        return None
    one_shot = summary.loop.get("one_shot_iou")
    curve = curve_chart(summary.curve, one_shot.value if one_shot else None)
    values = [outcome.score.values for outcome in run.answered]
    by = next(
        (name for name in ("cost", "tokens") if all(value.get(name) for value in values)),
        "rounds",
    )
    cloud = cloud_chart([(float(value[by]), value["iou"]) for value in values], by)
    note = "A session that has ended stays at what it returned."
    return tag(
        "div",
        tag(
            "div",
            tag("h3", "Mean IoU after each round"),
            curve,
            tag("p", note, class_="quiet"),
            class_="card",
        ),
        tag("div", tag("h3", f"IoU against {by}"), cloud, class_="card"),
        class_="columns",
    )


def _groups(summary: Summary) -> Markup | None:
    tables = [
        tag(
            "div",
            _table([_row(value, "", found) for value, found in group.items()], name, ""),
            class_="card wide",
        )
        for name, group in summary.groups.items()
    ]
    return tag("div", tag("h2", "Mean IoU by tag"), tag("div", *tables, class_="columns")) if tables else None


def _pictures(shown: Sequence[Shown]) -> Markup | None:
    if not shown:
        return None
    cards = [
        tag(
            "details",
            tag("summary", f"{one.reason}: IoU {one.outcome.score.values['iou']:.3f} ", _query(one.outcome)),
            one.rounds,
            class_="card",
            open="" if number < 2 else None,
        )
        for number, one in enumerate(shown)
    ]
    return tag("div", tag("h2", "Worth a look"), LEGEND, tag("div", *cards, class_="stack"))


def _query(outcome: Outcome) -> Markup:
    line = " ".join(outcome.score.query.split())
    return tag("bdi", line if len(line) <= 160 else line[:159] + "…")


def _provenance(run: Run) -> Markup:
    plain = json.dumps(run.about, indent=1, ensure_ascii=False, default=repr)
    about = tag("dl", *_about(run), class_="facts")
    return tag("details", tag("summary", "Provenance"), about, tag("pre", plain))


def _about(run: Run) -> list[Markup]:
    return [
        tag("div", tag("dt", name), tag("dd", words(str(value))))
        for name, value in run.about.get("facts", {}).items()
    ]


def _short(value: float | None, form: str) -> str:
    if value is None:
        return "—"
    return f"{value:{form}}" if abs(value) < 100 else f"{value:,.0f}"

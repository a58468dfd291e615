"""What a run comes to: every number with its interval, and how many samples are behind it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskpilot.evals.loop_metrics import LOOP_METRICS, curve
from maskpilot.evals.metrics import METRICS, Metric
from maskpilot.evals.notices import run_notices
from maskpilot.evals.run import Run
from maskpilot.evals.statistics import Estimate, clustered_mean, of_sums
from maskpilot.evals.types import SampleScore

__all__ = ["Summary", "by_tag", "estimate", "summarise", "summary_record"]

MAX_GROUPS = 40
"""Values of a tag by which results are broken down; one with more is no breakdown but a list."""

FEW_GROUPS = 12
"""Values of a tag by which all metrics are broken down: each may take a bootstrap of its own."""


@dataclass(frozen=True)
class Summary:
    """A run in numbers.

    Attributes:
        official: the data set's own metrics, the headline first; None where undefined.
        loop: those of LOOP_METRICS that any sample defines; over answered samples alone, but for "iou".
        curve: mean IoU after each round, over answered samples.
        groups: mean IoU for each value of each tag.
    """

    official: Mapping[str, Estimate | None]
    loop: Mapping[str, Estimate]
    curve: Sequence[float]
    groups: Mapping[str, Mapping[str, Estimate]]


def summarise(run: Run) -> Summary:
    """Compute all of it."""
    scores = run.scores
    sessions = [outcome.score for outcome in run.answered]
    loop = {
        name: found
        for name, metric in LOOP_METRICS.items()
        if (found := _mean(scores if name == "iou" else sessions, metric.of)) is not None
    }
    return Summary(
        official={name: estimate(METRICS[name], scores) for name in run.settings["dataset"]["metrics"]},
        loop=loop,
        curve=[round(iou, 6) for iou in curve([score.values for score in sessions])],
        groups=_groups(scores),
    )


def estimate(metric: Metric, scores: Sequence[SampleScore]) -> Estimate | None:
    """A metric with its interval: by the clustered formula where it is a mean, else by bootstrap.

    A metric that is no function of sums (AP) has no interval.
    """
    if metric.terms is None or metric.finish is None:
        value = metric.aggregate([score.values for score in scores])
        images = len({score.image_id for score in scores})
        return None if value is None else Estimate(value, None, None, None, len(scores), images)
    pairs = [(terms, score.image_id) for score in scores if (terms := metric.terms(score.values)) is not None]
    rows, clusters = [terms for terms, _ in pairs], [image for _, image in pairs]
    if metric.is_mean:
        return clustered_mean([row[0] / row[1] for row in rows], clusters)
    return of_sums(rows, clusters, metric.finish)


def by_tag(metrics: Sequence[str], scores: Sequence[SampleScore]) -> dict[str, dict[str, Any]]:
    """Metrics over the samples of each value of each tag that has few, as plain JSON data.

    Args:
        metrics: names in METRICS.
    """
    return {
        tag: {
            value: {"samples": len(group), "metrics": _records(metrics, group)}
            for value, group in groups.items()
        }
        for tag, groups in _tagged(scores, FEW_GROUPS).items()
    }


def summary_record(run: Run, summary: Summary) -> dict[str, Any]:
    """What `maskpilot eval --json` prints."""
    settings, usage = run.settings, run.usage
    return {
        "run_dir": str(run.path),
        "dataset": settings["dataset"],
        "policy": settings["policy"],
        "segmenter": settings["segmenter"],
        "tools": settings["tools"],
        "simulated": bool(settings["policy"].get("simulated")),
        "sees_truth": settings["sees_truth"],
        "notices": run_notices(run),
        "complete": run.complete,
        "samples": run.total,
        "scored": len(run.answered),
        "failed": len(run.failed),
        "failures_counted_as_zero": run.failures_as_zero,
        "failures": [
            {"sample": outcome.score.sample, "error": outcome.score.error} for outcome in run.failed
        ],
        "metrics": {name: found and found.record for name, found in summary.official.items()},
        "loop": {name: found.record for name, found in summary.loop.items()},
        "iou_per_round": list(summary.curve),
        "iou_by_tag": {
            tag: {value: found.record for value, found in group.items()}
            for tag, group in summary.groups.items()
        },
        "metrics_by_tag": by_tag(settings["dataset"]["metrics"], run.scores),
        "tokens": usage.tokens,
        "cost": usage.cost,
    }


def _mean(scores: Sequence[SampleScore], of: Any) -> Estimate | None:
    pairs = [(value, score.image_id) for score in scores if (value := of(score.values)) is not None]
    return clustered_mean([value for value, _ in pairs], [image for _, image in pairs])


def _records(metrics: Sequence[str], scores: Sequence[SampleScore]) -> dict[str, dict[str, Any] | None]:
    estimates = {name: estimate(METRICS[name], scores) for name in metrics}
    return {name: found.record if found else None for name, found in estimates.items()}


def _groups(scores: Sequence[SampleScore]) -> dict[str, dict[str, Estimate]]:
    of = LOOP_METRICS["iou"].of
    return {
        tag: {value: found for value, group in groups.items() if (found := _mean(group, of)) is not None}
        for tag, groups in _tagged(scores, MAX_GROUPS).items()
    }


def _tagged(scores: Sequence[SampleScore], most: int) -> dict[str, dict[str, list[SampleScore]]]:
    """Samples by tag and value, in the order of the values; of tags that have two values to `most`."""
    groups: dict[str, dict[str, list[SampleScore]]] = {}
    for score in scores:
        for tag, value in score.tags.items():
            groups.setdefault(tag, {}).setdefault(value, []).append(score)
    return {tag: dict(sorted(values.items())) for tag, values in groups.items() if 1 < len(values) <= most}

"""Two runs on the same samples: paired differences, and where they come from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskpilot.crew.settings import differences
from maskpilot.errors import InvalidInput
from maskpilot.evals.loop_metrics import EQUAL, LOOP_METRICS
from maskpilot.evals.metrics import METRICS, Metric
from maskpilot.evals.notices import run_notices
from maskpilot.evals.run import Run
from maskpilot.evals.statistics import Estimate, paired_mean, paired_sums
from maskpilot.evals.types import SampleScore
from maskpilot.wording import counted

__all__ = ["Comparison", "Difference", "compare", "comparison_record"]

Pair = tuple[SampleScore, SampleScore]


@dataclass(frozen=True, slots=True)
class Difference:
    """One sample in both runs: IoU in [0, 1]."""

    sample: str
    query: str
    first: float
    second: float

    @property
    def gain(self) -> float:
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """The second run less the first one, over the samples that both have scored.

    Attributes:
        first, second: the runs.
        metrics: official metrics of the data set; AP, which is no function of sums, without an interval.
        loop: the means of LOOP_METRICS that both have; over answered samples alone, but for "iou".
        differences: every common sample, the greatest difference first.
        only_first, only_second: samples that the other run does not have, not even as a failure.
        failed_first, failed_second: samples that failed; they are in none of the numbers, unless a run
            counts them as the worst answer.
        changed: settings in which the runs differ, a line each; and whether the truths did.
    """

    first: Run
    second: Run
    metrics: Mapping[str, Estimate]
    loop: Mapping[str, Estimate]
    differences: Sequence[Difference]
    only_first: int
    only_second: int
    failed_first: int
    failed_second: int
    changed: Sequence[str]

    @property
    def wins(self) -> int:
        """Samples on which the second run is better."""
        return sum(one.gain > EQUAL for one in self.differences)

    @property
    def losses(self) -> int:
        return sum(one.gain < -EQUAL for one in self.differences)

    @property
    def ties(self) -> int:
        return len(self.differences) - self.wins - self.losses


def compare(first: Run, second: Run) -> Comparison:
    """Compare two runs.

    Raises:
        InvalidInput: they are on different data sets, or have no scored sample in common.
    """
    pairs = _pairs(first, second)
    names = first.settings["dataset"]["metrics"]
    official = {name: _official(METRICS[name], pairs) for name in names}
    changed = differences(first.settings, second.settings)
    # A failed sample that counts as the worst answer has an IoU, and no session.
    sessions = [pair for pair in pairs if all("rounds" in score.values for score in pair)]
    loop = {
        name: _paired(metric.of, pairs if name == "iou" else sessions)
        for name, metric in LOOP_METRICS.items()
        # A sample that never gets there counts the limit, so that the limits must be the same.
        if not (name.startswith("rounds_to") and any("budget.max_rounds" in line for line in changed))
    }
    known = [{outcome.score.sample for outcome in run.outcomes} for run in (first, second)]
    return Comparison(
        first=first,
        second=second,
        metrics={name: found for name, found in official.items() if found is not None},
        loop={name: found for name, found in loop.items() if found is not None},
        differences=sorted(map(_difference, pairs), key=lambda one: (-abs(one.gain), one.sample)),
        only_first=len(known[0] - known[1]),
        only_second=len(known[1] - known[0]),
        failed_first=len(first.failed),
        failed_second=len(second.failed),
        changed=[*changed, *_other_truths(first, second)],
    )


def comparison_record(comparison: Comparison, most: int = 20) -> dict[str, Any]:
    """What `maskpilot compare --json` prints; `most`: samples to name."""
    runs = (comparison.first, comparison.second)
    return {
        "runs": [str(run.path) for run in runs],
        "policies": [dict(run.settings["policy"]) for run in runs],
        "sees_truth": [run.settings["sees_truth"] for run in runs],
        "notices": [run_notices(run) for run in runs],
        "complete": [run.complete for run in runs],
        "settings_changed": list(comparison.changed),
        "samples": len(comparison.differences),
        "only_in": [comparison.only_first, comparison.only_second],
        "failed": [comparison.failed_first, comparison.failed_second],
        "wins": comparison.wins,
        "losses": comparison.losses,
        "ties": comparison.ties,
        "metrics": {name: found.record for name, found in comparison.metrics.items()},
        "loop": {name: found.record for name, found in comparison.loop.items()},
        "differ_most": [
            {
                "sample": one.sample,
                "query": one.query,
                "iou": [round(one.first, 6), round(one.second, 6)],
                "difference": round(one.gain, 6),
            }
            for one in comparison.differences[:most]
        ],
    }


def _pairs(first: Run, second: Run) -> list[Pair]:
    names = [run.settings["dataset"]["name"] for run in (first, second)]
    if names[0] != names[1]:
        raise InvalidInput(
            f"the runs are on different data sets: {first.path} on {names[0]}, {second.path} on {names[1]}"
        )
    others = {score.sample: score for score in second.scores}
    pairs = [(score, others[score.sample]) for score in first.scores if score.sample in others]
    if not pairs:
        raise InvalidInput(f"{first.path} and {second.path} have no scored sample in common")
    for one, other in pairs:
        if (one.query, one.image_id) != (other.query, other.image_id):
            raise InvalidInput(
                f"the runs are on different data sets: sample {one.sample!r} is {one.query[:80]!r} in "
                f"{first.path} and {other.query[:80]!r} in {second.path}"
            )
    return pairs


def _other_truths(first: Run, second: Run) -> list[str]:
    """A line, where common samples were scored by other truths."""
    others = {outcome.score.sample: outcome.truth for outcome in second.outcomes}
    pairs = [(outcome.truth, others.get(outcome.score.sample, "")) for outcome in first.outcomes]
    count = sum(bool(one and other) and one != other for one, other in pairs)
    return [f"dataset.truths: other ones for {counted(count, 'sample')}"] if count else []


def _official(metric: Metric, pairs: Sequence[Pair]) -> Estimate | None:
    if metric.terms is None or metric.finish is None:
        was, now = (metric.aggregate([pair[at].values for pair in pairs]) for at in (0, 1))
        if was is None or now is None:
            return None
        return Estimate(now - was, None, None, None, len(pairs), len({one.image_id for one, _ in pairs}))
    both = [
        (before, after, one.image_id)
        for one, other in pairs
        if (before := metric.terms(one.values)) is not None
        and (after := metric.terms(other.values)) is not None
    ]
    first, second, images = [row[0] for row in both], [row[1] for row in both], [row[2] for row in both]
    if metric.is_mean:
        return paired_mean([row[0] / row[1] for row in first], [row[0] / row[1] for row in second], images)
    return paired_sums(first, second, images, metric.finish)


def _paired(of: Callable[[Mapping[str, Any]], float | None], pairs: Sequence[Pair]) -> Estimate | None:
    both = [
        (before, after, one.image_id)
        for one, other in pairs
        if (before := of(one.values)) is not None and (after := of(other.values)) is not None
    ]
    return paired_mean([row[0] for row in both], [row[1] for row in both], [row[2] for row in both])


def _difference(pair: Pair) -> Difference:
    one, other = pair
    return Difference(one.sample, one.query, one.values["iou"], other.values["iou"])

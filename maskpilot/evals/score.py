"""Score predictions that any system made: no model, no segmenter, one sample at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from maskpilot.evals.metrics import METRICS, measure
from maskpilot.evals.predictions import Predictions
from maskpilot.evals.summary import by_tag, estimate
from maskpilot.evals.types import Dataset, Sample, SampleScore, Truth

__all__ = ["DEFAULT_THRESHOLD", "Scored", "score", "score_record"]

DEFAULT_THRESHOLD = 0.5
"""SA-Co's: predictions that score at least this much are the answer; AP takes all."""


@dataclass(frozen=True)
class Scored:
    """Scores of all samples of a data set.

    Attributes:
        without: samples for which there is no prediction; they are scored as "nothing found".
        below: predictions that score below the threshold: they are no part of an answer.
        notes: what the predictions had that was left out.
    """

    scores: Sequence[SampleScore]
    without: int
    below: int
    notes: Mapping[str, int]


def score(
    dataset: Dataset,
    predictions: Predictions,
    *,
    threshold: float = DEFAULT_THRESHOLD,
    boundary: bool = False,
    watch: Callable[[int, int], None] = lambda _done, _total: None,
) -> Scored:
    """Hold predictions against the truth, sample by sample, at full resolution.

    Args:
        threshold: see `measure`.
        boundary: also compute boundary IoU.
        watch: is told how many of how many are done.

    Raises:
        DatasetError: a record of the data set or of the predictions cannot be used; it names both.
        ImageError: an image whose size is needed cannot be read.
    """
    scores, without, below, total = [], 0, 0, len(dataset)
    for done, sample in enumerate(dataset, start=1):
        truth = dataset.truth(sample)
        size = _size(dataset, sample, truth)
        answer = predictions.of(sample, size)
        without += answer is None
        below += sum(one.score < threshold for one in answer or ())
        values = measure(
            answer or (),
            truth,
            size,
            category=sample.tags.get("category", ""),
            threshold=threshold,
            boundary=boundary,
        )
        scores.append(SampleScore(sample.id, sample.image_id, sample.query, sample.tags, values))
        watch(done, total)
    return Scored(scores, without, below, predictions.notes)


def score_record(dataset: Dataset, scored: Scored, *, threshold: float = DEFAULT_THRESHOLD) -> dict[str, Any]:
    """What `maskpilot score --json` prints."""
    names = dict.fromkeys([*dataset.metrics, "giou", "ciou"])
    if any("boundary_iou" in one.values for one in scored.scores):
        names["boundary_iou"] = None
    estimates = {name: estimate(METRICS[name], scored.scores) for name in names}
    return {
        "dataset": {"name": dataset.name, **dataset.facts},
        "samples": len(scored.scores),
        "without_predictions": scored.without,
        "below_threshold": scored.below,
        "left_out": {name: count for name, count in scored.notes.items() if count},
        "threshold": threshold,
        "metrics": {name: found and found.record for name, found in estimates.items()},
        "metrics_by_tag": by_tag(tuple(names), scored.scores),
    }


def _size(dataset: Dataset, sample: Sample, truth: Truth) -> tuple[int, int]:
    """The image's size: as the data set says, else as the masks say, else as the image is."""
    if sample.width:
        return sample.width, sample.height
    some = next((mask for instances in truth.annotators for mask in instances), truth.ignore)
    return (some.width, some.height) if some else dataset.image(sample).image.size

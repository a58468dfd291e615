"""COCO's mask AP: precision over recall, for all IoU levels and all classes.

Source: pycocotools/cocoeval.py, `evaluateImg` and `accumulate`; all areas, 100 detections per image and
class. A test holds it beside pycocotools.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.evals.metrics.concepts import LEVELS
from maskpilot.evals.metrics.metric import Metric
from maskpilot.types import Instance, Mask

__all__ = ["PRECISION_METRICS", "detections"]

MOST = 100
RECALLS = np.linspace(0.0, 1.0, 101)


def detections(
    result: Sequence[Instance], truth: Sequence[Mask], *, ignore: Mask | None = None, exhaustive: bool = True
) -> dict[str, list[Any]]:
    """What became of each detection, best score first, at each IoU level.

    A detection takes the free true mask that it overlaps most; failing that, it counts for nothing where
    it lies in `ignore` (COCO's crowds; several crowds of one class in one image are taken as one) or where
    the class was not annotated exhaustively (LVIS).

    Returns:
        scores; hits and ignored: bit k stands for LEVELS[k].
    """
    ranked = sorted(result, key=lambda instance: -instance.score)[:MOST]
    shapes = [instance.mask for instance in ranked]
    overlaps = masks.iou_matrix(shapes, truth)
    covered = masks.intersections(shapes, [ignore])[:, 0] if ignore and shapes else np.zeros(len(shapes))
    # pycocotools goes on while the next is as good, so ties go to the last.
    near = [
        sorted(
            ((overlap, column) for column, overlap in enumerate(row) if overlap >= LEVELS[0]), reverse=True
        )
        for row in overlaps.tolist()
    ]
    hits, ignored = [0] * len(ranked), [0] * len(ranked)
    for bit, level in enumerate(LEVELS):
        taken: set[int] = set()
        for row, candidates in enumerate(near):
            free = (column for overlap, column in candidates if overlap >= level and column not in taken)
            best = next(free, None)
            if best is not None:
                taken.add(best)
                hits[row] |= 1 << bit
            elif not exhaustive or covered[row] >= level:
                ignored[row] |= 1 << bit
    return {"scores": [instance.score for instance in ranked], "hits": hits, "ignored": ignored}


def average_precision(scores: Sequence[Mapping[str, Any]]) -> float | None:
    """AP averaged over LEVELS and over the classes that have a true instance; None where none has.

    Args:
        scores: values of `measure`; those without "detections" do not take part. A sample's class is its
            "category"; samples that name none are all of one class.
    """
    classes: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for values in scores:
        if "detections" in values:
            classes[str(values.get("category", ""))].append(values)
    found = [_class_precision(members) for members in classes.values()]
    known = [value for value in found if value is not None]
    return float(np.mean(known)) if known else None


def _class_precision(members: Sequence[Mapping[str, Any]]) -> float | None:
    total = sum(values["true_instances"] for values in members)
    if not total:
        return None
    scores, hits, ignored = (
        np.array([entry for values in members for entry in values["detections"][key]], dtype)
        for key, dtype in (("scores", np.float64), ("hits", np.int64), ("ignored", np.int64))
    )
    order = np.argsort(-scores, kind="stable")
    return float(np.mean([_at_level(bit, hits[order], ignored[order], total) for bit in range(len(LEVELS))]))


def _at_level(bit: int, hits: NDArray[Any], ignored: NDArray[Any], total: int) -> float:
    """Area under the precision-recall curve at 101 points of recall, precision made falling."""
    hit = hits[(ignored >> bit) & 1 == 0] >> bit & 1
    if not len(hit):
        return 0.0
    right = np.cumsum(hit)
    precision = np.maximum.accumulate((right / np.arange(1, len(hit) + 1))[::-1])[::-1]
    places = np.searchsorted(right / total, RECALLS, side="left")
    reached = places < len(precision)
    return float(np.where(reached, precision[np.minimum(places, len(precision) - 1)], 0.0).mean())


PRECISION_METRICS: tuple[Metric, ...] = (
    Metric(name="ap", title="AP", source="pycocotools/cocoeval.py", pooled=average_precision),
)

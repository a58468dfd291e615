"""Metrics that see the answer as one region: the union of its masks.

All are made from a sample's intersection and union in pixels at full resolution.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from maskpilot import masks
from maskpilot.evals.metrics.metric import Metric, Terms, mean_of
from maskpilot.types import Mask

__all__ = ["REGION_METRICS", "overlap"]

LISA = "LISA (arXiv 2308.00692), utils/utils.py and train_ds.py of JIA-Lab-research/LISA"
RES = "LAVT (arXiv 2112.02244), test.py of yz93/LAVT-RIS"
GRES = "GRES (arXiv 2306.00968), gres_model/evaluation/refer_evaluation.py of henghuiding/ReLA"


def overlap(
    predicted: Sequence[Mask], truth: Sequence[Mask], size: tuple[int, int], ignore: Mask | None = None
) -> dict[str, Any]:
    """Intersection and union of two answers, each the union of its masks.

    Pixels of `ignore` count on neither side. Where both answers are empty the IoU is 1: "nothing is there"
    was right (LISA adds 1 for a sample whose union is empty). Where one is, it is 0.

    Args:
        size: (width, height) of the image in pixels.

    Returns:
        intersection, union, predicted_pixels, truth_pixels: whole numbers of pixels; iou: in [0, 1].
    """
    width, height = size
    ours = masks.union(predicted, width=width, height=height)
    theirs = masks.union(truth, width=width, height=height)
    counted = partial(_area, ignore=ignore)
    mine, right = counted(ours), counted(theirs)
    joined = counted(masks.union([ours, theirs], width=width, height=height))
    shared = mine + right - joined
    return {
        "intersection": shared,
        "union": joined,
        "iou": shared / joined if joined else 1.0,
        "predicted_pixels": mine,
        "truth_pixels": right,
    }


def _area(mask: Mask, ignore: Mask | None) -> int:
    area = masks.area(mask)
    if ignore is None or area == 0:
        return area
    # |A \ G| = |A u G| - |G|
    joined = masks.union([mask, ignore], width=mask.width, height=mask.height)
    return masks.area(joined) - masks.area(ignore)


def _iou(values: Mapping[str, Any]) -> float | None:
    return values.get("iou")


def _sums(values: Mapping[str, Any]) -> Terms | None:
    return (values["intersection"], values["union"]) if "union" in values else None


def _ratio(sums: Sequence[float]) -> float | None:
    return sums[0] / sums[1] if sums[1] else None


def _at_least(level: float, values: Mapping[str, Any]) -> float | None:
    """P@level is a share of the samples that have a target (GRES); in RefCOCO all have one."""
    return float(values["iou"] >= level) if values.get("truth_pixels") else None


def _no_target(values: Mapping[str, Any]) -> float | None:
    return float(values["predicted_pixels"] == 0) if values.get("truth_pixels") == 0 else None


def _target(values: Mapping[str, Any]) -> float | None:
    return float(values["predicted_pixels"] > 0) if values.get("truth_pixels") else None


REGION_METRICS: tuple[Metric, ...] = (
    # The mean of per-sample IoU; empty against empty is 1, empty against anything 0.
    mean_of("giou", "gIoU", LISA, _iou),
    # Sum of intersections over sum of unions. What is found where nothing is to be found enters the lower
    # sum; empty against empty enters neither. Large objects weigh more.
    Metric(name="ciou", title="cIoU", source=LISA, terms=_sums, finish=_ratio),
    # The same two under the names of referring segmentation. LAVT scores an empty union 0; in RefCOCO no
    # truth is empty, so that never happens.
    Metric(name="oiou", title="oIoU", source=RES, terms=_sums, finish=_ratio),
    mean_of("miou", "mIoU", RES, _iou),
    # The share of samples with a target whose IoU is at least the level.
    *(
        mean_of(f"p_at_{percent}", f"P@.{percent // 10}", RES, partial(_at_least, percent / 100))
        for percent in (50, 60, 70, 80, 90)
    ),
    # Of the samples without a target, the share for which nothing was found; of those with one, the share
    # for which something was found, however wrong.
    mean_of("n_acc", "N-acc", GRES, _no_target),
    mean_of("t_acc", "T-acc", GRES, _target),
)

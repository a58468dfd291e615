"""One sample's values: everything from which the metrics are aggregated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from maskpilot import masks
from maskpilot.evals.metrics.boundary import boundary_iou
from maskpilot.evals.metrics.concepts import best_counts
from maskpilot.evals.metrics.precision import detections
from maskpilot.evals.metrics.regions import overlap
from maskpilot.evals.types import Truth
from maskpilot.types import Instance, Mask

__all__ = ["measure", "near"]


def measure(
    result: Sequence[Instance],
    truth: Truth,
    size: tuple[int, int],
    *,
    category: str = "",
    threshold: float = 0.0,
    boundary: bool = False,
) -> dict[str, Any]:
    """Hold an answer against the truth, at the image's full resolution.

    Pixels of `truth.ignore` count for nothing: they are taken from every mask, and a mask that has no others
    is gone. Where the truth is not exhaustive, instances that overlap no true one by at least .5 count for
    nothing either, since they may be right. With several annotators the best IoU counts, and (apart from
    it) the best local F1.

    Args:
        result: the answer; its order does not matter.
        size: (width, height) of the image in pixels.
        category: the class, where AP is to be averaged over classes; `sample.tags.get("category", "")`.
        threshold: instances scoring below count for AP alone. The answer of a session is what it returned,
            so 0; files of predictions hold low scores too (SA-Co counts from .5).
        boundary: also compute boundary_iou, which costs more than the rest together.

    Returns:
        plain numbers and lists, fit for JSON:
        iou, intersection, union, predicted_pixels, truth_pixels;
        where the truth consists of instances, also predicted_count, truth_count, hits (one a level of
        `LEVELS`), true_instances, detections, category; where asked for, boundary_iou.

    Raises:
        ValueError: a mask of another size than the image.
    """
    _check_sizes(result, truth, size)
    answer = [instance.mask for instance in result if instance.score >= threshold]
    annotators: Sequence[Sequence[Mask]] = truth.annotators
    if not truth.exhaustive:
        answer = near(answer, [mask for instances in annotators for mask in instances])
    overlaps = [overlap(answer, instances, size, truth.ignore) for instances in annotators]
    values = max(overlaps, key=lambda found: found["iou"])
    if truth.is_instances:
        values |= _instance_values(answer, result, truth) | {"category": category}
    if boundary:
        values["boundary_iou"] = max(
            boundary_iou(answer, instances, size, truth.ignore) for instances in annotators
        )
    return values


def _instance_values(answer: Sequence[Mask], result: Sequence[Instance], truth: Truth) -> dict[str, Any]:
    seen, annotators = _without(answer, truth.ignore), truth.annotators
    counts = best_counts(seen, [_without(instances, truth.ignore) for instances in annotators])
    return {
        "predicted_count": counts.predicted,
        "truth_count": counts.truth,
        "hits": list(counts.hits),
        "true_instances": len(truth.instances),
        "detections": detections(result, truth.instances, ignore=truth.ignore, exhaustive=truth.exhaustive),
    }


def _without(shapes: Sequence[Mask], ignore: Mask | None) -> Sequence[Mask]:
    if ignore is None or not shapes:
        return shapes
    counted = ~masks.decode(ignore)
    rest = [masks.decode(mask) & counted for mask in shapes]
    return [masks.encode(pixels) for pixels in rest if pixels.any()]


def near(answer: Sequence[Mask], truth: Sequence[Mask]) -> list[Mask]:
    """What counts where the truth is not exhaustive: masks that overlap a true one by at least .5."""
    if not answer or not truth:
        return []
    close = masks.iou_matrix(answer, truth).max(axis=1) >= masks.SAME_OBJECT_IOU
    return [mask for mask, kept in zip(answer, close.tolist(), strict=True) if kept]


def _check_sizes(result: Sequence[Instance], truth: Truth, size: tuple[int, int]) -> None:
    shapes = [instance.mask for instance in result]
    shapes += [mask for instances in truth.annotators for mask in instances]
    shapes += [truth.ignore] if truth.ignore else []
    for mask in shapes:
        if (mask.width, mask.height) != size:
            raise ValueError(
                f"measure: expected masks of {size[0]}x{size[1]} px, got one of {mask.width}x{mask.height}"
            )

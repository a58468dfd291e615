"""Boundary IoU: how well outlines agree, where mask IoU hardly moves.

Source: Cheng et al. (arXiv 2103.16562), boundary_iou/utils/boundary_utils.py of
bowenc0221/boundary-iou-api.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.evals.metrics.metric import Metric, mean_of
from maskpilot.types import Mask

__all__ = ["BOUNDARY_METRICS", "boundary", "boundary_iou"]

SHARE_OF_DIAGONAL = 0.02


def boundary(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The pixels of a mask that lie within 2% of the image's diagonal of its outline: (H, W) bool.

    The mask less its erosion by d steps of a 3x3 square, d = round(.02 * diagonal), at least 1. The image's
    own edge is an outline too.

    Args:
        mask: (H, W) bool.
    """
    height, width = mask.shape
    steps = max(1, round(SHARE_OF_DIAGONAL * float(np.hypot(height, width))))
    return mask & ~_erode(_erode(mask, steps, axis=0), steps, axis=1)


def boundary_iou(
    predicted: Sequence[Mask], truth: Sequence[Mask], size: tuple[int, int], ignore: Mask | None = None
) -> float:
    """IoU of the boundaries of two answers, each the union of its masks; 1 where both are empty.

    Pixels of `ignore` are left out once both boundaries are known: its edge is no outline.

    Args:
        size: (width, height) in pixels.
    """
    width, height = size
    ours = boundary(masks.decode(masks.union(predicted, width=width, height=height)))
    theirs = boundary(masks.decode(masks.union(truth, width=width, height=height)))
    if ignore is not None:
        counted = ~masks.decode(ignore)
        ours, theirs = ours & counted, theirs & counted
    union = int(np.count_nonzero(ours | theirs))
    return int(np.count_nonzero(ours & theirs)) / union if union else 1.0


def _erode(mask: NDArray[np.bool_], steps: int, axis: int) -> NDArray[np.bool_]:
    """Keep what has `steps` neighbours set on both sides along an axis; outside, nothing is set."""
    padding = [(0, 0), (0, 0)]
    padding[axis] = (steps, steps)
    window, reach = np.moveaxis(np.pad(mask, padding), axis, 0), 1
    # A window of any length is the AND of two overlapping windows half as long or more.
    while reach < 2 * steps + 1:
        shift = min(reach, 2 * steps + 1 - reach)
        window = window[shift:] & window[:-shift]
        reach += shift
    return np.moveaxis(window, 0, axis)


BOUNDARY_METRICS: tuple[Metric, ...] = (
    mean_of("boundary_iou", "Boundary IoU", "arXiv 2103.16562", lambda values: values.get("boundary_iou")),
)

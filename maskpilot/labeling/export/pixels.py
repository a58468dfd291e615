"""Pixels of a mask as labeling tools have them: within a box, and as run lengths along the rows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.types import Mask

__all__ = ["cropped", "row_runs"]


def cropped(mask: Mask) -> tuple[NDArray[np.bool_], int, int]:
    """What lies in the tight box of a mask, which an empty one has around its first pixel.

    Returns:
        (h, w) bool, and x and y of the box's left upper pixel.
    """
    box = masks.tight_box(mask)
    left, top, right, bottom = (0, 0, 1, 1) if box is None else (int(value) for value in box.xyxy)
    return masks.decode(mask)[top:bottom, left:right], left, top


def row_runs(pixels: NDArray[np.bool_]) -> list[int]:
    """Lengths of the runs, row by row, background first, so that the first one may be 0.

    Args:
        pixels: (H, W) bool, H and W at least 1.
    """
    flat = pixels.ravel()
    ends = np.append(np.flatnonzero(flat[1:] != flat[:-1]) + 1, flat.size)
    lengths: list[int] = np.diff(ends, prepend=0).tolist()
    return [0, *lengths] if flat[0] else lengths

"""What of a picture is still free: questions about many rectangles at a time.

Rectangles are int64 arrays (n, 4) of xyxy picture pixels, half-open.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from maskpilot.render.view import Rect

__all__ = ["Room", "Sums"]

Rects = NDArray[np.int64]

END = 3
"""The last points of a leader line lie on the mask that it leads to."""


class Sums:
    """How many pixels of a map are set within a rectangle, by a summed-area table (Crow, 1984)."""

    def __init__(self, pixels: NDArray[np.bool_]) -> None:
        height, width = pixels.shape
        self._table = np.zeros((height + 1, width + 1), np.int32)
        np.cumsum(pixels, axis=1, dtype=np.int32, out=self._table[1:, 1:])
        for above, row in pairwise(self._table):  # np.cumsum down the columns takes four times as long
            np.add(above, row, out=row)

    def within(self, rects: Rects) -> NDArray[np.int64]:
        """(n,) int64; what lies outside of the map counts nothing."""
        height, width = self._table.shape
        x0, x1 = np.clip(rects[:, 0], 0, width - 1), np.clip(rects[:, 2], 0, width - 1)
        y0, y1 = np.clip(rects[:, 1], 0, height - 1), np.clip(rects[:, 3], 0, height - 1)
        table = self._table
        return np.asarray(table[y1, x1] - table[y0, x1] - table[y1, x0] + table[y0, x0], np.int64)


class Room:
    """The free space of one picture; `take` makes it less.

    Args:
        small: (H, W) bool, pixels of masks that nothing may cover or touch.
        masks: (H, W) bool, pixels of any mask.
        clearance: pixels kept free around small masks.
        taken: rectangles that are not free from the start.
    """

    def __init__(
        self,
        small: NDArray[np.bool_],
        masks: NDArray[np.bool_],
        *,
        clearance: int,
        taken: tuple[Rect, ...] = (),
    ) -> None:
        self._height, self._width = small.shape
        self._pixels = small
        self._small = Sums(small)
        self._masks = Sums(masks)
        self._clearance = clearance
        self._taken = np.array(taken, np.int64).reshape(-1, 4)
        self._leaders = np.zeros((0, 2), np.int64)

    def free(self, rects: Rects) -> NDArray[np.bool_]:
        """(n,) bool: within the picture, clear of small masks and of all that is taken."""
        margin = np.array([-1, -1, 1, 1])
        free = (rects[:, :2] >= 0).all(axis=1)
        free &= (rects[:, 2] <= self._width) & (rects[:, 3] <= self._height)
        free &= self._small.within(rects + self._clearance * margin) == 0
        one, other = (rects[free] + margin)[:, None], self._taken
        apart = (one[..., 2] <= other[:, 0]) | (other[:, 2] <= one[..., 0])
        apart |= (one[..., 3] <= other[:, 1]) | (other[:, 3] <= one[..., 1])
        free[free] = apart.all(axis=1)
        return np.asarray(free)

    def covered(self, rects: Rects) -> NDArray[np.float64]:
        """(n,) float64 in [0, 1]: the share of each rectangle that lies on masks."""
        areas = (rects[:, 2] - rects[:, 0]) * (rects[:, 3] - rects[:, 1])
        return np.asarray(self._masks.within(rects) / areas)

    def tangled(self, rect: Rect, leader: NDArray[np.int64]) -> bool:
        """Whether a plate lies on a leader line, or its own line, (n, 2) points, on a plate or small mask."""
        x, y = leader[:-END].T
        if self._pixels[y, x].any():
            return True
        taken = self._taken
        over = (leader[:, None] >= taken[:, :2]) & (leader[:, None] < taken[:, 2:])
        under = (self._leaders >= rect[:2]) & (self._leaders < rect[2:])
        return bool(over.all(axis=2).any() or under.all(axis=1).any())

    def take(self, rect: Rect, leader: NDArray[np.int64]) -> None:
        """Put a plate there; `leader` holds the points of its leader line, (n, 2)."""
        self._taken = np.concatenate([self._taken, [rect]])
        self._leaders = np.concatenate([self._leaders, leader])

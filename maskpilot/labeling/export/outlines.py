"""Masks as polygons, and back. Pure functions, exact unless told to simplify.

A ring is (n, 2) int64: x, y of its corners in pixels, on the edges between pixels, so that the pixel in the
left upper corner of an image has the corners (0, 0), (1, 0), (1, 1), (0, 1). It is closed without repeating
its first corner. Between corners an outline goes along a row or a column.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.export.borders import Ring, find_rings, hang
from maskpilot.labeling.export.chains import hung
from maskpilot.labeling.export.pixels import cropped
from maskpilot.types import Mask

__all__ = [
    "Outline",
    "Ring",
    "outlines",
    "polygons",
    "rasterise",
    "simplified",
]


@dataclass(frozen=True, eq=False)
class Outline:
    """One part of a mask: pixels that touch along an edge.

    Attributes:
        outer: the ring around it.
        holes: the rings around what is missing inside.
    """

    outer: Ring
    holes: tuple[Ring, ...] = ()


def outlines(mask: Mask) -> list[Outline]:
    """The parts of a mask, topmost first; painted with the even-odd rule they are the mask again, exactly."""
    pixels, *at = cropped(mask)
    rings = find_rings(pixels)
    owner, _ = hang(pixels, rings)
    holes: dict[int, list[Ring]] = {}
    for number, root in enumerate(owner):
        holes.setdefault(root, [])
        if number != root:
            holes[root].append(rings[number] + at)
    return [Outline(rings[root] + at, tuple(inner)) for root, inner in holes.items()]


def polygons(mask: Mask, *, tolerance: float = 0.0) -> list[Ring]:
    """One ring for each part, its holes joined to it by vertical bridges without width.

    Args:
        mask: what is outlined.
        tolerance: pixels by which an outline may be off; see `simplified`.
    """
    pixels, *at = cropped(mask)
    rings = find_rings(pixels)
    _, bridges = hang(pixels, rings)
    return [simplified(ring + at, tolerance) for ring in hung(rings, bridges)]


def simplified(ring: Ring, tolerance: float) -> Ring:
    """A ring with fewer corners, none of the left-out ones farther than `tolerance` pixels from it.

    Douglas and Peucker, Cartographica 10(2), 1973. Corners that occur twice stay, so that bridges keep their
    ends and no width. A ring that would have no area left stays as it is.
    """
    if tolerance <= 0 or len(ring) <= 4:
        return ring
    _, first, times = np.unique(ring, axis=0, return_inverse=True, return_counts=True)
    fixed = times[first.reshape(-1)] > 1
    sums = ring.sum(axis=1)
    fixed[[int(sums.argmin()), int(sums.argmax())]] = True
    ring = np.roll(ring, -int(fixed.argmax()), axis=0)
    closed = np.concatenate([ring, ring[:1]])
    kept = np.append(np.roll(fixed, -int(fixed.argmax())), True)
    ends = np.flatnonzero(kept).tolist()
    spans = list(pairwise(ends))
    while spans:
        begin, end = spans.pop()
        if end - begin < 2:
            continue
        away = _distances(closed[begin + 1 : end], closed[begin], closed[end])
        if away.max() > tolerance:
            middle = begin + 1 + int(away.argmax())
            kept[middle] = True
            spans += [(begin, middle), (middle, end)]
    chosen = ring[kept[:-1]]
    return chosen if _area(chosen) else ring


def rasterise(rings: Sequence[NDArray[np.generic]], size: tuple[int, int]) -> Mask:
    """Paint rings with the even-odd rule: a pixel is in where its centre lies in an odd number of them.

    Args:
        rings: (n, 2) x, y of corners, whole or broken pixels, on the edges between pixels.
        size: (width, height) of the image.
    """
    width, height = size
    flips = np.zeros((height, width + 1), np.bool_)
    for ring in rings:
        points = np.asarray(ring, np.float64)
        for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
            if y0 == y1:
                continue
            (xa, ya), (xb, yb) = ((x0, y0), (x1, y1)) if y0 < y1 else ((x1, y1), (x0, y0))
            rows = np.arange(max(int(np.ceil(ya - 0.5)), 0), min(int(np.ceil(yb - 0.5)), height))
            crossings = xa + (rows + 0.5 - ya) * ((xb - xa) / (yb - ya))
            flips[rows, np.clip(np.ceil(crossings - 0.5), 0, width).astype(np.int64)] ^= True
    return masks.encode(np.logical_xor.accumulate(flips, axis=1)[:, :width])


def _distances(points: Ring, begin: Ring, end: Ring) -> NDArray[np.float64]:
    """From each point (n, 2) to the stretch between two others."""
    along = (end - begin).astype(np.float64)
    length = float(along @ along)
    share = np.clip((points - begin) @ along / length, 0.0, 1.0) if length else np.zeros(len(points))
    return np.asarray(np.hypot(*(points - begin - share[:, None] * along).T), np.float64)


def _area(ring: Ring) -> float:
    """Twice the surrounded area, signed by direction (the shoelace formula)."""
    x, y = ring[:, 0], ring[:, 1]
    return float(x @ np.roll(y, -1) - y @ np.roll(x, -1))

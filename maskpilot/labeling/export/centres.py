"""Outlines for readers that paint an outline itself, too: they go through the centres of the border's pixels.

That is how OpenCV's `fillPoly` paints, which the trainers that read YOLO's polygons use. An outline along the
edges between pixels, as `outlines` has it, would come back a pixel wider and higher there.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.export.chains import chained, with_detours
from maskpilot.labeling.export.outlines import Outline, Ring, outlines, rasterise, simplified
from maskpilot.types import Mask

__all__ = ["painted", "traced"]


def traced(mask: Mask, *, tolerance: float = 0.0) -> Ring:
    """One closed walk around a whole mask, (n, 2) int64: x, y of pixels.

    It goes around holes, too, by way of bridges without width that lie on the mask, so that a hole costs
    nothing; and from part to part by the shortest way between corners, which `painted` then adds to the mask.

    Args:
        mask: what is outlined; empty gives an empty walk.
        tolerance: pixels by which the outline may be off; see `outlines.simplified`.
    """
    parts = [_walk(part) for part in outlines(mask)]
    return simplified(chained(parts), tolerance) if parts else np.zeros((0, 2), np.int64)


def painted(ring: Ring, size: tuple[int, int]) -> Mask:
    """What `fillPoly` makes of a walk: the even-odd rule at pixel centres, and every pixel on the way.

    Args:
        ring: (n, 2) int64, x, y of pixels, all of them on the image.
        size: (width, height) of the image.
    """
    pixels = masks.decode(rasterise([ring + 0.5], size)).copy()
    for begin, end in zip(ring.tolist(), np.roll(ring, -1, axis=0).tolist(), strict=True):
        x, y = _line(*sorted([begin, end]))
        pixels[y, x] = True
    return masks.encode(pixels)


def _walk(part: Outline) -> Ring:
    """Around a part and its holes."""
    rings = (part.outer, *part.holes)
    centres = [_centred(part.outer, 1), *(_centred(hole, -1) for hole in part.holes)]
    detours: list[list[tuple[int, int, Ring]]] = [[] for _ in rings]
    edges = _edges(rings)
    # A hole hangs on a ring above it, which comes before it, so that going backwards each is whole by then.
    for number in range(len(rings) - 1, 0, -1):
        x, y = (int(value) for value in rings[number][0])
        over = edges[(edges[:, 0] <= x) & (x < edges[:, 1]) & (edges[:, 2] < y)]
        _, _, row, on, before, way = over[over[:, 2].argmax()].tolist()
        # The first edge of a hole goes right below mask pixels: the walk begins among those.
        begin, end = np.array([[x, y - 1]], np.int64), np.array([[x, row]], np.int64)
        around = with_detours(centres[number], detours[number], first=1)
        detours[on].append((before, way * x, np.concatenate([end, begin, around, begin, end])))
    return with_detours(centres[0], detours[0])


def _centred(ring: Ring, hand: int) -> Ring:
    """Corners of a ring moved to the mask pixel that they are a corner of.

    Args:
        ring: along the edges between pixels.
        hand: 1 where the mask lies on the right of who walks along it, -1 for the left.
    """
    ahead = np.sign(np.roll(ring, -1, axis=0) - ring)
    inward = hand * np.stack([-ahead[:, 1], ahead[:, 0]], axis=1)
    moved: Ring = ring + (inward + np.roll(inward, 1, axis=0) - 1) // 2
    return moved


def _edges(rings: Sequence[Ring]) -> NDArray[np.int64]:
    """Edges along rows, (n, 6): lowest and highest x, y, ring, the corner before it, 1 rightwards or -1."""
    found = []
    for number, ring in enumerate(rings):
        begin, end = ring[0::2], ring[1::2]  # these begin at even corners
        low, high = np.minimum(begin[:, 0], end[:, 0]), np.maximum(begin[:, 0], end[:, 0])
        before = np.arange(0, len(ring), 2)
        way = np.sign(end[:, 0] - begin[:, 0])
        found.append(np.stack([low, high, begin[:, 1], np.full_like(before, number), before, way], axis=1))
    return np.concatenate(found)


def _line(begin: list[int], end: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels from one to another, x and y: Bresenham's line from left to right, half steps rounded back."""
    (x0, y0), (x1, y1) = begin, end
    wide, high = x1 - x0, abs(y1 - y0)
    steps = max(wide, high)
    along = np.arange(steps + 1)
    across = -((steps - 2 * along * min(wide, high)) // max(2 * steps, 1))
    down = 1 if y1 >= y0 else -1
    return (x0 + along, y0 + down * across) if wide >= high else (x0 + across, y0 + down * along)

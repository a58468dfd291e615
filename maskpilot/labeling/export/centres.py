"""Outlines for readers that paint an outline itself, too: they go through the centres of the border's pixels.

That is how OpenCV's `fillPoly` paints, which the trainers that read YOLO's polygons use. An outline along the
edges between pixels, as `outlines` has it, would come back a pixel wider and higher there.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.export.borders import Ring, find_rings, hang
from maskpilot.labeling.export.chains import chained, hung
from maskpilot.labeling.export.outlines import rasterise, simplified
from maskpilot.labeling.export.pixels import cropped
from maskpilot.types import Mask

__all__ = ["painted", "traced"]


def traced(mask: Mask, *, tolerance: float = 0.0) -> Ring:
    """One closed walk around a whole mask, (n, 2) int64: x, y of pixels.

    It goes around holes, too, by way of bridges without width that lie on the mask, so that a hole costs
    nothing; and from part to part by the shortest way, which `painted` then adds to the mask.

    Args:
        mask: what is outlined; empty gives an empty walk.
        tolerance: pixels by which the outline may be off; see `outlines.simplified`.
    """
    pixels, *at = cropped(mask)
    rings = find_rings(pixels)
    if not rings:
        return np.zeros((0, 2), np.int64)
    _, bridges = hang(pixels, rings)
    walks = [_centred(ring, -1 if bridge else 1) for ring, bridge in zip(rings, bridges, strict=True)]
    # The first edge of a hole goes right below mask pixels: its walk begins among those.
    return simplified(chained(hung(walks, bridges, lift=1)) + at, tolerance)


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


def _line(begin: list[int], end: list[int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pixels from one to another, x and y: Bresenham's line from left to right, half steps rounded back."""
    (x0, y0), (x1, y1) = begin, end
    wide, high = x1 - x0, abs(y1 - y0)
    steps = max(wide, high)
    along = np.arange(steps + 1)
    across = -((steps - 2 * along * min(wide, high)) // max(2 * steps, 1))
    down = 1 if y1 >= y0 else -1
    return (x0 + along, y0 + down * across) if wide >= high else (x0 + across, y0 + down * along)

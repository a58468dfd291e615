"""A mask's run lengths to the pixels of a picture, without the whole image in between."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskpilot.masks import run_lengths
from maskpilot.render.view import Rect, View
from maskpilot.types import Instance, Mask

__all__ = ["Patch", "decode_part", "grow", "rasterize", "shrink"]


@dataclass(frozen=True, eq=False)
class Patch:
    """The part of a picture that one mask takes up.

    Attributes:
        x, y: its upper left corner in the picture.
        pixels: (h, w) bool; at least one is set.
    """

    x: int
    y: int
    pixels: NDArray[np.bool_]

    @property
    def rect(self) -> Rect:
        height, width = self.pixels.shape
        return Rect(self.x, self.y, self.x + width, self.y + height)


def rasterize(instance: Instance, view: View) -> Patch | None:
    """The pixels that a mask takes up in a picture; None where the picture shows none of it.

    A picture's pixel is set where the mask covers half of it. A mask that nowhere covers as much (a far
    lamp, a wire) gets the pixels that it covers most: nothing that is in view is lost by scaling.
    """
    shown = _shown(instance, view)
    if shown is None:
        return None
    # Which pixels of the image these pixels of the picture come from.
    sx, sy = view.scale
    x0, y0 = view.region.x0 + shown.x0 / sx, view.region.y0 + shown.y0 / sy
    x1, y1 = view.region.x0 + shown.x1 / sx, view.region.y0 + shown.y1 / sy
    mask = instance.mask
    source = Rect(
        max(0, math.floor(x0 + 1e-6)),
        max(0, math.floor(y0 + 1e-6)),
        min(mask.width, math.ceil(x1 - 1e-6)),
        min(mask.height, math.ceil(y1 - 1e-6)),
    )
    part = decode_part(mask, source)
    if part.shape != (shown.height, shown.width):
        region = (
            max(0.0, x0 - source.x0),
            max(0.0, y0 - source.y0),
            min(float(source.width), x1 - source.x0),
            min(float(source.height), y1 - source.y0),
        )
        part = _scaled(part, (shown.width, shown.height), region)
    return Patch(shown.x0, shown.y0, part) if part.any() else None


def decode_part(mask: Mask, part: Rect) -> NDArray[np.bool_]:
    """The pixels of a mask within a rectangle of its image: (h, w) bool.

    The cost goes with the columns asked for, not with the image: on 50 megapixels a full decode of each
    small mask is what would take the time.
    """
    edges = np.cumsum(run_lengths(mask))
    first, last = part.x0 * mask.height, part.x1 * mask.height
    bounds = np.clip(edges, first, last) - first
    starts, ends = bounds[0:-1:2], bounds[1::2]
    inside = starts < ends
    columns = np.zeros(last - first, np.bool_)
    for start, end in zip(starts[inside].tolist(), ends[inside].tolist(), strict=True):
        columns[start:end] = True
    return columns.reshape(part.width, mask.height)[:, part.y0 : part.y1].T


def shrink(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Take `radius` pixels off each side of a mask; what lies beyond the array counts as outside."""
    for _ in range(radius):
        narrower = np.zeros_like(pixels)
        narrower[:, 1:-1] = pixels[:, 1:-1] & pixels[:, :-2] & pixels[:, 2:]
        pixels = np.zeros_like(narrower)
        pixels[1:-1] = narrower[1:-1] & narrower[:-2] & narrower[2:]
    return pixels


def grow(pixels: NDArray[np.bool_], radius: int) -> NDArray[np.bool_]:
    """Add `radius` pixels on each side of a mask, within the same array."""
    for _ in range(radius):
        wider = pixels.copy()
        wider[:, 1:] |= pixels[:, :-1]
        wider[:, :-1] |= pixels[:, 1:]
        taller = wider.copy()
        taller[1:] |= wider[:-1]
        taller[:-1] |= wider[1:]
        pixels = taller
    return pixels


def _scaled(
    pixels: NDArray[np.bool_], size: tuple[int, int], region: tuple[float, float, float, float]
) -> NDArray[np.bool_]:
    """A region (xyxy) of a mask at another size (width, height)."""
    # Transposed, as the run lengths left it: to turn a large mask costs more than to scale it.
    columns = Image.fromarray(pixels.T.view(np.uint8) * np.uint8(255))
    x0, y0, x1, y1 = region
    levels = np.asarray(columns.resize(size[::-1], Image.Resampling.BOX, box=(y0, x0, y1, x1))).T
    most = int(levels.max())
    if most:
        return np.asarray(levels >= min(128, most))
    # Less than 1/255 of a pixel: too little for Pillow to tell, so each pixel goes where it lies.
    scaled = np.zeros(levels.shape, np.bool_)
    y, x = np.nonzero(pixels)
    x = ((x + 0.5 - region[0]) * size[0] / (region[2] - region[0])).astype(np.int64)
    y = ((y + 0.5 - region[1]) * size[1] / (region[3] - region[1])).astype(np.int64)
    within = (x >= 0) & (x < size[0]) & (y >= 0) & (y < size[1])
    scaled[y[within], x[within]] = True
    return scaled


def _shown(instance: Instance, view: View) -> Rect | None:
    x0, y0, x1, y1 = view.place(instance.box)
    rect = Rect(
        max(0, math.floor(x0 + 1e-6)),
        max(0, math.floor(y0 + 1e-6)),
        min(view.width, math.ceil(x1 - 1e-6)),
        min(view.height, math.ceil(y1 - 1e-6)),
    )
    return rect if rect.width > 0 and rect.height > 0 else None

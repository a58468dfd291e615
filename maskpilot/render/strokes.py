"""How one mask, one prompt box and one plate are drawn, each onto the canvas that is passed in."""

from __future__ import annotations

import itertools
import math

import numpy as np
from PIL import Image, ImageDraw

from maskpilot.render.labels import Plate
from maskpilot.render.palette import BLACK, NEGATIVE, POSITIVE, WHITE, Colour, colour, ink
from maskpilot.render.raster import Patch, grow, shrink
from maskpilot.render.view import Marks, Rect, Style, View, font
from maskpilot.types import Exemplar

__all__ = [
    "draw_exemplar",
    "draw_leader",
    "draw_mask",
    "draw_number",
    "draw_plate",
    "draw_sign",
    "plate_size",
]

FILL = 80
"""Opacity of a mask's fill, of 255: the object must stay recognisable below it."""

YELLOW: Colour = (255, 230, 0)
INNER_CONTOUR = 14
"""A mask with a side below this many contour widths has its contour outside: it would hide the object."""


def draw_mask(
    canvas: Image.Image, patch: Patch, tint: Colour, style: Style, *, locked: bool, fill: int = FILL
) -> None:
    """Fill, contour, and a rim that sets the contour off from what is behind it."""
    margin = style.contour + style.rim
    mask = np.pad(patch.pixels, margin)
    outer = mask
    inner = shrink(mask, style.contour)
    if min(patch.pixels.shape) < INNER_CONTOUR * style.contour:
        outer, inner = grow(mask, style.contour), mask
    rim = grow(outer, style.rim) & ~outer
    corner = (patch.x - margin, patch.y - margin)
    opacity = np.where(outer & ~inner, 255, np.where(inner, fill, 0)).astype(np.uint8)
    canvas.paste(WHITE if locked else BLACK, corner, Image.fromarray(rim.view(np.uint8) * np.uint8(255)))
    canvas.paste(tint, corner, Image.fromarray(opacity))


def draw_exemplar(brush: ImageDraw.ImageDraw, exemplar: Exemplar, view: View, style: Style) -> None:
    x0, y0, x1, y1 = (round(value) for value in view.place(exemplar.box))
    tint = POSITIVE if exemplar.positive else NEGATIVE
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1), (x0, y0)]
    brush.line(corners, fill=BLACK, width=style.contour + 2)
    for start, end in itertools.pairwise(corners):
        _dash(brush, start, end, tint, style)


def draw_sign(brush: ImageDraw.ImageDraw, rect: Rect, *, positive: bool) -> None:
    """The sign of a prompt box: a black plus on green, a white minus on red."""
    tint, stroke = (POSITIVE, BLACK) if positive else (NEGATIVE, WHITE)
    brush.rectangle((rect.x0, rect.y0, rect.x1 - 1, rect.y1 - 1), fill=tint, outline=BLACK)
    x, y = (rect.x0 + rect.x1 - 1) / 2, (rect.y0 + rect.y1 - 1) / 2
    reach, width = rect.width * 0.28, max(2, rect.width // 7)
    brush.line([(x - reach, y), (x + reach, y)], fill=stroke, width=width)
    if positive:
        brush.line([(x, y - reach), (x, y + reach)], fill=stroke, width=width)


def _dash(
    brush: ImageDraw.ImageDraw, start: tuple[int, int], end: tuple[int, int], tint: Colour, style: Style
) -> None:
    dash = 5 * style.contour
    length = math.dist(start, end)
    for at in range(0, math.ceil(length), 2 * dash):
        a, b = at / length, min(1.0, (at + dash) / length)
        points = [(start[0] + (end[0] - start[0]) * t, start[1] + (end[1] - start[1]) * t) for t in (a, b)]
        brush.line(points, fill=tint, width=style.contour + 1)


def draw_number(brush: ImageDraw.ImageDraw, text: str, rect: Rect, size: int) -> None:
    """A ruler's number in the middle of its rectangle."""
    middle = ((rect.x0 + rect.x1) / 2, (rect.y0 + rect.y1) / 2)
    stroke = max(1, size // 12)
    brush.text(middle, text, fill=WHITE, font=font(size), anchor="mm", stroke_width=stroke, stroke_fill=BLACK)


def plate_size(marks: Marks, mask_id: int, size: int) -> tuple[int, int]:
    """(width, height) in pixels of the plate of an id in a font of this size."""
    margin = 2 * (_rim(size) + max(2, size // 8))
    return (math.ceil(font(size).getlength(marks.label(mask_id))) + margin, round(size * 0.75) + margin)


def draw_plate(brush: ImageDraw.ImageDraw, plate: Plate, marks: Marks) -> None:
    tint, rect = colour(plate.id), plate.rect
    outline = YELLOW if marks.fresh(plate.id) else WHITE if plate.id in marks.locked else BLACK
    corners = (rect.x0, rect.y0, rect.x1 - 1, rect.y1 - 1)
    brush.rectangle(corners, fill=tint, outline=outline, width=1 if outline == BLACK else _rim(plate.font))
    middle = ((rect.x0 + rect.x1) / 2, (rect.y0 + rect.y1) / 2)
    brush.text(middle, marks.label(plate.id), fill=ink(tint), font=font(plate.font), anchor="mm")


def draw_leader(brush: ImageDraw.ImageDraw, plate: Plate, style: Style) -> None:
    """The line from a plate to its mask; draw it before the plates."""
    if plate.target is None or plate.target == plate.centre:
        return
    (x, y), (end_x, end_y) = plate.centre, plate.target
    # The contour is there already: the line ends at it, off the mask's own pixels.
    reach = max(0.0, 1 - (style.contour + style.rim) / math.dist(plate.centre, plate.target))
    line = [plate.centre, (x + (end_x - x) * reach, y + (end_y - y) * reach)]
    brush.line(line, fill=BLACK, width=style.contour + 2)
    brush.line(line, fill=colour(plate.id), width=style.contour)


def _rim(size: int) -> int:
    return max(1, round(size / 10))

"""Closer looks: one region at native resolution, and one sheet of tiles for many small masks."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from maskpilot import masks
from maskpilot.render.labels import Plate
from maskpilot.render.overlay import check, draw, photo
from maskpilot.render.palette import colour
from maskpilot.render.raster import rasterize
from maskpilot.render.strokes import draw_mask, draw_plate, plate_size
from maskpilot.render.view import Marks, Rect, Ruler, Style, View
from maskpilot.types import Box, Exemplar, Instance

__all__ = ["Crop", "contact_sheets", "crop", "mask_image"]

READABLE = 384
"""A crop with a longer side below this is enlarged, up to the caller's `max_zoom`."""

SURROUNDINGS = 24
"""A crop shows at least this many pixels of the image on each side: a lamp alone is not recognised."""

SHEET = (38, 38, 42)


@dataclass(frozen=True, eq=False)
class Crop:
    """A part of an image, with and without masks.

    Attributes:
        plain, overlay: RGB pictures of the same size.
        region: what they show, in whole pixels of the image.
        unlabelled: ids for which the picture has no room.
    """

    plain: Image.Image
    overlay: Image.Image
    region: Box
    unlabelled: tuple[int, ...] = ()

    @property
    def scale(self) -> float:
        """Picture pixels per image pixel."""
        return self.plain.width / self.region.width


def crop(
    image: Image.Image,
    instances: Sequence[Instance],
    box: Box,
    *,
    exemplars: Sequence[Exemplar] = (),
    marks: Marks | None = None,
    ruler: Ruler | None = None,
    context: float = 0.1,
    max_side: int = 1024,
    max_zoom: int = 4,
) -> Crop:
    """Look closer at a box.

    One pixel of the image is one pixel of the crop. Only a region above `max_side` is brought down to it,
    and one below 384 px is enlarged by a whole factor, at most `max_zoom`.

    Args:
        image: upright RGB.
        instances: masks on an image of this size; those out of view are left out.
        box: in pixels of the image; what lies outside of it is cut off.
        exemplars, marks: as for `overlay`.
        ruler: its ticks tell coordinates of the whole image, in this unit.
        context: margin on each side, as a share of the box's longer side; at least 24 px.
        max_side: longest side of the crop in pixels.
        max_zoom: largest factor by which a small region is enlarged.

    Raises:
        ValueError: the box lies outside of the image, or as for `overlay`.
    """
    check(image, instances)
    region = _region(box, image.size, context, least=SURROUNDINGS)
    longer = max(region.width, region.height)
    scale = min(1.0, max_side / longer)
    if longer < READABLE and scale == 1.0:
        scale = max(1, min(max_zoom, min(READABLE, max_side) // int(longer)))
    view = View(region, max(1, round(region.width * scale)), max(1, round(region.height * scale)))
    drawn = draw(image, instances, view, exemplars=exemplars, marks=marks or Marks(), ruler=ruler)
    return Crop(photo(image, view), drawn.image, region, drawn.unlabelled)


def contact_sheets(
    image: Image.Image,
    instances: Sequence[Instance],
    *,
    marks: Marks | None = None,
    context: float = 0.5,
    max_side: int = 1024,
    per_sheet: int = 30,
    max_zoom: int = 8,
) -> tuple[Image.Image, ...]:
    """A tile for each mask: the mask's contour in its surroundings, and its id above, off the picture.

    Args:
        image: upright RGB.
        instances: the masks to show, in this order; most useful for small ones.
        marks: as for `overlay`.
        context: margin on each side of the mask's box, as a share of the longer side, and at least 4 px.
        max_side: longest side of a sheet in pixels.
        per_sheet: most tiles on one sheet; more masks make more sheets.
        max_zoom: largest factor by which a tile enlarges the image.

    Returns:
        RGB sheets; none where there are no instances.

    Raises:
        ValueError: as for `overlay`.
    """
    check(image, instances)
    tile = partial(_tile, image, marks or Marks(), context, max_zoom)
    groups = [instances[start : start + per_sheet] for start in range(0, len(instances), per_sheet)]
    return tuple(_sheet(group, max_side, tile) for group in groups)


def mask_image(instances: Sequence[Instance], width: int, height: int) -> Image.Image:
    """All masks as one: an image of mode "L" and the given size in pixels, 255 on a mask and 0 elsewhere."""
    union = masks.union([instance.mask for instance in instances], width=width, height=height)
    return Image.fromarray(masks.decode(union).view(np.uint8) * np.uint8(255))


def _region(box: Box, size: tuple[int, int], context: float, *, least: float) -> Box:
    """The box with its margin, in whole pixels within the image."""
    width, height = size
    if box.x0 >= width or box.y0 >= height or box.x1 <= 0 or box.y1 <= 0:
        raise ValueError(f"render: expected a box within the {width}x{height} px image, got {box.xyxy}")
    margin = max(least, context * max(box.width, box.height))
    return Box(
        max(0, math.floor(box.x0 - margin)),
        max(0, math.floor(box.y0 - margin)),
        min(width, math.ceil(box.x1 + margin)),
        min(height, math.ceil(box.y1 + margin)),
    )


def _squared(box: Box) -> Box:
    """The square around the box: a long thin mask is shown with as much of its surroundings."""
    half = max(box.width, box.height) / 2
    x, y = (box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2
    return Box(x - half, y - half, x + half, y + half)


def _sheet(
    instances: Sequence[Instance], side_of_sheet: int, tile: Callable[[Instance, int], Image.Image]
) -> Image.Image:
    columns = math.ceil(math.sqrt(len(instances)))
    rows = math.ceil(len(instances) / columns)
    side = side_of_sheet // max(columns, 3)
    sheet = Image.new("RGB", (columns * side, rows * side), SHEET)
    for index, instance in enumerate(instances):
        sheet.paste(tile(instance, side), (index % columns * side, index // columns * side))
    return sheet


def _tile(
    image: Image.Image, marks: Marks, context: float, max_zoom: int, instance: Instance, side: int
) -> Image.Image:
    """The id's plate above a look at its mask; `side` x `side` pixels."""
    tile = Image.new("RGB", (side, side), SHEET)
    size = max(9, min(18, side // 7))
    width, height = plate_size(marks, instance.id, size)
    room = (side - 4, side - height - 7)
    region = _region(_squared(instance.box), image.size, context, least=4)
    scale = min(max_zoom, room[0] / region.width, room[1] / region.height)
    view = View(region, max(1, int(region.width * scale)), max(1, int(region.height * scale)))
    look = photo(image, view)
    patch = rasterize(instance, view)
    if patch is not None:
        locked = instance.id in marks.locked
        draw_mask(look, patch, colour(instance.id), Style.of(side, side), locked=locked, fill=0)
    tile.paste(look, ((side - view.width) // 2, height + 5 + (room[1] - view.height) // 2))
    plate = Plate(instance.id, Rect(2, 2, 2 + width, 2 + height), size)
    draw_plate(ImageDraw.Draw(tile), plate, marks)
    return tile

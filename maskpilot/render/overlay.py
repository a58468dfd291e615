"""The picture that a policy is shown: masks, prompt boxes, rulers and ids drawn over the image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from PIL import Image, ImageDraw

from maskpilot.render import strokes
from maskpilot.render.labels import SMALL, MaskMap, lay_out
from maskpilot.render.palette import BLACK, WHITE, colour
from maskpilot.render.raster import rasterize
from maskpilot.render.rulers import Tick, numbers, ticks
from maskpilot.render.view import Marks, Rect, Ruler, Style, View, display_size
from maskpilot.types import Box, Exemplar, Instance

__all__ = ["LEGEND", "Overlay", "draw", "overlay", "photo"]

LEGEND = (
    "Each mask has its own colour, a contour, and its id on a plate of that colour: inside a large mask, "
    "beside a small one with a line to it. Yellow rim: 7* is new since the last round, 7~ has changed. "
    "[7] with a white contour is locked by keep_masks. "
    "Dashed boxes are your prompts: green + positive, red − negative."
)
"""What the signs in an overlay mean, in words for a model."""


@dataclass(frozen=True, eq=False)
class Overlay:
    """A picture with masks.

    Attributes:
        image: RGB.
        unlabelled: ids for which the picture has no room; `contact_sheets` shows them.
    """

    image: Image.Image
    unlabelled: tuple[int, ...] = ()


def overlay(
    image: Image.Image,
    instances: Sequence[Instance],
    *,
    exemplars: Sequence[Exemplar] = (),
    marks: Marks | None = None,
    ruler: Ruler | None = None,
    size: tuple[int, int] | None = None,
) -> Overlay:
    """Draw masks, prompt boxes and ids over a whole image; the image itself is not written to.

    Args:
        image: upright RGB.
        instances: masks on an image of this size.
        exemplars: the prompt boxes, in pixels of the image.
        marks: ids to tell apart.
        ruler: ticks in this unit along the upper and the left edge, inside the picture.
        size: (width, height) of the picture; `display_size` of the image where None. A point (x, y) of
            the image lies at (x * size[0] / width, y * size[1] / height) of the picture: nothing is padded.

    Raises:
        ValueError: the image is not RGB, or a mask belongs to an image of another size.
    """
    check(image, instances)
    width, height = size or display_size(*image.size)
    view = View(Box(0, 0, *image.size), width, height)
    return draw(image, instances, view, exemplars=exemplars, marks=marks or Marks(), ruler=ruler)


def check(image: Image.Image, instances: Sequence[Instance]) -> None:
    """Refuse an image that is not RGB, and masks that are not of its size."""
    if image.mode != "RGB":
        raise ValueError(f"render: expected an RGB image, got mode {image.mode}; convert it first")
    for instance in instances:
        if (instance.mask.width, instance.mask.height) != image.size:
            raise ValueError(
                f"render: expected masks of {image.width}x{image.height} px like the image, "
                f"got {instance.mask.width}x{instance.mask.height} for id {instance.id}"
            )


def photo(image: Image.Image, view: View) -> Image.Image:
    """What the view shows of the image, with nothing drawn on it: a new image."""
    size = (view.width, view.height)
    if size == image.size and view.region == Box(0, 0, *image.size):
        return image.copy()
    shrinks = view.scale[0] < 1
    how = Image.Resampling.LANCZOS if shrinks else Image.Resampling.BICUBIC
    return image.resize(size, how, box=view.region.xyxy, reducing_gap=2.0 if shrinks else None)


def draw(
    image: Image.Image,
    instances: Sequence[Instance],
    view: View,
    *,
    exemplars: Sequence[Exemplar],
    marks: Marks,
    ruler: Ruler | None,
) -> Overlay:
    """What `overlay` does, for any part of the image."""
    canvas = photo(image, view)
    style = Style.of(view.width, view.height)
    masks = _draw_masks(canvas, instances, view, marks, style)
    brush = ImageDraw.Draw(canvas)
    for exemplar in exemplars:
        strokes.draw_exemplar(brush, exemplar, view, style)
    signs = _draw_signs(brush, exemplars, masks, view, style)
    scale = ticks(ruler, view, image.size, spacing=5 * style.ruler) if ruler else ()
    numbers_at = _draw_ruler(brush, masks, style, scale)
    plates, unlabelled = lay_out(
        masks,
        partial(strokes.plate_size, marks),
        style.font_sizes(len(masks.rects)),
        clearance=style.contour + style.rim + 1,
        taken=signs + numbers_at,
    )
    for plate in plates:
        strokes.draw_leader(brush, plate, style)
    for plate in plates:
        strokes.draw_plate(brush, plate, marks)
    return Overlay(canvas, unlabelled)


def _draw_masks(
    canvas: Image.Image, instances: Sequence[Instance], view: View, marks: Marks, style: Style
) -> MaskMap:
    """Draw fills and contours, large masks first, so that small ones stay on top.

    One mask is held at a time: two hundred of them need no more memory than the largest.
    """
    owner = np.zeros((view.height, view.width), np.int32)
    rects: dict[int, Rect] = {}
    areas: dict[int, int] = {}
    for instance in sorted(instances, key=lambda one: (-one.box.area, one.id)):
        patch = rasterize(instance, view)
        if patch is None:
            continue
        rect = patch.rect
        strokes.draw_mask(canvas, patch, colour(instance.id), style, locked=instance.id in marks.locked)
        owner[rect.y0 : rect.y1, rect.x0 : rect.x1][patch.pixels] = instance.id
        rects[instance.id], areas[instance.id] = rect, int(np.count_nonzero(patch.pixels))
    return MaskMap(owner, rects, areas)


def _draw_signs(
    brush: ImageDraw.ImageDraw, exemplars: Sequence[Exemplar], masks: MaskMap, view: View, style: Style
) -> tuple[Rect, ...]:
    """A + or − at a corner of each prompt box, where it hides no mask; the dashes alone say it too."""
    placed: list[Rect] = []
    side = style.font
    for exemplar in exemplars:
        x0, y0, x1, y1 = (round(value) for value in view.place(exemplar.box))
        for x, y in ((x0, y0 - side), (x1 - side, y0 - side), (x0, y1), (x1 - side, y1), (x0, y0)):
            rect = Rect(x, y, x + side, y + side)
            inside = x >= 0 and y >= 0 and rect.x1 <= view.width and rect.y1 <= view.height
            if inside and not masks.owner[rect.y0 : rect.y1, rect.x0 : rect.x1].any():
                strokes.draw_sign(brush, rect, positive=exemplar.positive)
                placed.append(rect)
                break
    return tuple(placed)


def _draw_ruler(
    brush: ImageDraw.ImageDraw, masks: MaskMap, style: Style, marks: tuple[Tick, ...]
) -> tuple[Rect, ...]:
    """Draw the ticks and their numbers, but no number on a mask that it would hide; return where they are."""
    length = max(3, style.ruler // 2)
    for tick in marks:
        end = (tick.at, length) if tick.axis == "x" else (length, tick.at)
        start = (tick.at, 0) if tick.axis == "x" else (0, tick.at)
        brush.line([start, end], fill=BLACK, width=3)
        brush.line([start, end], fill=WHITE, width=1)
    placed: list[Rect] = []
    for text, rect in numbers(marks, length, style.ruler):
        below = set(masks.owner[rect.y0 : rect.y1, rect.x0 : rect.x1].ravel().tolist()) - {0}
        if all(masks.areas[mask_id] >= SMALL * rect.width * rect.height for mask_id in below):
            strokes.draw_number(brush, text, rect, style.ruler)
            placed.append(rect)
    return tuple(placed)

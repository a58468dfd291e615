"""Where things of the image lie in a picture of it, and how large to draw."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from PIL import ImageFont

from maskpilot.types import Box

__all__ = ["Marks", "Rect", "Ruler", "Style", "View", "display_size", "font"]

READABLE = 512
"""An image whose longer side is shorter than this is enlarged for display."""


class Rect(NamedTuple):
    """Whole pixels of the picture, half-open."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width(self) -> int:
        return self.x1 - self.x0

    @property
    def height(self) -> int:
        return self.y1 - self.y0

    def grown(self, margin: int) -> Rect:
        return Rect(self.x0 - margin, self.y0 - margin, self.x1 + margin, self.y1 + margin)


@dataclass(frozen=True, slots=True)
class Marks:
    """Ids that are told apart: by a sign on the plate, and by the colour of its rim.

    Attributes:
        new: shown for the first time: `7*`.
        changed: another shape than in the round before: `7~`.
        locked: kept by `keep_masks`: `[7]`, and a white line around the contour.
    """

    new: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    locked: frozenset[int] = frozenset()

    def label(self, mask_id: int) -> str:
        """What stands on the plate."""
        name = f"[{mask_id}]" if mask_id in self.locked else str(mask_id)
        return name + ("*" if mask_id in self.new else "~" if mask_id in self.changed else "")

    def fresh(self, mask_id: int) -> bool:
        return mask_id in self.new or mask_id in self.changed


@dataclass(frozen=True, slots=True)
class Ruler:
    """A model's own coordinate unit: `x_max` and `y_max` are the values at the right and lower edge.

    Raises:
        ValueError: one of them is not positive.
    """

    x_max: float
    y_max: float

    def __post_init__(self) -> None:
        if not (self.x_max > 0 and self.y_max > 0):
            raise ValueError(f"Ruler: expected positive ends, got {self.x_max} and {self.y_max}")


@dataclass(frozen=True, slots=True)
class View:
    """A picture of `width` x `height` pixels that shows `region` of the image.

    Attributes:
        region: float pixels of the image.
        width, height: pixels of the picture.
    """

    region: Box
    width: int
    height: int

    @property
    def scale(self) -> tuple[float, float]:
        """Picture pixels per image pixel, in x and in y."""
        return (self.width / self.region.width, self.height / self.region.height)

    def place(self, box: Box) -> tuple[float, float, float, float]:
        """Image box to picture coordinates xyxy, possibly outside of the picture."""
        sx, sy = self.scale
        left, top = self.region.x0, self.region.y0
        return ((box.x0 - left) * sx, (box.y0 - top) * sy, (box.x1 - left) * sx, (box.y1 - top) * sy)


@dataclass(frozen=True, slots=True)
class Style:
    """Sizes in picture pixels, so that a picture reads the same at any size.

    Attributes:
        font: height of the id's font.
        contour: width of the coloured contour line.
        ruler: height of a ruler's numbers.
        rim: width of the dark or white line that sets the contour off from the picture.
    """

    font: int
    ruler: int
    contour: int
    rim: int

    @classmethod
    def of(cls, width: int, height: int) -> Style:
        longer = max(width, height)
        font_size = min(30, max(13, round(longer / 54)))
        contour = max(1 if longer < 400 else 2, round(longer / 500))
        return cls(font_size, ruler=max(11, font_size * 2 // 3), contour=contour, rim=max(1, contour // 2))

    def font_sizes(self, count: int) -> tuple[int, ...]:
        """Font sizes to try for a picture of `count` masks, largest first; a crowd starts smaller."""
        start = self.font * min(1.0, (40 / max(1, count)) ** 0.25)
        return tuple(dict.fromkeys(max(9, round(start * share)) for share in (1.0, 0.75, 0.55)))


def display_size(width: int, height: int, max_side: int = 1536) -> tuple[int, int]:
    """The size at which an image is shown: (width, height) in pixels.

    A longer side above `max_side` is brought down to it. An image below 512 px is enlarged by the whole
    factor that just lifts it to 512 px or more, so that there is room for labels. Others keep their size.
    """
    longer = max(width, height)
    if longer < READABLE and longer <= max_side:
        factor = min(-(-READABLE // longer), max_side // longer)
        return (width * factor, height * factor)
    scale = min(1.0, max_side / longer)
    return (max(1, round(width * scale)), max(1, round(height * scale)))


@cache
def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font: no font file is needed."""
    return ImageFont.load_default(size)

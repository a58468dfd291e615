"""Pictures to examine a model with: a code to read, and shapes that nobody can mistake."""

from __future__ import annotations

import random
from dataclasses import dataclass

from PIL import Image, ImageDraw, ImageFont

from maskpilot.types import Box

__all__ = ["TestPicture", "code_picture", "draw_code", "reads", "shape_pictures"]

LETTERS = "ACEFHKMNPRTWXY34679"
"""None of them can be taken for another one."""

CODE_LENGTH = 5
FORGIVEN = 1
"""Letters of the code that may be read wrongly: guessing it all the same is one chance in 25,000."""

BACKGROUND, INK = (238, 238, 232), (20, 20, 20)


@dataclass(frozen=True, eq=False)
class TestPicture:
    """A drawing with the boxes of what is in it.

    Attributes:
        image: RGB; both sides a multiple of 224, so that no model needs to resize it.
        boxes: label -> box in pixels.
    """

    __test__ = False  # for pytest: it is no test

    image: Image.Image
    boxes: dict[str, Box]


def draw_code(rng: random.Random) -> str:
    """A code that no model has seen and no prompt holds."""
    return "".join(rng.choice(LETTERS) for _ in range(CODE_LENGTH))


def code_picture(code: str) -> Image.Image:
    """The code in large letters: 448 x 224 pixels, RGB."""
    image = Image.new("RGB", (448, 224), BACKGROUND)
    font = ImageFont.load_default(96)
    ImageDraw.Draw(image).text((224, 112), " ".join(code), INK, font, anchor="mm", font_size=96)
    return image


def reads(text: str, code: str) -> bool:
    """Whether a reply holds the code: case, spaces and dashes do not matter, nor does one wrong letter."""
    letters = "".join(letter for letter in text[:2000].upper() if letter.isalnum())
    windows = (letters[at : at + len(code)] for at in range(len(letters) - len(code) + 1))
    return any(
        sum(1 for one, other in zip(window, code, strict=True) if one != other) <= FORGIVEN
        for window in windows
    )


def shape_pictures() -> tuple[TestPicture, ...]:
    """Three shapes on each of two drawings, so placed that no two conventions agree on them."""
    return tuple(_drawn(size, places) for size, places in _LAYOUTS)


_LAYOUTS: tuple[tuple[tuple[int, int], tuple[tuple[float, float, float, float], ...]], ...] = (
    ((896, 672), ((0.62, 0.10, 0.86, 0.42), (0.10, 0.55, 0.36, 0.80), (0.45, 0.62, 0.58, 0.92))),
    ((672, 896), ((0.08, 0.60, 0.44, 0.86), (0.55, 0.06, 0.90, 0.27), (0.06, 0.22, 0.36, 0.45))),
)
"""Sizes, and where ellipse, rectangle and triangle are, as shares of width and height."""


def _drawn(size: tuple[int, int], places: tuple[tuple[float, float, float, float], ...]) -> TestPicture:
    width, height = size
    image = Image.new("RGB", size, BACKGROUND)
    draw = ImageDraw.Draw(image)
    ends = [
        (round(x0 * width), round(y0 * height), round(x1 * width), round(y1 * height))
        for x0, y0, x1, y1 in places
    ]
    circle, rectangle, (x0, y0, x1, y1) = ends
    draw.ellipse(_inclusive(circle), fill=(205, 35, 35))
    draw.rectangle(_inclusive(rectangle), fill=(35, 70, 205))
    draw.polygon([(x0, y1 - 1), ((x0 + x1) // 2, y0), (x1 - 1, y1 - 1)], fill=(30, 140, 60))
    labels = ("red ellipse", "blue rectangle", "green triangle")
    return TestPicture(image, {label: Box(*box) for label, box in zip(labels, ends, strict=True)})


def _inclusive(box: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """As Pillow draws: with the last pixel."""
    x0, y0, x1, y1 = box
    return (x0, y0, x1 - 1, y1 - 1)

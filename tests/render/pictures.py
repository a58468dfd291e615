"""Images and masks to draw."""

import numpy as np
from PIL import Image

from maskpilot import masks
from maskpilot.types import Instance


def grey(width: int, height: int, level: int = 128) -> Image.Image:
    return Image.new("RGB", (width, height), (level, level, level))


def rectangle(number: int, size: tuple[int, int], xyxy: tuple[int, int, int, int]) -> Instance:
    """A mask that fills `xyxy` of an image of `size` = (width, height)."""
    x0, y0, x1, y1 = xyxy
    pixels = np.zeros((size[1], size[0]), np.bool_)
    pixels[y0:y1, x0:x1] = True
    mask = masks.encode(pixels)
    box = masks.tight_box(mask)
    assert box is not None
    return Instance(number, mask, box, 0.9)


def scattered(size: tuple[int, int], count: int, longest: int, seed: int = 0) -> list[Instance]:
    """Rectangles of 1 to `longest` pixels a side, anywhere."""
    rng = np.random.default_rng(seed)
    found = []
    for number in range(1, count + 1):
        width, height = rng.integers(1, longest + 1, 2)
        x, y = rng.integers(0, size[0] - width + 1), rng.integers(0, size[1] - height + 1)
        found.append(rectangle(number, size, (int(x), int(y), int(x + width), int(y + height))))
    return found


def different(first: Image.Image, second: Image.Image) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    """(H, W) bool: where two pictures differ."""
    return np.asarray((np.asarray(first) != np.asarray(second)).any(axis=2))

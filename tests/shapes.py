"""Small masks and scenes that tests share."""

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.types import Detections, Instance, Mask

WIDTH, HEIGHT = 80, 60


def block(
    x0: int, y0: int, x1: int, y1: int, *, width: int = WIDTH, height: int = HEIGHT
) -> NDArray[np.bool_]:
    """(height, width) bool with one rectangle set."""
    pixels = np.zeros((height, width), np.bool_)
    pixels[y0:y1, x0:x1] = True
    return pixels


def rle(x0: int, y0: int, x1: int, y1: int) -> Mask:
    return masks.encode(block(x0, y0, x1, y1))


def instance(number: int, x0: int, y0: int, x1: int, y1: int, *, score: float = 0.9) -> Instance:
    mask = rle(x0, y0, x1, y1)
    box = masks.tight_box(mask)
    assert box is not None
    return Instance(number, mask, box, score)


def detections(*pixels: NDArray[np.bool_], score: float = 0.9) -> Detections:
    """One detection per mask, in order, of falling score."""
    if not pixels:
        return Detections.empty(WIDTH, HEIGHT)
    boxes = [masks.tight_box(masks.encode(one)) for one in pixels]
    return Detections(
        masks=np.stack(pixels),
        boxes=np.array([box.xyxy if box else (0, 0, 1, 1) for box in boxes], np.float32),
        scores=np.array([score - 0.01 * number for number in range(len(pixels))], np.float32),
    )


CUP_LEFT, CUP_MIDDLE, PLATE = (5, 5, 25, 25), (30, 5, 50, 25), (5, 35, 45, 55)


def table() -> FakeSegmenter:
    """Two cups, of which the middle one scores low, and a plate."""
    return FakeSegmenter(
        [
            FakeObject(block(*CUP_LEFT), frozenset({"cup"}), 0.9),
            FakeObject(block(*CUP_MIDDLE), frozenset({"cup", "mug"}), 0.35),
            FakeObject(block(*PLATE), frozenset({"plate"}), 0.8),
        ]
    )

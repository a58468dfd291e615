"""Pictures and comparisons for the tests of segmenters."""

from __future__ import annotations

import numpy as np
from PIL import Image

from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.types import Box, Detections, Exemplar


def picture(width: int = 90, height: int = 60, seed: int = 0) -> Image.Image:
    """Coloured blocks: something to look at, different for each seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 9, 3), dtype=np.uint8)
    return Image.fromarray(blocks).resize((width, height), Image.Resampling.NEAREST)


def positive(x0: float, y0: float, x1: float, y1: float) -> Exemplar:
    return Exemplar(Box(x0, y0, x1, y1), positive=True)


def negative(x0: float, y0: float, x1: float, y1: float) -> Exemplar:
    return Exemplar(Box(x0, y0, x1, y1), positive=False)


def same(one: Detections, other: Detections) -> bool:
    """Equal to the last bit."""
    return all(
        np.array_equal(getattr(one, name), getattr(other, name)) for name in ("masks", "boxes", "scores")
    )


def close(one: Detections, other: Detections) -> bool:
    """Equal but for what float sums in another order may change.

    That is at most one pixel in ten thousand, and which of two nearly equal scores comes first.
    """
    if one.masks.shape != other.masks.shape:
        return False
    if not len(one):
        return True
    apart = np.abs(one.boxes[:, None] - other.boxes).sum(-1) + np.abs(one.scores[:, None] - other.scores)
    twin = apart.argmin(axis=1)
    return (
        len(set(twin.tolist())) == len(one)
        and np.allclose(one.scores, other.scores[twin], atol=1e-5)
        and np.allclose(one.boxes, other.boxes[twin], atol=1e-2)
        and bool(np.mean(one.masks != other.masks[twin]) <= 1e-4)
    )


def fake_segmenter() -> FakeSegmenter:
    """It finds a star and a circle, both red, and with a low score the sky behind them."""
    rows, columns = np.ogrid[:60, :90]
    star = (columns >= 10) & (columns < 40) & (rows >= 10) & (rows < 40)
    circle = (columns >= 50) & (columns < 80) & (rows >= 20) & (rows < 50)
    everywhere = (columns >= 0) & (rows >= 0)
    return FakeSegmenter(
        [
            FakeObject(star, frozenset({"red", "star"}), 0.8),
            FakeObject(circle, frozenset({"red", "circle"}), 0.9),
            FakeObject(everywhere, frozenset({"star", "sky"}), 0.3),
        ]
    )

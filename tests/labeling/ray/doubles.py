"""What actors make: functions that travel by their name, and import what is heavy when they are called."""

from __future__ import annotations

import numpy as np

from maskpilot.errors import WeightsUnavailable
from maskpilot.segmenters.base import Segmenter
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter


def fake_segmenter() -> Segmenter:
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


def tiny_segmenter() -> Segmenter:
    """A small SAM 3 with random weights."""
    from maskpilot.segmenters.load import load_untrained
    from maskpilot.segmenters.nano.config import TINY

    return load_untrained("cpu", config=TINY)


def no_weights() -> Segmenter:
    """What a user meets who has no access to the weights."""
    raise WeightsUnavailable("the weights are gated; ask for access")

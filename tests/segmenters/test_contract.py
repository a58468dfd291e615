"""The contract, on the scripted segmenter and on small SAM 3 models with random weights."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from maskpilot.segmenters.base import Segmenter
from maskpilot.segmenters.load import load_untrained
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from tests.segmenters.contract import SegmenterContract, check_closing


def fake() -> FakeSegmenter:
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


class TestFake(SegmenterContract):
    @pytest.fixture
    def segmenter(self) -> FakeSegmenter:
        return fake()


@pytest.fixture(scope="module")
def tiny() -> Iterator[Segmenter]:
    segmenter = load_untrained("cpu", config=TINY)
    yield segmenter
    segmenter.close()


@pytest.fixture(scope="module")
def untrained() -> Iterator[Segmenter]:
    segmenter = load_untrained("cpu")
    yield segmenter
    segmenter.close()


class TestTiny(SegmenterContract):
    @pytest.fixture
    def segmenter(self, tiny: Segmenter) -> Segmenter:
        return tiny


class TestUntrained(SegmenterContract):
    @pytest.fixture
    def segmenter(self, untrained: Segmenter) -> Segmenter:
        return untrained


def test_a_closed_fake_refuses() -> None:
    check_closing(fake())


def test_a_closed_sam3_refuses() -> None:
    check_closing(load_untrained("cpu", config=TINY))

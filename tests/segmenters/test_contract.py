"""The contract, on the scripted segmenter and on small SAM 3 models with random weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from maskpilot.segmenters.base import Segmenter
from maskpilot.segmenters.load import load_untrained
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.scripted import FakeSegmenter
from tests.segmenters.contract import SegmenterContract, check_closing
from tests.segmenters.pictures import fake_segmenter


class TestFake(SegmenterContract):
    @pytest.fixture
    def segmenter(self) -> FakeSegmenter:
        return fake_segmenter()


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
    check_closing(fake_segmenter())


def test_a_closed_sam3_refuses() -> None:
    check_closing(load_untrained("cpu", config=TINY))

"""The contract, on the scripted segmenter on the small SAM 3, and on a smaller one with random weights."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from maskpilot.segmenters.base import Segmenter
from maskpilot.segmenters.load import load_nano, load_untrained
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
def nano() -> Iterator[Segmenter]:
    segmenter = load_nano(device="cpu")
    yield segmenter
    segmenter.close()


class TestTiny(SegmenterContract):
    @pytest.fixture
    def segmenter(self, tiny: Segmenter) -> Segmenter:
        return tiny


class TestNano(SegmenterContract):
    @pytest.fixture
    def segmenter(self, nano: Segmenter) -> Segmenter:
        return nano


def test_a_closed_fake_refuses() -> None:
    check_closing(fake_segmenter())


def test_a_closed_sam3_refuses() -> None:
    check_closing(load_untrained("cpu", config=TINY))

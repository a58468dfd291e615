"""The full-size architecture with random weights, on the CPU: `make test-full`. 6 GB and some minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from maskpilot.segmenters.base import ImageSession
from maskpilot.segmenters.load import SAM3_RESOLUTION, build_sam3
from maskpilot.segmenters.sam3 import Sam3Segmenter
from maskpilot.types import PromptState
from tests.segmenters.contract import OneImageContract
from tests.segmenters.doubles import RecordingModel
from tests.segmenters.pictures import picture, positive

pytestmark = pytest.mark.full


@pytest.fixture(scope="module")
def model() -> RecordingModel:
    return RecordingModel(build_sam3("cpu"))


@pytest.fixture(scope="module")
def opened(model: RecordingModel) -> Iterator[ImageSession]:
    segmenter = Sam3Segmenter(model, name="sam3", resolution=SAM3_RESOLUTION)
    yield segmenter.open(picture())
    segmenter.close()


class TestFullSize(OneImageContract):
    @pytest.fixture
    def session(self, opened: ImageSession) -> ImageSession:
        return opened


def test_the_image_was_encoded_once(model: RecordingModel, opened: ImageSession) -> None:
    opened.segment(PromptState("star"))
    assert model.images == [1]


def test_it_finds_what_sam3s_processor_finds(model: RecordingModel, opened: ImageSession) -> None:
    from sam3.model.sam3_image_processor import Sam3Processor

    processor = Sam3Processor(model.model, SAM3_RESOLUTION, "cpu", confidence_threshold=0.0)
    state = processor.set_text_prompt("star", processor.set_image(picture()))
    assert_equal(opened, PromptState("star", threshold=0.0), state)
    state = processor.add_geometric_prompt([0.25, 0.5, 0.5, 0.5], True, state)
    assert_equal(opened, PromptState("star", (positive(0, 15, 45, 45),), threshold=0.0), state)


def assert_equal(session: ImageSession, prompts: PromptState, state: dict[str, Any]) -> None:
    found = session.segment(prompts)
    order = np.argsort(-state["scores"].numpy(), kind="stable")
    assert np.array_equal(found.scores, state["scores"].numpy()[order])
    assert np.array_equal(found.masks, state["masks"].squeeze(1).numpy()[order])
    assert np.array_equal(found.boxes, np.clip(state["boxes"].numpy()[order], 0, [90, 60, 90, 60]))

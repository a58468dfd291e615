"""The adapter finds what sam3's own processor finds with the same weights, to the last bit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sam3.model.sam3_image_processor import Sam3Processor

from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.sam3 import Sam3Segmenter
from maskpilot.types import Detections, Exemplar, PromptState
from tests.segmenters.pictures import negative, picture, positive, same

MODEL = build_nano(TINY, ["star", "red"])
SIZES = [(90, 60), (61, 97), (640, 33), (1, 1)]


def processor_finds(width: int, height: int, prompts: PromptState) -> Detections:
    """Ask `Sam3Processor` in the order in which its users do: image, text, boxes."""
    processor = Sam3Processor(MODEL, TINY.resolution, "cpu", confidence_threshold=prompts.threshold)
    state = processor.set_image(picture(width, height))
    if prompts.text is not None:
        state = processor.set_text_prompt(prompts.text, state)
    for exemplar in prompts.boxes:
        state = processor.add_geometric_prompt(cxcywh(exemplar, width, height), exemplar.positive, state)
    return in_our_order(state, width, height)


def cxcywh(exemplar: Exemplar, width: int, height: int) -> list[float]:
    x0, y0, x1, y1 = exemplar.box.xyxy
    return [(x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height]


def in_our_order(state: dict[str, Any], width: int, height: int) -> Detections:
    """Best first, boxes clipped."""
    scores = state["scores"].numpy()
    order = np.argsort(-scores, kind="stable")
    boxes = np.clip(state["boxes"].numpy(), 0, np.array([width, height, width, height], np.float32))
    return Detections(state["masks"].squeeze(1).numpy()[order], boxes[order], scores[order])


def we_find(width: int, height: int, prompts: PromptState) -> Detections:
    segmenter = Sam3Segmenter(MODEL, name="tiny", resolution=TINY.resolution)
    found = segmenter.open(picture(width, height)).segment(prompts)
    segmenter.close()
    return found


@pytest.mark.parametrize(("width", "height"), SIZES)
@pytest.mark.parametrize("threshold", [0.0, 0.35, 0.9])
def test_text(width: int, height: int, threshold: float) -> None:
    prompts = PromptState("a red star", threshold=threshold)
    assert same(we_find(width, height, prompts), processor_finds(width, height, prompts))


@pytest.mark.parametrize(("width", "height"), [(90, 60), (61, 97)])
@pytest.mark.parametrize("text", ["star", None])
def test_boxes(width: int, height: int, text: str | None) -> None:
    boxes = (positive(10, 10, 40.5, 40), negative(3.25, 20, 61, 50), positive(0, 0, 61, 60))
    for count in (1, 2, 3):
        prompts = PromptState(text, boxes[:count], threshold=0.2)
        assert same(we_find(width, height, prompts), processor_finds(width, height, prompts))


def test_another_threshold() -> None:
    processor = Sam3Processor(MODEL, TINY.resolution, "cpu", confidence_threshold=0.3)
    state = processor.set_text_prompt("star", processor.set_image(picture()))
    segmenter = Sam3Segmenter(MODEL, name="tiny", resolution=TINY.resolution)
    session = segmenter.open(picture())
    for threshold in (0.3, 0.36, 0.2, 0.0, 0.38):
        state = processor.set_confidence_threshold(threshold, state)
        assert same(session.segment(PromptState("star", threshold=threshold)), in_our_order(state, 90, 60))
    segmenter.close()

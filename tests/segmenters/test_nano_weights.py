"""The weights that come with the package."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import pytest
from sam3.model.sam3_image_processor import Sam3Processor

from maskpilot.scenes import make_scene
from maskpilot.segmenters import NANO_WEIGHTS, load_segmenter
from maskpilot.segmenters.base import Segmenter
from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.evaluate import FIRST_SEED
from maskpilot.segmenters.nano.evaluation.tasks import held_out, phrases
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.weights import load_weights, read_weights
from maskpilot.types import PromptState
from tests.segmenters.pictures import positive, same
from tests.segmenters.test_equals_processor import cxcywh, in_our_order


@pytest.fixture(scope="module")
def nano() -> Iterator[Segmenter]:
    with closing(load_segmenter("nano", device="cpu")) as segmenter:
        yield segmenter


def test_they_find_what_phrases_name(nano: Segmenter) -> None:
    tally = phrases(nano, held_out(8, first=FIRST_SEED))["all"]
    assert tally.counts.f1 > 0.75 > max(naive.f1 for naive in tally.naive.values())


def test_an_unknown_word_finds_nothing(nano: Segmenter) -> None:
    with closing(nano.open(make_scene(FIRST_SEED + 1).image)) as session:
        assert len(session.segment(PromptState("zebra"))) == 0


@pytest.mark.parametrize("text", ["things", None])
def test_sam3s_own_processor_gives_the_same_masks(nano: Segmenter, text: str | None) -> None:
    about = json.loads(NANO_WEIGHTS.with_suffix(".json").read_text())
    config = NanoConfig(**about["config"])
    model = build_nano(config, about["vocabulary"])
    load_weights(model, read_weights(NANO_WEIGHTS), NANO_WEIGHTS)
    scene = make_scene(FIRST_SEED + 2)
    x0, y0, x1, y1 = scene.objects[0].box.xyxy
    box = positive(x0, y0, x1, y1)
    processor = Sam3Processor(model, config.resolution, "cpu", confidence_threshold=0.05)
    state = processor.set_image(scene.image)
    if text is not None:
        state = processor.set_text_prompt(text, state)
    state = processor.add_geometric_prompt(cxcywh(box, *scene.image.size), True, state)
    expected = in_our_order(state, *scene.image.size)
    with closing(nano.open(scene.image)) as session:
        assert len(expected) > 0
        assert same(session.segment(PromptState(text, (box,), threshold=0.05)), expected)

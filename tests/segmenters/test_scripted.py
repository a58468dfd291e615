"""What the scripted segmenter finds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter, FakeSession
from maskpilot.types import Exemplar, PromptState
from tests.segmenters.pictures import negative, picture, positive


def block(x0: int, y0: int, x1: int, y1: int) -> NDArray[np.bool_]:
    mask = np.zeros((60, 90), np.bool_)
    mask[y0:y1, x0:x1] = True
    return mask


def session() -> FakeSession:
    """Scores tell who was found: .9 a red star, .8 a blue star, .7 a blue ring."""
    things = [
        FakeObject(block(0, 0, 20, 20), frozenset({"red", "star"}), 0.9),
        FakeObject(block(30, 0, 50, 20), frozenset({"blue", "star"}), 0.8),
        FakeObject(block(60, 30, 90, 60), frozenset({"blue", "ring"}), 0.7),
    ]
    return FakeSegmenter(things).open(picture())


def scores(text: str | None, *boxes: Exemplar, threshold: float = 0.5) -> list[float]:
    found = session().segment(PromptState(text, boxes, threshold=threshold))
    return [round(score, 3) for score in found.scores.tolist()]


def test_text_finds_what_shares_a_word() -> None:
    assert scores("the star") == [0.9, 0.8]
    assert scores("Blue") == [0.8, 0.7]
    assert scores("dog") == []


def test_a_positive_box_finds_its_object_and_its_kind() -> None:
    assert scores(None, positive(1, 1, 20, 20)) == [0.9, 0.8]
    assert scores("ring", positive(1, 1, 20, 20)) == [0.9, 0.8, 0.7]
    assert scores(None, positive(5, 5, 10, 10)) == []


def test_a_negative_box_lowers_its_object_and_its_kind() -> None:
    assert scores("star", negative(0, 0, 20, 20), threshold=0.0) == [0.32, 0.09]
    assert scores("star", positive(30, 0, 50, 20), negative(0, 0, 20, 20), threshold=0.0)[0] == 0.8


def test_masks_and_boxes_are_the_objects() -> None:
    found = session().segment(PromptState("ring"))
    assert np.array_equal(found.masks[0], block(60, 30, 90, 60))
    assert found.boxes.tolist() == [[60, 30, 90, 60]]


def test_masks_stretch_with_the_image() -> None:
    thing = FakeObject(block(30, 0, 60, 60), frozenset({"bar"}))
    found = FakeSegmenter([thing]).open(picture(9, 4)).segment(PromptState("bar"))
    assert found.boxes.tolist() == [[3, 0, 6, 4]]


def test_an_object_has_pixels() -> None:
    with pytest.raises(ValueError, match="with a pixel set"):
        FakeObject(np.zeros((3, 3), np.bool_), frozenset())

"""The domain's types refuse what cannot be."""

import math

import numpy as np
import pytest

from maskpilot.types import Box, Budget, Decision, Detections, Instance, Mask, PromptState, Usage


@pytest.mark.parametrize("xyxy", [(0, 0, 0, 1), (1, 0, 0, 1), (0, 2, 1, 1)])
def test_a_box_without_area_is_refused(xyxy: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="order the corners"):
        Box(*xyxy)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_box_of_no_finite_size_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Box(0, 0, value, 1)


def test_boxes_that_only_touch_share_nothing() -> None:
    assert Box(0, 0, 2, 2).intersection(Box(2, 0, 4, 2)) == 0
    assert Box(0, 0, 2, 2).iou(Box(1, 0, 3, 2)) == pytest.approx(1 / 3)


@pytest.mark.parametrize("threshold", [-0.1, 1.1, math.nan])
def test_a_threshold_outside_zero_to_one_is_refused(threshold: float) -> None:
    with pytest.raises(ValueError, match="threshold"):
        PromptState(threshold=threshold)


def test_blank_text_is_refused() -> None:
    with pytest.raises(ValueError, match="blank"):
        PromptState(text="  ")


def test_prompt_states_that_say_the_same_are_one_cache_key() -> None:
    assert {PromptState("cup"): 1}[PromptState("cup")] == 1


def test_detections_cannot_be_written_to() -> None:
    detections = Detections.empty(4, 3)
    assert detections.masks.shape == (0, 3, 4)
    assert detections.size == (4, 3)
    with pytest.raises(ValueError, match="read-only"):
        detections.scores[...] = 1


@pytest.mark.parametrize(
    ("masks", "boxes", "scores"),
    [
        (np.zeros((1, 2, 2), np.uint8), np.zeros((1, 4), np.float32), np.zeros(1, np.float32)),
        (np.zeros((1, 2, 2), np.bool_), np.zeros((2, 4), np.float32), np.zeros(1, np.float32)),
        (np.zeros((1, 2, 2), np.bool_), np.zeros((1, 5), np.float32), np.zeros(1, np.float32)),
        (np.zeros((1, 2, 2), np.bool_), np.zeros((1, 4), np.float64), np.zeros(1, np.float32)),
    ],
)
def test_detections_of_other_shapes_or_dtypes_are_refused(
    masks: np.ndarray, boxes: np.ndarray, scores: np.ndarray
) -> None:
    with pytest.raises(ValueError, match="expected"):
        Detections(masks, boxes, scores)


def test_instances_are_numbered_from_one() -> None:
    with pytest.raises(ValueError, match="from 1"):
        Instance(0, Mask(1, 1, b"01"), Box(0, 0, 1, 1), 0.5)


def test_instances_score_a_number() -> None:
    with pytest.raises(ValueError, match="finite"):
        Instance(1, Mask(1, 1, b"01"), Box(0, 0, 1, 1), float("nan"))


def test_a_mask_needs_a_size_and_counts() -> None:
    with pytest.raises(ValueError, match="at least 1 px"):
        Mask(0, 1, b"1")
    with pytest.raises(ValueError, match="run lengths"):
        Mask(1, 1, b"")


def test_limits_are_positive() -> None:
    with pytest.raises(ValueError, match="max_rounds"):
        Budget(max_rounds=0)


def test_ratings_lie_between_0_and_100() -> None:
    with pytest.raises(ValueError, match="rating"):
        Decision(rating=101)


def test_usage_adds_up_and_an_unknown_cost_stays_unknown() -> None:
    total = Usage(calls=1, prompt_tokens=10, completion_tokens=2) + Usage(calls=2, cost=0.5)
    assert (total.calls, total.tokens, total.cost) == (3, 12, 0.5)
    assert (Usage() + Usage()).cost is None

"""The ledger, and ids that stay the same."""

from dataclasses import replace

import numpy as np
import pytest

from maskpilot.tools import FULL, Roster, SessionState, apply_call, refresh
from maskpilot.types import PromptState, ToolCall
from tests.shapes import HEIGHT, WIDTH, block, detections, instance, rle

EMPTY = SessionState(WIDTH, HEIGHT)


def test_new_objects_are_numbered_from_one_in_the_order_of_their_scores() -> None:
    state, _ = refresh(EMPTY, detections(block(0, 0, 9, 9), block(20, 0, 29, 9)), Roster())
    assert [shown.id for shown in state.shown] == [1, 2]


def test_an_object_whose_outline_moved_keeps_its_id() -> None:
    state, roster = refresh(EMPTY, detections(block(0, 0, 10, 10), block(40, 0, 50, 10)), Roster())
    state, _ = refresh(state, detections(block(41, 0, 51, 10), block(1, 0, 10, 10)), roster)
    assert {shown.id: shown.box.x0 for shown in state.shown} == {1: 1.0, 2: 41.0}


def test_an_id_is_never_given_to_another_object() -> None:
    state, roster = refresh(EMPTY, detections(block(0, 0, 10, 10)), Roster())
    state, roster = refresh(state, detections(), roster)
    state, roster = refresh(state, detections(block(40, 0, 50, 10)), roster)
    assert [shown.id for shown in state.shown] == [2]
    state, _ = refresh(state, detections(block(0, 0, 10, 10)), roster)
    assert [shown.id for shown in state.shown] == [1]


def test_identical_masks_come_back_under_their_own_ids_even_among_lookalikes() -> None:
    first, second = block(0, 0, 10, 10), block(3, 0, 13, 10)  # IoU .54: each could pass for the other
    state, roster = refresh(EMPTY, detections(first, second), Roster())
    state, _ = refresh(state, detections(second, first), roster)
    assert {shown.mask: shown.id for shown in state.shown} == {rle(0, 0, 10, 10): 1, rle(3, 0, 13, 10): 2}


def test_locked_masks_are_shown_and_detections_of_the_same_object_are_not() -> None:
    locked = replace(EMPTY, locked=(instance(7, 0, 0, 10, 10),))
    state, _ = refresh(locked, detections(block(1, 0, 10, 10), block(40, 0, 50, 10)), Roster())
    assert [shown.id for shown in state.shown] == [1, 7]
    assert [found.box.x0 for found in state.found] == [40.0]


def test_detections_of_dropped_objects_are_not_shown() -> None:
    dropped = replace(EMPTY, dropped=(instance(7, 0, 0, 10, 10),))
    state, _ = refresh(dropped, detections(block(1, 0, 10, 10)), Roster())
    assert state.shown == ()


def test_dropping_one_of_two_that_overlap_leaves_the_other() -> None:
    first, second = block(0, 0, 10, 10), block(3, 0, 13, 10)  # IoU .54
    state, roster = refresh(EMPTY, detections(first, second), Roster())
    state = apply_call(state, ToolCall("drop_masks", {"ids": [1]}), FULL).state
    for found in ((first, second), (second, first), (second,), (first, block(2, 0, 12, 10))):
        state, roster = refresh(state, detections(*found), roster)
        assert [shown.id for shown in state.shown] == [2]
    state, _ = refresh(state, detections(block(0, 0, 11, 10)), roster)
    assert state.shown == ()


@pytest.mark.parametrize("tool", ["keep_masks", "drop_masks"])
def test_a_number_in_the_ledger_is_given_to_no_other_mask(tool: str) -> None:
    first, between, last = block(0, 0, 20, 10), block(6, 0, 26, 10), block(12, 0, 32, 10)
    state, roster = EMPTY, Roster()
    for found in (first, between, last, first):  # step by step an object drifts away, and comes back
        state, roster = refresh(state, detections(found), roster)
        assert [shown.id for shown in state.shown] == [1]
    state = apply_call(state, ToolCall(tool, {"ids": [1]}), FULL).state
    for _ in range(2):
        state, roster = refresh(state, detections(last), roster)
        assert [found.id for found in state.found] == [2]


def test_detections_without_a_pixel_are_left_out() -> None:
    state, _ = refresh(EMPTY, detections(np.zeros((HEIGHT, WIDTH), np.bool_)), Roster())
    assert state.shown == ()


def test_instances_remember_the_phrase_that_found_them() -> None:
    state, _ = refresh(EMPTY.changed(prompts=PromptState("cup")), detections(block(0, 0, 9, 9)), Roster())
    assert [shown.text for shown in state.shown] == ["cup"]


def test_states_that_mean_the_same_have_the_same_key() -> None:
    one = EMPTY.changed(prompts=PromptState("cup"))
    other = EMPTY.changed(prompts=PromptState("mug")).changed(prompts=PromptState("cup"))
    assert one.key == other.key != EMPTY.key

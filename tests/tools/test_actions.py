"""What each tool does, and how it answers back."""

from typing import Any

import pytest

from maskpilot.errors import InvalidCall, UnknownTool
from maskpilot.tools import CORE, FULL, Outcome, SessionState, apply_call, rating_of
from maskpilot.types import Box, PromptState, ToolCall, Verdict
from tests.shapes import HEIGHT, WIDTH, instance

LEFT, RIGHT = instance(1, 5, 5, 25, 25), instance(2, 30, 5, 50, 25)
STATE = SessionState(WIDTH, HEIGHT, prompts=PromptState("cup", threshold=0.4), found=(LEFT, RIGHT))
BOX: dict[str, Any] = {"x0": 5, "y0": 35, "x1": 45, "y1": 55}


def call(name: str, state: SessionState = STATE, **arguments: Any) -> Outcome:
    return apply_call(state, ToolCall(name, arguments), FULL)


def refused(name: str, state: SessionState = STATE, **arguments: Any) -> str:
    with pytest.raises(InvalidCall) as caught:
        call(name, state, **arguments)
    return str(caught.value)


def test_a_phrase_starts_a_new_concept_boxes_go_locked_masks_and_threshold_stay() -> None:
    before = call("add_positive_box", call("keep_masks", ids=[1]).state, **BOX).state
    after = call("set_text_prompt", before, text="  red \n cup ").state
    assert after.prompts == PromptState("red cup", (), 0.4)
    assert after.locked == (LEFT,)


@pytest.mark.parametrize(("text", "message"), [("  ", "empty"), ("cup " * 80, "319 characters")])
def test_a_phrase_that_cannot_be_used_is_refused(text: str, message: str) -> None:
    assert message in refused("set_text_prompt", text=text)


def test_a_sentence_is_accepted_with_a_warning() -> None:
    notes = call("set_text_prompt", text="the second cup from the left unless it is empty").notes
    assert "long phrases" in notes[0]


def test_the_same_phrase_again_is_pointed_out() -> None:
    assert "set already" in call("set_text_prompt", text="cup").notes[0]


def test_boxes_are_added_in_order_with_their_sign() -> None:
    state = call("add_positive_box", **BOX).state
    state = call("add_negative_box", state, x0=5, y0=5, x1=25, y1=25).state
    assert [(exemplar.box, exemplar.positive) for exemplar in state.prompts.boxes] == [
        (Box(5, 35, 45, 55), True),
        (LEFT.box, False),
    ]


def test_reversed_corners_are_put_in_order_and_said() -> None:
    outcome = call("add_positive_box", x0=45, y0=55, x1=5, y1=35)
    assert outcome.state.prompts.boxes[0].box == Box(5, 35, 45, 55)
    assert "reversed" in outcome.notes[0]


def test_a_box_over_the_border_is_clipped_and_said() -> None:
    outcome = call("add_positive_box", x0=60, y0=40, x1=500, y1=55)
    assert outcome.state.prompts.boxes[0].box == Box(60, 40, WIDTH, 55)
    assert "clipped" in outcome.notes[0]


@pytest.mark.parametrize("box", [(90, 0, 99, 9), (5, 5, 5.5, 30), (-9, -9, 0, 0)])
def test_a_box_with_less_than_a_pixel_inside_is_refused(box: tuple[float, ...]) -> None:
    corners: dict[str, Any] = dict(zip(("x0", "y0", "x1", "y1"), box, strict=True))
    assert "less than one pixel" in refused("add_positive_box", **corners)


def test_a_positive_box_on_what_is_found_already_warns() -> None:
    assert "mask 1 already covers this" in call("add_positive_box", x0=5, y0=5, x1=25, y1=25).notes[0]


def test_a_negative_box_where_nothing_is_found_warns() -> None:
    assert "no mask is shown there" in call("add_negative_box", **BOX).notes[0]


def test_positive_and_negative_boxes_that_overlap_warn() -> None:
    state = call("add_positive_box", **BOX).state
    notes = call("add_negative_box", state, x0=20, y0=30, x1=50, y1=58).notes
    assert any("work against each other" in note for note in notes)


def test_the_same_box_twice_is_refused() -> None:
    assert "given already" in refused("add_positive_box", call("add_positive_box", **BOX).state, **BOX)


def test_a_fifth_box_warns() -> None:
    state = STATE
    for number in range(5):
        outcome = call("add_positive_box", state, x0=number * 12, y0=30, x1=number * 12 + 9, y1=39)
        state = outcome.state
    assert "more than four boxes" in outcome.notes[-1]


def test_the_threshold_is_set_and_repetition_is_said() -> None:
    assert call("set_threshold", value=0.2).state.prompts.threshold == 0.2
    assert "already" in call("set_threshold", value=0.4).notes[0]


@pytest.mark.parametrize("value", [-0.1, 40])
def test_a_threshold_outside_its_range_is_refused(value: float) -> None:
    assert "between 0 and 1" in refused("set_threshold", value=value)


def test_kept_masks_are_locked_and_dropped_ones_can_be_kept_again() -> None:
    dropped = call("drop_masks", ids=[1]).state
    assert (dropped.shown, dropped.dropped) == ((RIGHT,), (LEFT,))
    kept = call("keep_masks", dropped, ids=[1, 2, 1]).state
    assert (kept.locked, kept.dropped, kept.found) == ((LEFT, RIGHT), (), ())


def test_a_locked_mask_can_be_dropped() -> None:
    state = call("drop_masks", call("keep_masks", ids=[1]).state, ids=[1]).state
    assert (state.locked, state.dropped) == ((), (LEFT,))


def test_keeping_twice_is_said() -> None:
    assert "already locked: 1" in call("keep_masks", call("keep_masks", ids=[1]).state, ids=[1]).notes[0]


@pytest.mark.parametrize("tool", ["keep_masks", "drop_masks"])
def test_unknown_numbers_are_refused_with_the_ones_that_exist(tool: str) -> None:
    assert "no mask has the number 9; masks with these numbers exist: 1, 2" in refused(tool, ids=[1, 9])
    assert "ids is empty" in refused(tool, ids=[])


def test_a_flood_of_unknown_numbers_is_not_echoed() -> None:
    assert len(refused("keep_masks", ids=list(range(3, 50_000)))) < 200


def test_reset_clears_the_concept_and_keeps_the_locked_masks() -> None:
    state = call("drop_masks", call("keep_masks", ids=[1]).state, ids=[2]).state
    after = call("reset", state).state
    assert (after.prompts, after.locked, after.dropped, after.found) == (PromptState(), (LEFT,), (), ())


def test_undo_goes_back_one_change_at_a_time() -> None:
    one = call("set_threshold", value=0.2).state
    two = call("drop_masks", one, ids=[1]).state
    assert call("undo", two).state is one
    assert call("undo", one).state is STATE
    assert "nothing to undo" in refused("undo")


def test_zoom_changes_nothing() -> None:
    outcome = call("zoom", **BOX)
    assert outcome.state is STATE
    assert outcome.zoom == Box(5, 35, 45, 55)


def test_finish_carries_its_verdict_and_absent_needs_a_reason() -> None:
    outcome = call("finish", verdict="absent", reason="no dog anywhere")
    assert (outcome.verdict, outcome.reason) == (Verdict.absent, "no dog anywhere")
    assert "absent needs a reason" in refused("finish", verdict="absent")


def test_actions_leave_the_state_that_they_were_given_alone() -> None:
    before = (STATE.prompts, STATE.locked, STATE.dropped, STATE.found, STATE.previous)
    call("keep_masks", ids=[1])
    call("set_text_prompt", text="plate")
    assert (STATE.prompts, STATE.locked, STATE.dropped, STATE.found, STATE.previous) == before


@pytest.mark.parametrize("name", ["segment_phrase", "__class__", ""])
def test_an_unknown_tool_is_answered_with_the_list(name: str) -> None:
    with pytest.raises(UnknownTool, match="the tools are: set_text_prompt"):
        call(name)


def test_a_tool_that_is_not_offered_is_unknown() -> None:
    with pytest.raises(UnknownTool):
        apply_call(STATE, ToolCall("keep_masks", {"ids": [1]}), CORE)


@pytest.mark.parametrize("ids", [[1, 2], "1, 2", "[1, 2]", ["1", 2.0]])
def test_ids_are_understood_however_they_are_written(ids: object) -> None:
    assert len(call("keep_masks", ids=ids).state.locked) == 2


def test_a_number_in_quotes_is_understood() -> None:
    assert call("set_threshold", value="0.3").state.prompts.threshold == 0.3


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("set_threshold", {"value": "low"}, "value must be a number, got low"),
        ("set_threshold", {"value": True}, "must be a number"),
        ("set_threshold", {"value": "nan"}, "finite"),
        ("set_threshold", {"value": 10**400}, "finite"),
        ("set_threshold", {}, "value is missing"),
        ("set_threshold", {"value": None}, "value is missing"),
        ("set_threshold", {"value": 0.2, "speed": 1}, "no parameter is called 'speed'"),
        ("set_text_prompt", {"text": 3}, "text must be text"),
        ("keep_masks", {"ids": [1.5]}, "whole numbers"),
        ("keep_masks", {"ids": {"a": 1}}, "must be a number"),
        ("finish", {"verdict": "done"}, "must be one of complete, absent, best_effort"),
        ("add_positive_box", {"x0": 1, "y0": 2, "x1": 3}, "y1 is missing"),
    ],
)
def test_arguments_that_cannot_be_understood_are_refused_in_words(
    name: str, arguments: dict[str, Any], message: str
) -> None:
    error = refused(name, **arguments)
    assert message in error
    assert error.startswith(f"{name}: ")


@pytest.mark.parametrize(("given", "rating"), [(80, 80), ("55", 55), (140, 100), (-3, 0), ("good", None)])
def test_ratings_are_read_leniently(given: object, rating: float | None) -> None:
    assert rating_of(ToolCall("reset", {"rating": given})) == rating

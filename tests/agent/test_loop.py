"""The loop: what it does with what a policy says, and what it hands back whatever happens."""

import itertools
import signal
import weakref
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maskpilot.agent import Scripted, run_session
from maskpilot.errors import BudgetReached, OutOfMemory, PolicyError, RunFolderError, SessionFailed
from maskpilot.tools import CORE
from maskpilot.trajectory import Ending, Step, TrajectoryWriter, read_trajectory
from maskpilot.types import Budget, Decision, Detections, PromptState, Stop, ToolCall, Usage, Verdict
from tests.agent.sessions import IMAGE, boxes, finish, run, says, setup, text, threshold
from tests.shapes import CUP_LEFT, CUP_MIDDLE, HEIGHT, PLATE, WIDTH, table

BAD = says(("set_threshold", {"value": "low"}))


def test_a_session_ends_with_what_the_policy_finished_on() -> None:
    trajectory = run([text("cup"), threshold(0.3), finish()])
    assert boxes(trajectory) == [CUP_LEFT, CUP_MIDDLE]
    assert trajectory.ending is not None
    assert (trajectory.ending.stop, trajectory.ending.verdict) == (Stop.finished, Verdict.complete)


def test_the_state_that_the_policy_rated_best_is_the_result_and_not_the_last_one() -> None:
    script = [text("cup"), text("plate", rating=90), finish("best_effort", rating=20)]
    assert boxes(run(script)) == [CUP_LEFT]


def test_of_states_rated_alike_the_later_one_is_the_result() -> None:
    assert boxes(run([text("cup"), text("plate", rating=50), finish(rating=50)])) == [PLATE]


def test_of_several_ratings_of_the_same_masks_the_last_one_counts() -> None:
    look = says(("zoom", {"x0": 0, "y0": 0, "x1": 30, "y1": 30}), rating=90)
    script = [text("cup"), look, text("plate", rating=40)]
    assert boxes(run([*script, finish(rating=80)])) == [PLATE]
    assert boxes(run([*script, finish(rating=30)])) == [CUP_LEFT]
    put_off = says(("finish", {"verdict": "complete"}), rating=90, objections=("mask 1 is wrong",))
    script = [text("cup"), put_off, text("plate", rating=40), look]
    assert boxes(run(script, budget=Budget(max_rounds=4))) == [PLATE]


def test_ratings_are_taken_from_the_calls_where_the_decision_has_none() -> None:
    rated = says(("set_text_prompt", {"text": "plate", "rating": 90}))
    trajectory = run([text("cup"), rated, says(("finish", {"verdict": "best_effort", "rating": 10}))])
    assert boxes(trajectory) == [CUP_LEFT]


def test_what_is_selected_beside_finish_is_the_last_word() -> None:
    both = says(("drop_masks", {"ids": [1]}), ("finish", {"verdict": "complete"}), rating=30)
    trajectory = run([text("cup plate"), threshold(0.3, rating=60), both])
    assert boxes(trajectory) == [PLATE, CUP_MIDDLE]


def test_finish_beside_a_change_of_prompts_is_put_off_until_the_masks_were_seen() -> None:
    hasty = says(("set_text_prompt", {"text": "cup"}), ("finish", {"verdict": "complete"}))
    trajectory = run([hasty, finish()])
    assert "finish was put off: the prompts changed" in trajectory.steps[0].notes[0]
    assert boxes(trajectory) == [CUP_LEFT]


def test_finish_after_a_call_that_failed_is_put_off() -> None:
    broken = says(("keep_masks", {"ids": [9]}), ("finish", {"verdict": "complete"}))
    trajectory = run([text("cup"), broken, finish()])
    assert "finish was put off: an earlier call failed" in trajectory.steps[1].notes[0]


def test_finish_is_put_off_by_a_second_look_s_objections_and_that_is_no_error() -> None:
    objected = says(("finish", {"verdict": "complete"}), objections=("mask 1 is wrong",))
    trajectory = run([text("cup"), BAD, says(("fly", {})), objected, Decision(), finish()])
    assert trajectory.steps[3].notes == ("mask 1 is wrong",)
    assert trajectory.steps[3].errors == ()
    assert boxes(trajectory) == [CUP_LEFT]


def test_calls_after_finish_and_calls_beyond_the_limit_are_ignored_and_said() -> None:
    late = says(("finish", {"verdict": "complete"}), ("reset", {}))
    many = says(*[("zoom", {"x0": number, "y0": 0, "x1": 50, "y1": 50}) for number in range(20)])
    trajectory = run([text("cup"), many, late])
    assert "the last 4 calls were ignored" in trajectory.steps[1].notes[-1]
    assert trajectory.steps[2].notes == ("reset was ignored: it came after finish",)
    assert boxes(trajectory) == [CUP_LEFT]


def test_absent_gives_an_empty_result_whatever_is_shown() -> None:
    trajectory = run([text("cup"), finish("absent")])
    assert trajectory.result == ()
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.absent


def test_several_calls_in_one_reply_are_one_round_and_one_segmentation() -> None:
    session = Counting()
    trajectory = run(
        [says(("set_text_prompt", {"text": "cup"}), ("set_threshold", {"value": 0.3})), finish()],
        session=session,
    )
    assert session.asked[0] == PromptState("cup", (), 0.3)
    assert len(trajectory.steps) == 2


@pytest.mark.parametrize("first", [("reset", {}), ("set_text_prompt", {"text": "plate"})])
def test_masks_that_were_shown_can_be_kept_in_the_reply_that_leaves_their_prompts(first: Any) -> None:
    trajectory = run([text("cup"), says(first, ("keep_masks", {"ids": [1]})), finish()])
    assert trajectory.steps[1].errors == ()
    assert CUP_LEFT in boxes(trajectory)


def test_locked_masks_outlive_a_new_phrase() -> None:
    trajectory = run([text("cup"), says(("keep_masks", {"ids": [1]})), text("plate"), finish()])
    assert boxes(trajectory) == [CUP_LEFT, PLATE]


def test_an_error_is_told_to_the_policy_and_the_session_goes_on() -> None:
    policy = Scripted([text("cup"), BAD, finish()])
    run_session(setup(), IMAGE, table().open(IMAGE), policy)
    assert "value must be a number" in policy.observations[2].notes[0]


def test_a_reply_without_a_call_is_answered_with_what_is_wanted() -> None:
    trajectory = run([Decision(), says(("reset", {}), problems=("half of it was not JSON",)), finish()])
    assert "no tool call was found" in trajectory.steps[0].errors[0]
    assert trajectory.steps[1].errors == ("half of it was not JSON",)


def test_three_errors_in_a_row_end_the_session_with_its_best_state() -> None:
    trajectory = run([text("cup"), BAD, Decision(), says(("fly", {}))])
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.repeated_errors
    assert boxes(trajectory) == [CUP_LEFT]


def test_errors_with_something_done_in_between_do_not_end_the_session() -> None:
    script = [text("cup"), BAD, Decision(), threshold(0.3), BAD, Decision(), finish()]
    assert run(script).ending is not None


def test_calls_that_fail_in_different_ways_are_not_the_same_call() -> None:
    def wrong(why: str) -> Decision:
        return Decision(problems=(why,))

    looks = [says(("zoom", {"x0": x0, "y0": 0, "x1": 90, "y1": 90})) for x0 in (10, 20)]
    script = [text("cup"), wrong("x0"), looks[0], wrong("y0"), looks[1], wrong("x1"), finish()]
    trajectory = run(script)
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.finished
    assert not any("was done before" in note for step in trajectory.steps for note in step.notes)
    again = run([text("cup"), wrong("x0"), looks[0], wrong("x0"), looks[1], wrong("x0")])
    assert again.ending is not None
    assert again.ending.stop is Stop.repeated_errors


def test_the_same_call_in_the_same_state_warns_and_then_ends_the_session() -> None:
    trajectory = run([text("cup"), text("cup"), text("cup"), text("cup")])
    assert "was done before" in trajectory.steps[2].notes[-1]
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.repeated_errors


def test_a_cycle_of_two_states_ends_the_session() -> None:
    to_and_fro = itertools.cycle([text("cup"), text("plate")])
    trajectory = run(list(itertools.islice(to_and_fro, 6)))
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.repeated_errors


def test_a_refusal_ends_the_session() -> None:
    trajectory = run([text("cup"), Decision(thought="I will not do that", refused=True)])
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.refused
    assert boxes(trajectory) == [CUP_LEFT]


@pytest.mark.parametrize(
    ("budget", "stop"),
    [
        (Budget(max_rounds=2), Stop.max_rounds),
        (Budget(max_tokens=100), Stop.max_tokens),
        (Budget(max_cost=0.5), Stop.max_cost),
        (Budget(max_rounds=None, max_seconds=8), Stop.max_seconds),
    ],
)
def test_a_limit_ends_the_session_with_its_best_state(budget: Budget, stop: Stop) -> None:
    ticks = itertools.count()
    spent = Usage(prompt_tokens=50, cost=0.25)
    script = [
        Decision((ToolCall("set_text_prompt", {"text": phrase}),), usage=spent) for phrase in ("plate", "cup")
    ]
    trajectory = run(script, budget=budget, clock=lambda: float(next(ticks)))
    assert trajectory.ending is not None
    assert trajectory.ending.stop is stop
    assert boxes(trajectory) == [CUP_LEFT]


def test_a_policy_that_stops_before_a_limit_ends_the_session_with_its_best_state() -> None:
    trajectory = run([text("cup"), BudgetReached(Stop.max_cost)])
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.max_cost
    assert boxes(trajectory) == [CUP_LEFT]


def test_the_policy_is_told_what_is_left() -> None:
    policy = Scripted([text("cup"), finish()])
    run_session(setup(budget=Budget(max_rounds=5)), IMAGE, table().open(IMAGE), policy)
    assert [seen.left.max_rounds for seen in policy.observations] == [5, 4]


def test_the_policy_is_told_what_is_new_and_what_is_gone() -> None:
    policy = Scripted([text("cup"), text("plate"), threshold(0.1), finish()])
    run_session(setup(), IMAGE, table().open(IMAGE), policy)
    assert [(set(seen.changes.new), set(seen.changes.gone)) for seen in policy.observations] == [
        (set(), set()),
        ({1}, set()),
        ({2}, {1}),
        (set(), set()),
    ]


def test_undo_brings_back_the_same_masks_under_the_same_ids() -> None:
    trajectory = run([text("cup"), text("plate"), says(("undo", {})), finish()])
    assert trajectory.steps[2].instances == trajectory.steps[0].instances


def test_only_the_tools_on_offer_can_be_called() -> None:
    trajectory = run([text("cup"), says(("keep_masks", {"ids": [1]})), finish()], tools=CORE)
    assert "there is no tool 'keep_masks'" in trajectory.steps[1].errors[0]


def test_ctrl_c_ends_the_session_with_its_best_state() -> None:
    trajectory = run([text("cup"), KeyboardInterrupt()])
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.interrupted
    assert boxes(trajectory) == [CUP_LEFT]


def test_ctrl_c_before_a_round_is_on_disk_ends_the_session_with_the_rounds_that_are(tmp_path: Path) -> None:
    class Interrupted(TrajectoryWriter):
        def step(self, step: Step) -> None:
            if step.index == 1:
                raise KeyboardInterrupt
            super().step(step)

    with Interrupted(tmp_path / "steps.jsonl") as writer:
        trajectory = run([text("cup"), text("plate")], recorder=writer)
    assert trajectory == read_trajectory(tmp_path / "steps.jsonl")
    assert boxes(trajectory) == [CUP_LEFT]


def test_ctrl_c_once_a_round_is_on_disk_ends_the_session_with_that_round(tmp_path: Path) -> None:
    class Pressed(TrajectoryWriter):
        def step(self, step: Step) -> None:
            super().step(step)
            signal.raise_signal(signal.SIGINT)

    usage = Usage(calls=1, cost=0.5)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a background job ignores it
    try:
        with Pressed(tmp_path / "steps.jsonl") as writer:
            trajectory = run([replace(text("cup"), usage=usage)], recorder=writer)
    finally:
        signal.signal(signal.SIGINT, before)
    assert trajectory == read_trajectory(tmp_path / "steps.jsonl")
    assert boxes(trajectory) == [CUP_LEFT]
    assert trajectory.ending is not None
    assert (trajectory.ending.stop, trajectory.ending.usage) == (Stop.interrupted, usage)
    assert trajectory.ending.unrecorded == Usage()  # else it would be paid twice when the session goes on


@pytest.mark.parametrize("cause", [PolicyError("the quota is used up"), ZeroDivisionError("oops")])
def test_a_fatal_error_keeps_its_cause_and_the_result_so_far(cause: Exception) -> None:
    with pytest.raises(SessionFailed, match=str(cause)) as caught:
        run([text("cup"), cause])
    assert caught.value.__cause__ is cause
    assert boxes(caught.value.trajectory) == [CUP_LEFT]
    assert caught.value.trajectory.ending is not None
    assert caught.value.trajectory.ending.stop is Stop.failed


def test_what_a_failed_decision_cost_is_in_the_books() -> None:
    spent = Usage(calls=2, prompt_tokens=100)
    with pytest.raises(SessionFailed) as caught:
        run([text("cup"), PolicyError("the quota is used up", usage=spent)])
    assert caught.value.trajectory.ending is not None
    assert caught.value.trajectory.ending.usage == spent


def test_a_segmenter_that_fails_is_fatal() -> None:
    with pytest.raises(SessionFailed) as caught:
        run([text("cup"), text("plate")], session=Counting(fails_at=2))
    assert isinstance(caught.value.__cause__, OutOfMemory)
    assert len(caught.value.trajectory.steps) == 1


def test_an_ending_that_cannot_be_recorded_is_fatal_and_keeps_the_result(tmp_path: Path) -> None:
    class Full(TrajectoryWriter):
        def end(self, ending: Ending) -> None:
            raise RunFolderError("no space is left")

    with Full(tmp_path / "steps.jsonl") as writer, pytest.raises(SessionFailed, match="no space") as caught:
        run([text("cup"), finish()], recorder=writer)
    assert isinstance(caught.value.__cause__, RunFolderError)
    assert caught.value.trajectory.ending is not None
    assert caught.value.trajectory.ending.stop is Stop.finished
    assert boxes(caught.value.trajectory) == [CUP_LEFT]


def test_full_size_masks_are_not_held_while_the_policy_decides() -> None:
    class Watching(Counting):
        def segment(self, prompts: PromptState) -> Detections:
            assert not any(masks() is not None for masks in found)
            detections = super().segment(prompts)
            found.append(weakref.ref(detections))
            return detections

    found: list[weakref.ref[Detections]] = []
    assert boxes(run([text("cup"), text("plate"), finish()], session=Watching())) == [PLATE]
    assert len(found) == 3


class Counting:
    """A session that keeps what it was asked, and runs out of memory when it is told to."""

    size = (WIDTH, HEIGHT)

    def __init__(self, fails_at: int = 0) -> None:
        self.asked: list[PromptState] = []
        self._fails_at = fails_at
        self._session = table().open(IMAGE)

    def segment(self, prompts: PromptState) -> Detections:
        self.asked.append(prompts)
        if len(self.asked) == self._fails_at:
            raise OutOfMemory("one request alone does not fit")
        return self._session.segment(prompts)

    def close(self) -> None:
        self._session.close()

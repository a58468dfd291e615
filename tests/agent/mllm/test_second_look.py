"""The second look: it objects at most twice, costs what it costs, and its nonsense changes nothing."""

import json
from typing import Any

import pytest

from maskpilot.agent import Replay, run_session
from maskpilot.agent.mllm.exchange import CallStyle, Reply, ReplyEnd
from maskpilot.agent.mllm.failures import EndpointError, Feature, Unsupported
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.agent.mllm.second_look import opinion_of
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.tools import SessionState
from maskpilot.types import Budget, Stop
from tests.agent.mllm.sessions import CUP, FINISH, GIVE_UP, Script, call, session, settings, stop
from tests.agent.sessions import IMAGE, boxes
from tests.shapes import CUP_LEFT, CUP_MIDDLE, HEIGHT, WIDTH, instance, table

LOWER = call("set_threshold", value=0.3, rating=60)
UNDO = call("undo", rating=70)
LOWEST = call("set_threshold", value=0.2, rating=60)


def looked(wrong: list[Any] | None = None, missed: list[Any] | None = None, why: str = "") -> Reply:
    return Reply(json.dumps({"wrong_ids": wrong or [], "missed": missed or [], "why": why}))


CONTENT = looked()
MISSED = looked(missed=["a cup in the middle"], why="it is as plain as the other")


def test_a_satisfied_second_look_lets_finish_stand_and_is_billed() -> None:
    trajectory, wire = session([CUP, FINISH, CONTENT], verify=True)
    assert stop(trajectory) is Stop.finished
    assert len(trajectory.steps) == 2
    assert trajectory.usage.calls == 3
    assert wire.requests[2].style is CallStyle.schema


def test_it_sees_the_image_the_overlay_and_the_query_and_no_history() -> None:
    _, wire = session([CUP, FINISH, CONTENT], verify=True, query="the two cups")
    system, task = wire.requests[2].messages
    assert wire.requests[2].tools == ()
    assert len(task.pictures) == 2
    assert "the two cups" in task.text
    assert "1: [62, 83, 312, 417] 0.90" in task.text
    assert "wrong_ids" in system.text


def test_an_objection_puts_finish_off_and_is_told() -> None:
    trajectory, wire = session([CUP, FINISH, MISSED, LOWER, FINISH, CONTENT], verify=True)
    assert boxes(trajectory) == [CUP_LEFT, CUP_MIDDLE]
    told = wire.requests[3].messages[-1].text
    assert "Note: finish was put off: a second look found missed: a cup in the middle (it is as" in told
    assert trajectory.steps[1].errors == ()


def test_all_that_it_found_is_told() -> None:
    missed = [f"cup {number}, half hidden behind the {number}th plate on the shelf" for number in range(8)]
    answer = looked(missed=missed, why="the shelf was not looked at")
    _, wire = session([CUP, FINISH, answer, LOWER, FINISH, CONTENT], verify=True)
    told = wire.requests[3].messages[-1].text
    assert all(one in told for one in missed)
    assert "where nothing is so, call finish again" in told


def test_it_objects_twice_at_most() -> None:
    script: Script = [CUP, FINISH, MISSED, LOWER, FINISH, MISSED, LOWEST, FINISH]
    trajectory, _ = session(script, verify=True)
    assert stop(trajectory) is Stop.finished
    assert sum(bool(step.decision.objections) for step in trajectory.steps) == 2


def test_a_model_that_insists_on_the_same_masks_has_its_way() -> None:
    trajectory, _ = session([CUP, FINISH, MISSED, FINISH], verify=True)
    assert stop(trajectory) is Stop.finished
    assert len(trajectory.steps) == 3


@pytest.mark.parametrize("rest", [[FINISH], [LOWER, UNDO, FINISH]])
def test_it_has_its_way_also_where_another_process_goes_on(rest: Script) -> None:
    told, _ = session([CUP, FINISH, MISSED, *rest], verify=True)
    wire = ScriptedWire(rest[-1:])
    then = MllmPolicy(wire, settings(verify=True), memory=Memory())
    replayed = Replay(told.steps[:-1], then=then)
    trajectory = run_session(told.setup, IMAGE, table().open(IMAGE), replayed)
    assert len(wire.requests) == 1  # nobody looks a second time
    assert stop(trajectory) is Stop.finished
    assert len(trajectory.steps) == len(told.steps)


def test_masks_dropped_beside_finish_are_not_shown_to_it() -> None:
    both = [*call("drop_masks", ids=[2], rating=80), *FINISH]
    _, wire = session([CUP, LOWER, both, CONTENT], verify=True)
    assert "Masks shown: 1" in wire.requests[3].messages[1].text


@pytest.mark.parametrize(
    "answer",
    [
        Reply("All fine!"),
        Reply(""),
        Reply('{"wrong_ids": "all", "missed": 3}'),
        Reply('{"wrong_ids": [99, true, null], "missed": ["", 7]}'),
        Reply('{"wrong_ids": [1]}', end=ReplyEnd.truncated),
        Reply("no", end=ReplyEnd.refused),
        EndpointError("down", status=503),
        Unsupported("no pictures", Feature.images),
    ],
)
def test_nonsense_and_failures_let_finish_stand(answer: Reply | Exception) -> None:
    trajectory, _ = session([CUP, FINISH, answer], verify=True)
    assert stop(trajectory) is Stop.finished


def test_one_that_could_not_be_had_is_recorded() -> None:
    trajectory, _ = session([CUP, FINISH, EndpointError("down", status=503)], verify=True)
    assert [step.decision.unchecked for step in trajectory.steps] == ["", "down"]
    checked, _ = session([CUP, FINISH, CONTENT], verify=True)
    assert [step.decision.unchecked for step in checked.steps] == ["", ""]


@pytest.mark.parametrize("words", ["", "All fine!", '{"wrong": [1]}'])
def test_one_that_cannot_be_read_is_none(words: str) -> None:
    trajectory, _ = session([CUP, FINISH, Reply(words)], verify=True)
    assert stop(trajectory) is Stop.finished
    assert "could not be read" in trajectory.steps[-1].decision.unchecked


@pytest.mark.parametrize("end", [ReplyEnd.truncated, ReplyEnd.refused, ReplyEnd.filtered])
def test_one_that_was_cut_off_or_refused_is_none(end: ReplyEnd) -> None:
    trajectory, _ = session([CUP, FINISH, Reply('{"wrong_ids": [1]}', end=end)], verify=True)
    assert stop(trajectory) is Stop.finished
    assert end.value in trajectory.steps[-1].decision.unchecked


def test_an_endpoint_without_schemas_is_asked_in_words() -> None:
    script: Script = [CUP, FINISH, Unsupported("no schema", Feature.schema), MISSED, LOWER, FINISH, CONTENT]
    trajectory, wire = session(script, verify=True)
    assert stop(trajectory) is Stop.finished
    looks = [request.style.value for request in wire.requests if not request.tools]
    assert looks == ["schema", "text", "text"]


@pytest.mark.parametrize(
    ("script", "verify", "rounds"),
    [([CUP, GIVE_UP], True, 9), ([CUP, FINISH], False, 9), ([CUP, FINISH], True, 2)],
)
def test_it_is_left_out_where_it_can_change_nothing(script: Script, verify: bool, rounds: int) -> None:
    trajectory, _ = session(script, verify=verify, budget=Budget(max_rounds=rounds))
    assert stop(trajectory) is Stop.finished


def test_it_is_left_out_where_it_would_break_the_budget() -> None:
    trajectory, _ = session([CUP, FINISH], verify=True, budget=Budget(max_tokens=13_000), prompt_tokens=6000)
    assert stop(trajectory) is Stop.finished


def test_an_opinion_is_understood_without_a_schema() -> None:
    state = SessionState(WIDTH, HEIGHT, found=(instance(3, 1, 1, 9, 9), instance(4, 1, 1, 9, 9)))
    told = {"wrong_ids": ["3", "x"], "missed": [{"what": "a cup", "where": "on the right", "number": 1}, {}]}
    opinion = opinion_of(json.dumps(told), state)
    assert (opinion.wrong, opinion.missed) == ((3,), ("a cup, on the right",))


def test_an_opinion_names_only_masks_that_are_shown_and_is_kept_short() -> None:
    state = SessionState(WIDTH, HEIGHT, found=(instance(3, 1, 1, 9, 9),))
    opinion = opinion_of(
        json.dumps({"wrong_ids": [3, 4, 3], "missed": ["x" * 500] * 15, "why": "a\nb" + "c" * 999}), state
    )
    assert opinion.wrong == (3,)
    assert len(opinion.objection) < 2200
    assert "\n" not in opinion.objection

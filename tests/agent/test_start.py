"""Sessions that start with masks: existing labels, locked before the first round."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from maskpilot import masks
from maskpilot.agent import OneShot, Policy, Replay, Scripted, run_session
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy
from maskpilot.errors import PolicyError, SessionFailed, TrajectoryError
from maskpilot.images import from_picture
from maskpilot.refine import replay
from maskpilot.report.session import session_section
from maskpilot.runfolder import RunFolder
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.tools import CORE
from maskpilot.trajectory import Ending, Recorder, Setup, Trajectory, TrajectoryWriter, read_trajectory
from maskpilot.types import Budget, Decision, Instance, Stop
from tests.agent.mllm.sessions import CUP, FINISH, call, settings
from tests.agent.sessions import IMAGE, boxes, finish, says, setup, text, threshold
from tests.shapes import CUP_LEFT, CUP_MIDDLE, PLATE, block, instance, table

SPOT = (60, 40, 70, 50)
"""Where nothing is: a label that is wrong."""


START = (instance(4, *CUP_MIDDLE, score=1.0), instance(9, *SPOT, score=1.0))


def given(start: Sequence[Instance] = START, **options: Any) -> Setup:
    return replace(setup(**options), start=tuple(start))


def run(
    policy: Policy | Sequence[Decision | BaseException],
    about: Setup | None = None,
    recorder: Recorder | None = None,
) -> Trajectory:
    decides = Scripted(policy) if isinstance(policy, Sequence) else policy
    trajectory = run_session(about or given(), IMAGE, table().open(IMAGE), decides, recorder=recorder)
    assert not isinstance(decides, Scripted) or decides.is_used_up
    return trajectory


def ending(trajectory: Trajectory) -> Ending:
    assert trajectory.ending is not None
    return trajectory.ending


def ids(trajectory: Trajectory) -> dict[tuple[int, ...], int]:
    return {tuple(int(edge) for edge in one.box.xyxy): one.id for one in trajectory.result}


def test_one_shot_keeps_what_is_there_and_adds_what_is_new() -> None:
    trajectory = run(OneShot(), given(query="cup"))
    assert ids(trajectory) == {CUP_MIDDLE: 4, SPOT: 9, CUP_LEFT: 10}
    assert trajectory.steps[0].locked == (4, 9)


def test_an_object_that_is_there_already_is_not_found_a_second_time() -> None:
    trajectory = run([text("cup"), threshold(0.0), finish()])
    assert ids(trajectory) == {CUP_MIDDLE: 4, SPOT: 9, CUP_LEFT: 10}


def test_the_first_observation_shows_them_and_says_so() -> None:
    policy = Scripted([text("cup"), finish()])
    run(policy)
    first, second = policy.observations
    assert first.state.shown == START
    assert first.state.locked == START
    assert first.notes == (
        "2 masks were there before this session and are locked; drop_masks removes wrong ones",
    )
    assert second.notes == ()
    assert second.changes.new == {10}
    assert second.changes.gone == set()


def test_a_tool_that_is_not_offered_is_not_named() -> None:
    policy = Scripted([finish()])
    run(policy, given(START[:1], tools=CORE))
    assert policy.observations[0].notes == ("1 mask was there before this session and is locked",)


def test_a_session_without_them_says_nothing() -> None:
    policy = Scripted([finish()])
    run(policy, given(()))
    assert policy.observations[0].notes == ()


def test_a_wrong_one_can_be_dropped_and_a_dropped_one_stays_away() -> None:
    drop = says(("drop_masks", {"ids": [4, 9]}))
    assert boxes(run([drop, text("cup"), threshold(0.0), finish()])) == [CUP_LEFT]


def test_undo_brings_a_dropped_one_back_and_does_not_go_back_before_the_start() -> None:
    undo = says(("undo", {}))
    trajectory = run([says(("drop_masks", {"ids": [9]})), undo, undo, finish()])
    assert "nothing to undo" in trajectory.steps[2].errors[0]
    assert trajectory.result == START


def test_reset_leaves_them() -> None:
    assert run([text("cup"), says(("reset", {})), finish()]).result == START


def test_after_a_reset_a_dropped_one_that_is_found_again_has_its_id_and_no_other_object_has_it() -> None:
    script = [says(("drop_masks", {"ids": [4, 9]})), says(("reset", {})), text("cup plate"), threshold(0.0)]
    found = ids(run([*script, finish()]))
    assert found.pop(CUP_MIDDLE) == 4
    assert sorted(found.values()) == [10, 11]


def test_they_are_the_result_where_no_round_was_recorded() -> None:
    assert run([KeyboardInterrupt()]).result == START
    with pytest.raises(SessionFailed) as caught:
        run([PolicyError("the endpoint is gone")])
    assert caught.value.trajectory.result == START
    assert Trajectory(given(), (), None).result == START


def test_they_are_no_result_where_the_policy_says_that_nothing_is_there() -> None:
    trajectory = run([finish("absent")])
    assert ending(trajectory).stop is Stop.absent
    assert trajectory.result == ()


def test_finishing_at_once_leaves_them() -> None:
    trajectory = run([finish(rating=80)])
    assert ending(trajectory).best == 0
    assert trajectory.result == START


def test_they_are_the_result_where_the_policy_rated_them_best() -> None:
    plate = text("plate", rating=90)
    on_a_limit = run([plate, text("cup", rating=40)], given(budget=Budget(max_rounds=2)))
    of_its_own = run([plate, text("cup", rating=40), finish("best_effort", rating=50)])
    for trajectory in (on_a_limit, of_its_own):
        assert ending(trajectory).best is None
        assert trajectory.result == START
    better = run([text("plate", rating=30), finish(rating=95)])
    assert boxes(better) == sorted([PLATE, CUP_MIDDLE, SPOT])


def test_without_them_the_first_rating_is_about_nothing() -> None:
    trajectory = run([text("plate", rating=90), text("cup", rating=40), finish(rating=50)], given(()))
    assert boxes(trajectory) == [CUP_LEFT]


def test_they_are_read_back_as_they_were(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    start = (START[0], replace(START[1], text="spot", score=0.25))
    with TrajectoryWriter(path) as writer:
        trajectory = run([text("cup"), finish()], given(start), recorder=writer)
    assert read_trajectory(path) == trajectory


def test_a_log_from_before_there_were_any_is_read(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with TrajectoryWriter(path) as writer:
        run([finish()], given(()), recorder=writer)
    old = path.read_bytes().replace(b', "start": []', b"", 1)
    assert old != path.read_bytes()
    path.write_bytes(old)
    assert read_trajectory(path).setup.start == ()


def test_a_session_that_was_cut_off_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    script = [text("cup"), says(("drop_masks", {"ids": [9]}), rating=20), text("plate", rating=60)]
    whole = run([*script, finish(rating=90)])
    path = tmp_path / "steps.jsonl"
    with TrajectoryWriter(path) as writer:
        run([*script[:2], KeyboardInterrupt()], recorder=writer)
    cut = read_trajectory(path)
    policy = Replay(cut.steps, then=Scripted([*script[2:], finish(rating=90)]))
    with TrajectoryWriter(path, resume=cut) as writer:
        run(policy, recorder=writer)
    again = read_trajectory(path)
    assert again.setup == whole.setup
    assert [replace(step, seconds=0) for step in again.steps] == [
        replace(step, seconds=0) for step in whole.steps
    ]
    assert again.result == whole.result


def test_going_on_from_another_start_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with TrajectoryWriter(path) as writer:
        run([KeyboardInterrupt()], recorder=writer)
    with (
        TrajectoryWriter(path, resume=read_trajectory(path)) as writer,
        pytest.raises(SessionFailed) as caught,
    ):
        run([], given(START[:1]), recorder=writer)
    assert isinstance(caught.value.__cause__, TrajectoryError)
    assert "started with other masks" in str(caught.value)


def test_replaying_starts_with_them(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    about = replace(given(), image=folder.keep_image(from_picture(IMAGE, "table.png")))
    trajectory = run([text("cup"), says(("drop_masks", {"ids": [9]})), finish()], about)
    assert replay(folder, table(), trajectory) == ()
    assert replay(folder, table(), replace(trajectory, setup=replace(about, start=()))) == (0, 1, 2)


@pytest.mark.parametrize("with_image", [True, False])
def test_the_report_shows_them(with_image: bool) -> None:
    trajectory = run([text("plate", rating=90), finish("best_effort", rating=10)])
    page = str(session_section(1, trajectory, IMAGE if with_image else None))
    assert "These masks were there before the session." in page
    assert "The result is what was shown before the first round." in page


def test_a_model_is_shown_them_in_its_first_message() -> None:
    wire = ScriptedWire([CUP, call("set_threshold", value=0.6, rating=10), FINISH])
    run(MllmPolicy(wire, settings(), memory=Memory()))
    first, second, _ = (request.messages for request in wire.requests)
    assert [message.role.value for message in first] == ["system", "user"]
    told = first[-1].text
    assert "Segment: <query>the cups</query>" in told
    assert "Note: 2 masks were there before this session and are locked; drop_masks removes wrong" in told
    assert "Locked: 4, 9" in told
    assert "Masks shown: 2" in told
    assert "The second picture shows these masks over the image." in told
    assert len(first[-1].pictures) == 2
    assert first[-1].pictures[0].tobytes() != first[-1].pictures[1].tobytes()
    assert second[: len(first)] == first
    assert "new 10" in second[-1].text


def test_a_model_is_told_of_nothing_where_there_are_none() -> None:
    wire = ScriptedWire([FINISH])
    run(MllmPolicy(wire, settings(), memory=Memory()), given(()))
    message = wire.requests[0].messages[-1]
    assert len(message.pictures) == 1
    assert "Masks shown" not in message.text


def test_masks_of_another_size_and_ids_that_are_there_twice_are_refused() -> None:
    small = masks.encode(block(0, 0, 2, 2, width=4, height=4))
    with pytest.raises(ValueError, match=r"expected masks of the image's size 80x60, got mask 3 of 4x4"):
        given([Instance(3, small, START[0].box, 1.0)])
    with pytest.raises(ValueError, match="ids that are all different"):
        given([START[0], replace(START[1], id=4)])

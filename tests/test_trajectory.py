"""A session on disk: whole, cut off, damaged, gone on with."""

import json
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from maskpilot.agent import Replay, Scripted, run_session
from maskpilot.errors import PolicyError, RunFolderError, SessionFailed, TrajectoryError
from maskpilot.trajectory import Setup, Trajectory, TrajectoryWriter, read_trajectory
from maskpilot.types import Budget, Decision, Seen, SeenPicture, Stop, ToolCall, Usage
from tests.agent.sessions import IMAGE, boxes, finish, run, says, setup, text, threshold
from tests.shapes import CUP_LEFT, CUP_MIDDLE, table

SCRIPT = [
    text("cup"),
    says(("add_positive_box", {"x0": 30, "y0": 5, "x1": 50, "y1": 25}), rating=40),
    Decision((ToolCall("zoom", {"x0": 0, "y0": 0, "x1": 9, "y1": 9}, "call-7"),), "ünïcode 看 \udc80", 50.0),
    Decision(
        problems=("not JSON",),
        usage=Usage(calls=1, prompt_tokens=9, cost=0.1),
        seen=Seen("Round 4", (SeenPicture("a" * 64, 80, 60),)),
    ),
    says(("finish", {"verdict": "complete"}), objections=("mask 2 is wrong",), unchecked="down"),
    says(("keep_masks", {"ids": [1]}), ("drop_masks", {"ids": [2]})),
    finish(rating=70),
]


def recorded(path: Path, script: list[Decision] = SCRIPT) -> Trajectory:
    with TrajectoryWriter(path) as writer:
        return run(script, recorder=writer, budget=Budget(max_rounds=len(script), max_seconds=60))


def test_a_session_is_read_back_as_it_was(tmp_path: Path) -> None:
    trajectory = recorded(tmp_path / "steps.jsonl")
    assert read_trajectory(tmp_path / "steps.jsonl") == trajectory


def test_every_step_is_on_disk_before_the_next_one_starts(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    on_disk: list[int] = []

    class Watching(Scripted):
        def decide(self, observation):  # type: ignore[no-untyped-def]
            on_disk.append(len(read_trajectory(path).steps))
            return super().decide(observation)

    with TrajectoryWriter(path) as writer:
        run_session(setup(), IMAGE, table().open(IMAGE), Watching(SCRIPT), recorder=writer)
    assert on_disk == list(range(len(SCRIPT)))


@pytest.mark.parametrize("lost", [1, 10, 200])
def test_a_session_that_was_cut_off_gives_its_whole_steps_and_its_best_result(
    tmp_path: Path, lost: int
) -> None:
    path = tmp_path / "steps.jsonl"
    whole = recorded(path, [text("cup"), threshold(0.3, rating=80), text("plate", rating=10)])
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:-lost])
    cut = read_trajectory(path)
    assert cut.steps == whole.steps[:2]
    assert cut.ending is None
    assert boxes(cut) == [CUP_LEFT]


def test_replaying_gives_the_same_masks_bit_for_bit(tmp_path: Path) -> None:
    trajectory = recorded(tmp_path / "steps.jsonl")
    again = run(Replay(trajectory.steps))
    assert [step.instances for step in again.steps] == [step.instances for step in trajectory.steps]
    assert again.result == trajectory.result


def test_a_session_that_was_cut_off_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    recorded(path)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    cut = read_trajectory(path)
    rest = Scripted([threshold(0.3), finish()])
    with TrajectoryWriter(path, resume=cut) as writer:
        run_session(setup(), IMAGE, table().open(IMAGE), Replay(cut.steps, then=rest), recorder=writer)
    whole = read_trajectory(path)
    assert rest.is_used_up
    assert [step.index for step in whole.steps] == [0, 1, 2, 3]
    assert whole.steps[:2] == cut.steps
    assert boxes(whole) == [CUP_LEFT, CUP_MIDDLE]


def test_a_session_that_ended_on_a_limit_can_go_on(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with TrajectoryWriter(path) as writer:
        run([text("cup")], recorder=writer, budget=Budget(max_rounds=1))
    ended = read_trajectory(path)
    with TrajectoryWriter(path, resume=ended) as writer:
        run(Replay(ended.steps, then=Scripted([finish()])), recorder=writer)
    whole = read_trajectory(path)
    assert whole.ending is not None
    assert whole.ending.stop is Stop.finished
    assert len(path.read_bytes().splitlines()) == 4


def test_going_on_with_another_segmenter_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    trajectory = recorded(path)
    other = replace(trajectory.steps[0], instances=())
    claimed = replace(trajectory, steps=(other, *trajectory.steps[1:]), ending=None)
    with TrajectoryWriter(path, resume=claimed) as writer, pytest.raises(SessionFailed, match="other masks"):
        run(Replay(trajectory.steps), recorder=writer)


def test_a_replay_that_is_used_up_says_so() -> None:
    with pytest.raises(SessionFailed, match="has 1 rounds") as caught:
        run(Replay(run([text("cup")], budget=Budget(max_rounds=1)).steps))
    assert isinstance(caught.value.__cause__, PolicyError)


def test_an_existing_file_is_never_written_over(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_text("precious")
    with pytest.raises(RunFolderError, match="File exists"):
        TrajectoryWriter(path)
    assert path.read_text() == "precious"


def test_a_full_disk_is_an_error_that_says_what_to_do_and_leaves_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    with TrajectoryWriter(path) as writer:
        writer.start(setup())
        with room_for(path.stat().st_size + 50), pytest.raises(SessionFailed) as caught:
            run([text("cup")], recorder=StartedAlready(writer))
    assert "Make room, then go on with --resume" in str(caught.value)
    assert boxes(caught.value.trajectory) == [CUP_LEFT]
    assert read_trajectory(path).steps == ()
    assert path.read_bytes().endswith(b"\n")


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """Let files grow to `size` bytes only: writing more fails half-way, as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class StartedAlready:
    """A recorder whose first record is written."""

    def __init__(self, writer: TrajectoryWriter) -> None:
        self.step, self.end = writer.step, writer.end

    def start(self, setup: Setup) -> None: ...


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "line 1 is not the start"),
        (b"{}\n", "line 1 is not the start"),
        (b"[1]\n", "line 1 is not a record"),
        (b"\xff\xfe\n", "line 1 is not JSON"),
        (b"[" * 100_000 + b"\n", "line 1 is not JSON"),
        (b'{"kind": "setup", "schema": 99}\n', "has schema 99, this version reads 1"),
        (b'{"kind": "setup", "schema": 1}\n', "line 1 is not a record of a session"),
    ],
)
def test_a_file_that_is_not_a_session_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "steps.jsonl"
    path.write_bytes(content)
    with pytest.raises(TrajectoryError, match=message):
        read_trajectory(path)


def test_damage_in_the_middle_is_named_by_its_line(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    recorded(path)
    path.write_bytes(path.read_bytes().replace(b'"locked"', b'"lucked"', 1))
    with pytest.raises(TrajectoryError, match="line 2"):
        read_trajectory(path)


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [(1, "query", 5), (1, "policy", None), (1, "segmenter", []), (1, "versions", "1"), (2, "prompts", 5)],
)
def test_values_of_other_kinds_are_damage(tmp_path: Path, line: int, name: str, value: object) -> None:
    path = tmp_path / "steps.jsonl"
    recorded(path)
    records = [json.loads(text) for text in path.read_text().splitlines()]
    records[line - 1][name] = value
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    with pytest.raises(TrajectoryError, match=f"line {line} is not a record"):
        read_trajectory(path)


def test_a_text_of_another_kind_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    recorded(path)
    path.write_bytes(path.read_bytes().replace(b'"prompts": {"text": "cup"', b'"prompts": {"text": 5', 1))
    with pytest.raises(TrajectoryError, match="line 2 is not a record"):
        read_trajectory(path)


def test_a_mask_of_other_pixels_than_the_image_has_is_damage(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    counts = recorded(path).steps[0].instances[0].mask.counts
    for damaged in (counts[:-1], counts + b"0", b"zz"):
        path.write_bytes(path.read_bytes().replace(counts, damaged, 1))
        with pytest.raises(TrajectoryError, match="line 2"):
            read_trajectory(path)
        path.write_bytes(path.read_bytes().replace(damaged, counts, 1))


def test_an_ending_that_names_a_round_that_is_not_there_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "steps.jsonl"
    recorded(path)
    path.write_bytes(path.read_bytes().replace(b'"best": 6', b'"best": 99'))
    with pytest.raises(TrajectoryError, match="best of 7 rounds is said to be 99"):
        read_trajectory(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(TrajectoryError, match=r"nowhere\.jsonl: cannot be read"):
        read_trajectory(tmp_path / "nowhere.jsonl")


def test_ctrl_c_before_anything_was_recorded_leaves_no_ending_of_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        monkeypatch.undo()
        raise KeyboardInterrupt

    path = tmp_path / "steps.jsonl"
    monkeypatch.setattr("maskpilot.trajectory.files.append_line", interrupted)
    with TrajectoryWriter(path) as writer:
        trajectory = run([], recorder=writer)
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.interrupted
    assert path.read_bytes() == b""

"""One query on one image in a run folder: what is left there, and what going on leaves alone."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from maskpilot.agent import OneShot, Scripted
from maskpilot.demo import Sample, demo_tasks, run_demo
from maskpilot.errors import BudgetReached, InvalidInput, SessionFailed
from maskpilot.images import from_picture
from maskpilot.refine import prepare, read_session, refine, replay, resumable
from maskpilot.runfolder import RUN, RunFolder
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter, FakeSession
from maskpilot.tools import CORE
from maskpilot.trajectory import Ending, Setup, Step, Trajectory, read_trajectory
from maskpilot.types import Budget, Decision, Stop, Usage
from tests.agent.sessions import IMAGE, boxes, finish, text, threshold
from tests.shapes import CUP_LEFT, CUP_MIDDLE, block, table

TABLE = from_picture(IMAGE, "table.png")
CUPS = [CUP_LEFT, CUP_MIDDLE]
SCRIPT = [text("plate"), text("cup", rating=10), threshold(0.3, rating=50), threshold(0.1, rating=90)]
ANOTHER = FakeSegmenter([FakeObject(block(0, 0, 9, 9), frozenset({"plate"}), 0.9)])


def cups(
    folder: RunFolder,
    script: Sequence[Decision | BaseException],
    *,
    segmenter: FakeSegmenter | None = None,
    max_rounds: int = 9,
    resume: bool = False,
) -> Trajectory:
    policy, segmenter = Scripted(script), segmenter or table()
    setup = prepare("cups", TABLE, policy=policy, segmenter=segmenter, budget=Budget(max_rounds=max_rounds))
    earlier = resumable(folder, "cups", TABLE, policy=policy) if resume else None
    return refine(setup, TABLE, segmenter, policy, folder, resume=earlier)


@pytest.fixture
def cut_short(tmp_path: Path) -> RunFolder:
    """A run that a limit ended after four rounds; the third was rated best."""
    folder = RunFolder.create(tmp_path / "run")
    assert boxes(cups(folder, SCRIPT, max_rounds=4)) == CUPS
    return folder


def on_disk(folder: RunFolder) -> tuple[int, int, list[tuple[int, ...]]]:
    """Rounds, annotations and the boxes of the result."""
    recorded = read_trajectory(folder.steps)
    annotations = json.loads((folder.path / "instances.json").read_text())["annotations"]
    return len(recorded.steps), len(annotations), boxes(recorded)


def test_a_run_goes_on_to_its_end(cut_short: RunFolder) -> None:
    trajectory = cups(cut_short, [finish(rating=90)], resume=True)
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.finished
    assert on_disk(cut_short) == (5, 2, CUPS)


def test_rounds_that_are_repeated_have_taken_what_they_took_before(cut_short: RunFolder) -> None:
    lines = [json.loads(line) for line in cut_short.steps.read_text().splitlines()]
    slow = [{**line, "seconds": 60.0} if line["kind"] == "step" else line for line in lines]
    cut_short.steps.write_text("".join(json.dumps(line) + "\n" for line in slow))
    trajectory = cups(cut_short, [finish(rating=90)], resume=True)
    assert trajectory.ending is not None
    assert 240 < trajectory.ending.seconds < 300


def test_going_on_with_another_segmenter_fails_and_leaves_the_result_alone(cut_short: RunFolder) -> None:
    with pytest.raises(SessionFailed, match="other masks") as caught:
        cups(cut_short, [], segmenter=ANOTHER, resume=True)
    assert boxes(caught.value.trajectory) == CUPS
    assert on_disk(cut_short) == (4, 2, CUPS)


def test_a_limit_below_what_is_recorded_leaves_the_result_alone(cut_short: RunFolder) -> None:
    trajectory = cups(cut_short, [], max_rounds=1, resume=True)
    assert (len(trajectory.steps), boxes(trajectory)) == (4, CUPS)
    assert on_disk(cut_short) == (4, 2, CUPS)


class Interrupted(FakeSegmenter):
    """Ctrl-C comes while it is asked for the first time."""

    def open(self, image: Image.Image) -> FakeSession:
        opened = super().open(image)
        opened.segment = interrupt  # type: ignore[method-assign, assignment]
        return opened


def interrupt(prompts: object) -> None:
    raise KeyboardInterrupt


def test_ctrl_c_before_the_recorded_rounds_are_repeated_leaves_the_result_alone(cut_short: RunFolder) -> None:
    trajectory = cups(cut_short, [], segmenter=Interrupted([]), resume=True)
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.interrupted
    assert boxes(trajectory) == CUPS
    assert on_disk(cut_short) == (4, 2, CUPS)


def test_ctrl_c_while_a_run_is_replayed_finds_no_other_masks(cut_short: RunFolder) -> None:
    with pytest.raises(KeyboardInterrupt):
        replay(cut_short, Interrupted([]), read_session(cut_short))


def test_ctrl_c_ends_the_demo_and_no_half_session_is_scored(tmp_path: Path) -> None:
    done: list[Sample] = []
    with pytest.raises(KeyboardInterrupt):
        run_demo(RunFolder.create(tmp_path), Interrupted([]), demo_tasks()[:2], watch=done.append)
    assert done == []


def test_a_finished_run_whose_results_were_not_written_is_gone_on_with(cut_short: RunFolder) -> None:
    policy = Scripted([finish("best_effort", rating=95)])
    setup = prepare("cups", TABLE, policy=policy, segmenter=table())
    earlier = resumable(cut_short, "cups", TABLE, policy=policy)
    with pytest.raises(KeyboardInterrupt):
        refine(setup, TABLE, table(), policy, cut_short, resume=earlier, watch=KilledAtTheEnd())
    cups(cut_short, [], resume=True)
    assert on_disk(cut_short) == (5, 2, CUPS)
    assert "best_effort" in (cut_short.path / "report.html").read_text()
    with pytest.raises(InvalidInput, match="this run is finished"):
        cups(cut_short, [], resume=True)


class KilledAtTheEnd:
    """Ends the process when the session has ended and nothing of its result is written."""

    def start(self, setup: Setup) -> None: ...

    def step(self, step: Step) -> None: ...

    def end(self, ending: Ending) -> None:
        raise KeyboardInterrupt


PAID = Usage(calls=1, prompt_tokens=50, cost=0.25)


def paid(decision: Decision) -> Decision:
    return replace(decision, usage=PAID)


def test_what_an_interrupted_decision_cost_still_counts_when_the_run_goes_on(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    cut = cups(folder, [paid(text("cup")), BudgetReached(Stop.interrupted, usage=PAID)])
    assert cut.ending is not None
    assert (cut.ending.stop, cut.ending.usage.cost) == (Stop.interrupted, 0.5)
    whole = cups(folder, [paid(finish())], resume=True)
    assert whole.ending is not None
    assert (whole.usage.cost, whole.ending.usage.cost) == (0.5, 0.75)
    assert read_trajectory(folder.steps).ending == whole.ending


def test_a_run_that_goes_on_is_limited_by_what_an_interrupted_decision_cost(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    cups(folder, [paid(text("cup")), BudgetReached(Stop.interrupted, usage=PAID)])
    script = [paid(threshold(0.3))]
    policy = Scripted(script)
    setup = prepare("cups", TABLE, policy=policy, segmenter=table(), budget=Budget(max_cost=0.75))
    earlier = resumable(folder, "cups", TABLE, policy=policy)
    whole = refine(setup, TABLE, table(), policy, folder, resume=earlier)
    assert whole.ending is not None
    assert whole.ending.stop is Stop.max_cost
    assert policy.is_used_up


def test_a_run_whose_limit_was_spent_before_ends_with_what_it_has(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    cups(folder, [paid(text("cup")), BudgetReached(Stop.interrupted, usage=PAID)])
    policy = Scripted([])
    setup = prepare("cups", TABLE, policy=policy, segmenter=table(), budget=Budget(max_cost=0.25))
    earlier = resumable(folder, "cups", TABLE, policy=policy)
    trajectory = refine(setup, TABLE, table(), policy, folder, resume=earlier)
    assert trajectory.ending is not None
    assert (trajectory.ending.stop, trajectory.ending.usage.cost) == (Stop.max_cost, 0.5)
    assert boxes(trajectory) == [CUP_LEFT]


def test_what_failed_decisions_cost_is_kept_though_the_run_cannot_be_gone_on_with(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run")
    cups(folder, [paid(text("cup")), BudgetReached(Stop.interrupted, usage=PAID)])
    for _ in range(2):
        with pytest.raises(SessionFailed, match="other masks") as caught:
            cups(folder, [], segmenter=ANOTHER, resume=True)
        assert caught.value.trajectory.ending is not None
        assert caught.value.trajectory.ending.usage.cost == 0.5


def test_another_policy_or_other_tools_do_not_go_on_with_a_run(cut_short: RunFolder) -> None:
    with pytest.raises(InvalidInput, match="holds a run with --policy scripted"):
        resumable(cut_short, "cups", TABLE, policy=OneShot())
    with pytest.raises(InvalidInput, match="holds a run with other --tools"):
        resumable(cut_short, "cups", TABLE, policy=Scripted([]), tools=CORE)


def test_another_model_does_not_go_on_with_a_run(tmp_path: Path) -> None:
    def asks(model: str) -> Scripted:
        policy = Scripted([text("cup"), KeyboardInterrupt()])
        policy.description = {**policy.description, "wire": {"model": model}}
        return policy

    folder, first = RunFolder.create(tmp_path / "run"), asks("small")
    refine(prepare("cups", TABLE, policy=first, segmenter=table()), TABLE, table(), first, folder)
    assert resumable(folder, "cups", TABLE, policy=asks("small")) is not None
    with pytest.raises(InvalidInput, match="holds a run with --model small; go on with the same one"):
        resumable(folder, "cups", TABLE, policy=asks("large"))


@pytest.mark.parametrize(
    ("last", "stop"),
    [([Decision(refused=True)], "refused"), ([Decision()] * 3, "repeated_errors")],
)
def test_a_run_that_would_only_end_the_same_way_again_is_not_gone_on_with(
    tmp_path: Path, last: list[Decision], stop: str
) -> None:
    folder = RunFolder.create(tmp_path / "run")
    cups(folder, [text("cup"), *last])
    with pytest.raises(InvalidInput, match=rf"this run is finished \({stop}\); nothing is left"):
        cups(folder, [], resume=True)


def test_a_run_of_another_command_is_not_gone_on_with(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path)
    folder.write_json(RUN, {"schema": 1, "command": "demo"})
    with pytest.raises(InvalidInput, match="holds another kind of run"):
        resumable(folder, "cups", TABLE, policy=OneShot())

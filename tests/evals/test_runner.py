"""The runner: every sample once, whatever happens on the way."""

import json
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskpilot import masks
from maskpilot.agent import Observation, OneShot, OracleErrors, Policy
from maskpilot.errors import (
    BudgetReached,
    DatasetError,
    InvalidInput,
    PolicyError,
    RunFolderError,
    SegmenterError,
)
from maskpilot.evals.compare import compare
from maskpilot.evals.notices import run_notices
from maskpilot.evals.pilots import Pilot, one_shot, oracle, replay, seed_of
from maskpilot.evals.plan import Plan, select
from maskpilot.evals.progress import Standing
from maskpilot.evals.results import RESULTS, read_results
from maskpilot.evals.run import Ended, Run, read_run
from maskpilot.evals.summary import summarise, summary_record
from maskpilot.evals.types import Sample, Truth
from maskpilot.runfolder import locked
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter, FakeSession
from maskpilot.trajectory import read_trajectory
from maskpilot.types import Budget, Decision, Detections, PromptState, Stop, ToolCall, Usage
from tests.evals.tables import ANSWERS, Tables, Told, evaluate
from tests.shapes import CUP_LEFT, CUP_MIDDLE, block, rle, table


@pytest.fixture
def _ctrl_c_counts() -> Iterator[None]:
    """As in a terminal, also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def ious(run: Run) -> dict[str, float]:
    return {outcome.score.sample: outcome.score.values["iou"] for outcome in run.answered}


def without_times(run: Run) -> list[dict[str, Any]]:
    """What two runs must agree on."""
    plain = []
    for outcome in run.outcomes:
        values = {name: value for name, value in outcome.score.values.items() if name != "seconds"}
        plain.append({"number": outcome.number, "sample": outcome.score.sample, **values})
    return plain


class Paid:
    """A policy that costs something per decision; it may fail or wait at a round."""

    description: Mapping[str, Any] = {"name": "paid"}

    def __init__(self, spent: list[str], sample: Sample, cost: float = 0.01, trouble: Any = None) -> None:
        self._one_shot, self._spent, self._sample = OneShot(), spent, sample
        self._cost, self._trouble = cost, trouble

    def decide(self, observation: Observation) -> Decision:
        if self._trouble:
            self._trouble(self._sample, len(observation.steps))
        self._spent.append(self._sample.id)
        said = self._one_shot.decide(observation)
        usage = Usage(calls=1, prompt_tokens=100, completion_tokens=10, cost=self._cost)
        return Decision(said.calls, usage=usage)


def paid(spent: list[str], trouble: Any = None) -> Pilot:
    return Pilot(lambda sample, truth: Paid(spent, sample, trouble=trouble), {"name": "paid"})


def test_every_sample_is_answered_and_scored(tmp_path: Path) -> None:
    run = evaluate(tmp_path / "run", Tables(8))
    assert run.complete
    assert set(ious(run).values()) == {1.0}
    values = run.outcomes[0].score.values
    assert values["one_shot_iou"] == pytest.approx(0.5)
    assert values["iou_per_round"][-1] == 1.0
    assert values["said_so"]


def test_many_workers_give_the_same_as_one(tmp_path: Path) -> None:
    pilot = oracle(OracleErrors.at_rate(0.4), seed=5)
    alone = evaluate(tmp_path / "alone", Tables(24), pilot, workers=1)
    crowd = evaluate(tmp_path / "crowd", Tables(24), pilot, workers=6)
    assert without_times(alone) == without_times(crowd)
    assert len(set(ious(alone).values())) > 2


def test_an_image_is_opened_once_for_all_its_queries(tmp_path: Path) -> None:
    for workers in (1, 3, 8):
        dataset = Tables(16)
        evaluate(tmp_path / str(workers), dataset, workers=workers)
        assert sorted(dataset.opened) == ["i0", "i1", "i2", "i3"]


def test_a_policy_never_sees_the_truth_unless_it_is_an_oracle(tmp_path: Path) -> None:
    seen: list[Truth | None] = []

    def make(sample: Sample, truth: Truth | None) -> Policy:
        seen.append(truth)
        return OneShot()

    evaluate(tmp_path / "run", Tables(4), Pilot(make, {"name": "curious"}))
    assert seen == [None] * 4
    with pytest.raises(ValueError, match="must say so"):
        Pilot(make, {"name": "curious"}, sees_truth=True)
    record = summary_record(*_summarised(evaluate(tmp_path / "oracle", Tables(4))))
    assert record["sees_truth"]
    assert record["simulated"]


def _summarised(run: Run) -> Any:
    return run, summarise(run)


def test_failed_samples_stand_beside_the_mean(tmp_path: Path) -> None:
    run = evaluate(tmp_path / "run", Tables(12, broken=["s0001", "i2"]), watch=(told := Told()))
    assert run.complete
    assert [outcome.score.sample for outcome in run.failed] == ["s0001", "s0008", "s0009", "s0010", "s0011"]
    assert any("s0001: no truth" in note for note in told.notes)
    record = summary_record(*_summarised(run))
    assert (record["samples"], record["scored"], record["failed"]) == (12, 7, 5)
    assert record["metrics"]["giou"]["samples"] == 7
    assert record["failures"][0] == {"sample": "s0001", "error": "s0001: no truth"}


@pytest.mark.parametrize(("absent", "told"), [("1", True), ("all", False)])
def test_precision_over_some_absent_classes_is_no_official_one(
    absent: str, told: bool, tmp_path: Path
) -> None:
    class Classes(Tables):
        metrics = ("ap",)

        @property
        def facts(self) -> Mapping[str, str]:
            return {"negatives per image": absent}

    notices = run_notices(evaluate(tmp_path / "run", Classes(4)))
    assert any("not COCO's AP" in notice for notice in notices) == told


def test_failures_count_as_the_worst_answer_only_when_asked(tmp_path: Path) -> None:
    def trouble(sample: Sample, round_: int) -> None:
        if sample.id in ("s0000", "s0003"):
            raise PolicyError("the endpoint is gone")

    plain = evaluate(tmp_path / "run", Tables(4), paid([], trouble))
    counted = read_run(tmp_path / "run", failures_as_zero=True)
    # "cup" finds half, "plate" all, "mug" nothing, "spoon" (nothing is there) nothing
    assert ious(plain) == {"s0001": 1.0, "s0002": 0.0}
    before, after = summarise(plain).official["giou"], summarise(counted).official["giou"]
    assert before is not None
    assert after is not None
    assert (before.value, before.samples) == (0.5, 2)
    assert (after.value, after.samples) == (0.25, 4)
    assert summary_record(*_summarised(counted))["failures_counted_as_zero"]


def test_a_failure_does_not_count_as_right_where_all_that_was_to_be_found_is_ignored(tmp_path: Path) -> None:
    class Ignored(Tables):
        def truth(self, sample: Sample) -> Truth:
            return replace(super().truth(sample), ignore=rle(*CUP_MIDDLE))

    def trouble(sample: Sample, round_: int) -> None:
        raise PolicyError("the endpoint is gone")

    evaluate(tmp_path / "run", Ignored(4), paid([], trouble))
    counted = read_run(tmp_path / "run", failures_as_zero=True)
    assert [(score.query, score.values["iou"]) for score in counted.scores] == [
        ("cup", 0.0),
        ("plate", 0.0),
        ("mug", 0.0),  # the cup in the middle, of which no pixel counts
        ("spoon", 0.0),
    ]


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_it_goes_on_where_it_was_stopped(tmp_path: Path) -> None:
    def stop(standing: Standing) -> None:
        if standing.done == 3:
            signal.raise_signal(signal.SIGINT)

    part = evaluate(tmp_path / "run", Tables(12), workers=2, watch=(told := Told(stop)))
    assert 3 <= len(part.outcomes) < 12
    assert not part.complete
    assert any("Ctrl-C again" in note for note in told.notes)
    assert part.ended is Ended.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    whole = evaluate(tmp_path / "run", Tables(12), workers=2, resume=True, watch=(told := Told()))
    assert told.standings[0].done == len(part.outcomes)
    assert without_times(whole) == without_times(evaluate(tmp_path / "other", Tables(12)))


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_a_second_interrupt_leaves_at_once(tmp_path: Path) -> None:
    def stop(standing: Standing) -> None:
        if standing.done:
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        evaluate(tmp_path / "run", Tables(12), workers=3, watch=Told(stop))


def test_resuming_a_complete_run_asks_nothing(tmp_path: Path) -> None:
    spent: list[str] = []
    first = evaluate(tmp_path / "run", Tables(4), paid(spent))
    asked = len(spent)
    again = evaluate(tmp_path / "run", Tables(4), paid(spent), resume=True)
    assert len(spent) == asked == 8
    assert again.outcomes == first.outcomes


def test_rounds_that_were_paid_for_are_not_paid_twice(tmp_path: Path) -> None:
    """Killed after a round of the third sample, and before its result was written."""
    spent: list[str] = []
    evaluate(tmp_path / "run", Tables(4), paid(spent))
    log, results = tmp_path / "run" / "sessions" / "000003.jsonl", tmp_path / "run" / RESULTS
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]) + b'{"kind": "st')
    results.write_bytes(b"".join(results.read_bytes().splitlines(keepends=True)[:2]) + b'{"number": 3, "sc')
    (tmp_path / "run" / "sessions" / "000004.jsonl").unlink()
    spent.clear()
    run = evaluate(tmp_path / "run", Tables(4), paid(spent), resume=True)
    assert spent == ["s0002", "s0003", "s0003"]
    assert run.complete
    assert run.usage.cost == pytest.approx(0.08)
    assert len(read_trajectory(log).steps) == 2


def test_a_session_that_ended_is_scored_as_it_is(tmp_path: Path) -> None:
    """Killed between the end of a session and its result."""
    spent: list[str] = []
    first = evaluate(tmp_path / "run", Tables(4), paid(spent))
    results = tmp_path / "run" / RESULTS
    results.write_bytes(b"".join(results.read_bytes().splitlines(keepends=True)[:2]))
    spent.clear()
    again = evaluate(tmp_path / "run", Tables(4), paid(spent), resume=True)
    assert spent == []
    assert without_times(again) == without_times(first)


def killed_after_one_round(folder: Path) -> Path:
    """A run of one sample whose session holds a single round; its log."""
    evaluate(folder, Tables(1), paid([]))
    log = folder / "sessions" / "000001.jsonl"
    (folder / RESULTS).write_bytes(b"")
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    return log


def test_paid_rounds_count_though_the_segmenter_gives_almost_the_same_masks(tmp_path: Path) -> None:
    killed_after_one_round(tmp_path / "run")
    spent: list[str] = []
    x0, y0, x1, y1 = CUP_LEFT
    # As from a batch of another size.
    other = FakeSegmenter([FakeObject(block(x0, y0, x1, y1 + 1), frozenset({"cup"}), 0.89)])
    run = evaluate(tmp_path / "run", Tables(1), paid(spent), resume=True, segmenter=other)
    assert spent == ["s0000"]
    assert run.usage.calls == 2


def test_what_interrupted_decisions_cost_stays_in_the_books(tmp_path: Path) -> None:
    def interrupted(sample: Sample, round_: int) -> None:
        if round_ == 1:
            raise BudgetReached(Stop.interrupted, usage=Usage(calls=1, cost=0.5))

    first = evaluate(tmp_path / "run", Tables(1), paid([], interrupted))
    assert first.usage.cost == pytest.approx(0.51)
    again = evaluate(tmp_path / "run", Tables(1), paid([], interrupted), resume=True)
    assert again.usage.cost == pytest.approx(1.01)
    whole = evaluate(tmp_path / "run", Tables(1), paid([]), resume=True)
    assert whole.complete
    assert whole.usage.cost == pytest.approx(1.02)
    assert evaluate(tmp_path / "run", Tables(1), paid([]), resume=True).usage == whole.usage


def test_what_interrupted_decisions_cost_takes_no_round_away_that_was_paid_for(tmp_path: Path) -> None:
    def interrupted(sample: Sample, round_: int) -> None:
        if round_ == 1:
            raise BudgetReached(Stop.interrupted, usage=Usage(calls=1, cost=0.5))

    limits = Budget(max_cost=0.4)
    part = evaluate(tmp_path / "run", Tables(1), paid([], interrupted), budget=limits)
    whole = evaluate(tmp_path / "run", Tables(1), paid([]), budget=limits, resume=True)
    assert whole.complete
    values = whole.outcomes[0].score.values
    assert (values["stop"], values["rounds"], values["iou"]) == ("max_cost", 1, 0.5)
    assert whole.usage == part.usage


def test_what_a_failed_sample_costs_when_it_is_tried_again_is_in_the_books(tmp_path: Path) -> None:
    def fails(sample: Sample, round_: int) -> None:
        if round_ == 1:
            raise PolicyError("cut off", usage=Usage(calls=1, cost=0.25))

    class Stops(Paid):
        """One more round, and the run is stopped."""

        def decide(self, observation: Observation) -> Decision:
            if len(observation.steps) == 2:
                raise BudgetReached(Stop.interrupted)
            again = ToolCall("set_text_prompt", {"text": "plate"})
            return replace(super().decide(observation), calls=(again,))

    def again(pilot: Pilot) -> Run:
        return evaluate(tmp_path / "run", Tables(1), pilot, resume=True, retry_failed=True)

    stops = Pilot(lambda sample, truth: Stops([], sample), {"name": "paid"})
    assert evaluate(tmp_path / "run", Tables(1), paid([], fails)).usage.cost == pytest.approx(0.26)
    assert again(stops).usage.cost == pytest.approx(0.27)
    assert again(paid([], fails)).usage.cost == pytest.approx(0.28)  # no failure left
    assert read_run(tmp_path / "run").complete


def test_a_decision_that_came_to_nothing_is_paid_for_once_though_its_sample_fails_later(
    tmp_path: Path,
) -> None:
    def interrupted(sample: Sample, round_: int) -> None:
        if round_ == 1:
            raise BudgetReached(Stop.interrupted, usage=Usage(calls=1, cost=0.5))

    class Once(FakeSession):
        """Segments the round that is left, and fails when the query alone is asked for."""

        asked = 0

        def segment(self, prompts: PromptState) -> Detections:
            self.asked += 1
            if self.asked > 1:
                raise SegmenterError("the device is gone")
            return super().segment(prompts)

    class Breaks(FakeSegmenter):
        def open(self, image: Any) -> FakeSession:
            return Once(self, image.size)

    evaluate(tmp_path / "run", Tables(1), paid([], interrupted))
    breaks = Breaks(table().objects)
    failed = evaluate(tmp_path / "run", Tables(1), paid([]), segmenter=breaks, resume=True)
    assert len(failed.failed) == 1
    whole = evaluate(tmp_path / "run", Tables(1), paid([]), resume=True, retry_failed=True)
    assert whole.complete
    assert failed.usage == whole.usage
    assert whole.usage.cost == pytest.approx(0.52)


def test_paid_rounds_have_taken_what_they_took_before(tmp_path: Path) -> None:
    log = killed_after_one_round(tmp_path / "run")
    setup, step = (json.loads(line) for line in log.read_text().splitlines())
    log.write_text(json.dumps(setup) + "\n" + json.dumps({**step, "seconds": 60.0}) + "\n")
    run = evaluate(tmp_path / "run", Tables(1), paid([]), resume=True)
    assert 60 <= run.outcomes[0].score.values["seconds"] < 90


def test_paid_rounds_that_no_longer_fit_are_decided_anew(tmp_path: Path) -> None:
    log = killed_after_one_round(tmp_path / "run")
    log.write_text(log.read_text().replace('"instances": [{"id": 1,', '"instances": [{"id": 7,'))
    spent: list[str] = []
    run = evaluate(tmp_path / "run", Tables(1), paid(spent), resume=True)
    assert spent == ["s0000", "s0000"]
    assert [one.number for one in run.answered] == [1]
    assert run.usage.calls == 3


def test_failed_samples_are_tried_again_when_asked(tmp_path: Path) -> None:
    down = True

    def trouble(sample: Sample, round_: int) -> None:
        if down and sample.id == "s0001" and round_ == 1:
            raise PolicyError("the endpoint is gone")

    spent: list[str] = []
    first = evaluate(tmp_path / "run", Tables(3), paid(spent, trouble))
    assert [outcome.score.sample for outcome in first.failed] == ["s0001"]
    assert first.usage.cost == pytest.approx(0.05)  # the failed one cost a request
    down = False
    left = evaluate(tmp_path / "run", Tables(3), paid(spent, trouble), resume=True)
    assert len(left.failed) == 1
    spent.clear()
    again = evaluate(tmp_path / "run", Tables(3), paid(spent, trouble), resume=True, retry_failed=True)
    assert not again.failed
    assert spent == ["s0001"]  # its first round was paid for already
    assert again.usage.cost == pytest.approx(0.06)


def test_what_a_failed_decision_cost_counts(tmp_path: Path) -> None:
    down = True

    def trouble(sample: Sample, round_: int) -> None:
        if down and sample.id == "s0001" and round_ == 1:
            raise PolicyError("cut off", usage=Usage(calls=1, cost=0.5))

    assert evaluate(tmp_path / "run", Tables(3), paid([], trouble)).usage.cost == pytest.approx(0.55)
    down = False
    options = {"resume": True, "retry_failed": True}
    again = evaluate(tmp_path / "run", Tables(3), paid([], trouble), watch=(told := Told()), **options)
    assert not again.failed
    assert again.usage.cost == told.standings[-1].cost == pytest.approx(0.56)
    once_more = evaluate(tmp_path / "run", Tables(3), paid([]), resume=True)
    assert once_more.usage == again.usage


def test_a_sample_that_cannot_be_scored_has_cost_all_the_same(tmp_path: Path) -> None:
    class Other(Tables):
        def truth(self, sample: Sample) -> Truth:
            found = super().truth(sample)
            return Truth(((masks.encode(np.ones((2, 2), np.bool_)),),)) if sample.id == "s0001" else found

    run = evaluate(tmp_path / "run", Other(3), paid([]))
    assert [outcome.score.sample for outcome in run.failed] == ["s0001"]
    assert "expected masks of" in run.failed[0].score.error
    assert run.usage.cost == pytest.approx(0.06)


def test_a_truth_that_cannot_be_read_fails_alone(tmp_path: Path) -> None:
    class Gone(Tables):
        def truth(self, sample: Sample) -> Truth:
            if sample.id == "s0001":
                raise OSError("the drive is gone")
            return super().truth(sample)

    run = evaluate(tmp_path / "run", Gone(4), paid([]), failures_as_zero=True)
    assert [outcome.score.error for outcome in run.failed] == ["OSError: the drive is gone"]
    assert len(run.scores) == 3


def test_a_run_stops_at_its_cost_and_goes_on_with_more(tmp_path: Path) -> None:
    spent: list[str] = []
    told = Told()
    part = evaluate(tmp_path / "run", Tables(12), paid(spent), max_cost=0.05, watch=told)
    assert len(spent) == 5
    assert len(part.outcomes) == 2
    assert any("--max-cost" in note for note in told.notes)
    whole = evaluate(tmp_path / "run", Tables(12), paid(spent), max_cost=10, resume=True)
    assert whole.complete
    assert len(spent) == 24
    assert whole.usage.cost == pytest.approx(0.24)


def test_it_stops_when_everything_fails(tmp_path: Path) -> None:
    class Down(FakeSegmenter):
        def open(self, image: Any) -> FakeSession:
            raise SegmenterError("the device is gone")

    told = Told()
    run = evaluate(tmp_path / "run", Tables(60), segmenter=Down([]), watch=told)
    assert len(run.failed) == 20
    assert any("in a row failed" in note for note in told.notes)


def test_two_runs_in_one_folder_are_refused(tmp_path: Path) -> None:
    with locked(tmp_path / "run"), pytest.raises(RunFolderError, match="another run is writing"):
        evaluate(tmp_path / "run", Tables(4))
    assert evaluate(tmp_path / "run", Tables(4)).complete


def test_changed_settings_are_refused_and_shown(tmp_path: Path) -> None:
    evaluate(tmp_path / "run", Tables(4))
    with pytest.raises(RunFolderError, match=r"budget.max_rounds: was 20, now 7"):
        evaluate(tmp_path / "run", Tables(4), budget=Budget(max_rounds=7), resume=True)
    with pytest.raises(RunFolderError, match=r"policy.name: was oracle, now one_shot"):
        evaluate(tmp_path / "run", Tables(4), one_shot(), resume=True)
    with pytest.raises(RunFolderError, match=r"dataset.sha256: was"):
        evaluate(tmp_path / "run", Tables(4, queries={"s0002": "a mug"}), resume=True)
    with pytest.raises(RunFolderError, match="--overwrite"):
        evaluate(tmp_path / "run", Tables(4))
    assert evaluate(tmp_path / "run", Tables(4), one_shot(), overwrite=True).complete


def test_scores_by_old_and_new_truths_are_not_mixed(tmp_path: Path) -> None:
    evaluate(tmp_path / "run", Tables(4))
    moved = Tables(8, answers={**ANSWERS, "plate": (CUP_LEFT,)})
    with pytest.raises(RunFolderError, match=r"scored 1 sample by other truths .*\(s0001\)"):
        evaluate(tmp_path / "run", Tables(4, answers=moved.answers), resume=True)
    gone = evaluate(tmp_path / "run", Tables(4, broken=["s0001"]), resume=True)
    assert gone.complete  # what is gone is not known to be another one
    other = evaluate(tmp_path / "other", moved)
    assert compare(gone, other).changed[-1] == "dataset.truths: other ones for 1 sample"
    assert not [line for line in compare(gone, gone).changed if "truths" in line]


def test_runs_that_do_not_say_by_which_truths_they_scored_are_gone_on_with(tmp_path: Path) -> None:
    evaluate(tmp_path / "run", Tables(4))
    results = tmp_path / "run" / RESULTS
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    for line in lines:
        del line["truth"]
    results.write_text("".join(json.dumps(line) + "\n" for line in lines[:2]))
    changed = Tables(4, answers={**ANSWERS, "cup": (), "plate": ()})
    assert evaluate(tmp_path / "run", changed, resume=True).complete


def test_a_failed_sample_may_get_another_truth_and_is_tried_again(tmp_path: Path) -> None:
    failed = evaluate(tmp_path / "run", Tables(4, broken=["s0001"]))
    assert len(failed.failed) == 1
    mended = Tables(4, answers={**ANSWERS, "plate": (CUP_LEFT,)})
    assert not evaluate(tmp_path / "run", mended, resume=True, retry_failed=True).failed


def test_workers_and_the_cost_limit_may_change(tmp_path: Path) -> None:
    evaluate(tmp_path / "run", Tables(4), workers=1)
    evaluate(tmp_path / "run", Tables(4), workers=3, max_cost=3, resume=True)


def test_a_limit_takes_the_same_samples_and_grows(tmp_path: Path) -> None:
    dataset = Tables(40)
    few, more = select(dataset, 5, 1), select(dataset, 20, 1)
    assert few == select(dataset, 5, 1)
    assert {sample.id for sample in few} < {sample.id for sample in more}
    assert few != select(dataset, 5, 2)
    assert len(select(dataset, None, 1)) == 40
    assert seed_of(0, "a") != seed_of(0, "b")


def test_samples_of_an_image_stay_together() -> None:
    class Mixed(Tables):
        def __iter__(self) -> Any:
            return iter(sorted(super().__iter__(), key=lambda sample: int(sample.id[1:]) % 4))

    images = [sample.image_id for sample in select(Mixed(12), None, 0)]
    assert images == ["i0"] * 4 + ["i1"] * 4 + ["i2"] * 4


def test_data_sets_that_cannot_be_run(tmp_path: Path) -> None:
    class Twice(Tables):
        def __iter__(self) -> Any:
            yield from (*super().__iter__(), *super().__iter__())

    with pytest.raises(DatasetError, match="no samples"):
        select(Tables(0), None, 0)
    with pytest.raises(DatasetError, match="the id 's0000'"):
        select(Twice(2), None, 0)
    for wrong in ({"limit": 0}, {"workers": 0}, {"max_cost": -1.0}):
        with pytest.raises(InvalidInput):
            Plan(Tables(1), table(), oracle(), **wrong)


def test_recorded_sessions_are_replayed(tmp_path: Path) -> None:
    first = evaluate(tmp_path / "first", Tables(8))
    again = evaluate(tmp_path / "again", Tables(9), replay(tmp_path / "first"))
    assert ious(again) == ious(first)
    assert again.failed[0].score.error.endswith("holds no session of sample 's0008'")
    assert again.settings["policy"]["simulated"]


def test_a_replay_costs_nothing_and_tells_what_the_recorded_sessions_cost(tmp_path: Path) -> None:
    first = evaluate(tmp_path / "first", Tables(4), paid([]))
    again = evaluate(tmp_path / "again", Tables(4), replay(tmp_path / "first"))
    assert (again.usage.calls, again.usage.tokens, again.usage.cost) == (0, 0, 0.0)
    means = summary_record(again, summarise(again))["loop"]
    assert (means["cost"]["value"], "tokens" in means) == (0.0, False)
    assert 4 * means["recorded_cost"]["value"] == pytest.approx(first.usage.cost)
    assert 4 * means["recorded_tokens"]["value"] == first.usage.tokens
    free = evaluate(tmp_path / "free", Tables(4), replay(evaluate(tmp_path / "oracle", Tables(4)).path))
    assert free.usage.cost is None
    assert not {"recorded_cost", "recorded_tokens"} & summarise(free).loop.keys()


def test_a_session_that_a_limit_ended_ends_in_its_replay_as_well(tmp_path: Path) -> None:
    first = evaluate(tmp_path / "first", Tables(4), paid([]), budget=Budget(max_tokens=100))
    again = evaluate(tmp_path / "again", Tables(4), replay(tmp_path / "first"))
    assert ious(again) == ious(first)
    assert {outcome.score.values["stop"] for outcome in again.answered} == {"max_tokens"}


def test_a_damaged_result_is_named(tmp_path: Path) -> None:
    evaluate(tmp_path / "run", Tables(3))
    path = tmp_path / "run" / RESULTS
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b'{"number": 2}\n' + lines[2])
    with pytest.raises(RunFolderError, match="line 2"):
        read_results(path)
    path.write_bytes(lines[0] + lines[1] + lines[0])
    with pytest.raises(RunFolderError, match=r"line 3 scores sample 's0000' a second time"):
        read_results(path)


def test_a_full_disk_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = os.fsync

    def full(descriptor: int) -> None:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name == RESULTS:
            raise OSError(28, "No space left on device")
        sync(descriptor)

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunFolderError, match="No space left"):
        evaluate(tmp_path / "other", Tables(4))
    assert (tmp_path / "other" / RESULTS).read_bytes() == b""
    monkeypatch.undo()
    assert evaluate(tmp_path / "other", Tables(4), resume=True).complete


def test_sessions_run_at_the_same_time(tmp_path: Path) -> None:
    """Each of four sessions waits until all four have begun."""
    barrier = threading.Barrier(4, timeout=20)

    def wait(sample: Sample, round_: int) -> None:
        if round_ == 0:
            barrier.wait()

    assert evaluate(tmp_path / "run", Tables(4), paid([], wait), workers=4).complete


def test_a_stopped_session_is_not_a_result(tmp_path: Path) -> None:
    run = evaluate(tmp_path / "run", Tables(4), paid([]), max_cost=0.03)
    log = read_trajectory(tmp_path / "run" / "sessions" / "000002.jsonl")
    assert log.ending is not None
    assert log.ending.stop is Stop.interrupted
    assert [outcome.number for outcome in run.outcomes] == [1]


def test_progress_says_all_that_matters(tmp_path: Path) -> None:
    standing = Standing(30, 2, 100, 0.6543, 12_345, 1.5, 64.0, 32)
    assert standing.line == ("30 done, 2 failed, mean IoU 0.654, 12,345 tokens, cost 1.5, 2 min 16 s to go")
    assert Standing(0, 0, 3, None, 0, None, 0.0, 0).line == "0 done, 0 failed"


def test_results_are_plain_json(tmp_path: Path) -> None:
    evaluate(tmp_path / "run", Tables(4))
    for line in (tmp_path / "run" / RESULTS).read_text().splitlines():
        assert json.loads(line)["score"]["values"]["iou"] == 1.0

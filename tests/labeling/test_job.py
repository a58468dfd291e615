"""One image and all its classes."""

import json
import pickle
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from maskpilot.agent import Observation, Policy
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.crew.control import Control
from maskpilot.crew.settings import differences
from maskpilot.errors import BudgetReached, PolicyError, RunFolderError, SegmenterError, SessionFailed
from maskpilot.images import from_picture
from maskpilot.labeling.job import Job, label_image, settings
from maskpilot.labeling.logs import SessionLogs, unlogged
from maskpilot.labeling.overlap import Overlap
from maskpilot.labeling.pilots import Pilot, mllm, one_shot
from maskpilot.labeling.types import ClassLabels, ImageLabels, LabelClass, Review
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter, FakeSession
from maskpilot.testing.scripted_wire import ScriptedWire
from maskpilot.types import Box, Budget, Decision, Stop, ToolCall, Usage
from tests.agent.sessions import finish, says, text, threshold
from tests.shapes import CUP_LEFT, CUP_MIDDLE, HEIGHT, PLATE, WIDTH, block, instance, table

PHOTO = from_picture(Image.new("RGB", (WIDTH, HEIGHT), (90, 90, 90)), "table.png")
CUP, MUG, SAUCER = LabelClass("cup"), LabelClass("mug"), LabelClass("plate")
"""Of the query alone: one of two cups is found, no mug (it scores 0.35), and the plate."""

PAID_EACH = 0.25
PAID = Usage(calls=1, prompt_tokens=100, completion_tokens=10, cost=PAID_EACH)
DONE = {"verdict": "complete", "reason": "seen", "rating": 88}
SEEN = finish("complete", 90)
LOOK = {
    "cup": [text("cup"), threshold(0.3, 40), SEEN],
    "mug": [text("mug", 5), threshold(0.3, 5), SEEN],
    "plate": [text("plate"), SEEN],
}
"""What a model does that is asked for each class."""


class Watched(FakeSegmenter):
    """Knows which images it opened, and whether they were closed."""

    def __init__(self, objects: Sequence[FakeObject]) -> None:
        super().__init__(objects)
        self.opened: list[FakeSession] = []

    def open(self, image: Image.Image) -> FakeSession:
        self.opened.append(super().open(image))
        return self.opened[-1]

    @property
    def all_closed(self) -> bool:
        return all(session._closed for session in self.opened)


class Model:
    """A pilot that does what a script for each class says; every round costs.

    Attributes:
        asked: (class, round) of every decision that was paid for.
        told: queries, by class.
    """

    def __init__(
        self,
        scripts: Mapping[str, Sequence[Decision]] = LOOK,
        trouble: Callable[[int], None] = lambda paid: None,
    ) -> None:
        self.asked: list[tuple[str, int]] = []
        self.told: dict[str, str] = {}
        self.scripts, self.trouble = scripts, trouble

    @property
    def pilot(self) -> Pilot:
        return Pilot(self._make, {"name": "model", "model": "a-model"}, reads=True)

    def _make(self, wanted: LabelClass) -> Policy:
        return _Seat(self, wanted)


class _Seat:
    description: Mapping[str, Any] = {"name": "model"}

    def __init__(self, model: Model, wanted: LabelClass) -> None:
        self._model, self._name = model, wanted.name

    def decide(self, observation: Observation) -> Decision:
        self._model.trouble(len(self._model.asked))
        number = len(observation.steps)
        self._model.told[self._name] = observation.query
        self._model.asked.append((self._name, number))
        return replace(self._model.scripts[self._name][number], usage=PAID)


def job(*classes: LabelClass, **options: Any) -> Job:
    given = {"segmenter": Watched(table().objects), "first": one_shot(), **options}
    return Job(classes or (CUP, MUG, SAUCER), **given)


def labeled(what: Job, **options: Any) -> ImageLabels:
    found = label_image(what, PHOTO, **options)
    assert found is not None
    return found


def without_times(labels: ImageLabels) -> ImageLabels:
    return replace(labels, seconds=0.0)


def boxes(one: ClassLabels) -> list[Box]:
    return [held.instance.box for held in one.labels]


def reviews(labels: ImageLabels) -> dict[str, tuple[Review, ...]]:
    return {one.name: one.review for one in labels.classes}


def test_an_image_is_opened_once_for_all_its_classes() -> None:
    segmenter = Watched(table().objects)
    found = labeled(job(segmenter=segmenter, unsure=Model().pilot))
    assert [one.name for one in found.classes] == ["cup", "mug", "plate"]
    assert found.image == PHOTO.ref
    assert len(segmenter.opened) == 1
    assert segmenter.all_closed


def test_the_query_alone_finds_what_it_finds() -> None:
    found = labeled(job())
    assert [boxes(one) for one in found.classes] == [[Box(*CUP_LEFT)], [], [Box(*PLATE)]]
    assert reviews(found) == {"cup": (), "mug": (Review.none_found,), "plate": ()}
    assert {(one.policy, one.model, one.rounds, one.rating) for one in found.classes} == {
        ("one_shot", "", 2, None)
    }
    assert found.usage == Usage()


def test_a_model_alone_is_asked_for_every_class() -> None:
    model = Model()
    found = labeled(job(first=model.pilot))
    assert [boxes(one) for one in found.classes] == [
        [Box(*CUP_LEFT), Box(*CUP_MIDDLE)],
        [Box(*CUP_MIDDLE)],
        [Box(*PLATE)],
    ]
    assert [(one.rounds, one.rating, one.stop) for one in found.classes] == [
        (3, 90, Stop.finished),
        (3, 90, Stop.finished),
        (2, 90, Stop.finished),
    ]
    assert found.usage == sum([PAID] * 8, Usage())


def test_the_model_is_asked_only_where_the_query_alone_is_doubtful() -> None:
    model = Model()
    found = labeled(job(unsure=model.pilot))
    assert model.asked == [("mug", 0), ("mug", 1), ("mug", 2)]
    assert [one.policy for one in found.classes] == ["one_shot", "model", "one_shot"]
    assert boxes(found.classes[1]) == [Box(*CUP_MIDDLE)]
    assert not found.needs_review
    assert [(one.rounds, one.model, one.usage.calls) for one in found.classes] == [
        (2, "", 0),
        (5, "a-model", 3),
        (2, "", 0),
    ]


def test_scores_near_the_threshold_are_reviewed_unless_a_model_looked() -> None:
    near = [FakeObject(block(*CUP_LEFT), frozenset({"cup"}), 0.55)]
    alone = labeled(job(CUP, segmenter=FakeSegmenter(near)))
    assert [held.review for held in alone.classes[0].labels] == [(Review.near_threshold,)]
    model = Model({"cup": [text("cup"), SEEN]})
    seen = labeled(job(CUP, segmenter=FakeSegmenter(near), unsure=model.pilot))
    assert len(model.asked) == 2
    assert boxes(seen.classes[0]) == boxes(alone.classes[0])
    assert not seen.needs_review


def test_what_just_missed_the_threshold_is_reviewed_and_asked_about() -> None:
    cups = [(block(*CUP_LEFT), 0.9), (block(*CUP_MIDDLE), 0.45)]
    segmenter = Watched([FakeObject(mask, frozenset({"cup"}), score) for mask, score in cups])
    alone = labeled(job(CUP, segmenter=segmenter))
    assert boxes(alone.classes[0]) == [Box(*CUP_LEFT)]
    assert reviews(alone) == {"cup": (Review.near_threshold,)}
    model = Model()
    helped = labeled(job(CUP, segmenter=segmenter, unsure=model.pilot))
    assert boxes(helped.classes[0]) == [Box(*CUP_LEFT), Box(*CUP_MIDDLE)]
    assert reviews(helped) == {"cup": ()}


def test_classes_that_overlap_are_asked_about_again() -> None:
    objects = [*table().objects, FakeObject(block(5, 5, 25, 20), frozenset({"vase"}), 0.9)]
    model = Model({"cup": [text("cup"), SEEN], "vase": [text("vase"), finish("absent", 10)]})
    found = labeled(
        job(CUP, LabelClass("vase"), SAUCER, segmenter=FakeSegmenter(objects), unsure=model.pilot)
    )
    assert model.asked == [("cup", 0), ("cup", 1), ("vase", 0), ("vase", 1)]
    assert [len(one.labels) for one in found.classes] == [1, 0, 1]
    assert not found.needs_review


def test_what_still_overlaps_goes_by_the_rule() -> None:
    objects = [*table().objects, FakeObject(block(5, 5, 25, 20), frozenset({"vase"}), 0.95)]
    both = (CUP, LabelClass("vase"))
    kept = labeled(job(*both, segmenter=FakeSegmenter(objects)))
    assert [one.labels[0].review for one in kept.classes] == [(Review.overlap,), (Review.overlap,)]
    settled = labeled(job(*both, segmenter=FakeSegmenter(objects), overlap=Overlap.score))
    assert [boxes(one) for one in settled.classes] == [[Box(5, 20, 25, 25)], [Box(5, 5, 25, 20)]]
    # A quarter of the cup is left.
    assert [one.labels[0].review for one in settled.classes] == [(Review.overlap,), ()]


def test_hints_reach_only_who_reads() -> None:
    toys = LabelClass("mug", "mug", hints=("not toys",), max_count=3)
    model = Model()
    found = labeled(job(toys, unsure=model.pilot))
    assert model.told == {"mug": "mug\n- not toys\n- There are at most 3 on an image."}
    assert found.classes[0].query == "mug"
    plates = LabelClass("plate", hints=("no cup",))  # its hint would find the cups
    assert boxes(labeled(job(plates)).classes[0]) == [Box(*PLATE)]


def test_a_multimodal_model_is_told_the_hints() -> None:
    script = [[ToolCall("set_text_prompt", {"text": "cup", "rating": 0})], [ToolCall("finish", DONE)]]
    wire = ScriptedWire(script)
    pilot = mllm(wire, MllmSettings("qwen3-vl", verify=False), Memory())
    found = labeled(job(LabelClass("cup", hints=("not toys",)), first=pilot)).classes[0]
    assert wire.is_used_up
    assert "not toys" in wire.requests[0].messages[-1].text
    assert boxes(found) == [Box(*CUP_LEFT)]
    assert (found.policy, found.model, found.rating, found.usage.calls) == ("mllm", "qwen3-vl", 88, 2)


def test_masks_from_before_stay_and_are_not_found_twice() -> None:
    before = instance(4, 5, 5, 25, 24, score=1.0)
    start = {"cup": [before, instance(2, 60, 40, 70, 50, score=1.0)], "spoon": [before]}
    found = labeled(job(CUP, SAUCER), start=start)
    assert [held.instance.box for held in found.classes[0].labels] == [
        Box(60, 40, 70, 50),
        Box(5, 5, 25, 24),
    ]
    assert boxes(found.classes[1]) == [Box(*PLATE)]


def test_the_best_scores_stay_where_a_class_has_a_maximum() -> None:
    cups = [FakeObject(block(20 * n, 0, 20 * n + 9, 9), frozenset({"cup"}), 0.7 + n / 20) for n in range(3)]
    found = labeled(job(LabelClass("cup", max_count=2), segmenter=FakeSegmenter(cups)))
    assert sorted(round(held.instance.score, 2) for held in found.classes[0].labels) == [0.75, 0.8]
    assert reviews(found) == {"cup": (Review.too_many,)}
    model = Model({"cup": [text("cup"), threshold(0.78, 30), SEEN]})
    asked = labeled(job(LabelClass("cup", max_count=2), segmenter=FakeSegmenter(cups), unsure=model.pilot))
    assert len(asked.classes[0].labels) == 1
    assert not asked.needs_review


def test_the_limits_of_a_session_are_for_who_costs() -> None:
    tight = Budget(max_rounds=1)
    found = labeled(job(CUP, MUG, budget=tight, unsure=Model().pilot))
    assert [one.stop for one in found.classes] == [Stop.finished, Stop.max_rounds]
    assert reviews(found) == {"cup": (), "mug": (Review.budget,)}


def test_a_stopped_run_leaves_no_labels_and_pays_no_more() -> None:
    control = Control(Usage(), max_cost=1.0)
    segmenter, model = Watched(table().objects), Model()
    assert label_image(job(first=model.pilot, segmenter=segmenter), PHOTO, control=control) is None
    assert len(model.asked) == 4
    assert control.usage == sum([PAID] * 4, Usage())
    assert segmenter.all_closed


@pytest.mark.parametrize("after", range(8))
def test_an_image_that_was_stopped_goes_on_and_pays_no_round_twice(tmp_path: Path, after: int) -> None:
    whole = labeled(job(first=Model().pilot))
    logs, control, model = SessionLogs(tmp_path), Control(Usage(), max_cost=after * 0.25 or 1e-9), Model()
    if after == 0:
        control.stop()
    assert label_image(job(first=model.pilot), PHOTO, logs=logs, control=control) is None
    assert logs.usage(()) == control.usage
    model_now = Model()
    control = Control(logs.usage(()))
    again = labeled(job(first=model_now.pilot), logs=logs, control=control)
    assert [*model.asked, *model_now.asked] == [
        (name, number) for name, script in LOOK.items() for number in range(len(script))
    ]
    assert without_times(again) == without_times(whole)
    assert control.usage == again.usage == logs.usage(())


def test_an_image_that_was_labeled_but_not_committed_pays_nothing(tmp_path: Path) -> None:
    logs, model = SessionLogs(tmp_path), Model()
    first = labeled(job(unsure=model.pilot), logs=logs)
    paid = list(model.asked)
    assert without_times(labeled(job(unsure=model.pilot), logs=logs)) == without_times(first)
    assert model.asked == paid


def test_only_what_was_paid_for_is_logged(tmp_path: Path) -> None:
    labeled(job(unsure=Model().pilot), logs=SessionLogs(tmp_path))
    assert [path.name for path in tmp_path.rglob("*.jsonl")] == ["1-unsure.jsonl"]


def test_a_failed_session_says_why_and_is_gone_on_with(tmp_path: Path) -> None:
    def down(paid: int) -> None:
        if paid == 4:
            raise PolicyError("the endpoint is gone", usage=PAID)

    logs, segmenter = SessionLogs(tmp_path), Watched(table().objects)
    with pytest.raises(SessionFailed, match="the endpoint is gone") as failed:
        label_image(job(first=Model(trouble=down).pilot, segmenter=segmenter), PHOTO, logs=logs)
    assert isinstance(failed.value.__cause__, PolicyError)
    assert unlogged(failed.value) == PAID
    assert segmenter.all_closed
    model = Model()
    found = labeled(job(first=model.pilot), logs=logs)
    assert model.asked == [("mug", 1), ("mug", 2), ("plate", 0), ("plate", 1)]
    assert found.usage == sum([PAID] * 8, Usage())


def stopped_after_two_rounds(logs: SessionLogs, segmenter: FakeSegmenter, **options: Any) -> None:
    control = Control(Usage(), max_cost=2 * PAID_EACH)
    first = Model(**options).pilot
    assert label_image(job(CUP, first=first, segmenter=segmenter), PHOTO, logs=logs, control=control) is None


@pytest.mark.parametrize("last", [finish("complete", 90), says(("keep_masks", {"ids": [1]}))])
def test_paid_rounds_count_though_the_segmenter_gives_almost_the_same_masks(
    tmp_path: Path, last: Decision
) -> None:
    def scene(more: int) -> FakeSegmenter:  # as from batches of another size
        cups = [block(10, 10, 30, 30 + more), block(40, 10, 60, 30)]
        return FakeSegmenter([FakeObject(cup, frozenset({"cup"}), 0.9 - 0.01 * more) for cup in cups])

    script = {"cup": [text("cup"), says(("drop_masks", {"ids": [2]}), rating=70), last, finish()]}
    logs, model = SessionLogs(tmp_path), Model(script)
    stopped_after_two_rounds(logs, scene(0), scripts=script)
    found = labeled(job(CUP, first=model.pilot, segmenter=scene(1)), logs=logs)
    assert model.asked[0] == ("cup", 2)
    assert [held.instance.id for held in found.classes[0].labels] == [1]
    assert found.classes[0].rounds == found.usage.calls == 2 + len(model.asked)


def test_what_a_model_was_asked_about_stays_asked_though_it_seems_sure_now(tmp_path: Path) -> None:
    def scene(score: float) -> FakeSegmenter:  # as from batches of another size
        return FakeSegmenter([FakeObject(block(*CUP_LEFT), frozenset({"cup"}), score)])

    logs, model, doubtful, sure = SessionLogs(tmp_path), Model(), scene(0.599), scene(0.601)
    control = Control(Usage(), max_cost=2 * PAID_EACH)
    begun = job(CUP, segmenter=doubtful, unsure=model.pilot)
    assert label_image(begun, PHOTO, logs=logs, control=control) is None
    found = labeled(job(CUP, segmenter=sure, unsure=model.pilot), logs=logs)
    assert model.asked == [("cup", 0), ("cup", 1), ("cup", 2)]
    assert (found.classes[0].policy, found.usage) == ("model", sum([PAID] * 3, Usage()))


def test_a_decision_that_a_limit_cut_short_is_in_the_books(tmp_path: Path) -> None:
    def dear(paid: int) -> None:
        if paid == 1:
            raise BudgetReached(Stop.max_tokens, usage=PAID)

    logs, control = SessionLogs(tmp_path), Control(Usage())
    found = labeled(job(CUP, first=Model(trouble=dear).pilot), logs=logs, control=control)
    assert (found.classes[0].stop, found.classes[0].rounds) == (Stop.max_tokens, 1)
    assert found.usage == control.usage == logs.usage(()) == PAID + PAID


def test_rounds_that_no_longer_fit_are_decided_anew_and_still_counted(tmp_path: Path) -> None:
    logs, model = SessionLogs(tmp_path), Model()
    stopped_after_two_rounds(logs, table())
    log = logs.path(PHOTO.sha256, 0, "first")
    log.write_text(log.read_text().replace('"instances": [{"id": 1,', '"instances": [{"id": 7,'))
    found = labeled(job(CUP, first=model.pilot), logs=logs)
    assert len(model.asked) == 3
    assert [held.instance.id for held in found.classes[0].labels] == [1, 2]
    assert found.usage == logs.usage(()) == sum([PAID] * 5, Usage())
    # As after a kill before the labels were committed.
    assert without_times(labeled(job(CUP, first=Model().pilot), logs=logs)) == without_times(found)


def test_a_log_that_cannot_be_written_is_no_fault_of_the_image(tmp_path: Path) -> None:
    (tmp_path / "sessions").write_text("in the way")
    segmenter = Watched(table().objects)
    with pytest.raises(RunFolderError, match="sessions"):
        label_image(job(first=Model().pilot, segmenter=segmenter), PHOTO, logs=SessionLogs(tmp_path))
    assert segmenter.all_closed


def test_a_disk_that_fills_up_on_the_way_is_no_fault_of_the_image(tmp_path: Path) -> None:
    def full(paid: int) -> None:
        if paid == 1:
            raise RunFolderError("no room left")

    with pytest.raises(RunFolderError, match="no room left"):
        label_image(job(first=Model(trouble=full).pilot), PHOTO, logs=SessionLogs(tmp_path))


def test_an_image_that_cannot_be_opened() -> None:
    segmenter = FakeSegmenter([])
    segmenter.close()
    with pytest.raises(SegmenterError, match="closed"):
        label_image(job(segmenter=segmenter), PHOTO)


def test_masks_of_another_size_are_refused() -> None:
    other = from_picture(Image.new("RGB", (50, 50)), "small.png")
    with pytest.raises(ValueError, match=r"Setup\.start"):
        label_image(job(CUP), other, start={"cup": [instance(1, 0, 0, 5, 5)]})


def test_the_settings_hold_what_is_asked_for_in_plain_data() -> None:
    plain = settings(job(LabelClass("cup", "red cup", ("no toys",), 3), MUG))
    assert json.loads(json.dumps(plain)) == plain
    asked = {"name": "cup", "query": "red cup", "hints": ["no toys"], "max_count": 3}
    assert plain["classes"]["1"] == asked
    assert plain["segmenter"]["name"] == "fake"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"classes": (MUG, CUP)}, "classes.1.name: was cup, now mug"),
        ({"classes": (CUP, LabelClass("mug", hints=("toys",)))}, "classes.2.hints: was [], now ['toys']"),
        ({"classes": (CUP, LabelClass("mug", max_count=1))}, "classes.2.max_count: was None, now 1"),
        ({"first": Model().pilot}, "policy.name: was one_shot, now model"),
        ({"unsure": Model().pilot}, "when_unsure.name: was not there, now model"),
        ({"segmenter": FakeSegmenter([], name="other")}, "segmenter.name: was fake, now other"),
        ({"tools": ("finish",)}, "now ['finish']"),
        ({"budget": Budget(max_rounds=3)}, "budget.max_rounds: was 20, now 3"),
        ({"overlap": Overlap.order}, "overlap: was keep, now order"),
        ({"low_rating": 70.0}, "low_rating: was 60.0, now 70.0"),
    ],
)
def test_a_change_in_what_the_results_depend_on_shows(change: dict[str, Any], said: str) -> None:
    before = job(CUP, MUG)
    told = differences(settings(before), settings(replace(before, **change)))
    assert any(said in line for line in told)


def test_the_settings_of_a_model_hold_no_prices_and_no_secrets() -> None:
    asked = MllmSettings("m", price_in=1.0, price_out=2.0, api_key_env="SECRET", extra={"account": "s3cret"})
    plain = settings(job(first=mllm(ScriptedWire([]), asked, Memory())))["policy"]
    assert (plain["name"], plain["model"]) == ("mllm", "m")
    assert not {"price_in", "api_key_env"} & set(plain)
    assert "s3cret" not in json.dumps(plain).lower()


def test_classes_must_differ_and_ratings_be_in_range() -> None:
    with pytest.raises(ValueError, match="got 'cup' twice"):
        job(CUP, MUG, CUP)
    with pytest.raises(ValueError, match="at least one class"):
        Job((), table(), one_shot())
    with pytest.raises(ValueError, match=r"0\.\.100"):
        job(CUP, low_rating=101)
    with pytest.raises(ValueError, match='expected a "name"'):
        Pilot(lambda _: _Seat(Model(), CUP), {}, reads=True)


def test_what_goes_between_processes_can_be_pickled(tmp_path: Path) -> None:
    found = labeled(job())
    for one in (found, CUP, SessionLogs(tmp_path), Overlap.order):
        assert pickle.loads(pickle.dumps(one)) == one

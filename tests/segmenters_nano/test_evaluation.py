"""The evaluation gives perfect answers full marks and naive ones what they deserve."""

import json
from typing import ClassVar

import numpy as np
import pytest
from PIL import Image

from maskpilot.scenes import Scene, find, make_scene, read_phrase
from maskpilot.segmenters.nano.evaluate import evaluate, to_json
from maskpilot.segmenters.nano.evaluation import tasks
from maskpilot.segmenters.nano.evaluation.gates import Bound, gates, goals
from maskpilot.segmenters.nano.evaluation.measures import Counts, auroc, compare, interval, ious, total
from maskpilot.segmenters.nano.evaluation.pairs import ATTRIBUTES, attribute_pairs, object_pairs, tell_apart
from maskpilot.types import Detections, PromptState

SCENES = [make_scene(seed) for seed in range(12)]


class Ideal:
    """Knows the scenes: answers phrases exactly, and boxes by the kind of the object in them.

    Args:
        blind: attributes that it does not see.
        reads: whether it understands phrases at all.
    """

    name = "ideal"
    provenance: ClassVar[dict[str, str]] = {}

    def __init__(self, scenes: list[Scene], *, blind: tuple[str, ...] = (), reads: bool = True) -> None:
        self.scenes = {scene.pixels.tobytes(): scene for scene in scenes}
        self.blind, self.reads = blind, reads

    def open(self, image: Image.Image) -> "IdealSession":
        return IdealSession(self.scenes[np.asarray(image).tobytes()], self.blind, reads=self.reads)

    def close(self) -> None:
        """Nothing to release."""


class IdealSession:
    def __init__(self, scene: Scene, blind: tuple[str, ...], *, reads: bool) -> None:
        self.scene, self.blind, self.reads = scene, blind, reads
        self.size = (scene.width, scene.height)

    def segment(self, prompts: PromptState) -> Detections:
        found: set[int] = set()
        phrase = read_phrase(prompts.text) if prompts.text and self.reads else None
        if phrase is not None:
            for name in self.blind:
                phrase = phrase.saying(name, None)  # type: ignore[arg-type]
            found |= set(find(self.scene, phrase))
        for exemplar in prompts.boxes:
            thing = next(thing for thing in self.scene.objects if thing.box == exemplar.box)
            kind = {
                index
                for index, other in enumerate(self.scene.objects)
                if (other.shape, other.colour, other.texture) == (thing.shape, thing.colour, thing.texture)
            }
            found = found | kind if exemplar.positive else found - kind
        things = [self.scene.objects[index] for index in sorted(found)]
        if not things:
            return Detections.empty(*self.size)
        return Detections(
            masks=np.stack([thing.mask for thing in things]),
            boxes=np.array([thing.box.xyxy for thing in things], np.float32),
            scores=np.full(len(things), 0.95, np.float32),
        )

    def close(self) -> None:
        """Nothing to release."""


def test_counting() -> None:
    wanted = np.zeros((2, 4, 4), np.bool_)
    wanted[0, :2], wanted[1, 2:] = True, True
    found = np.zeros((3, 4, 4), np.bool_)
    found[0, :2], found[1, 0], found[2, :, 0] = True, True, True
    overlaps = ious(found, wanted)
    assert overlaps[:, 0].tolist() == pytest.approx([1.0, 0.5, 1 / 5])
    assert compare(overlaps) == Counts(hits=1, extra=2, missed=1, overlap=1.0)
    assert Counts(1, 2, 1, 1.0).f1 == pytest.approx(2 / 5)


def test_nothing_found_where_nothing_was_asked_is_perfect() -> None:
    assert compare(np.zeros((0, 0), np.float32)).f1 == 1.0


def test_auroc_of_order_ties_and_reversal() -> None:
    assert auroc([2, 3], [0, 1]) == 1.0
    assert auroc([1, 1], [1, 1]) == 0.5
    assert auroc([0], [1]) == 0.0


def test_an_interval_holds_the_value() -> None:
    groups = [Counts(hits=3, missed=1), Counts(hits=1, missed=1), Counts(hits=4, extra=2)] * 5
    low, high = interval(groups, lambda counts: counts.f1)
    assert low < total(groups).f1 < high


def test_pairs_differ_in_one_attribute_alone() -> None:
    rng = np.random.default_rng(0)
    for scene in SCENES:
        for name in ATTRIBUTES:
            for first, second in object_pairs(scene, name):
                one, two = scene.objects[first], scene.objects[second]
                assert {other for other in ATTRIBUTES if getattr(one, other) != getattr(two, other)} == {name}
            if pair := attribute_pairs(scene, name, rng):
                phrase, swap = pair
                assert find(scene, phrase)
                assert not find(scene, swap)
                assert swap.saying(name, getattr(phrase, name)) == phrase


def test_an_ideal_segmenter_tells_every_attribute_apart() -> None:
    for result in tell_apart(Ideal(SCENES), SCENES).values():
        assert (result.image, result.instance, result.shown) == (1.0, 1.0, 0.0)


def test_one_that_ignores_colour_is_found_out() -> None:
    blind = tell_apart(Ideal(SCENES, blind=("colour",)), SCENES)
    assert blind["colour"].image == blind["colour"].instance == 0.5
    assert blind["colour"].shown == 1.0
    assert blind["shape"].instance == 1.0


def test_an_ideal_segmenter_gets_full_marks_and_naive_answers_do_not() -> None:
    text = tasks.phrases(Ideal(SCENES), SCENES)["all"]
    assert text.counts.f1 == 1.0
    assert text.naive["shape word only"].f1 < 1.0
    assert text.naive["everything"].f1 < text.naive["shape word only"].f1


def test_one_that_obeys_the_shape_word_alone_scores_as_that_baseline() -> None:
    text = tasks.phrases(Ideal(SCENES, blind=("colour", "texture", "size")), SCENES)["all"]
    assert text.counts.f1 == pytest.approx(text.naive["shape word only"].f1)


def test_boxes_of_an_ideal_segmenter() -> None:
    scored = tasks.boxes(Ideal(SCENES), SCENES)
    assert scored["box only"].counts.f1 == 1.0
    assert scored["box only"].naive["everything of the same shape"].f1 < 1.0
    assert scored["text + negative"].counts.f1 == 1.0
    assert scored["text + negative"].share(tasks.GOES) == 1.0
    assert scored["text + negative"].share(tasks.STAY) == 1.0


def test_a_box_on_what_the_text_missed_brings_back_all_of_its_kind() -> None:
    scored = tasks.boxes(Ideal(SCENES, reads=False), SCENES)["text + positive"]
    assert scored.share(tasks.FOUND) == 1.0
    assert (scored.share(tasks.KIN_FOUND_BEFORE), scored.share(tasks.KIN_FOUND)) == (0.0, 1.0)


def test_all_figures_come_with_gates_and_are_json() -> None:
    figures = evaluate(FindsNothing(), count=4)
    names = {gate.name for gate in gates(figures)}
    for attribute in ATTRIBUTES:
        assert {f"{attribute}: AUROC, image", f"{attribute}: AUROC, instance"} <= names
    assert {"text: F1", "box only: F1", "text + negative: F1", "2:1: F1", "1:2: F1"} <= names
    passed = {gate.name for gate in gates(figures) if gate.passed}
    assert passed <= {"2:1: F1", "1:2: F1"}  # which hold the model against itself alone
    reached = {goal.name for goal in goals(figures) if goal.passed}
    assert not {
        name for name in reached if name.startswith(("phrases", "positive box", "negative box", "box"))
    }
    assert {"absent colour: shown", "compositional, one shot: IoU"} <= reached  # who finds nothing has these
    assert set(figures["thresholds"]) == {f"0.{tenth}" for tenth in range(1, 10)}
    assert json.loads(to_json(figures))["exemplars"]["text + negative"]["f1_interval"] == [None, None]


@pytest.mark.parametrize("rises", ["recall", "precision"])
def test_a_higher_threshold_should_find_less_and_be_right_more_often(rises: str) -> None:
    falls = {"recall": "precision", "precision": "recall"}[rises]
    curve = {"0.1": {rises: 0.5, falls: 0.9}, "0.2": {rises: 0.6, falls: 0.8}}
    figures = evaluate(FindsNothing(), count=1) | {"thresholds": curve}
    passed = [goal.passed for goal in goals(figures) if goal.name.startswith("threshold")]
    assert passed == [rises == "precision"] * 2


@pytest.mark.parametrize(("value", "passed"), [(0.96, True), (0.94, False), (float("nan"), False)])
def test_a_gate_is_passed_from_its_limit_on(value: float, passed: bool) -> None:
    assert Bound("colour", value, 0.95, "chance").passed == passed


class FindsNothing:
    name = "nothing"
    provenance: ClassVar[dict[str, str]] = {}

    def open(self, image: Image.Image) -> "NothingFound":
        return NothingFound(image.size)

    def close(self) -> None:
        """Nothing to release."""


class NothingFound:
    def __init__(self, size: tuple[int, int]) -> None:
        self.size = size

    def segment(self, prompts: PromptState) -> Detections:
        return Detections.empty(*self.size)

    def close(self) -> None:
        """Nothing to release."""

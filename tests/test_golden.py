"""Sessions recorded with the small SAM 3, run once more: a change of what users get does not go unseen.

The recordings in data/golden are the demo's. After a change that is meant to alter them, or new weights:
python -m scripts.golden
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from maskpilot import masks
from maskpilot.agent import Oracle, run_session
from maskpilot.demo import demo_tasks
from maskpilot.images import from_picture
from maskpilot.refine import prepare
from maskpilot.segmenters import load_segmenter
from maskpilot.segmenters.base import Segmenter
from maskpilot.trajectory import Trajectory, read_trajectory

GOLDEN = Path(__file__).parent / "data" / "golden"
TASKS = demo_tasks()
SAME_MASK, SAME_SCORE = 0.98, 0.02
"""How far another machine's arithmetic may lead: docs/nano.md."""


@pytest.fixture(scope="module")
def nano() -> Iterator[Segmenter]:
    with closing(load_segmenter("nano", device="cpu")) as segmenter:
        yield segmenter


def run(number: int, segmenter: Segmenter) -> Trajectory:
    scene, query = TASKS[number]
    image = from_picture(scene.image, "scene.png")
    truth = [masks.encode(scene.objects[index].mask) for index in query.answer]
    pilot = Oracle(truth, [query.phrase, *query.also], seed=scene.seed)
    with closing(segmenter.open(image.image)) as opened:
        return run_session(
            prepare(query.text, image, policy=pilot, segmenter=segmenter), image.image, opened, pilot
        )


def course(trajectory: Trajectory) -> list[tuple[str, object]]:
    return [(call.name, call.arguments) for step in trajectory.steps for call in step.decision.calls]


@pytest.mark.parametrize("number", range(len(TASKS)), ids=[query.kind for _, query in TASKS])
def test_a_session_goes_as_it_was_recorded(number: int, nano: Segmenter) -> None:
    recorded, again = read_trajectory(GOLDEN / f"{number + 1:06}.jsonl"), run(number, nano)
    assert again.setup.query == recorded.setup.query
    assert course(again) == course(recorded)
    assert recorded.ending is not None
    assert again.ending is not None
    assert (again.ending.stop, again.ending.best) == (recorded.ending.stop, recorded.ending.best)
    assert [instance.id for instance in again.result] == [instance.id for instance in recorded.result]
    for found, expected in zip(again.result, recorded.result, strict=True):
        assert masks.iou_matrix([found.mask], [expected.mask])[0, 0] >= SAME_MASK
        assert found.score == pytest.approx(expected.score, abs=SAME_SCORE)


def test_a_model_that_is_loaded_anew_finds_the_same_to_the_last_bit(nano: Segmenter) -> None:
    with closing(load_segmenter("nano", device="cpu")) as another:
        assert run(1, another).result == run(1, nano).result != ()

"""Which convention numbers are in: scored by the objects that they should lie on."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot.agent.mllm.coordinates import Convention, Frame
from maskpilot.doctor.pictures import shape_pictures
from maskpilot.doctor.scoring import Answer, Ranking, all_conventions, are_alike, numbers_of, rank
from maskpilot.types import Box

CONVENTIONS = all_conventions()
NAMES = [convention.name for convention in CONVENTIONS]


def answers(convention: Convention, *, jitter: float = 0.0, rng: random.Random | None = None) -> list[Answer]:
    """What a model says that counts so, each edge off by up to `jitter` of the picture's side."""
    chance = rng or random.Random(0)
    made = []
    for picture in shape_pictures():
        width, height = picture.image.size
        frame = Frame(convention, picture.image.size, picture.image.size)
        for box in picture.boxes.values():
            off = [chance.uniform(-jitter, jitter) * side for side in (width, height, width, height)]
            moved = [edge + by for edge, by in zip(box.xyxy, off, strict=True)]
            made.append(Answer(box, frame.numbers(Box(*moved)), picture.image.size))
    return made


def test_there_are_ten_conventions() -> None:
    assert len(set(CONVENTIONS)) == 10


@pytest.mark.parametrize("convention", CONVENTIONS, ids=NAMES)
def test_exact_boxes_give_a_clear_winner(convention: Convention) -> None:
    ranking = rank(answers(convention))
    assert ranking.is_clear
    assert are_alike(ranking.best.convention, convention)
    assert ranking.settled(convention) == convention
    assert ranking.best.iou > 0.9


@given(st.sampled_from(CONVENTIONS), st.randoms(use_true_random=False))
def test_loose_boxes_do_too(convention: Convention, rng: random.Random) -> None:
    ranking = rank(answers(convention, jitter=0.03, rng=rng))
    assert are_alike(ranking.best.convention, convention)
    assert ranking.is_clear


@given(st.lists(st.tuples(*[st.floats(-10, 2000)] * 4), min_size=6, max_size=6))
def test_scores_are_shares_and_come_best_first(numbers: list[tuple[float, float, float, float]]) -> None:
    truths = [(box, picture.image.size) for picture in shape_pictures() for box in picture.boxes.values()]
    ranking = rank([Answer(box, given, size) for (box, size), given in zip(truths, numbers, strict=True)])
    ious = [score.iou for score in ranking.scores]
    assert all(0 <= iou <= 1 for iou in ious)
    assert all(one >= other for one, other in pairwise(ious))


def test_missing_boxes_count_as_missed_and_nothing_wins_without_any() -> None:
    some = answers(Convention("1000"))
    half = [Answer(one.truth, None, one.size) for one in some[:3]] + some[3:]
    assert rank(half).best.iou == pytest.approx(0.5, abs=0.01)
    assert (rank(half).answered, rank(half).asked) == (3, 6)
    none = rank([Answer(one.truth, None, one.size) for one in some])
    assert not none.is_clear
    assert none.answered == 0


def test_reversed_corners_are_the_same_box() -> None:
    turned = [
        Answer(one.truth, (one.numbers[2], one.numbers[3], one.numbers[0], one.numbers[1]), one.size)
        for one in answers(Convention("1000"))
        if one.numbers
    ]
    assert rank(turned).best.convention == Convention("1000")


def test_conventions_a_thousandth_apart_are_settled_by_what_is_expected() -> None:
    ranking = rank(answers(Convention("1000"), jitter=0.01))
    assert ranking.settled(Convention("999")) == Convention("999")
    assert ranking.settled(Convention("1000")) == Convention("1000")
    assert ranking.settled(Convention("pixels")).unit in {"999", "1000"}


def test_without_answers_there_is_nothing_to_rank() -> None:
    with pytest.raises(ValueError, match="at least one answer"):
        rank([])


@pytest.mark.parametrize(
    "text",
    [
        '{"cup": [1, 2, 3, 4], "plate": [5, 6, 7, 8]}',
        '```json\n[{"box_2d": [1,2,3,4], "label": "cup"}, {"box_2d": [5,6,7,8], "label": "plate"}]\n```',
        "The Cup is at (1,2,3,4) and the plate at ( 5, 6 ,7, 8 ).",
        '[{"label": "plate", "bbox": [5, 6, 7, 8]}, {"label": "cup", "bbox": [1.0, 2.0, 3.0, 4.0]}]',
        "[1, 2, 3, 4] [5, 6, 7, 8]",
    ],
)
def test_four_numbers_are_found_in_whatever_dress(text: str) -> None:
    assert numbers_of(text, ["cup", "plate"]) == {"cup": (1, 2, 3, 4), "plate": (5, 6, 7, 8)}


@pytest.mark.parametrize("text", ["", "[1, 2, 3]", "[1, 2, 3, 4, 5]", "[1,2,3,4]" * 3, "[" * 50_000, "{}"])
def test_what_cannot_be_told_apart_is_no_answer(text: str) -> None:
    assert numbers_of(text, ["cup", "plate"]) == {}


@given(st.text())
def test_any_text_can_be_looked_through(text: str) -> None:
    assert len(numbers_of(text, ["cup"])) <= 1


def test_the_rival_means_something_else() -> None:
    ranking: Ranking = rank(answers(Convention("999")))
    assert not are_alike(ranking.best.convention, ranking.rival.convention)

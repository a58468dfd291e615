"""What makes a result doubtful."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from maskpilot.agent import OneShot, Scripted, run_session
from maskpilot.labeling.doubt import just_missed, limited, rating_of, review_of, unsure
from maskpilot.labeling.types import Review
from maskpilot.segmenters.scripted import FakeObject, FakeSegmenter
from maskpilot.trajectory import Trajectory
from maskpilot.types import Budget, Decision, Stop, Usage
from tests.agent.sessions import IMAGE, finish, run, says, setup, text, threshold
from tests.shapes import block, instance, table

LOOKS_DONE = finish("complete", 90)


def reviewed(script: Sequence[Decision], budget: Budget | None = None) -> tuple[Review, ...]:
    """What a session of a model leads to."""
    return review_of(run(script, budget=budget), reads=True)


def scene(*scores: float) -> FakeSegmenter:
    """Cups of these scores."""
    cups = [
        FakeObject(block(20 * place, 0, 20 * place + 10, 10), frozenset({"cup"}), score)
        for place, score in enumerate(scores)
    ]
    return FakeSegmenter(cups)


def alone(query: str, *scores: float) -> Trajectory:
    """The query alone, on cups of these scores."""
    return run(OneShot(), query=query, session=scene(*scores).open(IMAGE))


def test_a_result_that_satisfies_the_model_needs_no_review() -> None:
    assert reviewed([text("cup"), LOOKS_DONE]) == ()
    assert reviewed([text("cup"), finish("complete")]) == ()
    assert reviewed([text("unicorn"), finish("absent")]) == ()


def test_a_budget_that_ends_a_session() -> None:
    assert reviewed([text("cup")], budget=Budget(max_rounds=1)) == (Review.budget,)
    dear = replace(text("cup"), usage=Usage(prompt_tokens=2000, cost=2.0))
    assert reviewed([dear], budget=Budget(max_tokens=1000)) == (Review.budget,)
    assert reviewed([dear], budget=Budget(max_cost=1.0)) == (Review.budget,)


def test_errors_that_end_a_session() -> None:
    nonsense = says(("fly", {}))
    assert reviewed([text("cup"), nonsense, nonsense, nonsense]) == (Review.errors,)
    assert reviewed([text("cup"), Decision(refused=True)]) == (Review.errors,)


@pytest.mark.parametrize(
    ("last", "expected"),
    [
        (finish("complete", 59), (Review.low_rating,)),
        (finish("complete", 60), ()),
        (finish("best_effort", 90), (Review.low_rating,)),
        (finish("absent", 0), ()),
    ],
)
def test_what_the_model_says_of_its_result_counts(last: Decision, expected: tuple[Review, ...]) -> None:
    assert reviewed([text("cup"), last]) == expected


def test_the_bar_for_ratings_can_be_set() -> None:
    trajectory = run([text("cup"), finish("complete", 59)])
    assert review_of(trajectory, reads=True, low_rating=50) == ()


def test_the_rating_of_an_earlier_state_that_became_the_result_counts() -> None:
    trajectory = run([text("cup"), text("plate", 80), finish("complete", 20)])
    assert rating_of(trajectory) == 80
    assert review_of(trajectory, reads=True) == ()


def test_masks_that_were_never_shown_have_no_rating() -> None:
    picked = says(("keep_masks", {"ids": [1]}), ("finish", {"verdict": "complete", "reason": "r"}), rating=30)
    trajectory = run([says(("set_text_prompt", {"text": "cup"}), ("set_threshold", {"value": 0.2})), picked])
    assert len(trajectory.result) == 2
    assert rating_of(trajectory) == 30  # keeping one leaves the same masks on show
    dropped = says(
        ("drop_masks", {"ids": [1]}), ("finish", {"verdict": "complete", "reason": "r"}), rating=30
    )
    assert rating_of(run([text("cup"), threshold(0.2), dropped])) is None


def test_nothing_has_no_rating() -> None:
    assert rating_of(run([text("unicorn"), finish("absent", 0)])) is None


def test_masks_from_before_the_session_are_rated_in_its_first_round() -> None:
    begun = replace(setup(), start=(instance(1, 5, 5, 25, 25),))
    trajectory = run_session(begun, IMAGE, table().open(IMAGE), Scripted([finish("complete", 40)]))
    assert rating_of(trajectory) == 40
    assert review_of(trajectory, reads=True) == (Review.low_rating,)


def test_a_second_look_that_was_overruled() -> None:
    objected = replace(LOOKS_DONE, objections=("finish was put off: missed: a mug",))
    assert reviewed([text("cup"), objected, LOOKS_DONE]) == (Review.second_look,)
    assert reviewed([text("cup"), objected, threshold(0.2), LOOKS_DONE]) == ()


def test_a_second_look_that_could_not_be_had() -> None:
    assert reviewed([text("cup"), replace(LOOKS_DONE, unchecked="down")]) == (Review.second_look,)


def test_the_query_alone_is_doubtful_where_it_finds_nothing() -> None:
    assert review_of(alone("unicorn", 0.9), reads=False) == (Review.none_found,)
    assert review_of(alone("cup", 0.9), reads=False) == ()


def test_scores_near_the_threshold_are_doubtful() -> None:
    assert unsure(alone("cup", 0.9, 0.59, 0.61)) == {3}
    assert unsure(alone("cup", 0.9, 0.3)) == frozenset()


@pytest.mark.parametrize(
    ("scores", "expected"), [((0.9, 0.45), True), ((0.9, 0.5), True), ((0.9, 0.39), False), ((0.41,), True)]
)
def test_what_just_missed_the_threshold_is_doubtful(scores: tuple[float, ...], expected: bool) -> None:
    assert just_missed(alone("cup", *scores), scene(*scores).open(IMAGE)) is expected


def test_a_weaker_candidate_for_what_was_found_is_nothing_missed() -> None:
    cups = [
        FakeObject(block(0, 0, 10, 10 + more), frozenset({"cup"}), score)
        for more, score in ((0, 0.9), (2, 0.45))
    ]
    session = FakeSegmenter(cups).open(IMAGE)
    assert not just_missed(run(OneShot(), query="cup", session=session), session)


def test_locked_masks_need_not_meet_the_threshold() -> None:
    begun = replace(setup(query="plate"), start=(instance(7, 50, 5, 70, 25, score=0.51),))
    trajectory = run_session(begun, IMAGE, table().open(IMAGE), OneShot())
    assert {one.id for one in trajectory.result} == {7, 8}
    assert unsure(trajectory) == frozenset()


def test_the_best_scores_stay_within_the_limit() -> None:
    found = tuple(
        instance(number, 0, 0, 5, 5, score=score) for number, score in ((1, 0.5), (2, 0.9), (3, 0.5))
    )
    assert [one.id for one in limited(found, 2)] == [1, 2]
    assert limited(found, 3) == limited(found, None) == found


def test_a_session_that_goes_on_cannot_be_judged() -> None:
    trajectory = run([text("cup"), LOOKS_DONE])
    assert trajectory.ending is not None
    assert trajectory.ending.stop is Stop.finished
    with pytest.raises(ValueError, match="has ended"):
        review_of(replace(trajectory, ending=None), reads=True)

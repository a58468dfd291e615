"""Which convention boxes are in: each is tried, and the one under which they lie on the objects has won."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

from maskpilot.agent.mllm.coordinates import Convention, Frame, Order, Unit
from maskpilot.types import Box

__all__ = ["Answer", "Ranking", "Score", "all_conventions", "are_alike", "numbers_of", "rank"]

GOOD = 0.5
"""Mean IoU below which no convention has won, however far behind the others are."""

AHEAD = 0.1
"""Lead in mean IoU of a clear win."""

EVEN = 0.01
"""Two conventions that are alike and this close are not told apart."""

MAX_TEXT = 20_000
NUMBER = r"\s*(-?\d{1,9}(?:\.\d{1,20})?)\s*"
FOUR = re.compile(rf"[\[(]{NUMBER},{NUMBER},{NUMBER},{NUMBER}[\])]")


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's box for one object.

    Attributes:
        truth: where the object is, in pixels of the picture.
        numbers: the four that it gave, as they stood; None where it gave none.
        size: (width, height) of the picture in pixels.
    """

    truth: Box
    numbers: tuple[float, float, float, float] | None
    size: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Score:
    """How well the answers fit under one convention: mean IoU, missing answers counted as 0."""

    convention: Convention
    iou: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """All conventions, best first.

    Attributes:
        scores: one for each convention.
        answered: boxes that were given.
        asked: boxes that were asked for.
    """

    scores: tuple[Score, ...]
    answered: int
    asked: int

    @property
    def best(self) -> Score:
        return self.scores[0]

    @property
    def rival(self) -> Score:
        """The best one that means something else than the winner."""
        return next(one for one in self.scores if not are_alike(one.convention, self.best.convention))

    @property
    def is_clear(self) -> bool:
        return self.best.iou >= GOOD and self.best.iou - self.rival.iou >= AHEAD

    def settled(self, expected: Convention) -> Convention:
        """The winner; the expected one where the two cannot be told apart (999 and 1000)."""
        even = (one.convention for one in self.scores if self.best.iou - one.iou <= EVEN)
        if are_alike(expected, self.best.convention) and expected in even:
            return expected
        return self.best.convention


def all_conventions() -> tuple[Convention, ...]:
    """Every unit in every order, the common ones first."""
    units = sorted(get_args(Unit), key=["1000", "pixels", "1", "999", "100"].index)
    return tuple(Convention(unit, order) for unit in units for order in get_args(Order))


def are_alike(one: Convention, other: Convention) -> bool:
    """Whether two conventions differ by a thousandth at most: less than any model is exact."""
    thousands = {"999", "1000"}
    same_unit = one.unit == other.unit or {one.unit, other.unit} <= thousands
    return same_unit and one.order == other.order


def rank(answers: Sequence[Answer]) -> Ranking:
    """Score all conventions on what a model answered.

    Raises:
        ValueError: there are no answers.
    """
    if not answers:
        raise ValueError("rank: expected at least one answer")
    scores = [
        Score(convention, sum(_iou(answer, convention) for answer in answers) / len(answers))
        for convention in all_conventions()
    ]
    best_first = sorted(scores, key=lambda score: -score.iou)  # stable: the common ones win a tie
    answered = sum(1 for answer in answers if answer.numbers is not None)
    return Ranking(tuple(best_first), answered, len(answers))


def numbers_of(text: str, labels: Sequence[str]) -> dict[str, tuple[float, float, float, float]]:
    """Find four numbers for each label in a model's words, whatever stands around them. Never raises.

    Labels and lists are paired in the order in which they stand; a label that is not there stands where it
    stood in the question.
    """
    text = text[:MAX_TEXT].lower()
    found = [tuple(float(number) for number in match.groups()) for match in FOUR.finditer(text)]
    places = {label: text.find(label.lower()) for label in labels}
    named = sorted((label for label in labels if places[label] >= 0), key=places.__getitem__)
    order = named if len(named) == len(found) else list(labels)
    return dict(zip(order, found, strict=False)) if len(order) == len(found) else {}  # type: ignore[arg-type]


def _iou(answer: Answer, convention: Convention) -> float:
    if answer.numbers is None:
        return 0.0
    named = dict(zip(convention.edges, answer.numbers, strict=True))
    frame = Frame(convention, answer.size, answer.size)
    x0, y0, x1, y1 = frame.pixels(named["x0"], named["y0"], named["x1"], named["y1"])
    try:
        return answer.truth.iou(Box(min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1)))
    except ValueError:  # no area
        return 0.0

"""Where instances of different classes lie on each other. Pure functions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.types import ClassLabels, Label, Review
from maskpilot.types import Mask

__all__ = ["OVERLAP_SHARE", "Overlap", "overlapping", "resolve"]

OVERLAP_SHARE = 0.2
"""Two instances overlap where they share at least this much of the smaller one; edges touch a little."""

LEFT_SHARE = 0.5
"""An instance that keeps less of its pixels is to be reviewed: most likely, one of the two is wrong."""


class Overlap(StrEnum):
    """What becomes of pixels that instances of different classes claim."""

    keep = "keep"
    """every instance keeps its pixels, and those that overlap are to be reviewed"""
    score = "score"
    """the instance with the higher score has them; of equal ones that of the earlier class"""
    order = "order"
    """the instance of the earlier class has them"""


@dataclass(frozen=True)
class _Claim:
    """A label among all those of an image: `place` is its index among the labels of class `number`."""

    number: int
    place: int
    label: Label


def overlapping(classes: Sequence[ClassLabels]) -> tuple[frozenset[int], ...]:
    """Which instances overlap one of another class.

    Returns:
        for each class, indices into its labels.
    """
    claims = _claims(classes)
    rivals = _rivals(claims)
    found: list[set[int]] = [set() for _ in classes]
    for row, claim in enumerate(claims):
        later = [column for column in np.flatnonzero(rivals[row]).tolist() if column > row]
        mine, theirs = [claim.label.instance.mask], [claims[other].label.instance.mask for other in later]
        # The larger of the two shares is that of the smaller mask.
        shares = np.maximum(masks.intersections(mine, theirs), masks.intersections(theirs, mine).T)
        for other in (claims[later[index]] for index in np.flatnonzero(shares[0] >= OVERLAP_SHARE).tolist()):
            found[claim.number].add(claim.place)
            found[other.number].add(other.place)
    return tuple(frozenset(places) for places in found)


def resolve(classes: Sequence[ClassLabels], rule: Overlap) -> tuple[ClassLabels, ...]:
    """Settle who has the pixels that instances of different classes claim.

    A pixel goes to one class; instances of one class never take pixels from each other. What is left of an
    instance keeps its number and score and gets a tight box; one that is left without pixels goes, one of
    which little is left gets `Review.overlap`. Under `Overlap.keep` all masks stay, and those that overlap
    get it.

    Args:
        classes: the labels of one image, in the order of its classes.
        rule: who wins.
    """
    return _marked(classes) if rule is Overlap.keep else _settled(classes, rule)


def _marked(classes: Sequence[ClassLabels]) -> tuple[ClassLabels, ...]:
    return tuple(
        replace(
            one,
            labels=tuple(
                replace(label, review=(*label.review, Review.overlap)) if place in places else label
                for place, label in enumerate(one.labels)
            ),
        )
        for one, places in zip(classes, overlapping(classes), strict=True)
    )


def _settled(classes: Sequence[ClassLabels], rule: Overlap) -> tuple[ClassLabels, ...]:
    """Every claim in its turn takes what winning classes left of it.

    What is taken from a loser counts as nobody's for those after it: so a pixel goes to the class that wins
    it first, and all instances of that class keep it.
    """
    claims = _claims(classes)
    rivals = _rivals(claims)
    settled: dict[int, Label] = {}
    for row in sorted(range(len(claims)), key=lambda row: _turn(claims[row], rule)):
        winners = [settled[other] for other in np.flatnonzero(rivals[row]).tolist() if other in settled]
        left = _without(claims[row].label, [winner.instance.mask for winner in winners])
        if left is not None:
            settled[row] = left
    return tuple(
        replace(
            one,
            labels=tuple(
                settled[row] for row, claim in enumerate(claims) if claim.number == number and row in settled
            ),
        )
        for number, one in enumerate(classes)
    )


def _turn(claim: _Claim, rule: Overlap) -> tuple[float, int]:
    score = claim.label.instance.score if rule is Overlap.score else 0.0
    return (-score, claim.number)


def _without(label: Label, taken: Sequence[Mask]) -> Label | None:
    """A label without pixels that are taken; None where that leaves nothing."""
    found = label.instance
    touched = masks.intersections([found.mask], taken)
    if not touched.any():
        return label
    gone = masks.union(
        [mask for mask, share in zip(taken, touched[0], strict=True) if share],
        width=found.mask.width,
        height=found.mask.height,
    )
    mask = masks.difference(found.mask, gone)
    box = masks.tight_box(mask)
    if box is None:
        return None
    little = masks.area(mask) < LEFT_SHARE * masks.area(found.mask)
    review = (*label.review, Review.overlap) if little else label.review
    return Label(replace(found, mask=mask, box=box), review)


def _claims(classes: Sequence[ClassLabels]) -> list[_Claim]:
    return [
        _Claim(number, place, label)
        for number, one in enumerate(classes)
        for place, label in enumerate(one.labels)
    ]


def _rivals(claims: Sequence[_Claim]) -> NDArray[np.bool_]:
    """Pairs of different classes whose boxes share pixels: (n, n) bool. The rest need no look at masks."""
    boxes = np.array([claim.label.instance.box.xyxy for claim in claims]).reshape(-1, 4)
    numbers = np.array([claim.number for claim in claims], np.intp)
    low, high = boxes[:, :2], boxes[:, 2:]
    meet = (low[:, None] < high[None]).all(axis=2) & (low[None] < high[:, None]).all(axis=2)
    different: NDArray[np.bool_] = numbers[:, None] != numbers[None]
    return meet & different

"""Who has the pixels that instances of different classes claim."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.overlap import Overlap, overlapping, resolve
from maskpilot.labeling.types import ClassLabels, Label, Review
from maskpilot.types import Box, Instance
from tests.labeling.samples import class_labels, drawn_mask, label
from tests.shapes import HEIGHT, WIDTH, block, instance

Pixels = NDArray[np.bool_]
TAKES = (Overlap.score, Overlap.order)


def rectangle(number: int, box: tuple[int, int, int, int], score: float = 0.9) -> Label:
    return Label(instance(number, *box, score=score))


def of_class(name: str, *boxes: tuple[tuple[int, int, int, int], float]) -> ClassLabels:
    """A class with rectangles of given scores, numbered from 1."""
    return class_labels(name, *(rectangle(place, *box) for place, box in enumerate(boxes, start=1)))


def pixels(one: ClassLabels) -> dict[int, Pixels]:
    return {found.instance.id: masks.decode(found.instance.mask) for found in one.labels}


def boxes(one: ClassLabels) -> list[Box]:
    return [found.instance.box for found in one.labels]


def test_the_higher_score_takes_the_pixels() -> None:
    cups, plates = resolve(
        [of_class("cup", ((0, 0, 20, 20), 0.6)), of_class("plate", ((10, 0, 40, 20), 0.8))], Overlap.score
    )
    assert boxes(cups) == [Box(0, 0, 10, 20)]
    assert boxes(plates) == [Box(10, 0, 40, 20)]


def test_the_earlier_class_takes_the_pixels_whatever_the_scores() -> None:
    cups, plates = resolve(
        [of_class("cup", ((0, 0, 20, 20), 0.6)), of_class("plate", ((10, 0, 40, 20), 0.8))], Overlap.order
    )
    assert boxes(cups) == [Box(0, 0, 20, 20)]
    assert boxes(plates) == [Box(20, 0, 40, 20)]


def test_of_equal_scores_the_earlier_class_takes_the_pixels() -> None:
    cups, plates = resolve(
        [of_class("cup", ((0, 0, 20, 20), 0.7)), of_class("plate", ((10, 0, 40, 20), 0.7))], Overlap.score
    )
    assert boxes(cups) == [Box(0, 0, 20, 20)]
    assert boxes(plates) == [Box(20, 0, 40, 20)]


@pytest.mark.parametrize("rule", TAKES)
def test_an_instance_that_is_left_without_pixels_goes(rule: Overlap) -> None:
    table = of_class("table", ((0, 0, 40, 40), 0.9))
    found = resolve([table, of_class("cup", ((5, 5, 10, 10), 0.5), ((50, 5, 60, 10), 0.5))], rule)
    assert found[0] == table
    assert [one.instance.id for one in found[1].labels] == [2]


@pytest.mark.parametrize("rule", TAKES)
def test_an_instance_of_which_little_is_left_is_to_be_reviewed(rule: Overlap) -> None:
    table = of_class("table", ((0, 0, 40, 40), 0.9))
    mats = of_class("mat", ((10, 0, 41, 40), 0.5), ((20, 0, 60, 40), 0.5))
    left = resolve([table, mats], rule)[1].labels
    assert [(one.instance.box, one.review) for one in left] == [
        (Box(40, 0, 41, 40), (Review.overlap,)),
        (Box(40, 0, 60, 40), ()),
    ]


@pytest.mark.parametrize("rule", TAKES)
def test_instances_of_one_class_never_take_pixels_from_each_other(rule: Overlap) -> None:
    cups = of_class("cup", ((0, 0, 20, 20), 0.9), ((10, 0, 30, 20), 0.5))
    assert resolve([cups, class_labels("ghost")], rule) == (cups, class_labels("ghost"))


def test_pixels_that_a_class_wins_stay_with_all_its_instances() -> None:
    """The plate between them scores higher than the second cup, but has lost these pixels itself."""
    cups = of_class("cup", ((0, 0, 20, 20), 0.9), ((0, 0, 20, 20), 0.5))
    left = resolve([cups, of_class("plate", ((0, 0, 20, 30), 0.7))], Overlap.score)
    assert left[0] == cups
    assert boxes(left[1]) == [Box(0, 20, 20, 30)]


def test_what_lies_in_the_hole_of_a_donut_takes_nothing_from_it() -> None:
    hole = np.zeros((30, 40), np.bool_)
    hole[8:14, 8:14] = True
    pea = Label(Instance(1, masks.encode(hole), Box(8, 8, 14, 14), 0.99))
    classes = (class_labels("ring", label("donut", 1, 0.5)), class_labels("pea", pea))
    for rule in Overlap:
        assert resolve(classes, rule) == classes


def test_a_donut_keeps_its_hole_when_it_loses_a_side() -> None:
    side = np.zeros((30, 40), np.bool_)
    side[0:30, 0:6] = True
    stick = Label(Instance(1, masks.encode(side), Box(0, 0, 6, 30), 0.99))
    rings, _ = resolve([class_labels("ring", label("donut", 1, 0.5)), class_labels("stick", stick)], TAKES[0])
    assert np.array_equal(pixels(rings)[1], masks.decode(drawn_mask("donut")) & ~side)
    assert boxes(rings) == [Box(6, 4, 18, 18)]


def test_kept_masks_stay_and_those_that_overlap_are_marked() -> None:
    cups = of_class("cup", ((0, 0, 20, 20), 0.9), ((60, 0, 70, 10), 0.9))
    plates = of_class("plate", ((10, 0, 40, 20), 0.4))
    marked = resolve([cups, plates], Overlap.keep)
    assert [[one.review for one in found.labels] for found in marked] == [
        [(Review.overlap,), ()],
        [(Review.overlap,)],
    ]
    assert [[one.instance for one in found.labels] for found in marked] == [
        [one.instance for one in found.labels] for found in (cups, plates)
    ]


def test_a_small_mask_within_a_large_one_overlaps_it() -> None:
    classes = [of_class("table", ((0, 0, 80, 60), 0.9)), of_class("cup", ((5, 5, 7, 7), 0.9))]
    assert overlapping(classes) == (frozenset({0}), frozenset({0}))


def test_edges_that_touch_and_instances_of_one_class_do_not_overlap() -> None:
    cups = of_class("cup", ((0, 0, 20, 20), 0.9), ((5, 0, 20, 20), 0.9))
    plates = of_class("plate", ((18, 0, 40, 20), 0.4))
    assert overlapping([cups, plates]) == (frozenset(), frozenset())
    assert resolve([cups, plates], Overlap.keep) == (cups, plates)


def test_nothing_is_settled_where_nothing_is() -> None:
    for rule in Overlap:
        assert resolve([], rule) == ()
        assert resolve([class_labels("ghost")], rule) == (class_labels("ghost"),)


sides = st.tuples(st.integers(0, 12), st.integers(0, 12), st.integers(13, 20), st.integers(13, 20))
crowds = st.lists(
    st.lists(st.tuples(sides, st.sampled_from((0.3, 0.5, 0.7))), max_size=3), min_size=1, max_size=4
)


def settled_pixel_by_pixel(classes: Sequence[ClassLabels], rule: Overlap) -> list[dict[int, Pixels]]:
    """What the rule says, written down for each pixel: the best claim names the class that it goes to."""
    best = np.full((HEIGHT, WIDTH), -1.0)
    owner = np.full((HEIGHT, WIDTH), -1)
    for number, one in enumerate(classes):
        for found in one.labels:
            claim = found.instance.score if rule is Overlap.score else float(-number) + len(classes)
            wins = masks.decode(found.instance.mask) & (claim > best)
            best[wins], owner[wins] = claim, number
    left = [
        {number: mask & (owner == place) for number, mask in pixels(one).items()}
        for place, one in enumerate(classes)
    ]
    return [{number: mask for number, mask in one.items() if mask.any()} for one in left]


@settings(max_examples=50)
@given(crowds, st.sampled_from(TAKES))
def test_every_pixel_goes_to_the_class_with_the_best_claim(
    crowd: list[list[tuple[tuple[int, int, int, int], float]]], rule: Overlap
) -> None:
    classes = [of_class(str(place), *one) for place, one in enumerate(crowd)]
    found = resolve(classes, rule)
    for one, expected in zip(found, settled_pixel_by_pixel(classes, rule), strict=True):
        assert {number: mask.tobytes() for number, mask in pixels(one).items()} == {
            number: mask.tobytes() for number, mask in expected.items()
        }
        assert boxes(one) == [masks.tight_box(held.instance.mask) for held in one.labels]


@settings(max_examples=50)
@given(crowds, st.sampled_from(Overlap), st.randoms())
def test_the_order_of_labels_within_a_class_changes_nothing(
    crowd: list[list[tuple[tuple[int, int, int, int], float]]], rule: Overlap, random: Random
) -> None:
    classes = [of_class(str(place), *one) for place, one in enumerate(crowd)]
    shuffled = [replace(one, labels=tuple(random.sample(one.labels, len(one.labels)))) for one in classes]
    for one, other in zip(resolve(classes, rule), resolve(shuffled, rule), strict=True):
        assert {held.instance.id: held for held in one.labels} == {
            held.instance.id: held for held in other.labels
        }


def test_a_mask_that_loses_nothing_is_the_very_same() -> None:
    cups = of_class("cup", ((0, 0, 20, 20), 0.9))
    far = Label(Instance(1, masks.encode(block(30, 0, 40, 20)), Box(30, 0, 40, 20), 0.4))
    found = resolve([cups, class_labels("plate", far)], Overlap.score)
    assert found[1].labels[0] is far

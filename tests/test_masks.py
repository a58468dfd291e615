"""Masks: run lengths, comparison, matching."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.types import Box, Mask

SMALL = arrays.arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@given(SMALL)
def test_a_mask_survives_encoding(pixels: NDArray[np.bool_]) -> None:
    assert np.array_equal(masks.decode(masks.encode(pixels)), pixels)


@given(SMALL)
def test_area_and_box_are_those_of_the_pixels(pixels: NDArray[np.bool_]) -> None:
    mask = masks.encode(pixels)
    rows, columns = np.nonzero(pixels)
    expected = Box(columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if len(rows) else None
    assert masks.area(mask) == pixels.sum()
    assert masks.tight_box(mask) == expected


def test_encoding_refuses_what_is_not_a_mask() -> None:
    with pytest.raises(ValueError, match=r"expected \(H, W\) bool"):
        masks.encode(np.zeros((2, 2), np.uint8))


def test_iou_and_intersection_of_two_halves_that_share_a_quarter() -> None:
    left, middle = np.zeros((4, 4), np.bool_), np.zeros((4, 4), np.bool_)
    left[:, :2] = True
    middle[:, 1:3] = True
    first, second = [masks.encode(left)], [masks.encode(middle)]
    assert masks.iou_matrix(first, second) == pytest.approx(np.array([[4 / 12]]))
    assert masks.intersections(first, second) == pytest.approx(np.array([[4 / 8]]))


def test_comparing_with_nothing_gives_an_empty_matrix() -> None:
    mask = masks.encode(np.ones((2, 2), np.bool_))
    assert masks.iou_matrix([mask], []).shape == (1, 0)
    assert masks.iou_matrix([], [mask]).shape == (0, 1)
    assert masks.match([], [mask]) == {}


def test_union_of_nothing_is_empty_and_of_two_is_both() -> None:
    top, bottom = np.zeros((4, 3), np.bool_), np.zeros((4, 3), np.bool_)
    top[0], bottom[3] = True, True
    both = masks.union([masks.encode(top), masks.encode(bottom)], width=3, height=4)
    assert np.array_equal(masks.decode(both), top | bottom)
    assert masks.area(masks.union([], width=3, height=4)) == 0


@given(st.tuples(st.integers(1, 9), st.integers(1, 9)), st.data())
def test_a_difference_is_that_of_the_pixels(shape: tuple[int, int], data: st.DataObject) -> None:
    first, second = (data.draw(arrays.arrays(np.bool_, shape)) for _ in range(2))
    assert masks.difference(masks.encode(first), masks.encode(second)) == masks.encode(first & ~second)


def test_matching_takes_the_best_pair_first_and_each_mask_once() -> None:
    pixels = np.zeros((3, 10, 10), np.bool_)
    pixels[0, :, :6] = True  # overlaps both of the others
    pixels[1, :, :5] = True  # better
    pixels[2, :, :4] = True
    first = [masks.encode(pixels[0])]
    second = [masks.encode(pixels[2]), masks.encode(pixels[1])]
    assert masks.match(first, second) == {0: 1}
    assert masks.match(second, first) == {1: 0}


def test_empty_masks_match_nothing() -> None:
    empty = masks.encode(np.zeros((3, 3), np.bool_))
    assert masks.match([empty], [empty], at_least=0.0) == {}


@pytest.mark.parametrize("counts", [b"1", b"0", b"_1", b"99"])
def test_run_lengths_that_do_not_fill_the_image_are_refused(counts: bytes) -> None:
    with pytest.raises(ValueError, match="expected runs of 20 pixels"):
        masks.decode(Mask(5, 4, counts))


@pytest.mark.parametrize("counts", [b"_", b"1_"])
def test_run_lengths_that_are_cut_off_are_refused(counts: bytes) -> None:
    with pytest.raises(ValueError, match="cut off"):
        masks.decode(Mask(5, 4, counts))


@pytest.mark.parametrize(("counts", "says"), [(b"\x00", "else"), (b"oooooooo0", "else"), (b"O", "negative")])
def test_run_lengths_that_are_none_are_refused(counts: bytes, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        masks.decode(Mask(5, 4, counts))


@given(SMALL)
def test_run_lengths_alternate_down_the_columns(pixels: NDArray[np.bool_]) -> None:
    lengths = masks.run_lengths(masks.encode(pixels))
    values = np.arange(len(lengths)) % 2 == 1
    assert np.array_equal(np.repeat(values, lengths), pixels.T.reshape(-1))

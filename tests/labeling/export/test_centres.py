"""A walk through pixel centres, and what is painted along it."""

import numpy as np
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.export.centres import painted, traced
from maskpilot.labeling.export.outlines import outlines
from tests.labeling.samples import SIZE, drawn_mask

PICTURES = arrays(np.bool_, st.tuples(st.integers(1, 12), st.integers(1, 12)), elements=st.booleans())
ROWS = ("1111111", "1000001", "1011101", "1010101", "1011101", "1000001", "1111111")
RING_IN_A_RING = np.array([[pixel == "1" for pixel in row] for row in ROWS], np.bool_)


@given(PICTURES)
@example(np.eye(5, dtype=np.bool_))
@example(RING_IN_A_RING)
@example(np.ones((1, 1), np.bool_))
@example(~np.eye(5, dtype=np.bool_))
def test_a_mask_of_one_part_comes_back_and_one_of_more_gains_only_the_lines_between_them(
    pixels: NDArray[np.bool_],
) -> None:
    mask = masks.encode(pixels)
    back = masks.decode(painted(traced(mask), (mask.width, mask.height)))
    assert (back | ~pixels).all()
    if len(outlines(mask)) < 2:
        assert (back == pixels).all()


def test_a_hole_costs_nothing() -> None:
    assert painted(traced(drawn_mask("donut")), SIZE) == drawn_mask("donut")


def test_the_corners_of_a_square_are_its_outermost_pixels() -> None:
    assert traced(drawn_mask("square")).tolist() == [[10, 20], [17, 20], [17, 27], [10, 27]]


def test_two_parts_are_joined_by_one_line_of_pixels() -> None:
    mask = drawn_mask("parts")
    line = masks.decode(painted(traced(mask), SIZE)) & ~masks.decode(mask)
    assert line.sum() == 14  # rows 6 to 19, once each
    assert (line.sum(axis=1) <= 1).all()


def gained(*boxes: tuple[int, int, int, int]) -> int:
    """Pixels that a mask of rectangles (left, top, right, bottom) gains by the lines between them."""
    array = np.zeros((100, 100), np.bool_)
    for left, top, right, bottom in boxes:
        array[top:bottom, left:right] = True
    mask = masks.encode(array)
    return masks.area(painted(traced(mask), (100, 100))) - masks.area(mask)


def test_the_line_between_parts_is_the_shortest_also_where_it_meets_no_corner() -> None:
    assert gained((40, 10, 50, 20), (0, 30, 100, 40)) == 10
    assert gained((10, 40, 20, 50), (30, 0, 40, 100)) == 10
    assert gained((0, 0, 100, 5), (50, 20, 52, 30), (50, 45, 52, 46), (0, 60, 100, 70)) == 15 + 15 + 14


def test_the_shortest_line_is_that_of_the_fewest_pixels() -> None:
    square = 0, 50, 10, 60
    aslant, straight = (17, 67, 27, 77), (0, 30, 10, 42)  # 7 pixels between, 7 to the side; and 8 between
    assert gained(square, aslant) == 7
    assert gained(square, straight) == 8
    assert gained(square, straight, aslant) == 15


def test_a_simplified_walk_stays_near() -> None:
    y, x = np.mgrid[:60, :60]
    disc = masks.encode((x - 30) ** 2 + (y - 30) ** 2 < 500)
    exact, rough = traced(disc), traced(disc, tolerance=1.5)
    assert len(rough) < len(exact) / 2
    assert masks.iou_matrix([disc], [painted(rough, (60, 60))])[0, 0] > 0.95


def test_nothing_has_no_walk() -> None:
    assert traced(masks.encode(np.zeros((3, 4), np.bool_))).shape == (0, 2)


def test_many_specks_are_all_reached() -> None:
    array = np.zeros((150, 150), np.bool_)
    array[::3, ::3] = True  # 2,500 parts with more corners than are looked at
    mask = masks.encode(array)
    back = masks.decode(painted(traced(mask), (150, 150)))
    assert (back | ~array).all()
    assert 0 < (back & ~array).sum() < 3 * array.sum()

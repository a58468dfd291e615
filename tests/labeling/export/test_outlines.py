"""A mask painted from its outlines is the mask."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from numpy.typing import NDArray

from maskpilot import masks
from maskpilot.labeling.export.outlines import (
    outlines,
    polygons,
    rasterise,
    simplified,
)
from maskpilot.types import Mask
from tests.labeling.samples import SIZE, drawn_mask

PICTURES = arrays.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.booleans())


def mask_of(*rows: str) -> Mask:
    return masks.encode(np.array([[pixel == "#" for pixel in row] for row in rows]))


def size(mask: Mask) -> tuple[int, int]:
    return mask.width, mask.height


@given(PICTURES)
def test_outlines_paint_the_mask_again(picture: NDArray[np.bool_]) -> None:
    mask = masks.encode(picture)
    rings = [ring for part in outlines(mask) for ring in (part.outer, *part.holes)]
    assert rasterise(rings, size(mask)) == mask


@given(PICTURES)
def test_a_part_is_painted_by_one_polygon(picture: NDArray[np.bool_]) -> None:
    mask = masks.encode(picture)
    rings = polygons(mask)
    assert len(rings) == len(outlines(mask))
    painted = [rasterise([ring], size(mask)) for ring in rings]
    assert sum(masks.area(one) for one in painted) == masks.area(mask)
    assert masks.union(painted, width=mask.width, height=mask.height) == mask


@given(PICTURES)
def test_corners_are_corners(picture: NDArray[np.bool_]) -> None:
    for part in outlines(masks.encode(picture)):
        for ring in (part.outer, *part.holes):
            steps = np.roll(ring, -1, axis=0) - ring
            assert ((steps != 0).sum(axis=1) == 1).all()
            assert ((steps[:, 0] != 0) != (np.roll(steps, -1, axis=0)[:, 0] != 0)).all()


@given(PICTURES, st.floats(0.1, 4.0))
def test_a_simplified_outline_stays_near(picture: NDArray[np.bool_], tolerance: float) -> None:
    for ring in polygons(masks.encode(picture)):
        fewer = simplified(ring, tolerance)
        assert 3 <= len(fewer) <= len(ring)
        assert {tuple(corner) for corner in fewer.tolist()} <= {tuple(corner) for corner in ring.tolist()}
        for corner in ring:
            assert distance(corner, fewer) <= tolerance + 1e-9


def distance(corner: NDArray[np.int64], ring: NDArray[np.int64]) -> float:
    """From a corner to the nearest point of a ring."""
    begins = ring.astype(float)
    along = np.roll(begins, -1, axis=0) - begins
    lengths = (along**2).sum(axis=1)
    share = np.clip(((corner - begins) * along).sum(axis=1) / np.where(lengths, lengths, 1.0), 0.0, 1.0)
    return float(np.hypot(*(corner - begins - share[:, None] * along).T).min())


def test_a_pixel_has_four_corners() -> None:
    (part,) = outlines(drawn_mask("pixel"))
    assert part.outer.tolist() == [[3, 25], [4, 25], [4, 26], [3, 26]]
    assert part.holes == ()


def test_a_hole_is_told_from_the_ring_around_it() -> None:
    (part,) = outlines(drawn_mask("donut"))
    assert part.outer.tolist() == [[4, 4], [18, 4], [18, 18], [4, 18]]
    assert [hole.tolist() for hole in part.holes] == [[[8, 8], [14, 8], [14, 14], [8, 14]]]


def test_a_hole_hangs_on_a_bridge_straight_up() -> None:
    (ring,) = polygons(drawn_mask("donut"))
    assert ring.tolist() == [
        *([4, 4], [8, 4]),
        *([8, 8], [14, 8], [14, 14], [8, 14], [8, 8]),
        *([8, 4], [18, 4], [18, 18], [4, 18]),
    ]


def test_parts_that_touch_at_a_corner_stay_apart() -> None:
    assert len(outlines(mask_of("#.", ".#"))) == 2
    assert len(outlines(mask_of(".#", "#."))) == 2


def test_an_island_in_a_hole_is_a_part_of_its_own() -> None:
    mask = mask_of("#####", "#...#", "#.#.#", "#...#", "#####")
    assert [len(part.holes) for part in outlines(mask)] == [1, 0]


def test_nothing_has_no_outline() -> None:
    empty = mask_of("..", "..")
    assert outlines(empty) == []
    assert polygons(empty) == []
    assert rasterise([], (2, 2)) == empty


def test_stairs_become_a_slope_where_that_is_near_enough() -> None:
    stairs = masks.encode(np.tri(20, dtype=np.bool_))
    (exact,), (rough,) = polygons(stairs), polygons(stairs, tolerance=1.0)
    assert (len(exact), len(rough)) == (42, 3)
    assert masks.iou_matrix([rasterise([rough], (20, 20))], [stairs])[0, 0] > 0.9


@pytest.mark.parametrize("shape", ["donut", "parts", "pixel"])
def test_what_would_vanish_is_not_simplified(shape: str) -> None:
    mask = drawn_mask(shape)
    painted = rasterise(polygons(mask, tolerance=100.0), SIZE)
    assert masks.area(painted) > 0

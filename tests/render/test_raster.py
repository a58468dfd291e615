"""Run lengths to the pixels of a picture."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from maskpilot import masks
from maskpilot.render.raster import decode_part, grow, rasterize, shrink
from maskpilot.render.view import Rect, View
from maskpilot.types import Box, Instance
from tests.render.pictures import rectangle


@st.composite
def masks_and_parts(draw: st.DrawFn) -> tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], Rect]:
    width, height = draw(st.integers(1, 30)), draw(st.integers(1, 30))
    density = draw(st.sampled_from([0.0, 0.03, 0.5, 0.97, 1.0]))
    pixels = np.random.default_rng(draw(st.integers(0, 999))).random((height, width)) < density
    x0, y0 = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    x1, y1 = draw(st.integers(x0 + 1, width)), draw(st.integers(y0 + 1, height))
    return pixels, Rect(x0, y0, x1, y1)


@given(masks_and_parts())
def test_a_part_is_what_a_full_decode_shows_there(
    case: tuple[np.ndarray[tuple[int, ...], np.dtype[np.bool_]], Rect],
) -> None:
    pixels, part = case
    expected = pixels[part.y0 : part.y1, part.x0 : part.x1]
    np.testing.assert_array_equal(decode_part(masks.encode(pixels), part), expected)


def test_runs_longer_than_a_million_pixels_are_read() -> None:
    lone = rectangle(1, (2000, 1500), (1990, 1490, 1991, 1491))
    assert decode_part(lone.mask, Rect(1990, 1490, 1991, 1491)).all()


def test_at_the_images_own_size_the_pixels_are_the_masks() -> None:
    patch = rasterize(rectangle(1, (40, 30), (5, 6, 9, 8)), View(Box(0, 0, 40, 30), 40, 30))
    assert patch is not None
    assert patch.rect == Rect(5, 6, 9, 8)
    assert patch.pixels.all()


@given(st.integers(0, 99), st.integers(0, 59), st.integers(1, 200), st.integers(1, 200))
def test_one_pixel_is_never_lost_by_scaling(x: int, y: int, width: int, height: int) -> None:
    lone = rectangle(1, (100, 60), (x, y, x + 1, y + 1))
    patch = rasterize(lone, View(Box(0, 0, 100, 60), width, height))
    assert patch is not None
    assert patch.pixels.any()
    assert patch.x <= (x + 0.5) * width / 100 <= patch.rect.x1
    assert patch.y <= (y + 0.5) * height / 60 <= patch.rect.y1


def test_half_covered_pixels_are_set_and_others_not() -> None:
    wide = rectangle(1, (16, 4), (0, 0, 9, 4))
    patch = rasterize(wide, View(Box(0, 0, 16, 4), 4, 1))
    assert patch is not None
    assert patch.pixels.tolist() == [[True, True, False]]


def test_enlarged_pixels_are_squares() -> None:
    lone = rectangle(1, (16, 16), (3, 2, 4, 3))
    patch = rasterize(lone, View(Box(0, 0, 16, 16), 512, 512))
    assert patch is not None
    assert patch.rect == Rect(96, 64, 128, 96)
    assert patch.pixels.all()


def test_a_mask_out_of_view_is_none() -> None:
    assert rasterize(rectangle(1, (40, 30), (0, 0, 5, 5)), View(Box(10, 10, 40, 30), 30, 20)) is None


def test_a_mask_whose_box_alone_reaches_into_view_is_none() -> None:
    pixels = np.zeros((20, 20), np.bool_)
    pixels[0, :] = pixels[:, 0] = True
    hook = Instance(1, masks.encode(pixels), Box(0, 0, 20, 20), 0.9)
    assert rasterize(hook, View(Box(5, 5, 20, 20), 15, 15)) is None


@pytest.mark.parametrize("radius", [0, 1, 3])
def test_shrinking_takes_the_radius_off_each_side(radius: int) -> None:
    square = np.ones((9, 9), np.bool_)
    assert shrink(square, radius).sum() == (9 - 2 * radius) ** 2


def test_growing_adds_the_radius_to_each_side() -> None:
    lone = np.zeros((9, 9), np.bool_)
    lone[4, 4] = True
    assert grow(lone, 2).sum() == 25

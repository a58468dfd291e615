"""Ticks in a model's own unit."""

import pytest

from maskpilot.render.rulers import Tick, numbers, ticks
from maskpilot.render.view import Ruler, View
from maskpilot.types import Box

WHOLE = View(Box(0, 0, 800, 600), 800, 600)


def along(axis: str, found: tuple[Tick, ...]) -> list[tuple[int, float]]:
    return [(tick.at, tick.value) for tick in found if tick.axis == axis]


def test_a_thousandth_ruler_on_a_whole_image() -> None:
    found = ticks(Ruler(1000, 1000), WHOLE, (800, 600), spacing=100)
    assert along("x", found) == [(160, 200), (320, 400), (480, 600), (640, 800)]
    assert along("y", found) == [(120, 200), (240, 400), (360, 600), (480, 800)]


def test_a_pixel_ruler_of_a_picture_that_was_made_smaller() -> None:
    view = View(Box(0, 0, 800, 600), 400, 300)
    found = ticks(Ruler(400, 300), view, (800, 600), spacing=100)
    assert along("x", found) == [(100, 100), (200, 200), (300, 300)]


def test_a_part_of_the_image_tells_coordinates_of_the_whole() -> None:
    view = View(Box(400, 300, 600, 450), 400, 300)
    found = ticks(Ruler(1000, 1000), view, (800, 600), spacing=100)
    assert along("x", found) == [(160, 600), (320, 700)]


def test_a_unit_ruler_has_fractions() -> None:
    found = ticks(Ruler(1, 1), WHOLE, (800, 600), spacing=200)
    assert numbers(found, 6, 12)[0].text == "0.5"


def test_numbers_stand_inside_the_picture() -> None:
    found = ticks(Ruler(1000, 1000), WHOLE, (800, 600), spacing=60)
    for number in numbers(found, 6, 12):
        assert number.rect.x0 >= 0
        assert number.rect.y0 >= 0
        assert number.rect.x1 <= 800
        assert number.rect.y1 <= 600


def test_a_picture_lower_than_its_numbers_has_no_ruler() -> None:
    assert ticks(Ruler(1000, 1000), View(Box(0, 0, 6000, 60), 1536, 15), (6000, 60), spacing=55) == ()


@pytest.mark.parametrize(("x_max", "y_max"), [(0, 10), (10, -1)])
def test_a_ruler_without_extent_is_refused(x_max: float, y_max: float) -> None:
    with pytest.raises(ValueError, match="expected positive ends"):
        Ruler(x_max, y_max)

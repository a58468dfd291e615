"""Closer looks at a region, and sheets of small masks."""

import numpy as np
import pytest

from maskpilot import masks
from maskpilot.render import Marks, Ruler, colour, contact_sheets, crop, mask_image
from maskpilot.types import Box
from tests.render.pictures import different, grey, rectangle, scattered

SIZE = (2000, 1500)


def test_a_crop_shows_the_images_own_pixels() -> None:
    image = grey(*SIZE)
    image.paste((10, 200, 30), (800, 600, 801, 601))
    look = crop(image, [], Box(700, 500, 1200, 1000), context=0)
    assert look.scale == 1
    assert look.region == Box(676, 476, 1224, 1024)
    assert look.plain.getpixel((800 - 676, 600 - 476)) == (10, 200, 30)


def test_plain_and_overlay_differ_by_the_masks_alone() -> None:
    look = crop(grey(*SIZE), [rectangle(1, SIZE, (800, 600, 900, 700))], Box(700, 500, 1200, 1000))
    assert look.plain.size == look.overlay.size
    assert different(look.plain, look.overlay).any()


def test_context_is_a_share_of_the_longer_side() -> None:
    look = crop(grey(*SIZE), [], Box(700, 500, 1200, 600), context=0.2)
    assert look.region == Box(600, 400, 1300, 700)


def test_a_region_above_the_limit_is_made_smaller() -> None:
    look = crop(grey(*SIZE), [], Box(0, 0, 2000, 1500), max_side=500)
    assert look.plain.size == (500, 375)


def test_the_limit_holds_for_regions_that_are_small_already() -> None:
    assert crop(grey(*SIZE), [], Box(0, 0, 276, 276), max_side=100).plain.size == (100, 100)


@pytest.mark.parametrize(("side", "zoom"), [(2, 4), (100, 2), (400, 1)])
def test_a_small_region_is_enlarged_by_a_whole_factor_up_to_four(side: int, zoom: int) -> None:
    look = crop(grey(*SIZE), [], Box(500, 500, 500 + side, 500 + side))
    assert look.scale == zoom


def test_what_lies_outside_of_the_image_is_cut_off() -> None:
    look = crop(grey(*SIZE), [], Box(1900, 1400, 2300, 1800))
    assert look.region.x1 == 2000
    assert look.region.y1 == 1500


def test_a_box_outside_of_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match="expected a box within the 2000x1500 px image"):
        crop(grey(*SIZE), [], Box(2000, 0, 2100, 50))


def test_a_crop_can_have_a_ruler() -> None:
    box = Box(700, 500, 1200, 1000)
    plain, ruled = crop(grey(*SIZE), [], box), crop(grey(*SIZE), [], box, ruler=Ruler(1000, 1000))
    assert different(plain.overlay, ruled.overlay).any()
    assert not different(plain.plain, ruled.plain).any()


def test_nothing_is_written_into_the_image() -> None:
    image, instances = grey(*SIZE), scattered(SIZE, 5, 50)
    before = image.tobytes()
    crop(image, instances, Box(0, 0, 2000, 1500))
    contact_sheets(image, instances)
    assert image.tobytes() == before


@pytest.mark.parametrize(("count", "sheets"), [(0, 0), (1, 1), (30, 1), (31, 2), (65, 3)])
def test_sheets_hold_thirty_tiles_each(count: int, sheets: int) -> None:
    drawn = contact_sheets(grey(300, 200), scattered((300, 200), count, 9))
    assert len(drawn) == sheets
    assert all(max(sheet.size) <= 1024 for sheet in drawn)


def test_each_tile_has_its_plate_and_contour() -> None:
    instances = scattered((300, 200), 9, 9)
    (sheet,) = contact_sheets(grey(300, 200), instances)
    side = sheet.width // 3
    for index, instance in enumerate(instances):
        x, y = index % 3 * side, index // 3 * side
        tile = np.asarray(sheet.crop((x, y, x + side, y + side)))
        assert (tile == colour(instance.id)).all(axis=2).sum() > 40


def test_marks_show_on_tiles_too() -> None:
    instances = scattered((300, 200), 1, 9)
    plain, marked = (
        contact_sheets(grey(300, 200), instances, marks=marks)[0]
        for marks in (Marks(), Marks(new=frozenset({1})))
    )
    assert different(plain, marked).any()


def test_a_mask_at_the_corner_has_a_tile() -> None:
    (sheet,) = contact_sheets(grey(300, 200), [rectangle(1, (300, 200), (299, 199, 300, 200))])
    assert (np.asarray(sheet) == colour(1)).all(axis=2).any()


def test_a_mask_image_is_the_union() -> None:
    instances = [rectangle(1, (30, 20), (0, 0, 5, 5)), rectangle(2, (30, 20), (3, 3, 9, 9))]
    picture = mask_image(instances, 30, 20)
    assert picture.mode == "L"
    expected = masks.decode(instances[0].mask) | masks.decode(instances[1].mask)
    np.testing.assert_array_equal(np.asarray(picture), expected * np.uint8(255))


def test_a_mask_image_of_nothing_is_black() -> None:
    assert mask_image([], 7, 5).getextrema() == (0, 0)

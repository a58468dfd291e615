"""Where the id plates go."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskpilot.render.labels import SMALL, MaskMap, Plate, lay_out
from maskpilot.render.view import Rect

CLEARANCE = 3
Ask = list[tuple[int, int, int, int]]


def plate_size(mask_id: int, font: int) -> tuple[int, int]:
    return (font * len(str(mask_id)), font)


def mask_map(size: tuple[int, int], rects: Ask) -> MaskMap:
    """Masks that fill rectangles (x, y, width, height), cut off at the picture's edge; ids from 1."""
    owner = np.zeros((size[1], size[0]), np.int32)
    cut = {
        number: Rect(x, y, min(size[0], x + width), min(size[1], y + height))
        for number, (x, y, width, height) in enumerate(rects, start=1)
    }
    areas = {number: rect.width * rect.height for number, rect in cut.items()}
    for number in sorted(cut, key=lambda one: (-areas[one], one)):
        rect = cut[number]
        owner[rect.y0 : rect.y1, rect.x0 : rect.x1] = number
    return MaskMap(owner, cut, areas)


def place(
    masks: MaskMap, fonts: tuple[int, ...] = (14, 10), taken: tuple[Rect, ...] = ()
) -> tuple[tuple[Plate, ...], tuple[int, ...]]:
    return lay_out(masks, plate_size, fonts, clearance=CLEARANCE, taken=taken)


def overlap(one: Rect, other: Rect) -> bool:
    return one.x0 < other.x1 and other.x0 < one.x1 and one.y0 < other.y1 and other.y0 < one.y1


crowds = st.lists(
    st.tuples(st.integers(0, 199), st.integers(0, 149), st.integers(1, 90), st.integers(1, 90)),
    max_size=25,
)


@given(crowds)
@settings(max_examples=60, deadline=None)
def test_no_plate_covers_or_touches_a_small_mask(rects: Ask) -> None:
    masks = mask_map((200, 150), rects)
    plates, _ = place(masks)
    largest = max((plate.rect.width * plate.rect.height for plate in plates), default=0)
    small = [number for number, area in masks.areas.items() if area < SMALL * largest]
    for plate in plates:
        near = plate.rect.grown(CLEARANCE)
        around = masks.owner[max(0, near.y0) : near.y1, max(0, near.x0) : near.x1]
        assert not np.isin(around, small).any()


@given(crowds)
@settings(max_examples=60, deadline=None)
def test_plates_lie_in_the_picture_and_apart_from_each_other(rects: Ask) -> None:
    plates, _ = place(mask_map((200, 150), rects))
    for index, plate in enumerate(plates):
        assert plate.rect.x0 >= 0
        assert plate.rect.y0 >= 0
        assert plate.rect.x1 <= 200
        assert plate.rect.y1 <= 150
        assert not any(overlap(plate.rect.grown(1), other.rect) for other in plates[:index])


@given(crowds)
@settings(max_examples=30, deadline=None)
def test_each_id_has_a_plate_or_is_reported(rects: Ask) -> None:
    plates, unplaced = place(mask_map((200, 150), rects))
    assert sorted([plate.id for plate in plates] + list(unplaced)) == list(range(1, len(rects) + 1))


@given(crowds)
@settings(max_examples=20, deadline=None)
def test_a_plate_without_a_line_lies_on_its_mask(rects: Ask) -> None:
    masks = mask_map((200, 150), rects)
    for plate in place(masks)[0]:
        if plate.target is None:
            x, y = plate.centre
            assert masks.owner[y, x] == plate.id


def test_a_large_mask_carries_its_plate_in_the_middle() -> None:
    (plate,), _ = place(mask_map((200, 150), [(50, 40, 100, 80)]))
    assert plate.target is None
    assert plate.centre == pytest.approx((100, 80), abs=8)


def test_a_small_mask_has_its_plate_beside_it_and_a_line_to_it() -> None:
    (plate,), _ = place(mask_map((200, 150), [(100, 80, 3, 3)]))
    assert plate.target is not None
    assert abs(plate.centre[0] - 101) + abs(plate.centre[1] - 81) < 30
    assert 100 <= plate.target[0] < 103
    assert 80 <= plate.target[1] < 83


def test_a_long_thin_mask_has_its_plate_beside_it() -> None:
    (plate,), _ = place(mask_map((200, 150), [(0, 70, 200, 5)]), fonts=(8,))
    assert plate.target is not None


def test_a_mask_hidden_by_a_smaller_one_still_has_a_plate() -> None:
    plates, unplaced = place(mask_map((200, 150), [(80, 60, 10, 10), (80, 60, 10, 10)]))
    assert {plate.id for plate in plates} == {1, 2}
    assert unplaced == ()


def test_masks_of_the_same_large_shape_all_have_plates() -> None:
    plates, unplaced = place(mask_map((200, 150), [(0, 0, 200, 150)] * 5))
    assert len(plates) == 5
    assert unplaced == ()


def test_a_crowd_gets_smaller_plates() -> None:
    rects = [(x, y, 4, 4) for x in range(4, 196, 16) for y in range(4, 146, 16)]
    plates, _ = place(mask_map((200, 150), rects), fonts=(20, 5))
    assert {plate.font for plate in plates} == {5}


def test_where_there_is_no_room_the_id_is_reported() -> None:
    plates, unplaced = place(mask_map((12, 12), [(3, 3, 4, 4)]))
    assert plates == ()
    assert unplaced == (1,)


def test_nothing_is_put_on_what_is_taken() -> None:
    taken = Rect(90, 60, 130, 100)
    (plate,), _ = place(mask_map((200, 150), [(50, 40, 100, 80)]), taken=(taken,))
    assert not overlap(plate.rect, taken)


def test_no_masks_need_no_plates() -> None:
    assert place(mask_map((200, 150), [])) == ((), ())

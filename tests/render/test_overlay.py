"""The picture that a policy is shown."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from maskpilot.render import LEGEND, Marks, Ruler, colour, display_size, overlay
from maskpilot.render.palette import NEGATIVE, POSITIVE
from maskpilot.types import Box, Exemplar
from tests.render.pictures import different, grey, rectangle, scattered

SIZE = (640, 480)


def holds(picture: Image.Image, tint: tuple[int, int, int]) -> bool:
    return bool((np.asarray(picture) == tint).all(axis=2).any())


@given(
    st.tuples(st.integers(16, 300), st.integers(16, 300)),
    st.integers(0, 12),
    st.integers(0, 999),
    st.booleans(),
)
@settings(max_examples=25, deadline=None)
def test_any_image_is_drawn_at_its_display_size_and_not_written_to(
    size: tuple[int, int], count: int, seed: int, ruled: bool
) -> None:
    image, instances = grey(*size), scattered(size, count, min(size), seed)
    before = image.tobytes()
    drawn = overlay(
        image,
        instances,
        exemplars=[Exemplar(Box(-5, 3, 9, 400), positive=True)],
        ruler=Ruler(1000, 1000) if ruled else None,
    )
    assert drawn.image.size == display_size(*size)
    assert image.tobytes() == before


def test_the_same_input_gives_the_same_picture() -> None:
    image, instances = grey(*SIZE), scattered(SIZE, 30, 80)
    first, second = overlay(image, instances), overlay(image, list(reversed(instances)))
    assert first.image.tobytes() == second.image.tobytes()


def test_without_anything_to_draw_the_picture_is_the_image() -> None:
    image = grey(*SIZE)
    drawn = overlay(image, []).image
    assert drawn is not image
    assert not different(drawn, image).any()


def test_far_from_masks_and_plates_nothing_is_drawn() -> None:
    drawn = overlay(grey(*SIZE), [rectangle(1, SIZE, (20, 20, 90, 90))]).image
    assert not different(drawn, grey(*SIZE))[:, 100:].any()


def test_the_object_shines_through_its_mask() -> None:
    image = grey(*SIZE, level=0)
    image.paste((255, 255, 255), (30, 30, 35, 35))
    pixels = np.asarray(overlay(image, [rectangle(1, SIZE, (20, 20, 120, 120))]).image, np.int64)
    assert (pixels[32, 32] - pixels[45, 32] > 100).all()


@pytest.mark.parametrize("mask_id", [1, 2, 30, 199])
def test_a_contour_shows_on_its_own_colour(mask_id: int) -> None:
    image = Image.new("RGB", SIZE, colour(mask_id))
    drawn = overlay(image, [rectangle(mask_id, SIZE, (100, 60, 200, 160))]).image
    around = different(drawn, image)[59:161, 99:201]
    assert around[:, [0, -1]].all()
    assert around[[0, -1], :].all()


def test_a_mask_keeps_its_colour_among_others() -> None:
    seven = rectangle(7, SIZE, (20, 20, 90, 90))
    others = [rectangle(number, SIZE, (150, 20, 290, 200)) for number in (1, 2, 3)]
    alone = np.asarray(overlay(grey(*SIZE), [seven]).image)
    among = np.asarray(overlay(grey(*SIZE), [*others, seven]).image)
    np.testing.assert_array_equal(alone[18:92, 18:92], among[18:92, 18:92])


def test_a_small_mask_is_not_painted_over() -> None:
    lone = rectangle(1, SIZE, (100, 100, 104, 104))
    inside = np.asarray(overlay(grey(*SIZE), [lone]).image)[100:104, 100:104]
    assert (inside == inside[0, 0]).all()
    assert abs(inside.astype(int) - 128).max() < 60


def test_a_smaller_mask_lies_on_top_of_a_larger_one() -> None:
    large, small = rectangle(1, SIZE, (0, 0, 200, 200)), rectangle(2, SIZE, (90, 20, 110, 40))
    assert holds(overlay(grey(*SIZE), [small, large]).image.crop((85, 15, 115, 45)), colour(2))


def test_new_changed_and_locked_masks_are_told_apart() -> None:
    image, instances = grey(*SIZE), [rectangle(1, SIZE, (20, 20, 190, 190))]
    one = frozenset({1})
    pictures = {
        overlay(image, instances, marks=marks).image.tobytes()
        for marks in (Marks(), Marks(new=one), Marks(changed=one), Marks(locked=one))
    }
    assert len(pictures) == 4


@pytest.mark.parametrize(
    ("marks", "label"),
    [
        (Marks(), "7"),
        (Marks(new=frozenset({7})), "7*"),
        (Marks(changed=frozenset({7})), "7~"),
        (Marks(locked=frozenset({7})), "[7]"),
        (Marks(locked=frozenset({7}), new=frozenset({7})), "[7]*"),
    ],
)
def test_what_stands_on_a_plate(marks: Marks, label: str) -> None:
    assert marks.label(7) == label


@pytest.mark.parametrize("label", ["7*", "7~", "[7]", "green", "red"])
def test_the_legend_names_every_sign(label: str) -> None:
    assert label in LEGEND


def test_prompt_boxes_are_dashed_green_and_red() -> None:
    boxes = [Exemplar(Box(20, 20, 120, 120), positive=True), Exemplar(Box(160, 60, 300, 200), positive=False)]
    drawn = overlay(grey(*SIZE), [], exemplars=boxes).image
    top_of_green = (np.asarray(drawn)[20, 20:120] == POSITIVE).all(axis=1)
    top_of_red = (np.asarray(drawn)[60, 160:300] == NEGATIVE).all(axis=1)
    for edge in (top_of_green, top_of_red):
        assert edge.any()
        assert not edge.all()


def test_a_ruler_leaves_the_size_as_it_is() -> None:
    plain = overlay(grey(*SIZE), []).image
    ruled = overlay(grey(*SIZE), [], ruler=Ruler(1000, 1000)).image
    assert ruled.size == plain.size
    assert different(ruled, plain).any()


def test_a_ruler_hides_no_small_mask() -> None:
    instances = [
        rectangle(number, SIZE, (x, 10, x + 5, 15)) for number, x in enumerate(range(0, 630, 9), start=1)
    ]
    under_all = rectangle(99, SIZE, (0, 6, 640, 20))
    plain = np.asarray(overlay(grey(*SIZE), [*instances, under_all]).image)
    ruled = np.asarray(overlay(grey(*SIZE), [*instances, under_all], ruler=Ruler(1000, 1000)).image)
    np.testing.assert_array_equal(ruled[9:16, 24:616], plain[9:16, 24:616])


def test_a_size_of_the_callers_choice() -> None:
    drawn = overlay(grey(*SIZE), [rectangle(1, SIZE, (600, 440, 640, 480))], size=(448, 336)).image
    assert drawn.size == (448, 336)
    assert holds(drawn.crop((420, 308, 448, 336)), colour(1))


def test_two_hundred_masks_are_all_labelled_or_reported() -> None:
    size = (1200, 900)
    drawn = overlay(grey(*size), scattered(size, 200, 40))
    assert drawn.unlabelled == ()


def test_fifty_megapixels_are_drawn_and_a_speck_on_them_is_labelled() -> None:
    size = (8660, 5774)
    instances = [rectangle(1, size, (10, 10, 4000, 3000)), rectangle(2, size, (5000, 5000, 5003, 5004))]
    drawn = overlay(grey(*size), instances)
    assert (drawn.image.size, drawn.unlabelled) == ((1536, 1024), ())
    assert holds(drawn.image, colour(2))


def test_a_strip_too_low_for_plates_reports_its_ids() -> None:
    size = (1500, 8)
    drawn = overlay(grey(*size), [rectangle(4, size, (700, 2, 720, 6))])
    assert drawn.unlabelled == (4,)


def test_an_image_that_is_not_rgb_is_refused() -> None:
    with pytest.raises(ValueError, match="expected an RGB image, got mode L"):
        overlay(Image.new("L", SIZE), [])


def test_masks_of_another_image_are_refused() -> None:
    with pytest.raises(ValueError, match="expected masks of 640x480 px like the image, got 10x10 for id 1"):
        overlay(grey(*SIZE), [rectangle(1, (10, 10), (0, 0, 5, 5))])


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        ((16, 16), (512, 512)),
        ((100, 40), (600, 240)),
        ((360, 180), (720, 360)),
        ((512, 100), (512, 100)),
        ((640, 480), (640, 480)),
        ((1536, 10), (1536, 10)),
        ((8660, 5773), (1536, 1024)),
        ((1, 9000), (1, 1536)),
    ],
)
def test_the_size_at_which_an_image_is_shown(size: tuple[int, int], shown: tuple[int, int]) -> None:
    assert display_size(*size) == shown


@pytest.mark.parametrize(("max_side", "shown"), [(100, (100, 75)), (400, (400, 300)), (900, (800, 600))])
def test_a_small_image_is_shown_within_a_small_limit(max_side: int, shown: tuple[int, int]) -> None:
    assert display_size(400, 300, max_side) == shown


def test_threads_that_draw_at_once_draw_the_same() -> None:
    image, instances = grey(*SIZE), scattered(SIZE, 30, 80)
    with ThreadPoolExecutor(8) as pool:
        drawn = list(pool.map(lambda _: overlay(image, instances).image.tobytes(), range(16)))
    assert len(set(drawn)) == 1

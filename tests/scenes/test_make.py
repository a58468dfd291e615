"""Scenes: the same from a seed, exact, and rich."""

import hashlib
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from maskpilot.scenes import BACKGROUNDS, COLOURS, MAX_OBJECTS, SHAPES, SIDES, TEXTURES, Scene, make_scene

SEEDS = st.integers(min_value=0, max_value=2**32)


def described(scene: Scene) -> str:
    return "\n".join(
        f"{thing.shape} {thing.colour} {thing.texture} {thing.size} {thing.box.xyxy} {thing.area}"
        for thing in scene.objects
    )


@given(seed=SEEDS)
@settings(max_examples=40, deadline=None)
def test_masks_are_disjoint_tight_and_visible(seed: int) -> None:
    scene = make_scene(seed)
    cover = np.zeros((scene.height, scene.width), int)
    for z, thing in enumerate(scene.objects):
        rows, columns = np.nonzero(thing.mask)
        cover += thing.mask
        assert thing.z == z
        assert thing.box.xyxy == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        assert thing.area >= 20
        assert 0.6 <= thing.visible <= 1
    assert cover.max(initial=0) <= 1


@given(seed=SEEDS)
@settings(max_examples=10, deadline=None)
def test_a_seed_makes_the_same_scene_again(seed: int) -> None:
    first, second = make_scene(seed), make_scene(seed)
    assert np.array_equal(first.pixels, second.pixels)
    assert described(first) == described(second)


def test_a_known_seed_makes_the_known_scene() -> None:
    # Attributes and places come from NumPy's generator. Edges are drawn by Pillow, so pixels get some slack.
    scene = make_scene(11, size=(240, 160), count=12)
    words = "\n".join(f"{thing.shape} {thing.colour} {thing.texture} {thing.size}" for thing in scene.objects)
    assert hashlib.sha256(words.encode()).hexdigest()[:16] == "cd133e763252d561"
    assert [thing.area for thing in scene.objects] == pytest.approx(
        [3200, 1010, 884, 1013, 155, 198, 616, 84, 157, 237, 125, 177], rel=0.05
    )
    assert scene.pixels.mean() == pytest.approx(145.9, abs=1.0)


@given(
    size=st.tuples(st.integers(64, 500), st.integers(64, 500)), count=st.integers(0, MAX_OBJECTS), seed=SEEDS
)
@settings(max_examples=25, deadline=None)
def test_size_and_count_are_as_asked(size: tuple[int, int], count: int, seed: int) -> None:
    scene = make_scene(seed, size=size, count=count)
    assert scene.image.size == (scene.width, scene.height) == size
    assert scene.image.mode == "RGB"
    assert len(scene.objects) <= count


def test_arguments_out_of_range_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 64"):
        make_scene(0, size=(63, 200))
    with pytest.raises(ValueError, match=r"0\.\.40"):
        make_scene(0, count=41)


def test_nothing_can_be_written_to() -> None:
    scene = make_scene(5)
    with pytest.raises(ValueError, match="read-only"):
        scene.pixels[0, 0] = 0
    with pytest.raises(ValueError, match="read-only"):
        scene.objects[0].mask[0, 0] = True


def test_scenes_are_rich() -> None:
    scenes = [make_scene(seed) for seed in range(150)]
    things = [thing for scene in scenes for thing in scene.objects]
    assert {thing.shape for thing in things} == set(SHAPES)
    assert {thing.colour for thing in things} == set(COLOURS)
    assert {thing.texture for thing in things} == set(TEXTURES)
    assert {thing.size for thing in things} == {"small", "medium", "large"}
    assert {(scene.width, scene.height) for scene in scenes} == set(SIDES)
    counts = Counter(len(scene.objects) for scene in scenes)
    assert min(counts) == 0
    assert max(counts) > 25
    assert sum(thing.visible < 0.95 for thing in things) > 50


def test_most_objects_have_a_look_alike_that_differs_in_one_attribute() -> None:
    def differences(first: object, second: object) -> int:
        return sum(
            getattr(first, field) != getattr(second, field) for field in ("shape", "colour", "texture")
        )

    alone = total = 0
    for seed in range(40):
        things = make_scene(seed, count=10).objects
        total += len(things)
        alone += sum(all(differences(one, other) != 1 for other in things) for one in things)
    assert alone < 0.2 * total


@pytest.mark.parametrize("kind", BACKGROUNDS)
def test_backgrounds_are_muted_and_no_colour_drowns(kind: str) -> None:
    pixels = make_scene(3, size=(200, 150), count=0, background_kind=kind).pixels.astype(int)
    assert np.ptp(pixels, axis=2).mean() < 45
    assert 60 < pixels.mean() < 210


def test_union_gathers_masks() -> None:
    scene = make_scene(5)
    assert not scene.union(()).any()
    assert scene.union((0, 1)).sum() == scene.objects[0].area + scene.objects[1].area

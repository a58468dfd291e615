"""One seed, one scene."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from maskpilot.scenes.backgrounds import background
from maskpilot.scenes.layout import Placed, Plan, place
from maskpilot.scenes.types import Scene, SceneObject
from maskpilot.scenes.vocabulary import COLOURS, SHAPES, TEXTURES
from maskpilot.types import Box

__all__ = ["MAX_OBJECTS", "SIDES", "make_scene"]

MAX_OBJECTS = 40
SIDES = (
    (224, 224),
    (256, 256),
    (320, 240),
    (240, 320),
    (384, 256),
    (256, 384),
    (360, 180),
    (180, 360),
    (480, 360),
)
"""(width, height) that scenes are drawn in where no size is asked for."""


def make_scene(
    seed: int,
    *,
    size: tuple[int, int] | None = None,
    count: int | None = None,
    background_kind: str | None = None,
) -> Scene:
    """Draw a scene. The same arguments give the same scene.

    Objects of a scene share few shapes, colours and textures, so most have a look-alike that differs in one
    attribute alone.

    Args:
        seed: any integer >= 0.
        size: (width, height) in pixels, at least 64 each; drawn from SIDES where None.
        count: objects to draw, 0 to MAX_OBJECTS; those that find no room are left out. Drawn where None.
        background_kind: a key of BACKGROUNDS; drawn where None.

    Raises:
        ValueError: an argument is out of range.
    """
    if size is not None and min(size) < 64:
        raise ValueError(f"make_scene: expected sides of at least 64 px, got {size}")
    if count is not None and not 0 <= count <= MAX_OBJECTS:
        raise ValueError(f"make_scene: expected a count in 0..{MAX_OBJECTS}, got {count}")
    rng = np.random.default_rng(seed)
    width, height = size or SIDES[rng.integers(len(SIDES))]
    wanted = _draw_count(rng) if count is None else count
    canvas = background(width, height, rng, kind=background_kind)
    placed, owner = place(_plans(wanted, rng), canvas, rng, crowding=rng.choice([0.0, 0.3, 0.8]))
    return Scene(seed=seed, pixels=_expose(canvas, rng), objects=_objects(placed, owner))


def _draw_count(rng: np.random.Generator) -> int:
    low, high = ((0, 3), (3, 9), (9, 17), (17, MAX_OBJECTS + 1))[rng.choice(4, p=[0.1, 0.45, 0.3, 0.15])]
    return int(rng.integers(low, high))


def _plans(count: int, rng: np.random.Generator) -> list[Plan]:
    """What to draw: a few shapes, colours and textures, freely combined; many objects are mostly small."""
    kinds = 2 + int(count > 4) + int(rng.integers(0, 3))
    shapes = rng.choice(SHAPES, min(kinds, len(SHAPES)), replace=False)
    colours = rng.choice(COLOURS, min(kinds, len(COLOURS)), replace=False)
    # Half of all scenes are mostly plain, as most things are.
    odds = (0.7, 0.1, 0.1, 0.1) if rng.random() < 0.5 else (0.25, 0.25, 0.25, 0.25)
    small, large = min(0.25 + count * 0.015, 0.8), max(0.3 - count * 0.012, 0.02)
    plans = []
    for _ in range(count):
        size = str(rng.choice(["small", "medium", "large"], p=[small, 1 - small - large, large]))
        # A texture cannot be seen on a small object.
        texture = "plain" if size == "small" else str(rng.choice(TEXTURES, p=odds))
        plans.append(Plan(str(rng.choice(shapes)), str(rng.choice(colours)), texture, size))
    # The largest go first, so that they do not hide the rest, but not strictly so.
    rank = {"large": 0.0, "medium": 0.5, "small": 1.0}
    order = np.argsort([rank[plan.size] + rng.uniform(0, 0.8) for plan in plans], kind="stable")
    return [plans[index] for index in order]


def _expose(canvas: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.uint8]:
    """As a camera would: a little noise, then 8 bits."""
    noise = rng.standard_normal(canvas.shape[:2], np.float32)[:, :, None] * np.float32(rng.uniform(0, 7))
    pixels = np.clip(canvas + noise, 0, 255).astype(np.uint8)
    pixels.flags.writeable = False
    return pixels


def _objects(placed: list[Placed], owner: NDArray[np.int16]) -> tuple[SceneObject, ...]:
    objects = []
    for z, item in enumerate(placed):
        mask = owner == z
        mask.flags.writeable = False
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        box = Box(columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
        plan = item.plan
        objects.append(
            SceneObject(
                shape=plan.shape,
                colour=plan.colour,
                texture=plan.texture,
                size=plan.size,
                mask=mask,
                box=box,
                z=z,
                visible=item.seen / item.whole,
            )
        )
    return tuple(objects)

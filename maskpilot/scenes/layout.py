"""Where the objects of a scene go, how they hide each other, and the picture that comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskpilot.scenes.backgrounds import Canvas
from maskpilot.scenes.outlines import MAX_TILT, alpha_of
from maskpilot.scenes.paint import FINEST, paint

__all__ = ["LENGTHS", "Placed", "Plan", "place"]

LENGTHS = {"small": (0.07, 0.105), "medium": (0.15, 0.22), "large": (0.30, 0.42)}
"""Size word -> an object's longest side as a share of the image's mean side; the gaps keep words clear."""

LEAST_VISIBLE = 0.6
"""Share of every object that must be seen, so that its shape can be named."""
LEAST_PIXELS = 20
TRIES = 12
INSIDE = np.uint8(128)


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be drawn, before it has a place."""

    shape: str
    colour: str
    texture: str
    size: str


@dataclass(slots=True)
class Placed:
    """A drawn object: its plan, and how many pixels it has in all and in sight."""

    plan: Plan
    whole: int
    seen: int


def place(
    plans: list[Plan], canvas: Canvas, rng: np.random.Generator, *, crowding: float
) -> tuple[list[Placed], NDArray[np.int16]]:
    """Draw the plans onto the canvas, in place; those for which there is no room are left out.

    Args:
        crowding: chance that an object may hide parts of others.

    Returns:
        The objects that found a place, lowest first, and (H, W) int16: which of them each pixel shows,
        -1 for none.
    """
    owner = np.full(canvas.shape[:2], -1, np.int16)
    placed: list[Placed] = []
    for plan in plans:
        _place_one(plan, canvas, owner, placed, rng, may_hide=rng.random() < crowding)
    return placed, owner


def _place_one(
    plan: Plan,
    canvas: Canvas,
    owner: NDArray[np.int16],
    placed: list[Placed],
    rng: np.random.Generator,
    *,
    may_hide: bool,
) -> None:
    height, width = owner.shape
    side = float(np.sqrt(height * width))
    length = rng.uniform(*LENGTHS[plan.size]) * side
    tilt = MAX_TILT.get(plan.shape, 180.0)
    alpha = alpha_of(plan.shape, length=length, tilt=rng.uniform(-tilt, tilt), stretch=rng.uniform(0.9, 1.12))
    solid = alpha >= INSIDE
    whole = int(np.count_nonzero(solid))
    # One object in eight may be cut by the image's edge.
    over = 0.25 if rng.random() < 0.125 else 0.0
    for _ in range(TRIES):
        corner = _corner(alpha.shape, owner.shape, over, rng)
        if corner is None:
            return
        window, crop = _overlap(corner, alpha.shape, owner.shape)
        inside = solid[crop]
        seen = int(np.count_nonzero(inside))
        below = owner[window][inside]
        hidden = np.bincount(below[below >= 0], minlength=len(placed))
        if seen < max(LEAST_PIXELS, LEAST_VISIBLE * whole):
            continue
        if hidden.any() if not may_hide else not _all_stay_visible(placed, hidden):
            continue
        for index in np.flatnonzero(hidden).tolist():
            placed[index].seen -= int(hidden[index])
        period = max(FINEST * side, length * rng.uniform(0.2, 0.27))
        surface = paint(alpha, colour=plan.colour, texture=plan.texture, period=period, rng=rng)
        _blend(canvas, surface[crop], alpha[crop], window)
        owner[window][inside] = len(placed)
        placed.append(Placed(plan, whole, seen))
        return


def _all_stay_visible(placed: list[Placed], hidden: NDArray[np.intp]) -> bool:
    return all(
        placed[index].seen - hidden[index] >= max(LEAST_PIXELS, LEAST_VISIBLE * placed[index].whole)
        for index in np.flatnonzero(hidden).tolist()
    )


def _corner(
    size: tuple[int, ...], within: tuple[int, ...], over: float, rng: np.random.Generator
) -> tuple[int, int] | None:
    """A random top-left corner (row, column); None where the object is larger than the image."""
    corner = []
    for length, room in zip(size, within, strict=True):
        low, high = -int(over * length), room - length + int(over * length)
        if high < low:
            return None
        corner.append(int(rng.integers(low, high + 1)))
    return (corner[0], corner[1])


Window = tuple[slice, slice]


def _overlap(
    corner: tuple[int, int], size: tuple[int, ...], within: tuple[int, ...]
) -> tuple[Window, Window]:
    """The window of the image that an object covers, and the same window in the object's own pixels."""
    rows, columns = (
        (slice(max(start, 0), min(start + length, room)), slice(max(-start, 0), min(room - start, length)))
        for start, length, room in zip(corner, size, within, strict=True)
    )
    return (rows[0], columns[0]), (rows[1], columns[1])


def _blend(canvas: Canvas, surface: Canvas, alpha: NDArray[np.uint8], window: Window) -> None:
    """Paint a surface over the canvas, in place, above a soft rim of shadow."""
    cover = alpha[:, :, None].astype(np.float32) / 255
    region = canvas[window]
    shadow = np.zeros_like(cover)
    shadow[2:, 2:] = cover[:-2, :-2]
    region *= 1 - 0.3 * shadow
    region += cover * (surface - region)

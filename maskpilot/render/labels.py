"""Where the id plates go: pure geometry on a map of which mask is where.

Two rules are never broken: a plate covers and touches no small mask, and no other plate. A mask that is
large beside its plate carries it inside, as deep as it gets; every other mask has it close by, with a
leader line. A crowded picture gets smaller plates. A mask for which there is still no room is reported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskpilot.render.raster import shrink
from maskpilot.render.room import Rects, Room
from maskpilot.render.view import Rect

__all__ = ["SMALL", "MaskMap", "Plate", "lay_out"]

SMALL = 6
"""A mask with less than this many times the area of the picture's largest plate is small."""

RINGS = (0.3, 0.6, 1.0, 1.5, 2.2, 3.0, 4.0, 6.0, 9.0, 12.0)
"""How far away from a mask a plate is tried, in plate heights."""

DIRECTIONS = 40
COARSE = 48
"""The depth within a large mask is measured on a grid of at most this many cells a side."""

Size = tuple[int, int]
Points = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Plate:
    """Where one id stands.

    Attributes:
        id: whose.
        rect: the plate, in picture pixels.
        font: size of its font.
        target: the pixel of the mask that its leader line ends at; None where it lies inside the mask.
    """

    id: int
    rect: Rect
    font: int
    target: tuple[int, int] | None = None

    @property
    def centre(self) -> tuple[int, int]:
        return ((self.rect.x0 + self.rect.x1) // 2, (self.rect.y0 + self.rect.y1) // 2)

    def leader(self) -> Points:
        """Points along the leader line, (n, 2) xy; none where there is no line."""
        if self.target is None:
            return np.zeros((0, 2), np.int64)
        length = max(abs(a - b) for a, b in zip(self.centre, self.target, strict=True))
        steps = np.linspace(0.0, 1.0, length // 2 + 2)[:, None]
        line = np.array(self.centre) * (1 - steps) + np.array(self.target) * steps
        return np.rint(line).astype(np.int64)


@dataclass(frozen=True, eq=False)
class MaskMap:
    """Which mask is seen at each pixel of a picture.

    Attributes:
        owner: (H, W) int32, the id of the smallest mask at the pixel, 0 where there is none.
        rects: id -> where the mask lies.
        areas: id -> its pixels in the picture, those under smaller masks included.
    """

    owner: NDArray[np.int32]
    rects: Mapping[int, Rect]
    areas: Mapping[int, int]


def lay_out(
    masks: MaskMap,
    plate_size: Callable[[int, int], Size],
    font_sizes: Iterable[int],
    *,
    clearance: int,
    taken: tuple[Rect, ...] = (),
) -> tuple[tuple[Plate, ...], tuple[int, ...]]:
    """A place for the plate of each mask.

    Args:
        masks: what is where.
        plate_size: (id, font size) -> (width, height) of its plate in pixels.
        font_sizes: sizes to try, largest first; one size serves the whole picture.
        clearance: pixels kept free between a plate and a small mask.
        taken: rectangles that are not free, such as a ruler's numbers.

    Returns:
        The plates, and the ids for which there was no room at the size that served most of them.
    """
    best: tuple[Plate, ...] = ()
    for font in font_sizes:
        if len(best) < len(masks.rects):
            sizes = {mask_id: plate_size(mask_id, font) for mask_id in masks.rects}
            best = max(best, _Layout(masks, sizes, font, clearance, taken).plates(), key=len)
    return best, tuple(sorted(masks.rects.keys() - {plate.id for plate in best}))


class _Layout:
    """One attempt at a whole picture, with one font size."""

    def __init__(
        self,
        masks: MaskMap,
        sizes: Mapping[int, Size],
        font: int,
        clearance: int,
        taken: tuple[Rect, ...],
    ) -> None:
        limit = SMALL * max(width * height for width, height in sizes.values())
        self._masks, self._sizes, self._font = masks, sizes, font
        self._small = {mask_id for mask_id, area in masks.areas.items() if area < limit}
        is_small = np.zeros(max(masks.rects) + 1, np.bool_)
        is_small[list(self._small)] = True
        self._room = Room(is_small[masks.owner], masks.owner > 0, clearance=clearance, taken=taken)

    def plates(self) -> tuple[Plate, ...]:
        placed: list[Plate] = []
        # Small masks first: they have the least choice of a place near by.
        for mask_id in sorted(self._masks.rects, key=lambda one: (self._masks.areas[one], one)):
            plate = self._place(mask_id)
            if plate is not None:
                placed.append(plate)
                self._room.take(plate.rect, plate.leader())
        return tuple(placed)

    def _place(self, mask_id: int) -> Plate | None:
        rect, size = self._masks.rects[mask_id], self._sizes[mask_id]
        corner = np.array([rect.x0, rect.y0])
        visible = self._masks.owner[rect.y0 : rect.y1, rect.x0 : rect.x1] == mask_id
        seen = corner + _thinned(visible)
        if mask_id in self._small:
            return self._place_beside(mask_id, rect, seen)
        centres, depths = _depths(visible)
        candidates = _plates_at(corner + centres, size)
        fits = self._room.free(candidates) & _inside(self._masks.owner, mask_id, candidates)
        if fits.any():
            deepest = int(np.argmax(np.where(fits, depths, -np.inf)))
            return Plate(mask_id, Rect(*candidates[deepest].tolist()), self._font)
        x, y = (corner + centres[int(np.argmax(depths))]).tolist()
        return self._place_beside(mask_id, Rect(x, y, x + 1, y + 1), seen)

    def _place_beside(self, mask_id: int, core: Rect, seen: Points) -> Plate | None:
        """Near the core and over no mask is best; a line that is tangled with others is a last resort."""
        size = self._sizes[mask_id]
        centres, away = _rings(core, size)
        candidates = _plates_at(centres, size)
        free = self._room.free(candidates)
        candidates, centres = candidates[free], centres[free]
        costs = away[free] + 1.5 * size[1] * self._room.covered(candidates)
        tangled = None
        for index in np.argsort(costs, kind="stable").tolist():
            nearest = seen[int(np.argmin(((seen - centres[index]) ** 2).sum(axis=1)))]
            target = (int(nearest[0]), int(nearest[1]))
            plate = Plate(mask_id, Rect(*candidates[index].tolist()), self._font, target)
            if not self._room.tangled(plate.rect, plate.leader()):
                return plate
            tangled = tangled or plate
        return tangled


def _rings(core: Rect, size: Size) -> tuple[Points, NDArray[np.float64]]:
    """Plate centres around a core, (n, 2), and how far each plate is away from it, (n,)."""
    angles = np.arange(DIRECTIONS) * (2 * np.pi / DIRECTIONS) - np.pi / 4
    unit = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    square = unit / np.abs(unit).max(axis=1, keepdims=True)
    away = np.array(RINGS)[:, None] * size[1]
    half = np.array([core.width + size[0], core.height + size[1]]) / 2 + away[..., None]
    centre = np.array([core.x0 + core.x1, core.y0 + core.y1]) / 2
    centres = centre + square[None] * half
    return np.rint(centres).astype(np.int64).reshape(-1, 2), np.repeat(away[:, 0], DIRECTIONS)


def _plates_at(centres: Points, size: Size) -> Rects:
    corner = centres - np.array(size) // 2
    return np.concatenate([corner, corner + np.array(size)], axis=1)


def _inside(owner: NDArray[np.int32], mask_id: int, rects: Rects) -> NDArray[np.bool_]:
    """Whether corners, middles of the sides and centre of each rectangle lie on the mask: (n,) bool."""
    height, width = owner.shape
    x = np.linspace(rects[:, 0], rects[:, 2] - 1, 3).astype(np.int64).clip(0, width - 1)
    y = np.linspace(rects[:, 1], rects[:, 3] - 1, 3).astype(np.int64).clip(0, height - 1)
    return np.asarray((owner[y[:, None], x[None]] == mask_id).all(axis=(0, 1)))


def _depths(visible: NDArray[np.bool_]) -> tuple[Points, NDArray[np.float64]]:
    """Points of a mask, (n, 2) xy, and how many grid cells deep each lies within it, (n,).

    Of equally deep points the one in the middle counts a little more.
    """
    step = max(1, -(-max(visible.shape) // COARSE))
    left = visible[step // 2 :: step, step // 2 :: step]
    depth = np.zeros(left.shape, np.float64)
    while left.any():
        depth += left
        left = shrink(left, 1)
    y, x = np.nonzero(depth)
    if not len(x):  # hidden by smaller masks, or so thin that it falls between the grid's cells
        return _thinned(visible), np.ones(len(_thinned(visible)))
    points = np.stack([x, y], axis=1)
    off_middle = np.linalg.norm(points - points.mean(axis=0), axis=1) / COARSE
    return points * step + step // 2, depth[y, x] - 0.5 * off_middle


def _thinned(visible: NDArray[np.bool_]) -> Points:
    """A few hundred of a mask's pixels, (n, 2) xy; the middle of its rectangle where none is seen."""
    y, x = np.nonzero(visible)
    if not len(x):
        return np.array([[visible.shape[1] // 2, visible.shape[0] // 2]])
    step = max(1, len(x) // 300)
    return np.stack([x[::step], y[::step]], axis=1)

"""Rings joined to one by bridges without width, which are walked there and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from maskpilot.labeling.export.borders import Bridge, Ring

__all__ = ["chained", "hung"]

PLACES = 1 << 13
"""On the borders of a mask's parts, among which the shortest ways between them are sought."""

DISTANCES = 1 << 20
"""Between places, held in memory at a time."""

WIDEST = 1 << 31
"""More than any image is wide or high."""


def hung(rings: Sequence[Ring], bridges: Sequence[Bridge | None], *, lift: int = 0) -> list[Ring]:
    """One ring for each part: holes are hung on the rings above them.

    Args:
        rings: all borders, each beginning at its first corner.
        bridges: of holes, where they hang; None for what surrounds a part.
        lift: pixels above a hole's first corner at which its bridge ends.
    """
    detours: dict[int, list[tuple[int, int, Ring]]] = {}
    parts = []
    # Holes hang on earlier rings, so that going backwards each is whole before it is joined to another.
    for number in reversed(range(len(rings))):
        bridge = bridges[number]
        if bridge is None:
            parts.append(_with_detours(rings[number], detours.pop(number, [])))
            continue
        around = _with_detours(rings[number], detours.pop(number, []), first=1)
        end, begin = np.array([[bridge.x, bridge.top], [bridge.x, bridge.bottom - lift]], np.int64)[:, None]
        back = begin if lift else begin[:0]  # without a lift it is where the way around ends
        detour = np.concatenate([end, begin, around, back, end])
        detours.setdefault(bridge.on, []).append((bridge.before, bridge.way * bridge.x, detour))
    return parts[::-1]


def chained(parts: Sequence[Ring]) -> Ring:
    """One ring of all parts: each is hung on the nearest place of those before (Prim's spanning tree).

    Nearest is where a line paints the fewest pixels. Places are all pixels of the borders; where there are
    many, each part offers some of its own, evenly, so that masks of a thousand specks take no minutes.
    """
    if len(parts) == 1:
        return parts[0]
    dense = [_dense(ring) for ring in parts]
    step = sum(len(places) for places, _ in dense) // PLACES + 1
    tree = _tree([places[::step] for places, _ in dense])
    for part, own, parent, on in tree:  # corners from now on
        dense[part][1][own * step] = dense[parent][1][on * step] = True
    rings = [places[kept] for places, kept in dense]
    index = [np.cumsum(kept) - 1 for _, kept in dense]
    detours: dict[int, list[tuple[int, int, Ring]]] = {}
    for part, own, parent, on in reversed(tree):  # what hangs on a part came after it
        begin, behind = int(index[part][own * step]), int(index[parent][on * step])
        whole = _with_detours(rings[part], detours.pop(part, []), first=begin)
        detour = np.concatenate([whole, whole[:1], rings[parent][behind][None]])
        detours.setdefault(parent, []).append((behind, 0, detour))
    return _with_detours(rings[0], detours.pop(0))


def _dense(ring: Ring) -> tuple[Ring, NDArray[np.bool_]]:
    """Every pixel along a ring, whose edges go along rows and columns; and which of them are its corners."""
    ahead = np.roll(ring, -1, axis=0) - ring
    steps = np.maximum(np.abs(ahead).max(axis=1), 1)
    begins = np.cumsum(steps) - steps
    along = np.arange(steps.sum()) - np.repeat(begins, steps)
    places = np.repeat(ring, steps, axis=0) + np.repeat(np.sign(ahead), steps, axis=0) * along[:, None]
    return places, along == 0


def _tree(parts: Sequence[Ring]) -> list[tuple[int, int, int, int]]:
    """What hangs on what, in the order of joining: a part, its place, an earlier one, and its place."""
    places = np.concatenate(parts)
    part_of = np.repeat(np.arange(len(parts)), [len(ring) for ring in parts])
    begins = np.cumsum([0, *(len(ring) for ring in parts)]).tolist()
    left = np.flatnonzero(part_of)  # places of parts that hang on nothing yet
    nearest = np.full(len(left), np.iinfo(np.int64).max)  # of a place that does
    towards = np.zeros(len(left), np.int64)
    tree: list[tuple[int, int, int, int]] = []
    part = 0
    while len(left):
        rows = max(DISTANCES // len(left), 1)
        for begin in range(begins[part], begins[part + 1], rows):
            away = _away(places[begin : min(begin + rows, begins[part + 1])], places[left])
            closest = away.argmin(axis=0)
            away = away[closest, np.arange(len(left))]
            closer = away < nearest
            nearest[closer], towards[closer] = away[closer], begin + closest[closer]
        at = int(nearest.argmin())
        own, on = int(left[at]), int(towards[at])
        part, parent = int(part_of[own]), int(part_of[on])
        tree.append((part, own - begins[part], parent, on - begins[parent]))
        others = part_of[left] != part
        left, nearest, towards = left[others], nearest[others], towards[others]
    return tree


def _away(some: Ring, others: Ring) -> NDArray[np.int64]:
    """(n, m): pixels that a line between two places takes; of equal ones the straightest is the least."""
    wide = np.abs(some[:, :1] - others[:, 0])
    high = np.abs(some[:, 1:] - others[:, 1])
    away: NDArray[np.int64] = np.maximum(wide, high) * WIDEST + np.minimum(wide, high)
    return away


def _with_detours(ring: Ring, detours: Sequence[tuple[int, int, Ring]], *, first: int = 0) -> Ring:
    """A ring that begins at a corner of it, with what is to be walked behind corners, in the order given."""
    pieces: list[Ring] = []
    places = sorted(detours, key=lambda detour: ((detour[0] - first) % len(ring), detour[1]))
    turned = np.roll(ring, -first, axis=0)
    begin = 0
    for corner, _, detour in places:
        behind = (corner - first) % len(ring) + 1
        pieces += [turned[begin:behind], detour]
        begin = behind
    return np.concatenate([*pieces, turned[begin:]])

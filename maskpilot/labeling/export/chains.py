"""Rings joined to one by bridges without width, which are walked there and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from maskpilot.labeling.export.borders import Ring

__all__ = ["chained", "with_detours"]

CORNERS = 1 << 13
"""Among which the shortest ways between the parts of a mask are sought."""

DISTANCES = 1 << 20
"""Between corners, held in memory at a time."""


def chained(parts: Sequence[Ring]) -> Ring:
    """One ring of all parts: each is hung on the nearest corner of those before (Prim's spanning tree).

    Where there are many corners, each part offers some of its own, evenly, so that masks of a thousand specks
    take no minutes.
    """
    step = sum(len(ring) for ring in parts) // CORNERS + 1
    detours: list[list[tuple[int, int, Ring]]] = [[] for _ in parts]
    tree = _tree([ring[::step] for ring in parts])
    for part, own, parent, on in reversed(tree):  # what hangs on a part came after it
        whole = with_detours(parts[part], detours[part], first=own * step)
        end = parts[parent][on * step]
        detours[parent].append((on * step, 0, np.concatenate([whole, whole[:1], end[None]])))
    return with_detours(parts[0], detours[0])


def _tree(parts: Sequence[Ring]) -> list[tuple[int, int, int, int]]:
    """What hangs on what, in the order of joining: a part, its corner, an earlier one, and its corner."""
    corners = np.concatenate(parts)
    part_of = np.repeat(np.arange(len(parts)), [len(ring) for ring in parts])
    begins = np.cumsum([0, *(len(ring) for ring in parts)]).tolist()
    left = np.flatnonzero(part_of)  # corners of parts that hang on nothing yet
    nearest = np.full(len(left), np.iinfo(np.int64).max)  # squared distance to a corner that does
    towards = np.zeros(len(left), np.int64)
    tree: list[tuple[int, int, int, int]] = []
    part = 0
    while len(left):
        rows = max(DISTANCES // len(left), 1)
        for begin in range(begins[part], begins[part + 1], rows):
            some = corners[begin : min(begin + rows, begins[part + 1])]
            away = (some[:, :1] - corners[left, 0]) ** 2 + (some[:, 1:] - corners[left, 1]) ** 2
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


def with_detours(ring: Ring, detours: Sequence[tuple[int, int, Ring]], *, first: int = 0) -> Ring:
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

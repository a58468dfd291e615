"""Borders between the pixels of a mask and the rest, and how they lie within each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Bridge", "Ring", "find_rings", "hang"]

Ring = NDArray[np.int64]
"""(n, 2): x, y of corners, on the edges between pixels; see `outlines`."""


class Bridge(NamedTuple):
    """Where a hole hangs: straight up from its first corner, over pixels of the mask.

    Attributes:
        x, top, bottom: of the bridge; at the bottom is the hole's first corner.
        on: the ring on which it hangs, an earlier one.
        before: the corner of that ring with which the edge that has the bridge's end begins.
        way: 1 where that edge goes right, -1 where left.
    """

    x: int
    top: int
    bottom: int
    on: int
    before: int
    way: int


def find_rings(pixels: NDArray[np.bool_]) -> list[Ring]:
    """All borders, in the order of their first corner (topmost, then leftmost), each going right from there.

    On each line of the grid the corners pair up into edges, so that a border is followed from corner to
    corner by going along a row and down or up a column in turn. Where two pixels touch at a corner alone it
    counts twice, once for each of them, which keeps parts apart that share no edge.
    """
    around = np.pad(pixels, 1)
    a, b, c, d = around[:-1, :-1], around[:-1, 1:], around[1:, :-1], around[1:, 1:]
    odd = a ^ b ^ c ^ d
    crossed = (a == d) & (b == c) & (a != b)
    y, x = np.nonzero(odd)
    cross_y, cross_x = np.nonzero(crossed)
    # The corner that ends an edge comes before the one that begins the next: 0 before 1. Its edge up (0) or
    # down (1) is that of the pixel which it belongs to.
    zeros, ones = np.zeros_like(cross_x), np.ones_like(cross_x)
    falling = a[crossed]  # upper left and lower right are in: the left edge meets the upper one
    xs = np.concatenate([x, cross_x, cross_x])
    ys = np.concatenate([y, cross_y, cross_y])
    along = np.concatenate([np.zeros_like(x), zeros, ones])
    down = np.concatenate([np.zeros_like(x), np.where(falling, 0, 1), np.where(falling, 1, 0)])
    by_row, by_column = np.lexsort((along, xs, ys)), np.lexsort((down, ys, xs))
    beside, below = _partners(by_row).tolist(), _partners(by_column).tolist()
    corners = np.stack([xs, ys], axis=1).astype(np.int64)
    done = bytearray(len(xs))
    rings = []
    for first in by_row.tolist():
        if done[first]:
            continue
        order, corner = [], first
        while not done[corner]:
            other = beside[corner]
            done[corner] = done[other] = 1
            order += [corner, other]
            corner = below[other]
        rings.append(corners[order])
    return rings


def _partners(order: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each corner the one at the other end of its edge, where sorted corners pair up."""
    partners = np.empty_like(order)
    partners[order[::2]], partners[order[1::2]] = order[1::2], order[::2]
    return partners


def hang(pixels: NDArray[np.bool_], rings: Sequence[Ring]) -> tuple[list[int], list[Bridge | None]]:
    """Which part each ring belongs to, and for holes the bridge straight up from their first corner.

    Returns:
        The number of the outer ring, for each ring its own or an earlier one; and None for outer rings.
    """
    edges: dict[int, list[tuple[int, int, int, int, int]]] = {}
    owner: list[int] = []
    bridges: list[Bridge | None] = []
    for number, ring in enumerate(rings):
        x, y = (int(value) for value in ring[0])
        bridge = None
        if not pixels[y, x]:  # what a ring surrounds is right below its first corner: nothing, so a hole
            row = y - (int(pixels[:y, x][::-1].argmin()) or y)  # the filled pixels above may reach the top
            found = ((on, before, way) for low, high, on, before, way in edges[row] if low <= x < high)
            bridge = Bridge(x, row, y, *next(found))
        owner.append(number if bridge is None else owner[bridge.on])
        bridges.append(bridge)
        for before in range(0, len(ring), 2):  # edges along rows begin at even corners
            x0, row = (int(value) for value in ring[before])
            x1 = int(ring[before + 1, 0])
            way = 1 if x1 > x0 else -1
            edges.setdefault(row, []).append((min(x0, x1), max(x0, x1), number, before, way))
    return owner, bridges

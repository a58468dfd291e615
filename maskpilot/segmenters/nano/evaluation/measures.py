"""Counting what was found, and how sure one can be of it. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Counts", "auroc", "compare", "interval", "ious", "total"]

SAME = 0.5
"""IoU from which a found mask counts as the object."""
PIXELS_AT_A_TIME = 16_384
"""All pixels of hundreds of masks as float32 would be hundreds of megabytes."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Outcome of one prompt or of many.

    Attributes:
        hits, extra, missed: masks that match an object, that match none, and objects without a mask.
        overlap: sum of the hits' IoU.
    """

    hits: int = 0
    extra: int = 0
    missed: int = 0
    overlap: float = 0.0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.hits + other.hits,
            self.extra + other.extra,
            self.missed + other.missed,
            self.overlap + other.overlap,
        )

    @property
    def f1(self) -> float:
        """2 hits / (2 hits + extra + missed); 1 where nothing was to find and nothing was found."""
        whole = 2 * self.hits + self.extra + self.missed
        return 2 * self.hits / whole if whole else 1.0

    @property
    def precision(self) -> float:
        return self.hits / (self.hits + self.extra) if self.hits + self.extra else 1.0

    @property
    def recall(self) -> float:
        return self.hits / (self.hits + self.missed) if self.hits + self.missed else 1.0

    @property
    def mean_iou(self) -> float:
        """Of the hits."""
        return self.overlap / self.hits if self.hits else 0.0


def total(counts: Iterable[Counts]) -> Counts:
    """All outcomes together."""
    return sum(counts, Counts())


def ious(found: NDArray[np.bool_], wanted: NDArray[np.bool_]) -> NDArray[np.float32]:
    """(n, m) float32 from masks (n, H, W) and (m, H, W)."""
    pixels = found.shape[1] * found.shape[2]
    first, second = found.reshape(len(found), pixels), wanted.reshape(len(wanted), pixels)
    shared = np.zeros((len(found), len(wanted)), np.float32)
    for start in range(0, pixels, PIXELS_AT_A_TIME):
        part = slice(start, start + PIXELS_AT_A_TIME)
        shared += first[:, part].astype(np.float32) @ second[:, part].astype(np.float32).T
    union = np.count_nonzero(first, axis=1)[:, None] + np.count_nonzero(second, axis=1)[None] - shared
    return np.asarray(shared / np.maximum(union, 1), np.float32)


def compare(overlaps: NDArray[np.float32]) -> Counts:
    """Match masks to objects one to one, best IoU first.

    Args:
        overlaps: (masks, objects), see `ious`.
    """
    left = overlaps.copy()
    hits, overlap = 0, 0.0
    while left.size and left.max() >= SAME:
        row, column = np.unravel_index(int(left.argmax()), left.shape)
        overlap += float(left[row, column])
        hits += 1
        left[row], left[:, column] = 0, 0
    return Counts(hits, len(overlaps) - hits, overlaps.shape[1] - hits, overlap)


def auroc(yes: Sequence[float], no: Sequence[float]) -> float:
    """Chance that a random score of `yes` is above one of `no`; ties count half (Mann-Whitney)."""
    if not yes or not no:
        return float("nan")
    first, second = np.asarray(yes)[:, None], np.asarray(no)[None]
    return float((first > second).mean() + 0.5 * (first == second).mean())


def interval(
    groups: Sequence[Counts], value: Callable[[Counts], float], *, draws: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """95% interval of a ratio by bootstrap over images.

    Args:
        groups: the counts of each image; prompts of one image are not independent.
    """
    table = np.array([(c.hits, c.extra, c.missed, c.overlap) for c in groups], float).reshape(-1, 4)
    rows = np.random.default_rng(seed).integers(len(table), size=(draws, len(table)))
    sums = table[rows].sum(axis=1)
    values = [value(Counts(int(h), int(e), int(m), float(o))) for h, e, m, o in sums]
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)

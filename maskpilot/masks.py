"""Masks as run lengths: making, reading, comparing and matching them.

pycocotools does the work, so what is stored is what COCO readers expect. Pure functions.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools import mask as coco

from maskpilot.types import Box, Mask

__all__ = [
    "area",
    "check",
    "decode",
    "difference",
    "encode",
    "intersections",
    "iou_matrix",
    "match",
    "run_lengths",
    "tight_box",
    "union",
]

SAME_OBJECT_IOU = 0.5
"""Two masks that overlap at least this much are taken for the same object."""

MAX_DIGITS = 7
"""Of five bits each: more than any run has."""


def encode(array: NDArray[np.bool_]) -> Mask:
    """Run-length encode one mask.

    Args:
        array: (H, W) bool.

    Raises:
        ValueError: not two axes of bool.
    """
    if array.ndim != 2 or array.dtype != np.bool_:
        raise ValueError(f"encode: expected (H, W) bool, got shape {array.shape} of {array.dtype}")
    height, width = array.shape
    # Only the occupied rows and columns are transposed: it is the dearest step on a large image.
    columns = np.zeros((height, width), np.uint8, order="F")
    rows = np.flatnonzero(array.any(axis=1))
    if len(rows):
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        occupied = np.flatnonzero(array[top:bottom].any(axis=0))
        left, right = int(occupied[0]), int(occupied[-1]) + 1
        columns[top:bottom, left:right] = array[top:bottom, left:right]
    return Mask(width=width, height=height, counts=bytes(coco.encode(columns)["counts"]))


def decode(mask: Mask) -> NDArray[np.bool_]:
    """The pixels of a mask: (H, W) bool.

    Raises:
        ValueError: the counts do not describe an image of the mask's size.
    """
    check(mask)
    pixels: NDArray[np.uint8] = coco.decode(_rle(mask))
    return pixels.view(np.bool_)


def check(mask: Mask) -> None:
    """See that a mask that was read from a file is one: pycocotools takes any counts and makes things up.

    Raises:
        ValueError: the counts do not describe an image of the mask's size.
    """
    pixels_said = int(run_lengths(mask).sum())
    if pixels_said != mask.width * mask.height:
        raise ValueError(f"mask: expected runs of {mask.width * mask.height} pixels, got {pixels_said}")


def area(mask: Mask) -> int:
    """Number of pixels."""
    return int(coco.area(_rle(mask)))


def tight_box(mask: Mask) -> Box | None:
    """The smallest box around the mask's pixels; None for an empty mask."""
    x, y, width, height = (float(value) for value in coco.toBbox(_rle(mask)))
    return Box(x, y, x + width, y + height) if width > 0 and height > 0 else None


def run_lengths(mask: Mask) -> NDArray[np.int64]:
    """Lengths of the runs down the columns, background first: (runs,) int64, in pixels.

    COCO's compressed form (`rleFrString` in cocoapi's maskApi.c): a number is written five bits a
    character, lowest first; 32 says that more follow, and the sign is that of the last five bits. From the
    fourth number on it is the difference to the one two before.

    Raises:
        ValueError: the counts end within a number, or are no lengths. pycocotools does not look: it would
            write past its memory.
    """
    digits = np.frombuffer(mask.counts, np.uint8).astype(np.int64) - 48
    ends = np.flatnonzero((digits & 32) == 0)
    if not len(ends) or ends[-1] != len(digits) - 1:
        raise ValueError("run lengths: expected compressed COCO counts, got ones that are cut off")
    starts = np.concatenate([[0], ends[:-1] + 1])
    if digits.min() < 0 or digits.max() > 63 or (ends - starts).max() > MAX_DIGITS - 1:
        raise ValueError("run lengths: expected compressed COCO counts, got something else")
    place = np.arange(len(digits)) - np.repeat(starts, ends - starts + 1)
    values = np.add.reduceat((digits & 31) << (5 * place), starts)
    values -= ((digits[ends] & 16) != 0) * (np.int64(1) << (5 * (place[ends] + 1)))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    if values.min() < 0:
        raise ValueError("run lengths: a negative length")
    return values


def union(masks: Sequence[Mask], *, width: int, height: int) -> Mask:
    """All pixels of all masks; empty where there are no masks."""
    if not masks:
        return encode(np.zeros((height, width), np.bool_))
    merged = coco.merge([_rle(mask) for mask in masks])
    return Mask(width=width, height=height, counts=bytes(merged["counts"]))


def difference(mask: Mask, other: Mask) -> Mask:
    """The pixels of a mask that the other one lacks; both lie on one image. The result may be empty."""
    runs = run_lengths(other).tolist()
    outside = runs[1:] if runs[0] == 0 else [0, *runs]  # background first
    size = [other.height, other.width]
    rest = coco.frPyObjects({"size": size, "counts": outside}, *size)
    merged = coco.merge([_rle(mask), rest], intersect=True)
    return Mask(width=mask.width, height=mask.height, counts=bytes(merged["counts"]))


def iou_matrix(first: Sequence[Mask], second: Sequence[Mask]) -> NDArray[np.float64]:
    """Pairwise intersection over union: (len(first), len(second)) float64 in [0, 1]."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    rows, columns = [_rle(mask) for mask in first], [_rle(mask) for mask in second]
    return np.asarray(coco.iou(rows, columns, [0] * len(columns)), np.float64)


def intersections(first: Sequence[Mask], second: Sequence[Mask]) -> NDArray[np.float64]:
    """Pairwise share of each mask in `first` that lies in one of `second`: float64 in [0, 1]."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    rows, columns = [_rle(mask) for mask in first], [_rle(mask) for mask in second]
    return np.asarray(coco.iou(rows, columns, [1] * len(columns)), np.float64)


def match(
    first: Sequence[Mask], second: Sequence[Mask], *, at_least: float = SAME_OBJECT_IOU
) -> dict[int, int]:
    """Pair masks one to one, best overlap first.

    Greedy, with ties broken by index, so that the same input always gives the same pairs.

    Returns:
        index in `first` -> index in `second`, for pairs whose IoU is `at_least` or more.
    """
    overlaps = iou_matrix(first, second)
    rows, columns = np.nonzero(overlaps >= max(at_least, np.finfo(float).tiny))
    order = np.lexsort((columns, rows, -overlaps[rows, columns]))
    pairs: dict[int, int] = {}
    taken: set[int] = set()
    for row, column in zip(rows[order].tolist(), columns[order].tolist(), strict=True):
        if row not in pairs and column not in taken:
            pairs[row] = column
            taken.add(column)
    return pairs


def _rle(mask: Mask) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": mask.counts}

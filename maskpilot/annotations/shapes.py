"""Annotated outlines and run lengths into masks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco

from maskpilot import masks
from maskpilot.errors import DatasetError
from maskpilot.types import Mask

__all__ = ["paint", "to_mask"]


def to_mask(segmentation: object, size: tuple[int, int], where: str) -> Mask:
    """A COCO segmentation: polygons, compressed or uncompressed run lengths.

    Polygons become pixels by pycocotools, several of one instance by their union (REFER adds them up and
    some of its users then drop pixels where they overlap; we do not).

    Args:
        size: (width, height) in pixels of the image that it must lie on.
        where: file and record, for the error.

    Raises:
        DatasetError: of another size, or damaged.
    """
    width, height = size
    try:
        if isinstance(segmentation, Mapping):
            return _from_run_lengths(segmentation, width, height)
        return _from_polygons(segmentation, width, height)
    except (ValueError, TypeError, KeyError, OverflowError) as error:
        raise DatasetError(f"{where}: {error}") from error


def paint(mask: Image.Image, points: Sequence[tuple[int, int]], value: int) -> None:
    """Fill a polygon, its outline included, in an image of mode L.

    Pillow's polygon alone leaves out parts of the outline: 0.8% of the pixels that OpenCV fills. With the
    outline drawn as a line the two differ in 0.1%.
    """
    draw = ImageDraw.Draw(mask)
    if len(points) > 2:
        draw.polygon(points, fill=value)
    if len(points) > 1:
        draw.line([*points, points[0]], fill=value)
    else:
        draw.point(points, fill=value)


def _from_run_lengths(rle: Mapping[str, Any], width: int, height: int) -> Mask:
    counts, size = rle.get("counts"), rle.get("size")
    if not isinstance(size, Sequence) or list(size) != [height, width]:
        raise ValueError(
            f"run lengths are of size {str(size)[:40]} (height, width), the image is {width}x{height}"
        )
    if isinstance(counts, list):
        lengths = np.asarray(counts)
        if lengths.ndim != 1 or lengths.dtype.kind not in "iu" or (lengths < 0).any():
            raise ValueError("run lengths: expected whole numbers from 0")
        if int(lengths.sum()) != width * height:
            raise ValueError(
                f"run lengths sum to {lengths.sum()}, expected {width}x{height} = {width * height}"
            )
        packed = coco.frPyObjects({"size": [height, width], "counts": counts}, height, width)["counts"]
    elif isinstance(counts, str | bytes):
        packed = counts.encode("ascii") if isinstance(counts, str) else counts
    else:
        raise ValueError(f"run lengths: expected 'counts' as text or a list, got {type(counts).__name__}")
    mask = Mask(width, height, bytes(packed))
    if int(masks.run_lengths(mask).sum()) != width * height:
        raise ValueError(f"run lengths do not cover an image of {width}x{height}")
    return mask


def _from_polygons(polygons: object, width: int, height: int) -> Mask:
    if not isinstance(polygons, list) or not polygons:
        raise ValueError("segmentation: expected polygons or run lengths")
    for polygon in polygons:
        flat = np.asarray(polygon, np.float64)
        if flat.ndim != 1 or flat.size < 6 or flat.size % 2 or not np.isfinite(flat).all():
            raise ValueError("polygon: expected x, y, x, y, ... of at least three points")
        if np.abs(flat).max() > 10 * max(width, height) + 1000:
            raise ValueError(f"polygon: a point far outside the image of {width}x{height}")
    rles = coco.frPyObjects(polygons, height, width)
    merged = rles[0] if len(rles) == 1 else coco.merge(rles)
    return Mask(width, height, bytes(merged["counts"]))

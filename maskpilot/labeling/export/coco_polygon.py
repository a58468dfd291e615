"""COCO instances with polygons, for readers that know no run lengths."""

from __future__ import annotations

from functools import partial
from typing import Any

from pycocotools import mask as coco

from maskpilot.labeling.export.coco import CocoWriter
from maskpilot.labeling.export.outlines import polygons
from maskpilot.labeling.export.writer import Format, Target
from maskpilot.types import Mask

__all__ = ["FORMAT"]


def _open(target: Target) -> CocoWriter:
    return CocoWriter(target, partial(_polygons, tolerance=target.tolerance))


def _polygons(mask: Mask, tolerance: float) -> tuple[Any, Mask | None]:
    """A polygon for each part, its holes joined to it; what comes back is what pycocotools paints of them."""
    rings = [ring.reshape(-1).tolist() for ring in polygons(mask, tolerance=tolerance)]
    painted = coco.merge(coco.frPyObjects(rings, mask.height, mask.width))
    back = Mask(mask.width, mask.height, bytes(painted["counts"]))
    return rings, back if coco.area(painted) else None


FORMAT = Format(
    name="coco-polygon",
    summary="COCO instances with polygons, for readers without run lengths",
    limits="holes hang on bridges without width, which a reader that paints outlines, too, paints; with a "
    "tolerance, outlines are off by as much, and the smallest masks may go",
    open=_open,
    polygons=True,
)

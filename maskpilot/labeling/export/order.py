"""An export that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from maskpilot.errors import InvalidInput
from maskpilot.labeling.export.pictures import Images
from maskpilot.labeling.export.writer import Format

__all__ = ["Only", "Order"]


class Only(StrEnum):
    """Which labels are exported."""

    all = "all"
    """every one"""
    sure = "sure"
    """those without a reason to look at them"""
    review = "review"
    """images on which a person should look at something, with all their labels"""


@dataclass(frozen=True)
class Order:
    """An export that is asked for.

    Attributes:
        run: folder of a labeling run.
        out: folder for the export.
        format: in which it is written.
        only: which labels.
        val: share of images for validation, in [0, 1); 0 for no split.
        images: what becomes of the image files.
        image_folder: where they are now; None for where the run found them.
        tolerance: pixels by which polygons may be off, for fewer corners.
        overwrite: replace a former export in `out`.

    Raises:
        InvalidInput: a number out of range, a tolerance for a format without polygons, or references in a
            format that needs images beside its labels.
    """

    run: Path
    out: Path
    format: Format
    only: Only = Only.all
    val: float = 0.0
    images: Images = Images.copy
    image_folder: Path | None = None
    tolerance: float = 0.0
    overwrite: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.val < 1.0:
            raise InvalidInput(f"val: expected a share of at least 0 and below 1, got {self.val!r}")
        if not 0.0 <= self.tolerance < 1000.0:
            raise InvalidInput(f"tolerance: expected pixels, at least 0, got {self.tolerance!r}")
        if self.tolerance and not self.format.polygons:
            raise InvalidInput(f"tolerance: {self.format.name} has no polygons; leave out --tolerance")
        if self.images is Images.reference and self.format.needs_images:
            raise InvalidInput(
                f"images: {self.format.name} is read with the images in the same folder, so they cannot "
                "only be referenced; take --images link, which needs no room, or copy"
            )

"""labelme: one JSON file beside each image, every instance a shape of the type "mask"."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np
from PIL import Image

from maskpilot.labeling.export.pixels import cropped
from maskpilot.labeling.export.writer import Format, Picture, Target
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Mask

__all__ = ["FORMAT"]

VERSION = "5.5.0"
"""Of labelme, whose files these are like; masks as shapes came with 5.2."""


class Writer:
    """a.json beside a.jpg."""

    def __init__(self, target: Target) -> None:
        self._folder = target.folder

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """See `writer.Writer`."""
        beside = PurePosixPath(picture.split, picture.file_name)
        doubtful = bool(picture.doubtful) or any(one.needs_review for one in picture.classes)
        content = {
            "version": VERSION,
            "flags": {"needs_review": doubtful},
            "shapes": [
                _shape(number, one, label) for number, (one, label) in enumerate(picture.labels, start=1)
            ],
            "imagePath": beside.name if picture.path == str(beside) else picture.path,
            "imageData": None,
            "imageHeight": picture.height,
            "imageWidth": picture.width,
        }
        path = self._folder / beside.with_suffix(".json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
        return [label.instance.mask for _, label in picture.labels]

    def close(self) -> None:
        """See `writer.Writer`."""


def _shape(number: int, one: ClassLabels, label: Label) -> dict[str, Any]:
    """An instance: its pixels within a box, and the box's first and last pixel."""
    reasons = one.reasons(label)
    pixels, left, top = cropped(label.instance.mask)
    height, width = pixels.shape
    png = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(png, "PNG")
    return {
        "label": one.name,
        "points": [[left, top], [left + width - 1, top + height - 1]],
        "group_id": number,
        "description": ", ".join(reasons),
        "shape_type": "mask",
        "flags": {"needs_review": bool(reasons)},
        "mask": base64.b64encode(png.getvalue()).decode("ascii"),
        "score": label.instance.score,
    }


FORMAT = Format(
    name="labelme",
    summary="labelme from 5.2 on: a JSON file beside each image",
    limits="",
    open=Writer,
    images=lambda split: split,
    label_suffix=".json",
)

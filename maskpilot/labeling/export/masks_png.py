"""PNG images of masks: one of instance numbers, one of class numbers, for each picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskpilot import masks
from maskpilot.errors import InvalidInput
from maskpilot.labeling.export.writer import Format, Picture, Target, facts
from maskpilot.labeling.types import Label
from maskpilot.render.palette import colour
from maskpilot.types import Mask

__all__ = ["FORMAT", "MasksWriter"]

MOST = 0xFFFF
"""Numbers that 16 bits hold beside 0, which is background."""

MOST_IN_PALETTE = 0xFF


class MasksWriter:
    """Writes instances/NAME.png, classes/NAME.png, instances.jsonl (what the numbers are) and labels.json.

    Args:
        target: what to write.

    Raises:
        InvalidInput: more classes than 16 bits can number.
    """

    def __init__(self, target: Target) -> None:
        if len(target.classes) > MOST:
            raise InvalidInput(f"masks: expected at most {MOST} classes, got {len(target.classes)}")
        self._folder = target.folder
        self._ids = {name: number for number, name in enumerate(target.classes, start=1)}
        content = {
            "background": 0,
            "classes": {str(number): name for name, number in self._ids.items()},
            "colours": {str(number): colour(number) for number in self._ids.values()},
        }
        text = json.dumps(content, indent=1) + "\n"
        (target.folder / "labels.json").write_text(text, encoding="utf-8")
        self._list = (target.folder / "instances.jsonl").open("w", encoding="utf-8")

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """As `Writer.add`."""
        numbers, classes = self._paint(picture)
        found = [
            _left_of(label, number, numbers) for number, (_, label) in enumerate(picture.labels, start=1)
        ]
        name = str(PurePosixPath(picture.file_name).with_suffix(".png"))
        self._save(Image.fromarray(numbers), Path("instances", name))
        if len(self._ids) <= MOST_IN_PALETTE:
            picture_of_classes = Image.fromarray(classes.astype(np.uint8)).convert("P")
            picture_of_classes.putpalette(
                [0, 0, 0, *(part for one in self._ids.values() for part in colour(one))]
            )
        else:
            picture_of_classes = Image.fromarray(classes)
        self._save(picture_of_classes, Path("classes", name))
        self._list.write(json.dumps(self._row(picture, name, found)) + "\n")
        return found

    def close(self) -> None:
        """As `Writer.close`."""
        self._list.close()

    def _paint(self, picture: Picture) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
        """Numbers and classes of all pixels; the best score lies on top, of equal ones the later."""
        numbers = np.zeros((picture.height, picture.width), np.uint16)
        classes = np.zeros_like(numbers)
        labels = list(enumerate(picture.labels[:MOST], start=1))
        for number, (one, label) in sorted(labels, key=lambda row: (row[1][1].instance.score, row[0])):
            pixels = masks.decode(label.instance.mask)
            numbers[pixels] = number
            classes[pixels] = self._ids[one.name]
        return numbers, classes

    def _save(self, image: Image.Image, name: Path) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image.save(path, "PNG", compress_level=4)

    def _row(self, picture: Picture, name: str, found: Sequence[Mask | None]) -> dict[str, Any]:
        return {
            "image": picture.file_name,
            "path": picture.path,
            "masks": name,
            "split": picture.split,
            "sha256": picture.sha256,
            "width": picture.width,
            "height": picture.height,
            "doubtful": list(picture.doubtful),
            "instances": [
                {"number": number, "class": one.name, "score": label.instance.score, **facts(one, label)}
                for number, ((one, label), mask) in enumerate(
                    zip(picture.labels, found, strict=True), start=1
                )
                if mask is not None
            ],
        }


def _left_of(label: Label, number: int, numbers: NDArray[np.uint16]) -> Mask | None:
    """What of a mask is to be seen in an image of numbers."""
    if number > MOST:
        return None
    seen = masks.decode(label.instance.mask) & (numbers == number)
    return masks.encode(seen) if seen.any() else None


FORMAT = Format(
    name="masks",
    summary="PNG images of instance numbers (16 bit) and of class numbers (palette) with labels.json",
    limits="a pixel belongs to one instance: where masks overlap, the best score is on top and the rest is "
    "hidden; the image of classes tells no instances apart",
    open=MasksWriter,
    label_suffix=".png",
)

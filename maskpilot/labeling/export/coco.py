"""COCO instances with run lengths: the canonical export, which loses nothing."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from typing import IO, Any

from maskpilot import __version__, masks
from maskpilot.labeling.export.writer import Format, Picture, Target, facts
from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Mask

__all__ = ["FORMAT", "CocoWriter", "Shape"]

Shape = Callable[[Mask], tuple[Any, Mask | None]]
"""A mask as COCO's "segmentation", and what comes back of it: None where nothing does; that is left out."""

UNSPLIT = "default"
"""What tools that read folders of COCO call a data set that is not split."""


class CocoWriter:
    """Writes annotations/instances_default.json, or instances_train.json and instances_val.json.

    Args:
        target: what to write.
        shape: how a mask is written.
    """

    def __init__(self, target: Target, shape: Shape) -> None:
        self._shape = shape
        self._ids = {name: number for number, name in enumerate(target.classes, start=1)}
        self._annotations = 0
        self._files = {split: _File(target, split, self._ids) for split in target.splits}

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """As `Writer.add`."""
        file = self._files[picture.split]
        file.image(_image_record(picture, self._ids))
        found = []
        for one, label in picture.labels:
            segmentation, back = self._shape(label.instance.mask)
            found.append(back)
            if back is None:
                continue
            self._annotations += 1
            record = _annotation(one, label, segmentation)
            numbers = {
                "id": self._annotations,
                "image_id": picture.id,
                "category_id": self._ids[one.name],
            }
            file.annotation({**numbers, **record})
        return found

    def close(self) -> None:
        """As `Writer.close`."""
        for file in self._files.values():
            file.close()


class _File:
    """One JSON file. Annotations wait in a file of their own, since those of all images follow the images."""

    def __init__(self, target: Target, split: str, ids: dict[str, int]) -> None:
        name = f"annotations/instances_{split or UNSPLIT}.json"
        path = target.folder / name
        path.parent.mkdir(exist_ok=True)
        info = {"description": "labeled by maskpilot", "version": __version__, "images": target.images}
        head = {
            "info": info,
            "licenses": [],
            "categories": [{"id": number, "name": name} for name, number in ids.items()],
        }
        self._file: IO[str] = path.open("w", encoding="utf-8")
        self._waiting: IO[str] = tempfile.TemporaryFile(  # noqa: SIM115 (closed with the other)
            "w+", encoding="utf-8", dir=target.folder
        )
        self._file.write(json.dumps(head)[:-1] + ',\n"images": [')
        self._first_image = self._first_annotation = "\n"

    def image(self, record: dict[str, Any]) -> None:
        self._file.write(self._first_image + json.dumps(record))
        self._first_image = ",\n"

    def annotation(self, record: dict[str, Any]) -> None:
        self._waiting.write(self._first_annotation + json.dumps(record))
        self._first_annotation = ",\n"

    def close(self) -> None:
        with self._file, self._waiting:
            self._file.write('],\n"annotations": [')
            self._waiting.seek(0)
            shutil.copyfileobj(self._waiting, self._file)
            self._file.write("]}\n")


def _image_record(picture: Picture, ids: dict[str, int]) -> dict[str, Any]:
    return {
        "id": picture.id,
        "file_name": picture.file_name,
        "width": picture.width,
        "height": picture.height,
        "sha256": picture.sha256,
        # LVIS's word for classes of which there may be more than is annotated
        "not_exhaustive_category_ids": [ids[name] for name in picture.doubtful],
    }


def _annotation(one: ClassLabels, label: Label, segmentation: Any) -> dict[str, Any]:
    found = label.instance
    return {
        "segmentation": segmentation,
        "bbox": [found.box.x0, found.box.y0, found.box.width, found.box.height],
        "area": masks.area(found.mask),
        "iscrowd": 0,
        "score": found.score,
        "attributes": facts(one, label),
    }


def _run_lengths(mask: Mask) -> tuple[Any, Mask]:
    counts = mask.counts.decode("ascii")
    return {"size": [mask.height, mask.width], "counts": counts}, mask


FORMAT = Format(
    name="coco",
    summary="COCO instances with run lengths: pycocotools, and what reads by it; the canonical one",
    limits="",
    open=partial(CocoWriter, shape=_run_lengths),
)

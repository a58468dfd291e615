"""YOLO segmentation in Ultralytics' layout: one row of text an instance, its outline as one polygon."""

from __future__ import annotations

import json
from collections.abc import Sequence

import numpy as np

from maskpilot.labeling.export.centres import painted, traced
from maskpilot.labeling.export.outlines import Ring
from maskpilot.labeling.export.writer import Format, Picture, Target
from maskpilot.types import Mask

__all__ = ["FORMAT"]


class Writer:
    """images/train/a.jpg, labels/train/a.txt, and data.yaml, which names folders and classes."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._numbers = {name: number for number, name in enumerate(target.classes)}

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """See `writer.Writer`."""
        size = picture.width, picture.height
        rows, back = [], []
        for one, label in picture.labels:
            ring = traced(label.instance.mask, tolerance=self._target.tolerance)
            rows.append(f"{self._numbers[one.name]} {_coordinates(ring, size)}\n")
            back.append(painted(ring, size))
        path = self._target.folder / _labels_of(picture.path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(rows), encoding="utf-8")
        return back

    def close(self) -> None:
        """See `writer.Writer`."""
        for split in self._target.splits:  # trainers want both folders, also where chance left one empty
            (self._target.folder / _images(split)).mkdir(parents=True, exist_ok=True)
        (self._target.folder / "data.yaml").write_text(_data(self._target), encoding="utf-8")


def _images(split: str) -> str:
    return f"images/{split}" if split else "images"


def _labels_of(path: str) -> str:
    """Where trainers look for the labels of an image: at the last "images" of its path stands "labels"."""
    before, _, after = f"/{path}".rpartition("/images/")
    stem = after.rpartition(".")[0] or after
    return f"{before}/labels/{stem}.txt".lstrip("/")


def _coordinates(ring: Ring, size: tuple[int, int]) -> str:
    """Corners as shares of the image's sides.

    Some readers round pixel coordinates down, others to the nearest whole number: a quarter of a pixel more
    brings both back to the pixel that is meant. What is one pixel wide gets some width, by the same rule,
    since trainers drop boxes without area.
    """
    low, high = ring.min(axis=0), ring.max(axis=0)
    points = ring + 0.25
    if (low == high).any():
        (x0, y0), (x1, y1) = low + 0.05, high + 0.45
        points = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    return " ".join(f"{value:.7f}" for value in (points / size).ravel().tolist())


def _data(target: Target) -> str:
    train, val = target.splits if len(target.splits) > 1 else ("", "")
    unsplit = (
        "" if train else "# Not split: what validates here was trained on; --val 0.1 sets images aside.\n"
    )
    names = "".join(f"  {number}: {_quoted(name)}\n" for number, name in enumerate(target.classes))
    return f"{unsplit}train: {_images(train)}\nval: {_images(val)}\nnames:\n{names}"


def _quoted(name: str) -> str:
    """A YAML string: JSON's, but YAML takes no pairs of surrogates, and some marks for ends of lines."""
    characters = (
        character if character.isprintable() else f"\\U{ord(character):08x}"
        for character in json.dumps(name, ensure_ascii=False)
    )
    return "".join(characters)


FORMAT = Format(
    name="yolo-seg",
    summary="Ultralytics and other YOLO trainers: data.yaml, images/, labels/ with a polygon an instance",
    limits="lines one pixel wide join the parts of an instance; scores and reasons for a review are lost",
    open=Writer,
    images=_images,
    needs_images=True,
    polygons=True,
    label_suffix=".txt",
)

"""A COCO instances file with scores as predictions: what `maskpilot export --format coco` writes.

Such a file has numbers of its own for images and classes, so both are found by name.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from maskpilot import masks
from maskpilot.annotations.cocofile import read_coco
from maskpilot.annotations.files import field
from maskpilot.errors import DatasetError
from maskpilot.evals.types import Dataset, Sample
from maskpilot.types import Instance

__all__ = ["Instances"]


class Instances:
    """Instances by the image's name and the class's.

    An image is the one that the file's name is that of, both without folder and suffix: that of the data
    set's own file (`image_name`), and of scenes, which have none, the sample's `image_id`. A class is meant
    where its name or its query is the sample's query or category.

    Raises:
        DatasetError: damaged, a score that is no finite number, two images of one name here or in the data
            set, or no image of the data set among them.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self._coco = read_coco(path, with_categories=True)
        self._path, self._empty = path, 0
        found: dict[tuple[Any, Any], list[tuple[Any, float]]] = {}
        for identity, one in self._coco.annotations.items():
            score = field(one, "score", (int, float), f"{path}: annotation {identity!r}")
            if not math.isfinite(score):
                raise DatasetError(f"{path}: annotation {identity!r}: score is {score}")
            found.setdefault((one["image_id"], one["category_id"]), []).append((identity, float(score)))
        images, classes = self._images(), self._classes()
        self._answers: dict[str, list[tuple[Any, float]]] = {}
        asked = set()
        image_of: dict[str, str] = {}
        for sample in dataset:
            name = _image_name(dataset, sample)
            if name in images and image_of.setdefault(name, sample.image_id) != sample.image_id:
                raise DatasetError(
                    f"{path}: {dataset.name} has several images called {name!r}, so names do not tell "
                    "them apart"
                )
            image = images.get(name)
            words = (sample.query, sample.tags.get("category"))
            category = next((classes[word] for word in words if word in classes), None)
            if image is not None and category is not None:
                self._answers[sample.id] = found.get((image, category), [])
                asked.add((image, category))
        if not self._answers:
            raise DatasetError(
                f"{path}: has no image and class of {dataset.name} by name; an image file is called as in "
                "the data set (of scenes: after the image_id), a class after the query"
            )
        self._not_asked = sum(len(entries) for pair, entries in found.items() if pair not in asked)

    @property
    def notes(self) -> Mapping[str, int]:
        """As `Predictions.notes`."""
        return {"predictions for what is not asked": self._not_asked, "masks without a pixel": self._empty}

    def of(self, sample: Sample, size: tuple[int, int]) -> tuple[Instance, ...] | None:
        """As `Predictions.of`."""
        entries = self._answers.get(sample.id)
        if entries is None:
            return None
        shapes = [(self._coco.mask(identity, size), score) for identity, score in entries]
        kept = [(mask, box, score) for mask, score in shapes if (box := masks.tight_box(mask)) is not None]
        self._empty += len(shapes) - len(kept)
        return tuple(
            Instance(number, mask, box, score) for number, (mask, box, score) in enumerate(kept, start=1)
        )

    def _images(self) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for identity, record in self._coco.images.items():
            where = f"{self._path}: image {identity!r}"
            stem = _stem(field(record, "file_name", str, where))
            if stem in found:
                raise DatasetError(
                    f"{where}: a second image called {stem!r}, so names do not tell them apart"
                )
            found[stem] = identity
        return found

    def _classes(self) -> dict[str, Any]:
        """By name; and by query, where that is no other class's name."""
        names: dict[str, Any] = {}
        queries: dict[str, Any] = {}
        for identity, record in self._coco.categories.items():
            names[field(record, "name", str, f"{self._path}: category {identity!r}")] = identity
        for one in self._coco.annotations.values():
            attributes = one.get("attributes")
            query = attributes.get("query") if isinstance(attributes, Mapping) else None
            if isinstance(query, str):
                queries.setdefault(query, one["category_id"])
        return {**queries, **names}


def _image_name(dataset: Dataset, sample: Sample) -> str:
    own = getattr(dataset, "image_name", None)
    return sample.image_id if own is None else _stem(own(sample))


def _stem(name: str) -> str:
    return PurePosixPath(name.replace("\\", "/")).stem

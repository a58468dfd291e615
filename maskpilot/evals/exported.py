"""A COCO instances file with scores as predictions: what `maskpilot export --format coco` writes.

Such a file has numbers of its own for images and classes, so both are found by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from maskpilot import masks
from maskpilot.annotations.cocofile import read_coco
from maskpilot.annotations.files import field, finite
from maskpilot.errors import DatasetError
from maskpilot.evals.naming import Name, name_of, pair
from maskpilot.evals.types import Dataset, Sample
from maskpilot.types import Instance

__all__ = ["Instances"]


class Instances:
    """Instances by the image's name and the class's.

    An image is the one of the same path without suffix, as far as the folders of both go (`naming.pair`):
    that of the data set's own file (`image_name`), and of scenes, which have none, the sample's `image_id`. A
    class is meant where its name or its query is the sample's query or category.

    Raises:
        DatasetError: damaged, a score that is no finite number, images here or in the data set that their
            paths do not tell apart, or no image of the data set among them.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self._coco = read_coco(path, with_categories=True)
        self._path, self._empty = path, 0
        found: dict[tuple[Any, Any], list[tuple[Any, float]]] = {}
        for identity, one in self._coco.annotations.items():
            score = finite(one, "score", f"{path}: annotation {identity!r}")
            found.setdefault((one["image_id"], one["category_id"]), []).append((identity, score))
        images, classes = self._images_of(dataset), self._classes()
        self._answers: dict[str, list[tuple[Any, float]]] = {}
        asked = set()
        for sample in dataset:
            image = images.get(_name(dataset, sample))
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

    def _images_of(self, dataset: Dataset) -> dict[Name, Any]:
        """The file's ids of the data set's images, by their names there."""
        ours: dict[Name, str] = {}
        shared: set[str] = set()
        for sample in dataset:
            name = _name(dataset, sample)
            if ours.setdefault(name, sample.image_id) != sample.image_id:
                shared.add(name[-1])
        theirs: dict[Name, Any] = {}
        for identity, record in self._coco.images.items():
            name = name_of(field(record, "file_name", str, f"{self._path}: image {identity!r}"))
            if name in theirs or name[-1] in shared:
                raise self._alike(name[-1], dataset)
            theirs[name] = identity
        try:
            pairs = pair(ours.keys(), theirs.keys())
        except ValueError as error:
            raise self._alike(error.args[0], dataset) from None
        return {name: theirs[other] for name, other in pairs.items()}

    def _alike(self, name: str, dataset: Dataset) -> DatasetError:
        return DatasetError(
            f"{self._path}: several images are called {name!r}, here or in {dataset.name}, and their paths "
            "do not tell them apart; a file_name needs the folders that its image lies in, as in a/1.jpg"
        )

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


def _name(dataset: Dataset, sample: Sample) -> Name:
    own = getattr(dataset, "image_name", None)
    return (sample.image_id,) if own is None else name_of(own(sample))

"""A COCO instances file: images, annotations and categories, checked and indexed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskpilot.annotations.files import check_id, field, read_json
from maskpilot.annotations.shapes import to_mask
from maskpilot.errors import DatasetError
from maskpilot.images import MAX_MEGAPIXELS
from maskpilot.types import Mask

__all__ = ["CocoFile", "is_id", "read_coco"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class CocoFile:
    """What a file in COCO's format holds.

    Attributes:
        images, annotations, categories: by id, in the file's order.
        of_image: ids of the annotations of each image that has any.
    """

    path: Path
    images: Mapping[Any, Record]
    annotations: Mapping[Any, Record]
    categories: Mapping[Any, Record]
    of_image: Mapping[Any, Sequence[Any]]

    def mask(self, annotation: Any, size: tuple[int, int]) -> Mask:
        """An annotation's pixels. Raises DatasetError."""
        where = f"{self.path}: annotation {annotation!r}"
        return to_mask(self.annotations[annotation].get("segmentation"), size, where)

    def size(self, image: Any) -> tuple[int, int]:
        """(width, height) of an image as the file says. Raises DatasetError."""
        record, where = self.images[image], f"{self.path}: image {image!r}"
        width, height = field(record, "width", int, where), field(record, "height", int, where)
        if width < 1 or height < 1:
            raise DatasetError(f"{where}: expected a width and height of at least 1, got {width}x{height}")
        if width * height > MAX_MEGAPIXELS * 1e6:
            raise DatasetError(f"{where}: {width}x{height} px, the limit is {MAX_MEGAPIXELS:g} megapixels")
        return width, height


def read_coco(path: Path, *, with_categories: bool = False) -> CocoFile:
    """Read and check a file; masks stay as they are until asked for.

    Raises:
        DatasetError: damaged, an id twice, or an annotation of an image or category that is not there.
    """
    content = read_json(path)
    images = _by_id(content, "images", path)
    annotations = _by_id(content, "annotations", path)
    categories = _by_id(content, "categories", path) if with_categories or "categories" in content else {}
    of_image: dict[Any, list[Any]] = {}
    for identity, annotation in annotations.items():
        where = f"{path}: annotation {identity!r}"
        image = annotation.get("image_id")
        if not is_id(image) or image not in images:
            raise DatasetError(f"{where}: is of image {image!r}, which the file does not list")
        category = annotation.get("category_id")
        if with_categories and (not is_id(category) or category not in categories):
            raise DatasetError(f"{where}: is of category {category!r}, which is not listed")
        of_image.setdefault(image, []).append(identity)
    return CocoFile(path, images, annotations, categories, of_image)


def is_id(value: object) -> bool:
    """Whole numbers and texts can be ids."""
    return isinstance(value, int | str) and not isinstance(value, bool)


def _by_id(content: Mapping[str, Any], name: str, path: Path) -> dict[Any, Record]:
    found: dict[Any, Record] = {}
    seen: set[Any] = set()
    for number, record in enumerate(field(content, name, list, str(path))):
        where = f"{path}: {name}[{number}]"
        identity = field(record, "id", (int, str), where)
        check_id(identity, seen, where)
        found[identity] = record
    return found

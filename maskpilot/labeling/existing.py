"""Labels that are there already: a COCO instances file whose images lie in the folder."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Self

from maskpilot import masks
from maskpilot.annotations.cocofile import CocoFile, read_coco
from maskpilot.annotations.files import field
from maskpilot.errors import DatasetError
from maskpilot.labeling.types import LabelClass
from maskpilot.types import Instance

__all__ = ["ExistingLabels"]


class ExistingLabels:
    """Labels of images by their path in the folder.

    The file's records stay as they are; masks are made of them for one image at a time. Regions of crowds are
    no instances and start nothing.

    Args:
        coco: the file.
        images: id of the image in the file that each path of the folder is.
    """

    def __init__(self, coco: CocoFile, images: Mapping[str, Any]) -> None:
        self._coco, self._images = coco, images
        self._names = {
            identity: str(field(record, "name", str, f"{coco.path}: category {identity!r}"))
            for identity, record in coco.categories.items()
        }

    @classmethod
    def read(cls, path: Path, paths: Iterable[str]) -> Self:
        """Read a file, and find its images in the folder.

        A path is the image whose file name equals it, else the only one whose file name is the end of the
        path, or the path the end of it: "val/1.jpg" is "1.jpg" and "/data/val/1.jpg", never "train/1.jpg".

        Args:
            path: the file, in COCO's instances format.
            paths: all that were scanned, so that what is found does not depend on a sample of them.

        Raises:
            DatasetError: the file is missing, damaged or contradicts itself, or it is open which image is
                which; the message names the file and the record.
        """
        if path.exists() and not path.is_file():
            raise DatasetError(f"{path}: is a folder or no regular file; expected COCO instances (JSON)")
        coco = read_coco(path, with_categories=True)
        return cls(coco, _found(coco, paths))

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the file's classes."""
        return tuple(dict.fromkeys(self._names.values()))

    @property
    def labeled(self) -> frozenset[str]:
        """Paths of the folder whose images have labels in the file."""
        return frozenset(path for path in self._images if self.has(path))

    @property
    def crowds(self) -> int:
        """How many labels of the folder's images are left out, since they are regions of crowds."""
        every = (self._coco.of_image.get(image, ()) for image in self._images.values())
        return sum(self._is_crowd(one) for labels in every for one in labels)

    def has(self, path: str) -> bool:
        """Whether there is any label of an image.

        One that the file lists without labels may be empty or merely not labeled: it counts as not labeled.
        """
        return path in self._images and bool(self._coco.of_image.get(self._images[path]))

    def start(
        self, path: str, size: tuple[int, int], classes: Iterable[LabelClass]
    ) -> dict[str, tuple[Instance, ...]]:
        """The instances of each class on an image, numbered from 1 in the file's order; empty ones are gone.

        Args:
            path: of the image in the folder.
            size: (width, height) of the upright image in pixels.
            classes: which to look for, by their names.

        Raises:
            DatasetError: the file's image has another size, or a label of it is damaged.
        """
        labels = self._coco.of_image.get(self._images[path], ()) if path in self._images else ()
        if labels:
            self._check_size(self._images[path], size)
        return {one.name: self._instances(labels, one.name, size) for one in classes}

    def _instances(self, labels: Iterable[Any], name: str, size: tuple[int, int]) -> tuple[Instance, ...]:
        shapes = (
            self._coco.mask(one, size)
            for one in labels
            if self._names[self._coco.annotations[one]["category_id"]] == name and not self._is_crowd(one)
        )
        drawn = [(shape, box) for shape in shapes if (box := masks.tight_box(shape)) is not None]
        return tuple(Instance(number, shape, box, 1.0) for number, (shape, box) in enumerate(drawn, start=1))

    def _is_crowd(self, label: Any) -> bool:
        return bool(self._coco.annotations[label].get("iscrowd"))

    def _check_size(self, image: Any, size: tuple[int, int]) -> None:
        record, where = self._coco.images[image], f"{self._coco.path}: image {image!r}"
        said = (field(record, "width", int, where), field(record, "height", int, where))
        if said != size:
            turned = "; it was labeled before its EXIF rotation was applied" if said == size[::-1] else ""
            raise DatasetError(
                f"{where}: is {said[0]}x{said[1]} px there, "
                f"the image in the folder {size[0]}x{size[1]} px{turned}"
            )


def _found(coco: CocoFile, paths: Iterable[str]) -> dict[str, Any]:
    """Path in the folder -> id of the image in the file."""
    by_name = _by_name(coco)
    by_end: dict[str, dict[Any, str]] = {}
    for name, image in by_name.items():
        by_end.setdefault(_end(name), {})[image] = name
    listed = list(paths)
    found = {path: by_name[path] for path in listed if path in by_name}
    path_of = {image: path for path, image in found.items()}
    exact = set(path_of)
    for path in listed:
        if path in found:
            continue
        names = [
            (image, name)
            for image, name in by_end.get(_end(path), {}).items()
            if image not in exact and (f"/{name}".endswith(f"/{path}") or f"/{path}".endswith(f"/{name}"))
        ]
        if len(names) > 1:
            raise DatasetError(
                f"{coco.path}: {path!r} could be the image {names[0][1]!r} or {names[1][1]!r}; "
                "label the folder that these names are relative to"
            )
        for image, name in names:
            if image in path_of:
                raise DatasetError(
                    f"{coco.path}: the image {name!r} could be {path_of[image]!r} or {path!r}; "
                    "label the folder that this name is relative to"
                )
            found[path] = image
            path_of[image] = path
    return found


def _by_name(coco: CocoFile) -> dict[str, Any]:
    """Images by file name, as it stands and without "./" and backslashes."""
    found: dict[str, Any] = {}
    for image, record in coco.images.items():
        name = field(record, "file_name", str, f"{coco.path}: image {image!r}")
        if name in found:
            raise DatasetError(f"{coco.path}: images {found[name]!r} and {image!r} are both named {name!r}")
        found[name] = image
    for name, image in list(found.items()):
        found.setdefault(re.sub(r"^(\./)+", "", name.replace("\\", "/")), image)
    return found


def _end(name: str) -> str:
    """The file's own name, without folders."""
    return re.split(r"[/\\]", name)[-1]

"""An export while it is written: which labels, under which names, and the account of it."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from maskpilot import __version__
from maskpilot.errors import ImageError, RunFolderError
from maskpilot.labeling.export.loss import ClassLoss, Loss
from maskpilot.labeling.export.names import Names, is_text
from maskpilot.labeling.export.order import Only, Order
from maskpilot.labeling.export.pictures import Images, bring, check, inside, is_turned
from maskpilot.labeling.export.place import EXPORT, NAMES, PROBLEMS
from maskpilot.labeling.export.split import TRAIN, VAL, split_of
from maskpilot.labeling.export.writer import Picture, Target
from maskpilot.labeling.store import LABELS
from maskpilot.labeling.types import ClassLabels, LabeledFile
from maskpilot.runfolder import RUN
from maskpilot.types import ImageRef
from maskpilot.wording import counted

__all__ = ["Work"]

SCHEMA = 1
"""Of export.json."""

SHOWN = 20
"""Problems that the account repeats."""


class Work:
    """Takes a run's files one by one.

    Args:
        order: what is asked for.
        classes: names, in the run's order.
        images: the folder of images, absolute.
        folder: an empty one to write to.
        paths: all paths below `images` at which the run has seen a content (SHA-256).

    Raises:
        OSError: from every method: the disk is full, or refuses.
    """

    def __init__(
        self,
        order: Order,
        classes: tuple[str, ...],
        images: Path,
        folder: Path,
        paths: Callable[[str], Iterable[str]],
    ) -> None:
        self._order, self._images, self._folder, self._paths = order, images, folder, paths
        referenced = order.images is Images.reference
        self._root = str(images) if referenced else ""
        self._absent = referenced and not images.is_dir()  # on another machine, say: nothing can be checked
        self._names = Names(label_suffix=order.format.label_suffix, reserved=(EXPORT, NAMES, PROBLEMS))
        self._renamed: dict[str, str] = {}
        self._loss = Loss({name: ClassLoss() for name in classes})
        self._count: Counter[str] = Counter()
        self._doubtful: Counter[str] = Counter()
        self._splits = Counter({TRAIN: 0, VAL: 0} if order.val else {"": 0})
        self._problems: list[dict[str, Any]] = []
        self._open = True
        target = Target(folder, classes, tuple(self._splits), self._root, order.tolerance)
        self._writer = order.format.open(target)
        self._problem_file = (folder / PROBLEMS).open("w", encoding="utf-8")

    def add(self, file: LabeledFile) -> None:
        """Write a file's labels, if they are asked for and it is still what was labeled."""
        self._count["files"] += 1
        if self._order.only is Only.review and not file.labels.needs_review:
            self._count["images_not_asked_for"] += 1
            return
        picture = self._picture(file)
        if not self._usable(file.path, picture):
            return
        self._count["pictures"] += 1
        self._count["negatives"] += not picture.labels
        self._splits[picture.split] += 1
        self._doubtful.update(picture.doubtful)
        if picture.file_name != picture.source:
            self._renamed[picture.file_name] = picture.source
        self._loss.add(picture, self._writer.add(picture))

    def finish(self, *, failed: int) -> dict[str, Any]:
        """Close all files and give account."""
        if not self._count["pictures"]:
            raise RunFolderError(self._nothing())
        self.close()
        if self._renamed:
            content = json.dumps(self._renamed, indent=1) + "\n"
            (self._folder / NAMES).write_text(content, encoding="utf-8")
        problems = self._count["problems"]
        if not problems:
            (self._folder / PROBLEMS).unlink()
        order = self._order
        return {
            "schema": SCHEMA,
            "maskpilot": __version__,
            "run": order.run.absolute().name,
            "format": order.format.name,
            "classes": list(self._loss.classes),
            "only": order.only.value,
            "images": order.images.value,
            "image_folder": self._root,
            "tolerance": order.tolerance,
            "val": order.val,
            "pictures": self._count["pictures"],
            "splits": {split: count for split, count in self._splits.items() if split},
            "negatives": self._count["negatives"],
            "doubtful": dict(self._doubtful),
            "instances_not_sure": self._count["instances_not_sure"],
            "images_not_asked_for": self._count["images_not_asked_for"],
            "images_not_labeled": failed,
            "images_moved": self._count["images_moved"],
            "renamed": len(self._renamed),
            "turned": self._count["turned"],
            "symbolic_links": self._count["symbolic_links"],
            "problems": problems,
            "first_problems": self._problems,
            "limits": order.format.limits,
            "loss": self._loss.record(),
        }

    def close(self) -> None:
        """Close all files; again does no harm."""
        if self._open:
            self._open = False
            self._problem_file.close()
            self._writer.close()

    def _picture(self, file: LabeledFile) -> Picture:
        image = file.labels.image
        unknown = {one.name for one in file.labels.classes} - set(self._loss.classes)
        if unknown:
            raise RunFolderError(
                f"{self._order.run / LABELS}: {file.path!r} has labels of {min(unknown)!r}, which is no "
                f"class of this run by its {RUN}; one of the two is of another run"
            )
        sure = self._order.only is Only.sure
        classes = tuple(_sure(one) if sure else one for one in file.labels.classes)
        left_out = file.labels.instances - sum(len(one.labels) for one in classes)
        self._count["instances_not_sure"] += left_out
        split = split_of(image.sha256, self._order.val)
        name, path = self._called(file.path, image, split)
        return Picture(
            id=self._count["pictures"] + 1,
            source=file.path,
            file_name=name,
            path=path,
            split=split,
            sha256=image.sha256,
            width=image.width,
            height=image.height,
            classes=classes,
            doubtful=tuple(
                one.name
                for one, before in zip(classes, file.labels.classes, strict=True)
                if one.review or len(one.labels) < len(before.labels)
            ),
        )

    def _called(self, source: str, image: ImageRef, split: str) -> tuple[str, str]:
        """`Picture.file_name` and `Picture.path`."""
        if not self._root:
            name = self._names.name(source, image)
            return name, f"{self._order.format.images(split)}/{name}".removeprefix("/")
        # Where labels are files named after the image, those names must be safe to write to.
        name = self._names.name(source, image) if self._order.format.label_suffix else source
        return name, f"{self._root}/{source}"

    def _usable(self, relative: str, picture: Picture) -> bool:
        """Bring the image into the export; whether its labels can be exported."""
        try:
            source = inside(self._images, relative)
            if self._root and not is_text(relative):
                raise ImageError("its path is not plain text, so no data set can name it; copy or link it")
        except ImageError as error:
            self._problem(relative, str(error), exported=False)
            return False
        if not os.path.exists(source) and self._is_elsewhere(picture):  # noqa: PTH110 (it never raises)
            self._count["images_moved"] += 1
            return False
        try:
            if self._root:
                check(source, picture.sha256)
            else:
                linked = bring(source, self._folder / picture.path, self._order.images, picture.sha256)
                self._count["symbolic_links"] += linked
        except ImageError as error:
            self._problem(relative, str(error), exported=self._absent)
            return self._absent
        self._count["turned"] += is_turned(source)
        return True

    def _is_elsewhere(self, picture: Picture) -> bool:
        """Whether the run has seen a picture in another file, too, which is still there."""
        return any((self._images / other).is_file() for other in self._paths(picture.sha256))

    def _problem(self, relative: str, problem: str, *, exported: bool) -> None:
        row = {"image": relative, "problem": problem, "exported": exported}
        self._problem_file.write(json.dumps(row) + "\n")
        self._count["problems"] += 1
        if len(self._problems) < SHOWN:
            self._problems.append(row)

    def _nothing(self) -> str:
        where = self._order.run
        if not self._count["files"]:
            return f"{where}: holds no labeled image yet; nothing to export"
        if self._count["images_not_asked_for"] == self._count["files"]:
            return f"{where}: no image of it needs a look; nothing to export with --only review"
        first = self._problems[0]
        tried = counted(self._count["problems"], "labeled image")
        return (
            f"{self._images}: none of {tried} can be used, such as "
            f"{first['image']!r}: {first['problem']}; if they moved, say where to with --image-folder"
        )


def _sure(one: ClassLabels) -> ClassLabels:
    """A class on an image without what a person should look at."""
    return replace(one, labels=tuple(label for label in one.labels if not one.reasons(label)))

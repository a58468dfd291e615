"""What every export format has in common: what is written, and what a reader gets back of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from maskpilot.labeling.types import ClassLabels, Label
from maskpilot.types import Mask

__all__ = ["Format", "Picture", "Target", "Writer", "facts"]


@dataclass(frozen=True)
class Picture:
    """A labeled image as it is written.

    Attributes:
        id: number in the export, from 1.
        source: the file's path in the folder of images as the run saw it; bytes that are no text are
            surrogates. For people and look-ups, never a path to write to.
        file_name: its path below the folder of images that the export has or refers to, with "/": text on one
            line. Where the export holds the images, or the format has a `label_suffix`, safe to write to.
        path: where the image is: from the export's folder where it lies inside ("images/a.jpg"), otherwise
            absolute.
        split: "train" or "val"; "" where the export is not split.
        sha256: of the file's content.
        width, height: pixels of the upright image.
        classes: what became of each class of the run on it, with the labels that are exported.
        doubtful: names of classes of which it may show more than is exported.
    """

    id: int
    source: str
    file_name: str
    path: str
    split: str
    sha256: str
    width: int
    height: int
    classes: tuple[ClassLabels, ...]
    doubtful: tuple[str, ...] = ()

    @property
    def labels(self) -> tuple[tuple[ClassLabels, Label], ...]:
        """Every exported object with its class, in the order in which they are written."""
        return tuple((one, label) for one in self.classes for label in one.labels)


@dataclass(frozen=True)
class Target:
    """What a writer is told before the first picture.

    Attributes:
        folder: an empty folder that the writer fills; the export's own once all is written.
        classes: names, in the run's order.
        splits: ("train", "val"), or ("",).
        images: absolute path of the folder of images where they are only referenced; "" where they lie in
            the export.
        tolerance: how far, in pixels, an outline may be simplified; 0 for exact ones.
    """

    folder: Path
    classes: tuple[str, ...]
    splits: tuple[str, ...] = ("",)
    images: str = ""
    tolerance: float = 0.0


class Writer(Protocol):
    """Writes one export, picture by picture, and holds none of them in memory.

    What it writes appears under the export's name only once all is written, so it need not care for half
    files.
    """

    def add(self, picture: Picture) -> Sequence[Mask | None]:
        """Write a picture, also one without labels: it is a negative.

        Returns:
            For each of `picture.labels`, in order, the mask that a reader of this format gets back; None
            where it gets none. This is how the loss is measured, so it comes from what was written, by the
            rule by which readers paint it.

        Raises:
            OSError: the disk is full, or refuses.
        """
        ...

    def close(self) -> None:
        """Write what comes last and close all files; also called after a failure, then the rest is removed.

        Raises:
            OSError: as `add`.
        """
        ...


@dataclass(frozen=True)
class Format:
    """A format of data sets.

    Attributes:
        name: as typed on the command line.
        summary: who reads it, in a line.
        limits: what it cannot hold, in a line; "" for a lossless one.
        open: begin an export.
        images: where images lie in the export, for each split; without a first or last "/", "" for beside
            everything else.
        needs_images: readers look for images beside the labels, so an export by reference is refused.
        polygons: masks are written as outlines, which a tolerance simplifies.
        label_suffix: files of labels are named after the image, with this suffix in place of its own, so that
            a.jpg and a.png collide; "" where there are no such files.
    """

    name: str
    summary: str
    limits: str
    open: Callable[[Target], Writer]
    images: Callable[[str], str] = lambda split: "images"  # noqa: ARG005
    needs_images: bool = False
    polygons: bool = False
    label_suffix: str = ""


def facts(one: ClassLabels, label: Label) -> dict[str, Any]:
    """How a label came about, as plain data: query, text, policy, model, rating, rounds, stop, needs_review.

    Text is what a person or a model wrote; whoever writes it into markup escapes it.
    """
    return {
        "query": one.query,
        "text": label.instance.text,
        "policy": one.policy,
        "model": one.model,
        "rating": one.rating,
        "rounds": one.rounds,
        "stop": one.stop.value,
        "needs_review": [reason.value for reason in one.reasons(label)],
    }

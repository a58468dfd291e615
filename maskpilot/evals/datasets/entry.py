"""A line of the registry, and what all data sets share."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from maskpilot.annotations.cocofile import CocoFile
from maskpilot.annotations.files import safe_id
from maskpilot.errors import DatasetError, ImageError
from maskpilot.evals.types import Sample, Truth
from maskpilot.images import LoadedImage, load_image

__all__ = ["About", "Listed", "Options", "Record", "as_written", "digest", "file_digest", "open_image"]


@dataclass(frozen=True)
class Options:
    """What `open_dataset` was asked for.

    Attributes:
        split: as the data set calls it; its default where None.
        seed: of what is drawn: scenes, absent classes.
        count: scenes to draw; of no meaning elsewhere.
        negatives: absent classes to ask for in each image of a COCO file; all where None.
    """

    split: str | None = None
    seed: int = 0
    count: int | None = None
    negatives: int | None = 1


@dataclass(frozen=True)
class About:
    """What a person should know of a data set before they use it.

    Attributes:
        summary: one line.
        layout: the files that are expected below the path.
        splits: those that exist, the default first; empty where the files decide.
        metrics: names of its official metrics, the headline first.
        needs_path: False where it is made up on the spot.
    """

    name: str
    summary: str
    licence: str
    citation: str
    home: str
    layout: str
    splits: tuple[str, ...]
    metrics: tuple[str, ...]
    needs_path: bool = True

    @property
    def facts(self) -> dict[str, str]:
        return {"licence": self.licence, "citation": self.citation, "home": self.home}


@dataclass(frozen=True)
class Record:
    """A sample and how to get at its image and truth; none of it is read until asked for.

    Attributes:
        truth: of the image's size.
        made_from: what the truth is made from, as plain data; no mask is decoded.
    """

    sample: Sample
    image: Path
    truth: Callable[[tuple[int, int]], Truth]
    made_from: Callable[[], object]
    where: str


class Listed:
    """A data set whose samples are known once it is open; images and masks are read when asked for.

    Args:
        about: its line in the registry.
        records: by sample id, in the order of iteration.
        facts: what a report should say beyond the registry.
        left_out: ids that the files hold and the evaluation does not: predictions of them are no fault.

    Raises:
        DatasetError: there is no record.
    """

    def __init__(
        self,
        about: About,
        records: Mapping[str, Record],
        facts: Mapping[str, str],
        *,
        where: Path,
        left_out: Collection[str] = (),
    ) -> None:
        if not records:
            raise DatasetError(f"{where}: no samples in it for {about.name} ({dict(facts)})")
        self._about, self._records, self._left_out = about, records, left_out
        self._sizes: dict[str, tuple[int, int]] = {}
        self.name = about.name
        self.facts: Mapping[str, str] = {**about.facts, **facts}
        self.metrics = about.metrics

    def __len__(self) -> int:
        return len(self._records)

    def __iter__(self) -> Iterator[Sample]:
        return (record.sample for record in self._records.values())

    def image(self, sample: Sample) -> LoadedImage:
        record = self._record(sample)
        loaded = open_image(record.image, sample, record.where, self._about.home)
        self._sizes[sample.id] = loaded.image.size
        return loaded

    def truth(self, sample: Sample) -> Truth:
        record = self._record(sample)
        if sample.width:
            return record.truth((sample.width, sample.height))
        if sample.id not in self._sizes:
            self.image(sample)
        return record.truth(self._sizes[sample.id])

    def truth_digest(self, sample: Sample) -> str:
        return digest([sample.width, sample.height, self._record(sample).made_from()])

    def image_name(self, sample: Sample) -> str:
        """Path of the sample's image, with "/"."""
        return self._record(sample).image.as_posix()

    def sample_of(self, entry: Mapping[str, Any]) -> str | None:
        """The sample that a record of predictions is about, by "sample" or "image_id"; None for one left out.

        Raises:
            KeyError: there is none such.
        """
        named = safe_id(str(entry.get("sample", entry.get("image_id"))))
        if named not in self._records and named not in self._left_out:
            raise KeyError(f"no sample {named!r}")
        return named if named in self._records else None

    def _record(self, sample: Sample) -> Record:
        try:
            return self._records[sample.id]
        except KeyError:
            raise DatasetError(f"{self.name}: has no sample {sample.id!r}") from None


def digest(content: object) -> str:
    """SHA-256 of plain data."""
    return sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def file_digest(file: Path, where: str) -> str:
    """SHA-256 of a file. Raises DatasetError."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        raise DatasetError(f"{where}: {file}: cannot be read ({error.strerror})") from error


def as_written(coco: CocoFile, annotations: Iterable[Any]) -> list[object]:
    """The masks of annotations as a file has them: outlines or runs, and which are crowds."""
    records = (coco.annotations[one] for one in annotations)
    return [[record.get("segmentation"), bool(record.get("iscrowd"))] for record in records]


def open_image(path: Path, sample: Sample, where: str, home: str) -> LoadedImage:
    """An image of the size that the annotations speak of.

    Raises:
        ImageError: missing (the message says where it comes from), or cannot be read.
        DatasetError: of another size.
    """
    if not path.is_file():
        raise ImageError(f"{path}: no such image; {where} names it, and it is to be had from {home}")
    loaded = load_image(path)
    if sample.width and loaded.image.size != (sample.width, sample.height):
        got = "x".join(map(str, loaded.image.size))
        raise DatasetError(
            f"{path}: is {got} px upright, {where} says {sample.width}x{sample.height}; "
            "masks would not fit: was it resized?"
        )
    return loaded

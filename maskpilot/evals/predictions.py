"""What some system predicted, read from files: COCO results, SA-Co predictions, a folder of mask images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from maskpilot import masks
from maskpilot.annotations.files import check_id, field, finite, read_json
from maskpilot.annotations.shapes import to_mask
from maskpilot.errors import DatasetError, ImageError
from maskpilot.evals.exported import Instances
from maskpilot.evals.types import Dataset, Sample
from maskpilot.images import load_truth
from maskpilot.types import Instance, Mask
from maskpilot.wording import counted

__all__ = ["MaskFolder", "Predictions", "Results", "read_predictions"]


class Predictions(Protocol):
    """Answers by sample."""

    @property
    def notes(self) -> Mapping[str, int]:
        """What was left out so far, and how often."""
        ...

    def of(self, sample: Sample, size: tuple[int, int]) -> tuple[Instance, ...] | None:
        """The answer on an image of (width, height); None where there is none. Raises DatasetError."""
        ...


def read_predictions(path: Path, dataset: Dataset) -> Predictions:
    """Open predictions of a data set: a JSON file of results or instances, or a folder of mask images.

    Raises:
        DatasetError: it cannot be read, or holds predictions for samples that the data set does not have.
    """
    if path.is_dir():
        return MaskFolder(path, dataset)
    if not path.is_file():
        raise DatasetError(f"{path}: no such file; expected COCO results (JSON) or a folder of mask images")
    return Instances(path, dataset) if _is_object(path) else Results(path, dataset)


class Results:
    """COCO's results format: a list of {"image_id", "category_id", "segmentation": RLE, "score"}.

    SA-Co's predictions are the same with the pair's id as image_id. For a data set that is neither, "sample"
    (or "image_id") is the sample's id. Boxes are not looked at: SA-Co's are normalised, COCO's are not.

    Raises:
        DatasetError: see `read_predictions`; also a score that is no finite number, or an id twice.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self._path, self._not_asked, self._empty = path, 0, 0
        self._entries: dict[str, list[tuple[int, Mapping[str, Any]]]] = {}
        sample_of = _addresses(dataset)
        seen: set[Any] = set()
        for number, entry in enumerate(read_json(path, list)):
            where = f"{path}: prediction {number}"
            finite(entry, "score", where)
            if "id" in entry:
                check_id(field(entry, "id", (int, str), where), seen, where)
            try:
                sample = sample_of(entry)
            except KeyError as error:
                raise DatasetError(f"{where}: {error.args[0]} in {dataset.name}{_split(dataset)}") from error
            if sample is None:
                self._not_asked += 1
            else:
                self._entries.setdefault(sample, []).append((number, entry))

    @property
    def notes(self) -> Mapping[str, int]:
        return {"predictions for what is not asked": self._not_asked, "masks without a pixel": self._empty}

    def of(self, sample: Sample, size: tuple[int, int]) -> tuple[Instance, ...] | None:
        entries = self._entries.get(sample.id)
        if entries is None:
            return None
        shapes, scores = [], []
        for number, entry in entries:
            where = f"{self._path}: prediction {number} ({sample.id})"
            if "segmentation" not in entry:
                raise DatasetError(f"{where}: no 'segmentation'; a box is not scored as a mask")
            shapes.append(to_mask(entry["segmentation"], size, where))
            scores.append(float(entry["score"]))
        answer = _instances(shapes, scores)
        self._empty += len(shapes) - len(answer)
        return answer


class MaskFolder:
    """A folder with SAMPLE.png for each sample: 0 is background, every other value an instance.

    Raises:
        DatasetError: a file that is named after no sample.
    """

    def __init__(self, path: Path, dataset: Dataset) -> None:
        self._files = {file.stem: file for file in sorted(path.glob("*.png"))}
        if not self._files:
            raise DatasetError(f"{path}: no PNG files in it; expected SAMPLE.png for each sample")
        unknown = sorted(set(self._files) - {sample.id for sample in dataset})
        if unknown:
            raise DatasetError(
                f"{path / unknown[0]}.png: no sample {unknown[0]!r} in {dataset.name}{_split(dataset)}"
                + (f", nor for {counted(len(unknown) - 1, 'other file')}" if len(unknown) > 1 else "")
            )

    @property
    def notes(self) -> Mapping[str, int]:
        return {}

    def of(self, sample: Sample, size: tuple[int, int]) -> tuple[Instance, ...] | None:
        file = self._files.get(sample.id)
        if file is None:
            return None
        try:
            shapes = load_truth(file, size)
        except ImageError as error:
            raise DatasetError(str(error)) from error
        return _instances(shapes, [1.0] * len(shapes))


def _instances(shapes: Sequence[Mask], scores: Sequence[float]) -> tuple[Instance, ...]:
    """Numbered from 1; masks without a pixel are gone, since nothing is shown."""
    found = [
        (shape, box, score)
        for shape, score in zip(shapes, scores, strict=True)
        if (box := masks.tight_box(shape)) is not None
    ]
    return tuple(
        Instance(number, shape, box, score) for number, (shape, box, score) in enumerate(found, start=1)
    )


def _is_object(path: Path) -> bool:
    """Whether a JSON file holds an object, by how it begins; readers tell what is wrong with it."""
    try:
        with path.open("rb") as file:
            return file.read(64).lstrip()[:1] == b"{"
    except OSError:
        return False


def _addresses(dataset: Dataset) -> Callable[[Mapping[str, Any]], str | None]:
    """How a record names its sample: the data set's own way (`sample_of`), else by the sample's id."""
    own: Callable[[Mapping[str, Any]], str | None] | None = getattr(dataset, "sample_of", None)
    if own is not None:
        return own
    known = {sample.id for sample in dataset}

    def by_id(entry: Mapping[str, Any]) -> str:
        named = str(entry.get("sample", entry.get("image_id")))
        if named not in known:
            raise KeyError(f"no sample {named[:80]!r}")
        return named

    return by_id


def _split(dataset: Dataset) -> str:
    return f" ({dataset.facts['split']})" if "split" in dataset.facts else ""

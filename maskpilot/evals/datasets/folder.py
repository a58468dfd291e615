"""A plain folder: images, masks, and a line of JSON a query. The way to bring your own data."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from maskpilot import masks
from maskpilot.annotations.files import check_id, field, first_that_exists, inside, read_lines, safe_id
from maskpilot.errors import DatasetError, ImageError
from maskpilot.evals.datasets.entry import About, Listed, Options, Record, file_digest
from maskpilot.evals.types import Dataset, Sample, Truth
from maskpilot.images import load_truth
from maskpilot.types import Mask

__all__ = ["ABOUT", "open_folder"]

ABOUT = About(
    name="folder",
    summary="your own: images/, masks/ and queries.jsonl",
    licence="yours",
    citation="yours",
    home="you: docs/datasets.md describes the layout",
    layout='queries.jsonl with lines such as {"image": "a.jpg", "query": "red cups", "mask": "a-cups.png"}, '
    "images/a.jpg, masks/a-cups.png (every value but 0 is an instance)",
    splits=(),
    metrics=("giou", "ciou", "cgf1"),
)


def open_folder(path: Path, options: Options) -> Dataset:
    """Read queries.jsonl, or SPLIT.jsonl where a split is asked for.

    Raises:
        DatasetError: a file is missing or damaged, or two lines have the same id.
    """
    named = f"{options.split}.jsonl" if options.split else "queries.jsonl"
    file = first_that_exists(
        [inside(path, named, "--split")], "the queries, one JSON object a line", ABOUT.home
    )
    records: dict[str, Record] = {}
    seen: set[Any] = set()
    for where, line in read_lines(file):
        record = _record(path, line, where)
        check_id(record.sample.id, seen, where)
        records[record.sample.id] = record
    return Listed(ABOUT, records, {"split": options.split} if options.split else {}, where=file)


def _record(path: Path, line: dict[str, Any], where: str) -> Record:
    image, query = field(line, "image", str, where), field(line, "query", str, where)
    if "mask" not in line:
        raise DatasetError(
            f"{where}: field 'mask': expected a file name, a list of them, or null for no match"
        )
    if not query.strip():
        raise DatasetError(f"{where}: field 'query': expected text, got a blank")
    names = line["mask"] if isinstance(line["mask"], list) else [line["mask"]]
    files = [inside(path / "masks", _text(name, where), where) for name in names if name is not None]
    ignore = line.get("ignore")
    ignored = inside(path / "masks", _text(ignore, where), where) if ignore is not None else None
    number = where.rpartition(":")[2]
    named = f"{Path(image).stem}-{number}" if line.get("id") is None else field(line, "id", (str, int), where)
    phrases = field(line, "phrases", list, where) if line.get("phrases") else (query,)
    sample = Sample(
        id=safe_id(str(named)),
        image_id=safe_id(image),
        query=query,
        tags={str(key): str(value) for key, value in field(line, "tags", dict, where).items()}
        if "tags" in line
        else {},
        phrases=tuple(_text(phrase, where) for phrase in phrases),
    )
    return Record(
        sample,
        inside(path / "images", image, where),
        partial(_truth, files, ignored, where),
        partial(_made_from, files, ignored, where),
        where,
    )


def _made_from(files: list[Path], ignored: Path | None, where: str) -> object:
    return [[file_digest(file, where) for file in files], ignored and file_digest(ignored, where)]


def _truth(files: list[Path], ignored: Path | None, where: str, size: tuple[int, int]) -> Truth:
    instances = [mask for file in files for mask in _read(file, size, where)]
    ignore = None
    if ignored is not None:
        ignore = masks.union(_read(ignored, size, where), width=size[0], height=size[1])
    return Truth((tuple(instances),), ignore=ignore)


def _read(file: Path, size: tuple[int, int], where: str) -> tuple[Mask, ...]:
    try:
        return load_truth(file, size)
    except ImageError as error:
        raise DatasetError(f"{where}: {error}") from error


def _text(value: object, where: str) -> str:
    if not isinstance(value, str) or not value:
        raise DatasetError(f"{where}: expected text, got {value!r}")
    return value

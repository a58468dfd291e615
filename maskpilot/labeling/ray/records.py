"""Results as Parquet: a row for each file of the folder, in parts that appear whole or not at all.

A part lies in `parquet/pending` until the run's database has its rows, and in `parquet` from then on.
"""

from __future__ import annotations

import json
import os
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from maskpilot import masks
from maskpilot.errors import RunFolderError
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.part import PARQUET, PENDING
from maskpilot.labeling.rows import plain
from maskpilot.labeling.store import SeenFile, Store
from maskpilot.labeling.types import ClassLabels, Failure, ImageLabels, Label, Review
from maskpilot.types import ImageRef, Instance, Mask, Stop, Usage

__all__ = ["adopt", "pending", "read_part", "settle", "write_part"]

PARTS_SCHEMA = 1
"""Goes up when a reader of the old parts would misread the new ones."""

MARK = b"maskpilot"  # under which a part says its schema

_LABEL = pa.struct(
    [
        ("id", pa.int32()),
        ("score", pa.float64()),
        ("text", pa.string()),
        ("counts", pa.binary()),  # COCO run lengths, compressed
        ("review", pa.list_(pa.string())),
    ]
)
_CLASS = pa.struct(
    [
        ("name", pa.string()),
        ("query", pa.string()),
        ("policy", pa.string()),
        ("model", pa.string()),
        ("stop", pa.string()),
        ("rounds", pa.int32()),
        ("rating", pa.float64()),
        ("review", pa.list_(pa.string())),
        ("usage", pa.string()),  # JSON
        ("labels", pa.list_(_LABEL)),
    ]
)
SCHEMA = pa.schema(
    [
        ("path", pa.string()),  # for people; what is not text is replaced
        ("path_bytes", pa.binary()),  # as the file system has it
        ("size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("sha256", pa.string()),
        ("status", pa.string()),  # labeled | known | failed
        ("worked", pa.bool_()),
        ("cause", pa.string()),
        ("error", pa.string()),
        ("spent", pa.string()),  # JSON: usage of failed attempts
        ("suffix", pa.string()),
        ("name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("seconds", pa.float64()),
        ("classes", pa.list_(_CLASS)),
    ],
    metadata={MARK: str(PARTS_SCHEMA).encode()},
)


def write_part(folder: Path, results: Sequence[Result]) -> Path:
    """Write a part, whole or not at all, on disk before this returns.

    Args:
        folder: the run folder.
        results: at least one.

    Raises:
        RunFolderError: the disk is full, or refuses.
    """
    table = pa.Table.from_pylist([_row(result) for result in results], SCHEMA)
    path = folder / PARQUET / PENDING / f"{uuid.uuid4().hex}.parquet"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=".writing-", delete=False) as file:
            try:
                pq.write_table(table, file, compression="zstd")
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).chmod(0o644)
                Path(file.name).replace(path)
            except BaseException:
                Path(file.name).unlink(missing_ok=True)
                raise
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be written ({error.strerror or error})") from error
    return path


def pending(folder: Path) -> list[Path]:
    """Parts of a run folder whose rows are not in the database yet."""
    return sorted((folder / PARQUET / PENDING).glob("*.parquet"))


def settle(part: Path) -> None:
    """The database has all rows of a part: it is pending no longer.

    Raises:
        RunFolderError: the folder refuses.
    """
    try:
        part.replace(part.parent.parent / part.name)
    except OSError as error:
        raise RunFolderError(f"{part}: cannot be moved ({error.strerror})") from error


def adopt(folder: Path, store: Store, logs: SessionLogs, note: Callable[[str], None]) -> None:
    """Put rows into the database that an earlier run left pending when it ended.

    A part that cannot be read, cut off as the machine died, is put aside under another name: what it held is
    labeled again.

    Args:
        folder: of the run.
        store: its database.
        logs: its session logs; those of images that are labeled go.
        note: told of parts that are put aside.

    Raises:
        RunFolderError: the database or the folder refuses.
    """
    for part in pending(folder):
        try:
            results = list(read_part(part))
        except RunFolderError as error:
            note(f"{error}; put aside, its images are labeled again")
            part.rename(part.with_suffix(".damaged"))
            continue
        known = {failure.path: failure for failure in store.failures()}
        for result in results:
            _enter(result, store, logs, known)
        settle(part)


def _enter(result: Result, store: Store, logs: SessionLogs, known: dict[str, Failure]) -> None:
    """Put a row into the database, which may have it already."""
    if result.file is not None:
        store.seen(result.path, result.file)
    failure = result.failure
    if failure is not None and replace(failure, usage=Usage()) != known.get(result.path):
        store.fail(failure)
    if result.labels is not None:
        if store.commit(result.labels):
            store.spend(result.path, result.wasted)
        logs.discard(result.labels.image.sha256)


def read_part(path: Path) -> Iterator[Result]:
    """What a part says became of files.

    Raises:
        RunFolderError: it is missing, cut off, damaged, or of another version.
    """
    try:
        table = pq.read_table(path)
        rows = table.to_pylist()
        version = (table.schema.metadata or {}).get(MARK, b"").decode()
        if version != str(PARTS_SCHEMA):
            raise RunFolderError(f"{path}: is of schema {version or 'unknown'}, expected {PARTS_SCHEMA}")
        results = [_result(row) for row in rows]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from error
    yield from results


def _row(result: Result) -> dict[str, Any]:
    labels, failure, file = result.labels, result.failure, result.file
    row: dict[str, Any] = {
        "path": plain(result.path),
        "path_bytes": os.fsencode(result.path),
        "status": "failed" if failure else "labeled" if labels else "known",
        "worked": result.worked,
        "spent": json.dumps(asdict(failure.usage if failure else result.wasted)),
    }
    if file is not None:
        row |= {"size": file.size, "mtime_ns": file.mtime_ns, "sha256": file.sha256}
    if failure is not None:
        row |= {"cause": plain(failure.cause), "error": plain(failure.error), "sha256": failure.sha256}
    if labels is not None:
        image = labels.image
        row |= {"suffix": image.suffix, "name": plain(image.name), "width": image.width}
        row |= {"height": image.height, "seconds": labels.seconds, "sha256": image.sha256}
        row["classes"] = [_class_row(one) for one in labels.classes]
    return row


def _class_row(one: ClassLabels) -> dict[str, Any]:
    return {
        "name": plain(one.name),
        "query": plain(one.query),
        "policy": plain(one.policy),
        "model": plain(one.model),
        "stop": one.stop.value,
        "rounds": one.rounds,
        "rating": one.rating,
        "review": [reason.value for reason in one.review],
        "usage": json.dumps(asdict(one.usage)),
        "labels": [_label_row(label) for label in one.labels],
    }


def _label_row(label: Label) -> dict[str, Any]:
    found = label.instance
    return {
        "id": found.id,
        "score": found.score,
        "text": None if found.text is None else plain(found.text),
        "counts": found.mask.counts,
        "review": [reason.value for reason in label.review],
    }


def _result(row: dict[str, Any]) -> Result:
    path, sha256 = os.fsdecode(row["path_bytes"]), row["sha256"]
    file = None if row["size"] is None else SeenFile(row["size"], row["mtime_ns"], sha256)
    spent = Usage(**json.loads(row["spent"]))
    if row["status"] == "failed":
        failure = Failure(path, row["cause"], row["error"], sha256, spent)
        return Result(path, file, failure=failure, worked=row["worked"])
    if row["status"] == "known":
        return Result(path, file)
    image = ImageRef(sha256, row["suffix"], row["name"], row["width"], row["height"])
    classes = tuple(_class(image, one) for one in row["classes"])
    labels = ImageLabels(image, classes, row["seconds"])
    return Result(path, file, labels, worked=row["worked"], wasted=spent)


def _class(image: ImageRef, row: dict[str, Any]) -> ClassLabels:
    return ClassLabels(
        name=row["name"],
        query=row["query"],
        policy=row["policy"],
        model=row["model"],
        stop=Stop(row["stop"]),
        rounds=row["rounds"],
        rating=row["rating"],
        labels=tuple(_label(image, label) for label in row["labels"]),
        review=tuple(Review(reason) for reason in row["review"]),
        usage=Usage(**json.loads(row["usage"])),
    )


def _label(image: ImageRef, row: dict[str, Any]) -> Label:
    mask = Mask(image.width, image.height, row["counts"])
    box = masks.tight_box(mask)
    if box is None:
        raise ValueError(f"label {row['id']} of image {image.sha256} has an empty mask")
    instance = Instance(row["id"], mask, box, row["score"], row["text"])
    return Label(instance, tuple(Review(reason) for reason in row["review"]))

"""The columns of results in Parquet: a row for each file."""

from __future__ import annotations

import json
import os
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from maskpilot.labeling.labeler import Result
from maskpilot.labeling.rows import plain, read_instance
from maskpilot.labeling.store import SeenFile
from maskpilot.labeling.types import ClassLabels, Failure, ImageLabels, Label, Review
from maskpilot.types import ImageRef, Stop, Usage

__all__ = ["MARK", "SCHEMA", "VERSION", "read_row", "row_of"]

VERSION = b"1"
"""Goes up when a reader of the old columns would misread the new ones."""

MARK = b"maskpilot"
"""Under which a file says its version."""

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
        ("spent", pa.string()),  # JSON: usage of attempts that came to nothing
        ("suffix", pa.string()),
        ("name", pa.string()),
        ("width", pa.int32()),
        ("height", pa.int32()),
        ("seconds", pa.float64()),
        ("classes", pa.list_(_CLASS)),
    ],
    metadata={MARK: VERSION},
)


def row_of(result: Result) -> dict[str, Any]:
    """A row that says what became of a file."""
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


def read_row(row: dict[str, Any]) -> Result:
    """What a row says.

    Raises:
        KeyError, TypeError, ValueError: it holds what no run wrote.
    """
    path, sha256 = os.fsdecode(row["path_bytes"]), row["sha256"]
    file = None if row["size"] is None else SeenFile(row["size"], row["mtime_ns"], sha256)
    spent = Usage(**json.loads(row["spent"]))
    if row["status"] == "failed":
        failure = Failure(path, row["cause"], row["error"], sha256, spent)
        return Result(path, file, failure=failure, worked=row["worked"])
    if row["status"] == "known":
        return Result(path, file, worked=row["worked"], wasted=spent)
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
        labels=tuple(_label(image, row["name"], label) for label in row["labels"]),
        review=tuple(Review(reason) for reason in row["review"]),
        usage=Usage(**json.loads(row["usage"])),
    )


def _label(image: ImageRef, name: str, row: dict[str, Any]) -> Label:
    try:
        instance = read_instance(image, row["id"], row["score"], row["text"], row["counts"])
    except (TypeError, ValueError) as error:
        raise ValueError(f"label {row['id']} of {name!r}: {error}") from error
    return Label(instance, tuple(Review(reason) for reason in row["review"]))

"""Labels as rows of a database, and back."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from maskpilot import masks
from maskpilot.labeling.types import ClassLabels, ImageLabels, Label, Review
from maskpilot.types import ImageRef, Instance, Mask, Stop, Usage

__all__ = [
    "SCHEMA",
    "TABLES",
    "image_row",
    "label_row",
    "plain",
    "read_class",
    "read_instance",
    "read_label",
    "session_row",
]

SCHEMA = 1
"""Goes up when a reader of the old tables would misread the new ones."""

TABLES = """
CREATE TABLE files (          -- what lies in the folder of images, as it was last seen
    path BLOB PRIMARY KEY,    -- relative, the bytes that the file system has
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX files_by_content ON files (sha256);
CREATE TABLE images (         -- one row for each labeled content, however many files have it
    sha256 TEXT PRIMARY KEY,
    suffix TEXT NOT NULL,
    name TEXT NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    seconds REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE sessions (       -- one row for each class of an image
    sha256 TEXT NOT NULL REFERENCES images,
    number INTEGER NOT NULL,  -- of the class in the run
    class TEXT NOT NULL,
    query TEXT NOT NULL,
    policy TEXT NOT NULL,
    model TEXT NOT NULL,
    stop TEXT NOT NULL,
    rounds INTEGER NOT NULL,
    rating REAL,
    review TEXT NOT NULL,     -- JSON list of reasons
    usage TEXT NOT NULL,      -- JSON
    PRIMARY KEY (sha256, number)
) WITHOUT ROWID;
CREATE TABLE labels (
    sha256 TEXT NOT NULL REFERENCES images,
    class INTEGER NOT NULL,   -- sessions.number
    id INTEGER NOT NULL,      -- of the instance in its session
    score REAL NOT NULL,
    text TEXT,                -- the phrase that found it
    counts BLOB NOT NULL,     -- COCO run lengths, compressed
    review TEXT NOT NULL,
    PRIMARY KEY (sha256, class, id)
) WITHOUT ROWID;
CREATE TABLE failures (       -- one row for each file that could not be labeled
    path BLOB PRIMARY KEY,
    sha256 TEXT,
    cause TEXT NOT NULL,
    error TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE spent (          -- what failed attempts cost that is neither in `sessions` nor in session logs
    path BLOB NOT NULL,
    usage TEXT NOT NULL
);
"""


def image_row(labels: ImageLabels) -> tuple[Any, ...]:
    """For the table of images."""
    image = labels.image
    return (image.sha256, image.suffix, plain(image.name), image.width, image.height, labels.seconds)


def session_row(sha256: str, number: int, one: ClassLabels) -> tuple[Any, ...]:
    """For the table of sessions; `number` is that of the class in the run."""
    return (
        sha256,
        number,
        plain(one.name),
        plain(one.query),
        plain(one.policy),
        plain(one.model),
        one.stop.value,
        one.rounds,
        one.rating,
        json.dumps(one.review),
        json.dumps(asdict(one.usage)),
    )


def label_row(sha256: str, number: int, label: Label) -> tuple[Any, ...]:
    """For the table of labels."""
    found = label.instance
    text = None if found.text is None else plain(found.text)
    return (sha256, number, found.id, found.score, text, found.mask.counts, json.dumps(label.review))


def read_class(row: tuple[Any, ...], labels: tuple[Label, ...]) -> ClassLabels:
    """A class on an image, from its row without the image's hash, the class's number last.

    Raises:
        KeyError, TypeError, ValueError: the row holds what no run wrote.
    """
    name, query, policy, model, stop, rounds, rating, review, usage, _ = row
    return ClassLabels(
        name,
        query,
        policy,
        model,
        Stop(stop),
        rounds,
        rating,
        labels,
        _reasons(review),
        Usage(**json.loads(usage)),
    )


def read_label(
    image: ImageRef, number: int, score: float, text: str | None, counts: bytes, review: str
) -> Label:
    """A label from its row. Raises as `read_class`."""
    return Label(read_instance(image, number, score, text, counts), _reasons(review))


def read_instance(image: ImageRef, number: int, score: float, text: str | None, counts: bytes) -> Instance:
    """An instance that was kept with its COCO run lengths.

    Raises:
        TypeError, ValueError: they are no mask of the image's size, or an empty one.
    """
    mask = Mask(image.width, image.height, counts)
    masks.check(mask)
    box = masks.tight_box(mask)
    if box is None:
        raise ValueError("an empty mask")
    return Instance(number, mask, box, score, text)


def _reasons(review: str) -> tuple[Review, ...]:
    return tuple(Review(reason) for reason in json.loads(review))


def plain(words: str) -> str:
    """Words that a database takes: a lone surrogate, which a model or a file name may hold, is replaced."""
    return words.encode("utf-8", "replace").decode("utf-8")

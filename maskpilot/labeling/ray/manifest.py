"""A list of images in Parquet: on a cluster, where nobody wants to walk a folder of a million files."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.dataset as pads

from maskpilot.errors import InvalidInput
from maskpilot.labeling.folder import Scan

__all__ = ["Manifest", "read_manifest", "relative"]

COLUMNS = ("path", "uri")
BYTES = "bytes"

OUTSIDE, BLANK, TWICE = "outside the folder of images", "no path", "listed twice"
"""Why a row is left out."""


@dataclass(frozen=True)
class Manifest:
    """Which images there are.

    Attributes:
        source: the file, or the folder of such files.
        column: that names the images: "path" or "uri".
        has_bytes: whether their content comes along, in the column "bytes".
        found: the images, relative to the folder of images.
    """

    source: Path
    column: str
    has_bytes: bool
    found: Scan


def read_manifest(source: Path, images: Path) -> Manifest:
    """Read which images a manifest lists; their content is not read.

    Args:
        source: a Parquet file, or a folder of such files.
        images: folder that holds the images; paths are relative to it, or lie within it. No manifest leads
            out of it.

    Raises:
        InvalidInput: it cannot be read, has no column of paths, or lists no image within the folder.
    """
    try:
        table = pads.dataset(source, format="parquet")
        names = table.schema.names
        column = next((name for name in COLUMNS if name in names), None)
        if column is None:
            raise InvalidInput(
                f"{source}: has the columns {', '.join(names)}; expected one of {' or '.join(COLUMNS)}"
            )
        values = [
            value for batch in table.to_batches(columns=[column]) for value in batch[column].to_pylist()
        ]
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(f"{source}: cannot be read as Parquet ({error})") from error
    found = _within(values, images)
    if not found.paths:
        left = ", ".join(f"{count} {reason}" for reason, count in found.skipped.items())
        left = f"; left out: {left}" if left else ""
        raise InvalidInput(f"{source}: lists no image within {images}{left}")
    if BYTES in names and found.skipped.get(TWICE):
        raise InvalidInput(f"{source}: lists {found.skipped[TWICE]} paths twice, whose content may differ")
    return Manifest(source, column, BYTES in names, found)


def relative(value: Any, images: str) -> str | None:
    """Path of an image relative to the folder of images; None where it leads elsewhere.

    Args:
        value: a path, as text or as bytes, or a file: address.
        images: the folder, absolute.
    """
    text = os.fsdecode(value) if isinstance(value, bytes) else str(value)
    if "\0" in text:
        return None
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    elif "://" in text:
        return None
    path = PurePosixPath(text)
    if path.is_absolute():
        if not path.is_relative_to(images):
            return None
        path = path.relative_to(images)
    return None if ".." in path.parts or not path.parts else str(path)


def _within(values: list[Any], images: Path) -> Scan:
    root = os.fspath(images.absolute())
    skipped: Counter[str] = Counter()
    paths: dict[str, None] = {}
    for value in values:
        path = relative(value, root) if value else None
        if path is None:
            skipped[OUTSIDE if value else BLANK] += 1
        elif path in paths:
            skipped[TWICE] += 1
        else:
            paths[path] = None
    return Scan(images, tuple(paths), dict(sorted(skipped.items())))

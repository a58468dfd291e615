"""Results as Parquet: a row for each file of the folder, in parts that appear whole or not at all.

A part lies in `parquet/pending` until the run's database has its rows, and in `parquet` from then on.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from maskpilot.errors import RunFolderError
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.part import PARQUET, PENDING
from maskpilot.labeling.ray.columns import MARK, SCHEMA, VERSION, read_row, row_of
from maskpilot.labeling.store import Store
from maskpilot.labeling.types import Failure
from maskpilot.runfolder import RunFolder
from maskpilot.types import Usage

__all__ = ["adopt", "pending", "read_part", "settle", "write_part"]


def write_part(folder: Path, results: Sequence[Result]) -> Path:
    """Write a part, whole or not at all, on disk before this returns.

    Args:
        folder: the run folder.
        results: at least one.

    Raises:
        RunFolderError: the disk is full, or refuses.
    """
    table = pa.Table.from_pylist([row_of(result) for result in results], SCHEMA)
    content = pa.BufferOutputStream()
    pq.write_table(table, content, compression="zstd")
    name = f"{PARQUET}/{PENDING}/{uuid.uuid4().hex}.parquet"
    return RunFolder(folder).write(name, content.getvalue().to_pybytes())


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
    if failure is not None:
        if replace(failure, usage=Usage()) != known.get(result.path):
            store.fail(failure)
        else:
            store.spend(result.path, failure.usage, once=True)
    elif result.labels is None or store.commit(result.labels):
        store.spend(result.path, result.wasted, once=True)
    if result.labels is not None:
        logs.discard(result.labels.image.sha256)


def read_part(path: Path) -> Iterator[Result]:
    """What a part says became of files.

    Raises:
        RunFolderError: it is missing, cut off, damaged, or of another version.
    """
    try:
        table = pq.read_table(path)
        rows = table.to_pylist()
        version = (table.schema.metadata or {}).get(MARK, b"unknown")
        if version != VERSION:
            raise RunFolderError(f"{path}: is of version {version!r}, this one reads {VERSION!r}")
        results = [_read(row, number) for number, row in enumerate(rows, start=1)]
    except (OSError, pa.ArrowException, KeyError, TypeError, ValueError) as error:
        raise RunFolderError(f"{path}: cannot be read ({error})") from error
    yield from results


def _read(row: dict[str, Any], number: int) -> Result:
    try:
        return read_row(row)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"row {number}, {row.get('path')!r}: {error}") from error

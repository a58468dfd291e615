"""The results of a labeling run: one SQLite file in which an image is there whole or not at all.

Write-ahead logging, so that a run can be read while it is written; every commit is on disk before it returns,
so that whatever ends the process or the machine, no image is lost and none is labeled twice. What a look at
the files tells again at no cost waits for the next commit, since each takes some milliseconds.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maskpilot.errors import RunFolderError
from maskpilot.labeling.database import Database
from maskpilot.labeling.rows import (
    image_row,
    label_row,
    plain,
    read_class,
    read_label,
    session_row,
)
from maskpilot.labeling.types import ClassLabels, Failure, ImageLabels, Label, LabeledFile
from maskpilot.types import ImageRef, Usage

__all__ = ["LABELS", "SeenFile", "Store"]

LABELS = "labels.sqlite"
"""Name of the file in a run folder."""

LATEST = 2**63 - 1
"""Nanoseconds since 1970 that SQLite can hold: until the year 2262."""


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file as it was last seen: while size and time stay the same, so does its content."""

    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def of(cls, status: os.stat_result, sha256: str) -> Self:
        """What the file system says of a file; of a time that SQLite cannot hold, the nearest that it can."""
        return cls(status.st_size, min(max(status.st_mtime_ns, -LATEST), LATEST), sha256)


class Store:
    """Reads and writes the results of a run. Used from one thread.

    Args:
        path: the file; it is made where it is missing, unless `read_only`.
        read_only: for export and summaries, also while another process writes.

    Raises:
        RunFolderError: it is missing, damaged, of another version, or the disk refuses. Every method raises
            it likewise; what was committed before is not touched.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self._path = path
        if read_only and not path.is_file():
            raise RunFolderError(f"{path}: no such file; label something first")
        self._db = Database(path, read_only=read_only)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
            return
        with suppress(RunFolderError):  # the error that is on its way says more
            self.close()

    def close(self) -> None:
        """Write down what waits, and close the file. Closing twice does no harm."""
        self._db.close()

    def seen(self, path: str, file: SeenFile) -> None:
        """Remember which content a file has; on disk with the next commit at the latest."""
        row = (os.fsencode(path), file.size, file.mtime_ns, file.sha256)
        self._db.later("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?)", row)

    def files(self) -> dict[str, SeenFile]:
        """All files that were seen, by path."""
        rows = self._db.rows("SELECT path, size, mtime_ns, sha256 FROM files")
        return {os.fsdecode(path): SeenFile(size, mtime, sha256) for path, size, mtime, sha256 in rows}

    def labeled(self) -> set[str]:
        """Content (SHA-256) of all labeled images."""
        return {sha256 for (sha256,) in self._db.rows("SELECT sha256 FROM images")}

    def commit(self, labels: ImageLabels) -> bool:
        """Keep the labels of an image, all of them or none.

        Returns:
            False where this content was labeled before; what was kept then stays.
        """
        sha256 = labels.image.sha256
        with self._db.transaction():
            insert = "INSERT OR IGNORE INTO images VALUES (?, ?, ?, ?, ?, ?)"
            if not self._db.execute(insert, image_row(labels)).rowcount:
                return False
            for number, one in enumerate(labels.classes):
                self._db.execute(
                    "INSERT INTO sessions VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    session_row(sha256, number, one),
                )
                for label in one.labels:
                    self._db.execute(
                        "INSERT INTO labels VALUES (?, ?, ?, ?, ?, ?, ?)", label_row(sha256, number, label)
                    )
            self._db.execute("DELETE FROM failures WHERE sha256 = ?", (sha256,))
        return True

    def fail(self, failure: Failure, *, found_again: bool = False) -> None:
        """Keep why a file could not be labeled, in place of an earlier reason, and what the attempt cost.

        Args:
            failure: is on disk when this returns.
            found_again: unless a look at the file tells the same again: then with the next commit.
        """
        path = os.fsencode(failure.path)
        row = (path, failure.sha256, plain(failure.cause), plain(failure.error))
        self._db.later("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?)", row)
        if not found_again:
            with self._db.transaction():
                self._spend(path, failure.usage)

    def spend(self, path: str, usage: Usage, *, once: bool = False) -> None:
        """Keep what an attempt at a file cost that is neither in its labels nor in its session logs.

        Args:
            path: of the file.
            usage: of the attempt.
            once: unless it is there: no two attempts take the same time, down to the last digit.
        """
        row = (os.fsencode(path), json.dumps(asdict(usage)))
        if once and self._db.rows("SELECT 1 FROM spent WHERE path = ? AND usage = ? LIMIT 1", row):
            return
        with self._db.transaction():
            self._spend(os.fsencode(path), usage)

    def forgive(self, path: str) -> None:
        """Forget that a file failed, since it was labeled after all; with the next commit at the latest."""
        self._db.later("DELETE FROM failures WHERE path = ?", (os.fsencode(path),))

    def forget(self, path: str) -> None:
        """Forget a file that is gone; labels of its content stay. Written down when `forgive` is."""
        for table in ("files", "failures"):
            self._db.later(f"DELETE FROM {table} WHERE path = ?", (os.fsencode(path),))  # noqa: S608

    def failures(self) -> list[Failure]:
        """Files that could not be labeled, by path; without what the attempts cost."""
        rows = self._db.rows("SELECT path, cause, error, sha256 FROM failures ORDER BY path")
        return [Failure(os.fsdecode(path), cause, error, sha256) for path, cause, error, sha256 in rows]

    def spent(self) -> Usage:
        """What is known here of what the run has cost; what lies in session logs comes on top."""
        names = [one.name for one in fields(Usage)]
        sums = ", ".join(f"sum(json_extract(usage, '$.{name}'))" for name in names)
        both = "SELECT usage FROM sessions UNION ALL SELECT usage FROM spent"
        row = self._db.rows(f"SELECT {sums} FROM ({both})")[0]  # noqa: S608 (our own names)
        return Usage(**{name: value for name, value in zip(names, row, strict=True) if value is not None})

    def images(self) -> Iterator[ImageLabels]:
        """Labels of every labeled content, by its hash; one image in memory at a time.

        What is committed meanwhile is not among them.
        """
        query = "SELECT sha256, suffix, name, width, height, seconds FROM images ORDER BY sha256"
        self._db.settle()
        with self._db.told(), closing(self._db.execute(query)) as rows:
            for sha256, suffix, name, width, height, seconds in rows:
                with self._row(f"image {sha256}"):
                    image = ImageRef(sha256, suffix, name, width, height)
                yield ImageLabels(image, self._classes(image), seconds)

    def labeled_files(self) -> Iterator[LabeledFile]:
        """Every file whose content is labeled, by path; one image in memory at a time."""
        query = (
            "SELECT files.path, images.sha256, suffix, name, width, height, seconds FROM files "
            "JOIN images USING (sha256) ORDER BY files.path"
        )
        self._db.settle()
        with self._db.told(), closing(self._db.execute(query)) as rows:
            for path, sha256, suffix, name, width, height, seconds in rows:
                with self._row(f"image {sha256}"):
                    image = ImageRef(sha256, suffix, name, width, height)
                yield LabeledFile(os.fsdecode(path), ImageLabels(image, self._classes(image), seconds))

    def labeled_file_count(self) -> int:
        """How many `labeled_files` there are."""
        return int(self._db.rows("SELECT count(*) FROM files JOIN images USING (sha256)")[0][0])

    def counts(self) -> Counter[str]:
        """How many "images", "labels", "failures" and "rounds" there are, and images to "review"."""
        found: Counter[str] = Counter()
        for table in ("images", "labels", "failures"):
            found[table] = self._db.rows(f"SELECT count(*) FROM {table}")[0][0]  # noqa: S608 (our own names)
        doubtful = (
            "SELECT count(*) FROM (SELECT sha256 FROM sessions WHERE review != '[]' "
            "UNION SELECT sha256 FROM labels WHERE review != '[]')"
        )
        found["review"] = self._db.rows(doubtful)[0][0]
        found["rounds"] = self._db.rows("SELECT coalesce(sum(rounds), 0) FROM sessions")[0][0]
        return found

    def select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of a query in SQL, for figures that need no masks; it changes nothing."""
        return self._db.rows(query, values)

    def _classes(self, image: ImageRef) -> tuple[ClassLabels, ...]:
        labels: dict[int, list[Label]] = {}
        query = (
            "SELECT class, id, score, text, counts, review FROM labels WHERE sha256 = ? ORDER BY class, id"
        )
        for number, *row in self._db.rows(query, (image.sha256,)):
            with self._row(f"label {row[0]} of class {number} on image {image.sha256}"):
                labels.setdefault(number, []).append(read_label(image, *row))
        query = (
            "SELECT class, query, policy, model, stop, rounds, rating, review, usage, number "
            "FROM sessions WHERE sha256 = ? ORDER BY number"
        )
        classes = []
        for found in self._db.rows(query, (image.sha256,)):
            with self._row(f"session of class {found[-1]} on image {image.sha256}"):
                classes.append(read_class(found, tuple(labels.pop(found[-1], ()))))
        for number in labels:
            with self._row(f"labels of class {number} on image {image.sha256}"):
                raise ValueError("no session that found them")
        return tuple(classes)

    def _spend(self, path: bytes, usage: Usage) -> None:
        if usage != Usage():
            self._db.execute("INSERT INTO spent VALUES (?, ?)", (path, json.dumps(asdict(usage))))

    @contextmanager
    def _row(self, which: str) -> Iterator[None]:
        """Read a row: what no run wrote is told with its place."""
        try:
            yield
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{self._path}: holds a damaged record, {which}: {error}") from error

"""The SQLite file of a run: transactions, rows that may wait for the next one, errors in our words."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from maskpilot.errors import RunFolderError
from maskpilot.labeling.rows import SCHEMA, TABLES

__all__ = ["WAITING", "Database"]

WAITING = 500
"""Rows that wait for the next commit at most."""


class Database:
    """A file with the tables of a run, made where it is missing. Used from one thread.

    Args:
        path: the file.
        read_only: it must be there; nothing is written.

    Raises:
        RunFolderError: it cannot be opened, or is of another version. Every method raises it likewise when
            the disk or the file refuses.
    """

    def __init__(self, path: Path, *, read_only: bool) -> None:
        self._path = path
        self._waiting: list[tuple[str, tuple[Any, ...]]] = []
        with self.told():
            mode = "rwc"
            if read_only:
                mode = "ro&immutable=1" if _is_at_rest(path) else "ro"
            # Autocommit: transactions begin and end where the code says so.
            self._db = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}",
                uri=True,
                isolation_level=None,
                check_same_thread=False,
                timeout=30.0,
            )
            try:
                self._prepare(read_only=read_only)
            except BaseException:
                self._db.close()
                raise

    def close(self) -> None:
        """Write down what waits, and close the file. Closing twice does no harm."""
        try:
            self.settle()
        finally:
            with self.told():
                self._db.close()

    def execute(self, statement: str, row: tuple[Any, ...] = ()) -> sqlite3.Cursor:
        """One statement; within `transaction`, or as one of its own. Raises sqlite3.Error, see `told`."""
        return self._db.execute(statement, row)

    def rows(self, query: str, values: tuple[object, ...] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, what waited included."""
        self.settle()
        with self.told():
            return self._db.execute(query, values).fetchall()

    def later(self, statement: str, row: tuple[Any, ...]) -> None:
        """With the next transaction; at the latest when many wait, at a read, or when the file is closed."""
        self._waiting.append((statement, row))
        if len(self._waiting) >= WAITING:
            self.settle()

    def settle(self) -> None:
        """Write down what waits."""
        if self._waiting:
            with self.transaction():
                pass

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of what waits and of what is done within it, or nothing."""
        with self.told():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                for statement, row in self._waiting:
                    self._db.execute(statement, row)
                yield
                self._db.execute("COMMIT")
                self._waiting.clear()
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def told(self) -> Iterator[None]:
        """SQLite's errors as `RunFolderError`."""
        try:
            yield
        except sqlite3.Error as error:
            raise RunFolderError(
                f"{self._path}: {error}; what was committed before is intact. Make room, or see that the "
                "disk is a local one and nothing else writes there; then the same command goes on"
            ) from error

    def _prepare(self, *, read_only: bool) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version not in {0, SCHEMA}:
            raise RunFolderError(
                f"{self._path}: has schema {version}, this version reads {SCHEMA}; use the version of "
                "maskpilot that wrote it"
            )
        if read_only:
            return
        self._db.execute("PRAGMA journal_mode = WAL")
        self._db.execute("PRAGMA synchronous = FULL")  # what was paid for survives a power cut, too
        if version == 0:
            with self.transaction():
                for statement in TABLES.split(";\n"):
                    self._db.execute(statement)
                self._db.execute(f"PRAGMA user_version = {SCHEMA}")


def _is_at_rest(path: Path) -> bool:
    """Whether a database can be read as it lies there: nobody is at it, and nothing can be written beside it.

    SQLite itself would not read it: it wants to write down beside it who reads.
    """
    return not path.with_name(f"{path.name}-wal").exists() and not os.access(path.parent, os.W_OK)

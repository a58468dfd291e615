"""A part of a run: what is left to do, and where it is written down. Engines work on it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from maskpilot.crew.control import Control
from maskpilot.crew.progress import Watch
from maskpilot.errors import InvalidInput
from maskpilot.labeling.books import Books
from maskpilot.labeling.existing import ExistingLabels
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.outage import Outage
from maskpilot.labeling.plan import Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.store import Store

__all__ = ["PARQUET", "PENDING", "Engine", "Part", "take_in"]

PARQUET = "parquet"
"""Folder in a run folder of results in parts, which machines write that cannot write the database."""

PENDING = "pending"
"""Folder in that one, of parts whose rows are not in the database yet."""


@dataclass(frozen=True, eq=False)
class Part:
    """What an engine is given; it uses all of it from one thread, but for `control` and `outage`.

    Attributes:
        plan: what to do.
        path: the run folder.
        folder: that the paths are relative to.
        paths: of the run's files.
        start: masks that are there when sessions begin.
        logs: of sessions in flight.
        books: what is done, and where that is written down.
        control: whether to go on.
        outage: what is known of the endpoint.
        watch: is told how the run is getting on.
    """

    plan: Plan
    path: Path
    folder: Path
    paths: Sequence[str]
    start: ExistingLabels | None
    logs: SessionLogs
    books: Books
    control: Control
    outage: Outage
    watch: Watch[Standing]

    def take(self, result: Result) -> None:
        """Write down what became of a file, and say so.

        Raises:
            RunFolderError: it cannot be written.
        """
        self.books.take(result, self.watch)
        self.watch(self.books.standing(self.control))


class Engine(Protocol):
    """Does the work of a part, until all of it is done or the run is stopped."""

    def __call__(self, part: Part, /) -> None:
        """Label files, and have `part.take` write down what became of each.

        Raises:
            RunFolderError: the run folder cannot be written.
            PolicyError: the endpoint refuses every image alike.
            SegmenterGone: no process holds the model any more.
        """
        ...


def take_in(path: Path, store: Store, logs: SessionLogs, note: Callable[[str], None]) -> None:
    """Put into the database what an earlier part of a run left in other places when it ended.

    Args:
        path: the run folder.
        store: its database.
        logs: its session logs; those of images that are labeled go.
        note: told of what cannot be used, so that it is labeled again.

    Raises:
        InvalidInput: it is Parquet, and nothing here reads that.
        RunFolderError: the database or the folder refuses.
    """
    if not any((path / PARQUET / PENDING).glob("*.parquet")):
        return
    try:
        from maskpilot.labeling.ray.records import adopt  # noqa: PLC0415 (an extra)
    except ImportError as error:
        raise InvalidInput(
            f"{path / PARQUET}: holds results of other machines that are to be read first; install "
            "maskpilot[ray]"
        ) from error
    adopt(path, store, logs, note)

"""A part of a run: what is left to do, and where it is written down. Engines work on it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from maskpilot.crew.control import Control
from maskpilot.crew.progress import Watch
from maskpilot.labeling.books import Books
from maskpilot.labeling.existing import ExistingLabels
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.outage import Outage
from maskpilot.labeling.plan import Plan
from maskpilot.labeling.progress import Standing

__all__ = ["Engine", "Part"]


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
        """
        ...

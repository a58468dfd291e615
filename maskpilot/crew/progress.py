"""How a run is getting on: a bar on a terminal, plain lines elsewhere. On stderr, always."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import IO, Protocol, Self, TypeVar

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Column

__all__ = ["Bar", "Lines", "Quiet", "Standing", "Watch", "eta", "span", "watch_on"]

EVERY = 5.0
"""Seconds between plain lines at least; the first and the last one always come, and none comes twice."""


class Standing(Protocol):
    """Where a run stands, as far as a bar must know."""

    @property
    def total(self) -> int:
        """How much there is to do."""
        ...

    @property
    def finished(self) -> int:
        """How much of it is done or failed."""
        ...

    @property
    def left(self) -> int:
        """How much is to go."""
        ...

    @property
    def line(self) -> str:
        """All of it in a line."""
        ...


S_contra = TypeVar("S_contra", bound=Standing, contravariant=True)


class Watch(Protocol[S_contra]):
    """Is told where the run stands, from one thread, and of what a person should know.

    What files and servers said may be in a note as it is: whoever shows it sees to it that it is only text.
    """

    def __call__(self, standing: S_contra, /) -> None: ...

    def note(self, message: str, /) -> None: ...


class Quiet:
    """For runs that nobody watches."""

    def __call__(self, standing: Standing) -> None: ...

    def note(self, message: str) -> None: ...


class Lines:
    """One line now and then: for log files."""

    def __init__(
        self, out: IO[str] | None = None, *, every: float = EVERY, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._out = out or sys.stderr
        self._every, self._clock = every, clock
        self._next: float | None = None
        self._told = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, standing: Standing) -> None:
        now = self._clock()
        line = f"{standing.finished}/{standing.total}: {standing.line}"
        if line == self._told or (self._next is not None and now < self._next and standing.left):
            return
        self._next, self._told = now + self._every, line
        self.note(line)

    def note(self, message: str) -> None:
        self._out.write(_shown(message) + "\n")
        self._out.flush()


class Bar:
    """A bar that stays in its place."""

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(20, table_column=Column(min_width=10)),
            TextColumn("{task.completed}/{task.total}", table_column=Column(min_width=11)),
            TextColumn("{task.description}", markup=False, table_column=Column(ratio=1)),
        )
        # The line wraps where the terminal is narrow: all of it matters, and so does the bar.
        self._progress = Progress(*columns, console=console, transient=False, expand=True)
        self._task: TaskID | None = None

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def __call__(self, standing: Standing) -> None:
        if self._task is None:
            self._task = self._progress.add_task("", total=standing.total)
        self._progress.update(self._task, completed=standing.finished, description=standing.line)

    def note(self, message: str) -> None:
        self._progress.console.print(_shown(message), markup=False, highlight=False)


def watch_on(out: IO[str] | None = None) -> Bar | Lines:
    """The one that suits a stream; stderr where none is given."""
    stream = out or sys.stderr
    return Bar(Console(file=stream)) if stream.isatty() else Lines(stream)


def eta(left: int, seconds: float, fresh: int) -> float | None:
    """Seconds to go at the pace so far; None where there is no pace yet.

    Args:
        left: how much is to go.
        seconds: since this part of the run began.
        fresh: how much was finished since then.
    """
    return left * seconds / fresh if fresh else None


def span(seconds: float) -> str:
    """A time in words: `2 min 16 s`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _shown(text: str) -> str:
    """What files and servers said, on one line, without what a terminal would obey."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)

"""How a run is getting on: a bar on a terminal, plain lines elsewhere. On stderr, always."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import IO, Protocol, Self

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

__all__ = ["Bar", "Lines", "Standing", "Watch", "watch_on"]

EVERY = 5.0
"""Seconds between plain lines at least; the first and the last one always come."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Attributes:
        done: scored samples; failed ones are not among them.
        failed: samples that failed.
        total: samples of the run.
        mean: IoU of the scored ones so far; None where there are none.
        tokens, cost: spent so far, failed samples and earlier parts of the run included.
        seconds: since this part of the run began.
        fresh: samples that were done or failed since then.
    """

    done: int
    failed: int
    total: int
    mean: float | None
    tokens: int
    cost: float | None
    seconds: float
    fresh: int

    @property
    def left(self) -> int:
        """Samples to go."""
        return self.total - self.done - self.failed

    @property
    def eta(self) -> float | None:
        """Seconds to go at the pace so far; None where there is no pace yet."""
        return self.left * self.seconds / self.fresh if self.fresh else None

    @property
    def line(self) -> str:
        """All of it in a line."""
        parts = [
            f"{self.done} done",
            f"{self.failed} failed",
            f"mean IoU {self.mean:.3f}" if self.mean is not None else "",
            f"{self.tokens:,} tokens" if self.tokens else "",
            f"cost {self.cost:.4g}" if self.cost is not None else "",
            f"{_span(self.eta)} to go" if self.eta is not None and self.left else "",
        ]
        return ", ".join(part for part in parts if part)


class Watch(Protocol):
    """Is told where the run stands, from one thread, and of what a person should know."""

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

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def __call__(self, standing: Standing) -> None:
        now = self._clock()
        if self._next is not None and now < self._next and standing.left:
            return
        self._next = now + self._every
        self.note(f"{standing.done + standing.failed}/{standing.total}: {standing.line}")

    def note(self, message: str) -> None:
        self._out.write(message + "\n")
        self._out.flush()


class Bar:
    """A bar that stays in its place."""

    def __init__(self, console: Console) -> None:
        columns = (
            BarColumn(30),
            TextColumn("{task.completed}/{task.total}"),
            TextColumn("{task.description}"),
        )
        self._progress = Progress(*columns, console=console, transient=False)
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
        done = standing.done + standing.failed
        self._progress.update(self._task, completed=done, description=standing.line)

    def note(self, message: str) -> None:
        self._progress.console.print(message, markup=False, highlight=False)


def watch_on(out: IO[str] | None = None) -> Bar | Lines:
    """The one that suits a stream; stderr where none is given."""
    stream = out or sys.stderr
    return Bar(Console(file=stream)) if stream.isatty() else Lines(stream)


def _span(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"

"""Threads that do tasks, and the one that takes in what becomes of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Generic, TypeAlias, TypeVar

from maskpilot.crew.control import Control
from maskpilot.crew.interrupts import ctrl_c

__all__ = ["shared", "work"]

POLL = 0.2
"""Seconds. A Ctrl-C in the moment in which a wait begins does not end it: it is seen after the wait."""

T = TypeVar("T")
R = TypeVar("R")


@dataclass(frozen=True)
class _Done(Generic[R]):
    """A thread did a task."""

    result: R


@dataclass(frozen=True)
class _Gone:
    """A thread ended; with what nothing can be done about, if that is why."""

    error: BaseException | None = None


@dataclass(frozen=True)
class _Interrupt:
    """The first Ctrl-C came."""


Message: TypeAlias = _Done[R] | _Gone | _Interrupt


def work(
    pull: Callable[[], T | None],
    do: Callable[[T], R | None],
    take: Callable[[R], None],
    *,
    workers: int,
    control: Control,
    note: Callable[[str], None],
    grace: float | None = None,
) -> None:
    """Do tasks, many at a time, until there are none left or the run is stopped.

    The first Ctrl-C stops the run after the requests in flight. What a thread is at when nobody waits for it
    any more is on disk up to its last round, but the thread itself may go on until the process ends.

    Args:
        pull: the next task, None where there is none left; called by many threads, so see `shared`.
        do: does a task; called by many threads. None where there is nothing to take.
        take: gets each result, in this thread alone.
        workers: tasks at a time.
        control: nothing is begun once it is stopped; `do` should heed it, too.
        note: gets what a person should know, in this thread alone.
        grace: seconds to wait for the threads after the first Ctrl-C; results that come later are not taken.
            None to wait for all of them.

    Raises:
        BaseException: what `pull`, `do`, `take` or `note` raised first. It stops the run, and is raised when
            the other threads are through.
        KeyboardInterrupt: at the second Ctrl-C, at once.
    """
    said: SimpleQueue[Message[R]] = SimpleQueue()

    def interrupt() -> None:  # may come at any moment, so it leaves everything to the loop that waits
        control.stop()
        said.put(_Interrupt())

    try:
        with ctrl_c(interrupt):
            for _ in range(workers):
                # Daemons: whoever does not wait for them can leave.
                threading.Thread(target=_serve, args=(pull, do, said.put, control), daemon=True).start()
            problem = _collect(said, take, note, workers, control, grace)
    except BaseException:
        control.stop()
        raise
    if problem is not None:
        raise problem


def shared(tasks: Iterable[T]) -> Callable[[], T | None]:
    """The next task for whoever asks, one thread at a time; None when there is none left."""
    left = iter(tasks)
    lock = threading.Lock()

    def pull() -> T | None:
        with lock:
            return next(left, None)

    return pull


def _serve(
    pull: Callable[[], T | None],
    do: Callable[[T], R | None],
    put: Callable[[Message[R]], None],
    control: Control,
) -> None:
    """What each thread does."""
    try:
        while not control.stopped:
            task = pull()
            if task is None or control.stopped:  # a pull may take its time
                break
            result = do(task)
            if result is not None:
                put(_Done(result))
    except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
        put(_Gone(error))
    else:
        put(_Gone())


def _collect(
    said: SimpleQueue[Message[R]],
    take: Callable[[R], None],
    note: Callable[[str], None],
    crew: int,
    control: Control,
    grace: float | None,
) -> BaseException | None:
    """Take what the crew does until all of it is gone or the grace is over; the first problem, if any."""
    problem: BaseException | None = None
    until: float | None = None
    while crew:
        left = POLL if until is None else max(until - time.monotonic(), 0.0)
        try:
            message = said.get(timeout=min(left, POLL))
        except Empty:
            if left:
                continue
            break
        try:
            match message:
                case _Done(result):
                    take(result)
                case _Gone(error):
                    crew -= 1
                    problem = problem or error
                case _Interrupt():
                    until = None if grace is None else time.monotonic() + grace
                    at_most = "" if grace is None else f" ({grace:g} s at most)"
                    note(f"stopping after the requests in flight{at_most}; Ctrl-C again leaves at once")
        except Exception as error:  # noqa: BLE001 - raised when the others are through
            problem = problem or error
        if problem is not None:
            control.stop()
    return problem

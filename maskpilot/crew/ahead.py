"""Work done a little ahead of whoever needs it: images are decoded while the ones before are segmented."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Generic, Self, TypeVar

__all__ = ["Ahead", "ahead"]

T = TypeVar("T")
R = TypeVar("R")


def ahead(items: Iterable[T], do: Callable[[T], R], *, threads: int, depth: int) -> Ahead[T, R]:
    """What `do` makes of each item, in the order of the items.

    Close it where it is not read to its end.

    Args:
        items: is read by whoever asks for results, no further than `depth` items ahead.
        do: called by several threads.
        threads: how many.
        depth: results that may be ready or under way beside the one that the consumer has.

    Raises:
        ValueError: less than one thread, or a depth below one.
    """
    if threads < 1 or depth < 1:
        raise ValueError(f"ahead: expected at least one thread and a depth from 1, got {threads} and {depth}")
    return Ahead(items, do, threads, depth)


class _Job(Generic[T, R]):
    """One item and what becomes of it."""

    def __init__(self, item: T) -> None:
        self.item = item
        self.future: Future[R] = Future()

    def run(self, do: Callable[[T], R]) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = do(self.item)
        except BaseException as error:  # noqa: BLE001 - raised again where the result is asked for
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class Ahead(Iterator[R], Generic[T, R]):
    """The results; one thread at a time may ask for the next, any may close it at any time.

    An exception of `do` is raised in the place of its result, one of the items as soon as it comes; either
    ends it.
    """

    # Not a generator over an executor: a generator cannot be closed while a thread waits in it, and an
    # executor's threads hold up the end of the process, also after a second Ctrl-C.

    def __init__(self, items: Iterable[T], do: Callable[[T], R], threads: int, depth: int) -> None:
        self._items, self._depth = iter(items), depth
        self._begun: deque[Future[R]] = deque()
        self._todo: SimpleQueue[_Job[T, R] | None] = SimpleQueue()
        self._threads = threads
        self._lock = threading.Lock()
        self._closed = False
        for _ in range(threads):
            threading.Thread(target=_serve, args=(self._todo, do), daemon=True).start()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> R:
        try:
            return self._next().result()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the threads; what they are at is not waited for, and what was not begun never is."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            for future in self._begun:
                future.cancel()
            self._begun.clear()
            for _ in range(self._threads):
                self._todo.put(None)

    def _next(self) -> Future[R]:
        """The next result to be, with as many more under way as may be."""
        with self._lock:
            while not self._closed and len(self._begun) <= self._depth:
                try:
                    job = _Job[T, R](next(self._items))
                except StopIteration:
                    break
                self._begun.append(job.future)
                self._todo.put(job)
            if not self._begun:
                raise StopIteration
            return self._begun.popleft()


def _serve(todo: SimpleQueue[_Job[T, R] | None], do: Callable[[T], R]) -> None:
    while (job := todo.get()) is not None:
        job.run(do)
        del job  # while it waits for the next one, a thread must not hold the last result

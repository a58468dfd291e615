"""One thread that owns a model and serves many: what waits when it becomes free goes in one pass.

It never waits for a batch to fill, so a lone session is served at once. It knows nothing of torch: what it
runs are functions from a list of requests to a list of answers.
"""

from __future__ import annotations

import threading
import traceback
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeVar

from maskpilot.errors import OutOfMemory, SegmenterError

__all__ = ["Worker"]

Request = TypeVar("Request")
Answer = TypeVar("Answer")


@dataclass(eq=False)
class _Job:
    function: Callable[[Sequence[Any]], Sequence[Any]]
    request: Any
    answer: Future[Any] = field(default_factory=Future)


class Worker:
    """A daemon thread that answers requests in batches.

    Whatever fails in a batch is tried again in smaller ones, down to single requests, so that only the guilty
    request fails. After running out of memory the batches stay as small as they had to become; a single
    request is tried once more when memory was freed.

    Args:
        max_batch: the most requests in one call of a function.
        is_out_of_memory: tells an error that a smaller batch may avoid.
        free_memory: called after such an error, before the next attempt.
    """

    def __init__(
        self,
        *,
        max_batch: int = 8,
        is_out_of_memory: Callable[[Exception], bool] = lambda error: isinstance(error, MemoryError),
        free_memory: Callable[[], None] = lambda: None,
    ) -> None:
        self._max_batch = max_batch
        self._is_out_of_memory = is_out_of_memory
        self._free_memory = free_memory
        self._jobs: deque[_Job] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._serve, name="maskpilot-segmenter", daemon=True)
        self._thread.start()

    def call(self, function: Callable[[Sequence[Request]], Sequence[Answer]], request: Request) -> Answer:
        """Have `function` answer `request`, together with requests of other threads for the same function.

        Raises:
            OutOfMemory: the request alone does not fit.
            SegmenterError: the function failed on this request, or the worker is closed.
        """
        return self.submit(function, request).result()

    def submit(
        self, function: Callable[[Sequence[Request]], Sequence[Answer]], request: Request
    ) -> Future[Answer]:
        """As `call`, without waiting for the answer."""
        job = _Job(function, request)
        job.answer.set_running_or_notify_cancel()  # it cannot be cancelled
        with self._changed:
            if self._closed:
                raise SegmenterError("the segmenter is closed; load it again")
            self._jobs.append(job)
            self._changed.notify()
        return job.answer

    def close(self) -> None:
        """End the thread once it has answered what it is at; requests that still wait fail."""
        with self._changed:
            self._closed = True
            waiting, self._jobs = self._jobs, deque()
            self._changed.notify()
        for job in waiting:
            job.answer.set_exception(SegmenterError("the segmenter was closed before this request's turn"))
        self._thread.join()

    def _serve(self) -> None:
        while batch := self._next_batch():
            try:
                self._answer(batch)
            except Exception as error:  # noqa: BLE001 - whatever it is, nobody must wait for ever
                for job in batch:
                    if not job.answer.done():
                        job.answer.set_exception(_explained(error, out_of_memory=False))
            del batch  # an idle worker holds on to nothing

    def _next_batch(self) -> list[_Job]:
        """The oldest job and what can go with it; empty when the worker is closed."""
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closed)
            if self._closed:
                return []
            function = self._jobs[0].function
            batch = [job for job in self._jobs if job.function == function][: self._max_batch]
            self._jobs = deque(job for job in self._jobs if job not in batch)
            return batch

    def _answer(self, batch: Sequence[_Job], *, last: bool = False) -> None:
        answers = _attempt(batch[0].function, [job.request for job in batch])
        if not isinstance(answers, Exception):
            for job, answer in zip(batch, answers, strict=True):
                job.answer.set_result(answer)
            return
        out_of_memory = self._is_out_of_memory(answers)
        if out_of_memory:
            self._free_memory()
        if len(batch) == 1 and out_of_memory and not last:
            self._answer(batch, last=True)
            return
        if len(batch) == 1:
            batch[0].answer.set_exception(_explained(answers, out_of_memory=out_of_memory))
            return
        size = len(batch) // 2 if out_of_memory else 1
        if out_of_memory:
            self._max_batch = size
        for start in range(0, len(batch), size):
            self._answer(batch[start : start + size])


def _attempt(
    function: Callable[[Sequence[Any]], Sequence[Any]], requests: Sequence[Any]
) -> Sequence[Any] | Exception:
    try:
        answers = function(requests)
        if len(answers) != len(requests):
            raise SegmenterError(f"expected {len(requests)} answers, got {len(answers)}")
    except Exception as error:  # noqa: BLE001 - whatever is raised belongs to the requests, not to the thread
        traceback.clear_frames(error.__traceback__)  # their locals would keep the batch's tensors alive
        return error
    return answers


def _explained(error: Exception, *, out_of_memory: bool) -> SegmenterError:
    if isinstance(error, SegmenterError):
        return error
    reason = f"{type(error).__name__}: {error}"
    explained = (
        OutOfMemory(f"this request alone does not fit into the device's memory ({reason}); free some of it")
        if out_of_memory
        else SegmenterError(f"the segmenter failed on this request ({reason})")
    )
    explained.__cause__ = error
    return explained

"""The thread that owns the model: what waits goes together, and only the guilty fail."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from maskpilot.errors import OutOfMemory, SegmenterError
from maskpilot.segmenters.worker import Worker


class Doubling:
    """Doubles numbers and notes the batches; the first call waits for the gate."""

    def __init__(self, *, fits: int = 100) -> None:
        self.batches: list[list[int]] = []
        self.fits = fits
        self.started, self.gate = threading.Event(), threading.Event()

    def __call__(self, numbers: Sequence[int]) -> list[int]:
        self.started.set()
        self.gate.wait()
        self.batches.append(list(numbers))
        if len(numbers) > self.fits or 13 in numbers:
            raise MemoryError if len(numbers) > self.fits else ValueError("unlucky")
        return [2 * number for number in numbers]


def ask_behind(worker: Worker, double: Doubling, numbers: Sequence[int]) -> list[Future[int]]:
    """The first number is at work and waits; the others queue behind it, then all go on."""
    first = worker.submit(double, numbers[0])
    double.started.wait()
    others = [worker.submit(double, number) for number in numbers[1:]]
    double.gate.set()
    return [first, *others]


def test_what_waits_goes_together_in_order() -> None:
    worker, double = Worker(max_batch=3), Doubling()
    answers = ask_behind(worker, double, [1, 2, 3, 4, 5])
    assert [answer.result() for answer in answers] == [2, 4, 6, 8, 10]
    assert double.batches == [[1], [2, 3, 4], [5]]
    worker.close()


def test_functions_are_not_mixed() -> None:
    worker, double = Worker(), Doubling()
    first = worker.submit(double, 1)
    double.started.wait()
    negated = [worker.submit(lambda numbers: [-number for number in numbers], 7), worker.submit(double, 2)]
    double.gate.set()
    assert [future.result() for future in (first, *negated)] == [2, -7, 4]
    worker.close()


def test_only_the_guilty_request_fails() -> None:
    worker, double = Worker(), Doubling()
    answers = ask_behind(worker, double, [1, 2, 13, 4])
    assert [answers[index].result() for index in (0, 1, 3)] == [2, 4, 8]
    with pytest.raises(SegmenterError, match="unlucky") as caught:
        answers[2].result()
    assert isinstance(caught.value.__cause__, ValueError)
    worker.close()


def test_out_of_memory_halves_the_batch_for_good() -> None:
    freed: list[bool] = []
    worker = Worker(free_memory=lambda: freed.append(True))
    double = Doubling(fits=2)
    answers = ask_behind(worker, double, list(range(9)))
    assert [answer.result() for answer in answers] == [2 * number for number in range(9)]
    assert double.batches[1:4] == [[1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 3, 4], [1, 2]]
    assert len(freed) == 3
    double.started.clear()
    double.gate.clear()
    again = ask_behind(worker, double, [1, 2, 3, 4])
    assert [answer.result() for answer in again] == [2, 4, 6, 8]
    assert max(map(len, double.batches[-2:])) == 2
    worker.close()


def test_one_request_that_does_not_fit() -> None:
    worker, double = Worker(), Doubling(fits=0)
    double.gate.set()
    with pytest.raises(OutOfMemory) as caught:
        worker.call(double, 1)
    assert isinstance(caught.value.__cause__, MemoryError)
    worker.close()


def test_one_request_is_tried_again_when_memory_was_freed() -> None:
    double = Doubling(fits=0)
    worker = Worker(free_memory=lambda: setattr(double, "fits", 1))
    double.gate.set()
    assert worker.call(double, 4) == 8
    assert double.batches == [[4], [4]]
    worker.close()


def test_nobody_waits_for_ever_when_memory_cannot_be_freed() -> None:
    def fail() -> None:
        raise RuntimeError("device lost")

    worker, double = Worker(free_memory=fail), Doubling(fits=1)
    answers = ask_behind(worker, double, [1, 2, 3])
    assert answers[0].result() == 2
    for answer in answers[1:]:
        with pytest.raises(SegmenterError, match="device lost"):
            answer.result()
    assert worker.call(double, 4) == 8
    worker.close()


def test_a_wrong_number_of_answers_is_an_error() -> None:
    worker = Worker()
    with pytest.raises(SegmenterError, match="expected 1 answers, got 0"):
        worker.call(lambda _: [], 1)
    worker.close()


def test_closing_fails_what_still_waits() -> None:
    worker, double = Worker(), Doubling()
    at_work = worker.submit(double, 1)
    double.started.wait()
    waiting = worker.submit(double, 2)
    with ThreadPoolExecutor(1) as threads:
        closing = threads.submit(worker.close)
        with pytest.raises(SegmenterError, match="closed"):
            waiting.result()
        double.gate.set()
        closing.result()
    assert at_work.result() == 2
    with pytest.raises(SegmenterError, match="closed"):
        worker.call(double, 3)
    worker.close()


def test_the_thread_does_not_outlive_the_program() -> None:
    worker = Worker()
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "maskpilot-segmenter")
    worker.close()
    assert "maskpilot-segmenter" not in {thread.name for thread in threading.enumerate()}

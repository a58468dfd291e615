"""Tasks, many at a time; Ctrl-C; what cannot be gone on with."""

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest

from maskpilot.crew.control import Control
from maskpilot.crew.threads import shared, work
from maskpilot.types import Usage

LONG = 20.0
"""Seconds that nothing here takes; a test that waits as long has failed."""


@pytest.fixture
def _ctrl_c_counts() -> Iterator[None]:
    """As in a terminal, also where the tests run in the background and it is ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class Crew:
    """A call of `work` that remembers what it was told."""

    def __init__(self, *, workers: int = 3, grace: float | None = None) -> None:
        self.control = Control(Usage())
        self.taken: list[Any] = []
        self.takers: set[threading.Thread] = set()
        self.notes: list[str] = []
        self._options: dict[str, Any] = {"workers": workers, "grace": grace}

    def work(self, tasks: Iterable[Any], do: Callable[[Any], Any], take: Any = None) -> None:
        def keep(result: Any) -> None:
            self.takers.add(threading.current_thread())
            self.taken.append(result)
            if take:
                take(result)

        work(shared(tasks), do, keep, control=self.control, note=self.notes.append, **self._options)


def ctrl_c() -> None:
    os.kill(os.getpid(), signal.SIGINT)


def test_every_task_is_done_once_and_taken_by_the_caller_alone() -> None:
    crew = Crew()
    crew.work(range(50), lambda task: task * 2)
    assert sorted(crew.taken) == [task * 2 for task in range(50)]
    assert crew.takers == {threading.current_thread()}
    assert not crew.control.stopped


def test_tasks_are_done_at_the_same_time() -> None:
    barrier = threading.Barrier(4, timeout=LONG)
    crew = Crew(workers=4)
    crew.work(range(4), lambda task: barrier.wait() >= 0)
    assert crew.taken == [True] * 4


def test_nothing_is_taken_where_nothing_came_of_a_task() -> None:
    crew = Crew()
    crew.work(range(4), lambda task: task if task % 2 else None)
    assert sorted(crew.taken) == [1, 3]


def test_tasks_are_drawn_by_one_thread_at_a_time_and_only_when_one_is_free() -> None:
    drawing = threading.Lock()
    drawn: list[int] = []

    def tasks() -> Iterator[int]:
        for number in range(30):
            assert drawing.acquire(blocking=False)
            drawn.append(number)
            drawing.release()
            yield number

    crew = Crew()
    crew.work(tasks(), lambda task: len(drawn) <= task + 3)
    assert crew.taken == [True] * 30


def test_nothing_is_begun_once_the_run_is_stopped() -> None:
    crew = Crew(workers=1)
    crew.work(range(50), lambda task: crew.control.stop() if task == 4 else task)
    assert crew.taken == [0, 1, 2, 3]


@pytest.mark.parametrize("where", ["do", "pull", "take"])
def test_what_cannot_be_gone_on_with_stops_all_and_is_raised_when_the_others_are_through(where: str) -> None:
    crew, through = Crew(workers=2), list[int]()
    failed = threading.Event()
    wrong = MemoryError("full")

    def fail(place: str) -> None:
        if place == where:
            failed.set()
            raise wrong

    def tasks() -> Iterator[int]:
        yield 0
        yield 1
        if where == "pull":
            fail("pull")
        yield from range(2, 50)

    def do(task: int) -> int:
        if task == 0:
            assert failed.wait(LONG)
            assert crew.control.wait(LONG)
            through.append(task)
        elif task == 1:
            fail("do")
        return task

    with pytest.raises(MemoryError) as caught:
        crew.work(tasks(), do, lambda result: fail("take"))
    assert caught.value is wrong
    assert through == [0]
    assert crew.control.stopped


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_the_first_ctrl_c_ends_it_after_what_is_under_way() -> None:
    crew = Crew(workers=2)

    def do(task: int) -> int:
        if task == 1:
            ctrl_c()
            assert crew.control.wait(LONG)
        return task

    crew.work(range(10_000), do)
    assert 1 in crew.taken
    assert len(crew.taken) < 10_000
    assert crew.notes == ["stopping after the requests in flight; Ctrl-C again leaves at once"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_the_second_ctrl_c_leaves_at_once_though_threads_never_come_back() -> None:
    crew, never = Crew(workers=2), threading.Event()

    def do(task: int) -> int:
        if task == 0:
            never.wait()
        else:
            ctrl_c()
            assert crew.control.wait(LONG)
        return task

    def take(result: int) -> None:
        ctrl_c()

    with pytest.raises(KeyboardInterrupt):
        crew.work([0, 1], do, take)
    assert crew.taken == [1]
    never.set()


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_after_ctrl_c_a_thread_that_never_comes_back_is_waited_for_as_long_as_the_grace() -> None:
    crew, never = Crew(workers=3, grace=0.05), threading.Event()

    def do(task: int) -> int:
        if task == 2:
            ctrl_c()
            assert crew.control.wait(LONG)
            return task
        never.wait()
        return task

    crew.work(range(9), do)
    assert crew.taken == [2]
    assert crew.notes == [
        "stopping after the requests in flight (0.05 s at most); Ctrl-C again leaves at once"
    ]
    never.set()


@pytest.mark.usefixtures("_ctrl_c_counts")
def test_what_comes_within_the_grace_is_taken() -> None:
    crew = Crew(workers=2, grace=LONG)
    both = threading.Barrier(2, timeout=LONG)

    def do(task: int) -> int:
        both.wait()
        if task == 0:
            ctrl_c()
        assert crew.control.wait(LONG)
        return task

    crew.work(range(9), do)
    assert sorted(crew.taken) == [0, 1]


def test_outside_the_main_thread_it_works_without_ctrl_c() -> None:
    crew = Crew()
    other = threading.Thread(target=crew.work, args=(range(9), lambda task: task))
    other.start()
    other.join(LONG)
    assert sorted(crew.taken) == list(range(9))


def test_without_workers_there_is_nothing_to_wait_for() -> None:
    crew = Crew(workers=0)
    crew.work([1], lambda task: task)
    assert crew.taken == []

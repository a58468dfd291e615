"""Work done ahead of whoever needs it."""

import gc
import threading
import weakref
from collections.abc import Iterator
from contextlib import closing

import pytest

from maskpilot.crew.ahead import ahead

LONG = 20.0
"""Seconds that nothing here takes; a test that waits as long has failed."""


class Counted:
    """Items that say how many of them were drawn."""

    def __init__(self, count: int) -> None:
        self.drawn = 0
        self._count = count

    def __iter__(self) -> Iterator[int]:
        for number in range(self._count):
            self.drawn += 1
            yield number


def test_results_come_in_the_order_of_the_items() -> None:
    second = threading.Event()

    def do(item: int) -> int:
        if item == 0:
            assert second.wait(LONG)
        if item == 1:
            second.set()
        return item * item

    assert list(ahead(range(20), do, threads=2, depth=3)) == [item * item for item in range(20)]


def test_no_more_items_than_the_depth_are_taken_ahead() -> None:
    items = Counted(20)
    with closing(ahead(items, lambda item: item, threads=8, depth=3)) as results:
        assert items.drawn == 0
        for number, result in enumerate(results):
            assert result == number
            assert items.drawn <= min(number + 4, 20)
    assert items.drawn == 20


def test_the_next_items_are_done_while_the_consumer_has_one() -> None:
    done = [threading.Event() for _ in range(6)]
    with closing(ahead(range(6), lambda item: done[item].set(), threads=2, depth=2)) as results:
        next(results)
        assert done[2].wait(LONG)
        assert not done[3].is_set()


def test_an_exception_is_raised_in_the_place_of_its_result_and_ends_it() -> None:
    def do(item: int) -> int:
        if item == 2:
            raise ValueError("item 2")
        return item

    results = ahead(range(9), do, threads=2, depth=4)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ValueError, match="item 2"):
        next(results)
    assert list(results) == []


def test_an_exception_of_the_items_ends_it() -> None:
    def items() -> Iterator[int]:
        yield 0
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(ahead(items(), str, threads=1, depth=1))


def test_closing_waits_neither_for_what_was_not_begun_nor_for_what_never_ends() -> None:
    begun: list[int] = []
    busy, never, ended = threading.Event(), threading.Event(), threading.Event()

    def do(item: int) -> int:
        begun.append(item)
        if item == 1:
            busy.set()
            never.wait(LONG)
            ended.set()
        return item

    results = ahead(range(9), do, threads=1, depth=5)
    assert next(results) == 0
    assert busy.wait(LONG)
    results.close()
    results.close()
    assert not ended.is_set()
    assert list(results) == []
    never.set()
    assert ended.wait(LONG)
    assert begun == [0, 1]


def test_it_can_be_closed_while_another_thread_waits_for_a_result() -> None:
    busy, go_on = threading.Event(), threading.Event()

    def do(item: int) -> int:
        busy.set()
        assert go_on.wait(LONG)
        return item

    results = ahead(range(9), do, threads=1, depth=2)
    got: list[int] = []
    reader = threading.Thread(target=lambda: got.extend(results))
    reader.start()
    assert busy.wait(LONG)
    results.close()
    go_on.set()
    reader.join(LONG)
    assert got == [0]


def test_its_threads_end_with_it() -> None:
    before = set(threading.enumerate())
    assert list(ahead(range(3), str, threads=4, depth=2)) == ["0", "1", "2"]
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(LONG)
    assert not any(thread.is_alive() for thread in started)


def test_results_that_were_handed_out_are_not_kept() -> None:
    class Large:
        pass

    all_done = threading.Barrier(2, timeout=LONG)

    def do(item: int) -> Large:
        if item == 2:
            all_done.wait()
        return Large()

    with closing(ahead(range(3), do, threads=1, depth=2)) as results:
        kept = weakref.ref(next(results))
        all_done.wait()  # the only thread has left the first item behind
        gc.collect()
        assert kept() is None


@pytest.mark.parametrize(("threads", "depth"), [(0, 1), (1, 0)])
def test_it_needs_a_thread_and_a_depth(threads: int, depth: int) -> None:
    with pytest.raises(ValueError, match="at least one thread"):
        ahead([1], str, threads=threads, depth=depth)

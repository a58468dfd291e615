"""Ctrl-C while torch is imported."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from maskpilot.segmenters.interrupts import interrupts_held


@pytest.fixture(autouse=True)
def a_terminal() -> Iterator[None]:
    """Ctrl-C raises: a background job starts with it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_ctrl_c_waits_for_the_end_of_an_import() -> None:
    imported = []

    def importing() -> None:
        with interrupts_held():
            signal.raise_signal(signal.SIGINT)
            imported.append("torch")

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        importing()
    assert imported
    assert signal.getsignal(signal.SIGINT) is before


def test_nothing_is_held_where_nobody_pressed_it() -> None:
    before = signal.getsignal(signal.SIGINT)
    with interrupts_held():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


def test_a_background_job_goes_on_ignoring_it() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interrupts_held():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN


def test_a_thread_beside_the_main_one_leaves_signals_alone() -> None:
    seen = []

    def importing() -> None:
        with interrupts_held():
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=importing)
    thread.start()
    thread.join()
    assert seen == [before]

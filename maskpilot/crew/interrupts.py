"""Ctrl-C: the first one asks for an orderly end, the second one leaves."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["ctrl_c"]


@contextmanager
def ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C, and let the second one through.

    Only the main thread may ask for that; elsewhere, and where Ctrl-C is ignored (a shell's background jobs),
    nothing changes.

    Args:
        stop: may be called between any two operations of the main thread.

    Raises:
        KeyboardInterrupt: at the second Ctrl-C.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)

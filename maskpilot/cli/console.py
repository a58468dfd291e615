"""What the command line prints: messages on stderr, results on stdout."""

from __future__ import annotations

import json
import logging
import os
import sys
import time
import unicodedata
from collections.abc import Callable
from contextlib import suppress
from typing import Any, NoReturn, TextIO

__all__ = [
    "INTERRUPTED",
    "Every",
    "Unfailing",
    "fail",
    "forget",
    "print_json",
    "printable",
    "say",
    "tell_log",
]

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells have it."""


class _Told(logging.Handler):
    """Log records as messages, without what a terminal would obey."""

    def emit(self, record: logging.LogRecord) -> None:
        say(record.getMessage())


def tell_log(*, verbose: bool) -> None:
    """Show maskpilot's own log on stderr: warnings, and with `verbose` why it does what it does."""
    log = logging.getLogger("maskpilot")
    log.handlers = [_Told()]
    log.propagate = False
    log.setLevel(logging.INFO if verbose else logging.WARNING)


class Unfailing:
    """A stream for messages: that its disk is full, or its reader gone, ends no session."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            return self._stream.write(text)
        except OSError:
            forget(self._stream)
            return len(text)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except OSError:
            forget(self._stream)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def forget(stream: TextIO) -> None:
    """Let what a stream cannot take go nowhere: Python would try again at exit, with a code of its own."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def say(message: str) -> None:
    """Print a message on stderr; its own line ends stay."""
    sys.stderr.write(printable(message) + "\n")
    sys.stderr.flush()


class Every:
    """Tells on stderr how far something is, every few seconds: "3/8 images exported".

    Args:
        what: is counted.
        clock: seconds.
    """

    SECONDS = 5.0

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what, self._clock = what, clock
        self._next = clock() + self.SECONDS

    def __call__(self, done: int, total: int) -> None:
        if self._clock() >= self._next:
            self._next = self._clock() + self.SECONDS
            say(f"{done}/{total} {self._what}")


def print_json(record: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(record, default=list) + "\n")


def fail(message: str, *, code: int = 1) -> NoReturn:
    say(f"error: {message}")
    raise SystemExit(code)


def printable(text: str) -> str:
    """Text from files and models without what a terminal obeys; line ends and spaces of any kind stay."""
    return "".join(
        character
        if character.isprintable() or character == "\n" or unicodedata.category(character) == "Zs"
        else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )

"""A run's progress on the screen and in a log."""

import io
from dataclasses import dataclass
from pathlib import Path

import pytest
from rich.console import Console

from maskpilot.crew.progress import Bar, Lines, eta, span, watch_on


@dataclass(frozen=True)
class Apples:
    """A standing of another kind than that of evals."""

    finished: int
    total: int = 10
    said: str = ""

    @property
    def left(self) -> int:
        return self.total - self.finished

    @property
    def line(self) -> str:
        return self.said or f"{self.finished} apples"


def test_plain_lines_come_now_and_then(tmp_path: Path) -> None:
    out, now = io.StringIO(), 0.0
    lines = Lines(out, every=5.0, clock=lambda: now)
    for finished in range(11):
        now = float(finished)
        lines(Apples(finished))
    assert out.getvalue().splitlines() == ["0/10: 0 apples", "5/10: 5 apples", "10/10: 10 apples"]


def test_plain_lines_do_not_say_the_same_twice() -> None:
    out = io.StringIO()
    lines = Lines(out)
    for _ in range(3):  # files of which nothing was left to do
        lines(Apples(10))
    assert out.getvalue() == "10/10: 10 apples\n"


def test_a_bar_says_the_line() -> None:
    out = io.StringIO()
    with Bar(Console(file=out, force_terminal=True, width=80)) as bar:
        bar(Apples(3))
        bar.note("one is [rotten]")
    assert "3/10" in out.getvalue()
    assert "3 apples" in out.getvalue()
    assert "one is [rotten]" in out.getvalue()


def test_words_of_files_and_servers_cannot_steer_the_terminal() -> None:
    plain, terminal = io.StringIO(), io.StringIO()
    Lines(plain).note("failed: \x1b[2Jgone\nfor good")
    with Bar(Console(file=terminal, force_terminal=True, width=80)) as bar:
        bar.note("failed: \x1b[2Jgone\nfor good")
    assert plain.getvalue() == "failed: \ufffd[2Jgone\ufffdfor good\n"
    assert "failed: \ufffd[2Jgone\ufffdfor good" in terminal.getvalue()


@pytest.mark.parametrize("width", [60, 80])
def test_a_narrow_terminal_gets_the_bar_and_the_whole_line(width: int) -> None:
    long = " ".join(f"{number} apples" for number in range(12))
    out = io.StringIO()
    with Bar(Console(file=out, force_terminal=True, color_system=None, width=width)) as bar:
        bar(Apples(5, said=long))
    shown = out.getvalue()
    assert "━━━" in shown
    assert " 5/10 " in shown
    assert all(f"{number}" in shown.split("5/10", 1)[1] for number in range(12))


def test_what_is_no_terminal_gets_lines() -> None:
    assert isinstance(watch_on(io.StringIO()), Lines)


@pytest.mark.parametrize(
    ("seconds", "words"), [(0.4, "0 s"), (59.6, "1 min 00 s"), (136, "2 min 16 s"), (7500, "2 h 05 min")]
)
def test_times_are_told_in_words(seconds: float, words: str) -> None:
    assert span(seconds) == words


def test_the_time_to_go_is_that_of_the_pace_so_far() -> None:
    assert eta(left=10, seconds=4.0, fresh=2) == 20.0
    assert eta(left=10, seconds=4.0, fresh=0) is None

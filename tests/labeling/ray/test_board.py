"""Who labels what, among processes."""

from __future__ import annotations

import pytest

from maskpilot.labeling.ray.board import Board
from maskpilot.labeling.types import Failure

pytestmark = pytest.mark.ray

DONE, LOST, NEW = "d" * 64, "f" * 64, "a" * 64
LOSS = Failure("old.png", "PolicyError", "no reply", LOST)


def board() -> Board:
    return Board([DONE], {LOST: LOSS}, None)


def test_the_first_file_of_a_content_gets_it_however_often_it_asks() -> None:
    one = board()
    assert [one.claim(path, NEW) for path in ("a.png", "twin.png", "a.png")] == [True, False, True]


def test_what_is_done_is_nobody_s_and_what_failed_says_why() -> None:
    assert board().claim("a.png", DONE) is False
    assert board().claim("a.png", LOST) == LOSS


def test_only_files_of_the_run_are_wanted() -> None:
    assert board().wanted(["a", "b"]) == ["a", "b"]
    assert Board([], {}, ["b", "c"]).wanted(["a", "b"]) == ["b"]


def test_nothing_is_begun_once_it_is_stopped() -> None:
    one = board()
    one.stop()
    assert (one.stopped(), one.wanted(["a"])) == (True, [])


def test_messages_are_heard_once() -> None:
    one = board()
    for message in ("away", "away", "back"):
        one.say(message)
    assert one.heard() == ["away", "back"]
    assert one.heard() == []

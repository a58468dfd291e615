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
    assert (one.stopped("", 0.0), one.wanted(["a"])) == (True, [])


def test_what_processes_spend_ends_the_run_before_their_parts_are_whole() -> None:
    one = Board([], {}, None, may_cost=1.0)
    told = [("a", 0.4), ("b", 0.3), ("a", 0.6), ("b", 0.5), ("a", 0.6)]
    assert [one.stopped(*costs) for costs in told] == [False, False, False, True, True]
    assert one.wanted(["a"]) == []


def test_a_run_without_a_limit_may_cost_what_it_does() -> None:
    assert not board().stopped("a", 1e9)


def test_messages_are_heard_once() -> None:
    one = board()
    for message in ("away", "away", "back"):
        one.say(message)
    assert one.heard() == ["away", "back"]
    assert one.heard() == []

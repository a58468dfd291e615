"""Which of a cluster's servers gets an image, and what they are together."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError, ActorUnavailableError, OutOfMemoryError

from maskpilot.errors import SegmenterError, SegmenterGone
from maskpilot.labeling.ray.turns import About, Turns, common

pytestmark = pytest.mark.ray

SAM: dict[str, str] = {"torch": "2.9", "device": "NVIDIA H200", "checkpoint_sha256": "a" * 64}


class Cluster:
    """Servers that answer after so many greetings; time passes in the pauses alone."""

    def __init__(self, deaf: dict[str, int], error: Exception | None = None) -> None:
        self.now, self.greeted = 0.0, list[str]()
        self._deaf = deaf
        self._error = error or ActorUnavailableError("restarting", None)

    def greet(self, server: str) -> None:
        self.greeted.append(server)
        if self.greeted.count(server) <= self._deaf[server]:
            raise self._error

    def wait(self, seconds: float) -> None:
        self.now += seconds

    def turns(self, patience: float = 100.0) -> Turns:
        return Turns([*self._deaf], self.greet, patience=patience, wait=self.wait, clock=lambda: self.now)


def test_every_server_has_its_turn() -> None:
    turns = Cluster({"a": 0, "b": 0, "c": 0}).turns()
    given = [turns.next() for _ in range(6)]
    assert sorted(given[:3]) == ["a", "b", "c"]
    assert given[3:] == given[:3]


def test_a_server_that_is_made_anew_is_waited_for() -> None:
    cluster = Cluster({"a": 40})
    assert cluster.turns().living() == "a"
    assert cluster.now == 40


@pytest.mark.parametrize("error", [OutOfMemoryError("full"), ActorDiedError()])
def test_nobody_waits_while_another_one_lives(error: Exception) -> None:
    cluster = Cluster({"a": 1000, "b": 0}, error)
    assert [cluster.turns().living() for _ in range(3)] == ["b"] * 3
    assert cluster.now == 0


def test_servers_that_are_gone_for_good_are_not_waited_for() -> None:
    cluster = Cluster({"a": 1000, "b": 1000}, ActorDiedError())
    with pytest.raises(SegmenterGone, match="processes died, the last one with ActorDiedError"):
        cluster.turns().living()
    assert cluster.now == 0


def test_patience_ends() -> None:
    cluster = Cluster({"a": 1000})
    with pytest.raises(SegmenterGone, match=r"processes died.*same command goes on"):
        cluster.turns(patience=30).living()
    assert cluster.now == 30


def test_what_segmenters_are_depends_on_no_order() -> None:
    other: About = ("sam3", {**SAM, "device": "NVIDIA A100"})
    one: About = ("sam3", SAM)
    assert common([one, other, one]) == common([other, one])
    assert common([one, other])[1]["device"] == "NVIDIA A100, NVIDIA H200"
    assert common([one, one]) == one


@pytest.mark.parametrize("fact", ["torch", "checkpoint_sha256"])
def test_segmenters_that_find_other_things_are_no_cluster(fact: str) -> None:
    with pytest.raises(SegmenterError, match=f"differ in {fact}.*same weights and the same versions"):
        common([("sam3", SAM), ("sam3", {**SAM, fact: "other"})])
    with pytest.raises(SegmenterError, match=f"differ in {fact}"):
        common([("sam3", SAM), ("sam3", {name: SAM[name] for name in SAM if name != fact})])
    with pytest.raises(SegmenterError, match="nano and sam3"):
        common([("sam3", SAM), ("nano", SAM)])

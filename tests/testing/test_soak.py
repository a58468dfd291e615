"""Faults in a fifth of all replies: every session ends in a result, and hardly a worse one."""

import pytest

from maskpilot.types import Stop
from tests.testing.soak import Soak, soak

RATE = 0.2


def compare(sessions: int) -> tuple[Soak, Soak]:
    good, faulty = soak(sessions, 0.0), soak(sessions, RATE)
    print(f"\nwithout faults: {good}\n\nwith faults in {RATE:.0%} of the replies: {faulty}")  # noqa: T201
    for run in (good, faulty):
        assert not run.raised
        assert len(run.outcomes) == sessions
        assert {outcome.stop for outcome in run.outcomes} <= set(Stop) - {Stop.failed, Stop.interrupted}
        assert all(outcome.usage.calls and outcome.usage.tokens for outcome in run.outcomes)
    assert not good.faults
    assert faulty.faults.total() == pytest.approx(RATE * faulty.requests, rel=0.5)
    return good, faulty


def test_a_few_sessions() -> None:
    good, faulty = compare(20)
    assert good.mean_iou > 0.8
    assert faulty.mean_iou > 0.6


def test_the_same_seed_gives_the_same() -> None:
    first, again = soak(6, RATE, seed=3), soak(6, RATE, seed=3)
    assert [outcome.iou for outcome in first.outcomes] == [outcome.iou for outcome in again.outcomes]
    assert first.faults == again.faults


@pytest.mark.soak
def test_a_thousand_sessions() -> None:
    good, faulty = compare(1000)
    assert good.mean_iou - faulty.mean_iou < 0.1

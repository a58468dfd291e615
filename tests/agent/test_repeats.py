"""What a session has spent when it goes on where an earlier part of it ended."""

from collections.abc import Mapping
from typing import Any

from maskpilot.agent import Observation, Policy, Replay, Scripted, run_session
from maskpilot.types import Budget, Decision, Stop
from tests.agent.sessions import IMAGE, finish, run, setup, text
from tests.shapes import table


class Slow:
    """A policy that takes its time for every decision."""

    def __init__(self, policy: Policy, clock: list[float], seconds: float) -> None:
        self._policy, self._clock, self._seconds = policy, clock, seconds

    @property
    def description(self) -> Mapping[str, Any]:
        return self._policy.description

    def decide(self, observation: Observation) -> Decision:
        decision = self._policy.decide(observation)
        self._clock[0] += self._seconds
        return decision


def test_rounds_that_are_repeated_count_with_the_seconds_that_they_took() -> None:
    now, limits = [0.0], setup(budget=Budget(max_seconds=30))
    part = run(
        Slow(Scripted([text("cup"), text("plate"), KeyboardInterrupt()]), now, 10), clock=lambda: now[0]
    )
    goes_on = Scripted([finish()])
    policy = Slow(Replay(part.steps, goes_on), now, 50)
    whole = run_session(limits, IMAGE, table().open(IMAGE), policy, repeats=part.steps, clock=lambda: now[0])
    assert goes_on.observations[0].left.max_seconds == 10
    assert [step.seconds for step in whole.steps] == [10, 10, 50]
    assert whole.ending is not None
    assert (whole.ending.stop, whole.ending.seconds) == (Stop.finished, 70)

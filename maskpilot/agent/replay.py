"""A recorded session, decided again: for replaying a run, and for going on where one was cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskpilot.agent.policy import Observation, Policy
from maskpilot.errors import PolicyError
from maskpilot.trajectory import Step
from maskpilot.types import Decision

__all__ = ["Replay"]


class Replay:
    """Decides what was decided before, then hands over.

    Args:
        steps: the recorded rounds.
        then: goes on when they are used up; without it, being asked for more is an error.
    """

    def __init__(self, steps: Sequence[Step], then: Policy | None = None) -> None:
        self._steps = tuple(steps)
        self._then = then

    @property
    def description(self) -> Mapping[str, Any]:
        return self._then.description if self._then else {"name": "replay"}

    def decide(self, observation: Observation) -> Decision:
        number = len(observation.steps)
        if number < len(self._steps):
            return self._steps[number].decision
        if self._then is None:
            raise PolicyError(f"the recorded session has {len(self._steps)} rounds and did not end in them")
        return self._then.decide(observation)

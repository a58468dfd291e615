"""A test double: decides what it was told to, in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from maskpilot.agent.policy import Observation
from maskpilot.errors import PolicyError
from maskpilot.types import Decision

__all__ = ["Scripted"]


class Scripted:
    """Plays a script of decisions and keeps what it was shown.

    An exception in the script is raised where its turn comes. A test ends with `assert policy.is_used_up`:
    a script longer than the session is a test that did not test what it says.

    Raises:
        PolicyError: from `decide`, when the script is used up.
    """

    description: Mapping[str, Any] = {"name": "scripted", "simulated": True}

    def __init__(self, script: Sequence[Decision | BaseException]) -> None:
        self._script = list(script)
        self.observations: list[Observation] = []

    @property
    def is_used_up(self) -> bool:
        return not self._script

    def decide(self, observation: Observation) -> Decision:
        self.observations.append(observation)
        if not self._script:
            raise PolicyError(f"the script has {len(observation.steps)} decisions and the session goes on")
        decision = self._script.pop(0)
        if isinstance(decision, BaseException):
            raise decision
        return decision

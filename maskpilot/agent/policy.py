"""What a policy is, and what it may see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from PIL import Image

from maskpilot.tools import SessionState
from maskpilot.trajectory import Changes, Step
from maskpilot.types import Box, Budget, Decision

__all__ = ["Observation", "Policy", "model_of"]


@dataclass(frozen=True, eq=False)
class Observation:
    """What a policy may see. The ground truth is not among it.

    Attributes:
        image: RGB, upright.
        query: in the user's words.
        state: prompts, ledger and the masks that are shown (`state.shown`).
        changes: what the last round changed in what is shown.
        notes: what the last round did: errors first, then warnings. Before the first one: that there are
            masks already, where there are.
        zooms: places that the policy asked to see closer, in pixels.
        tools: names of the tools on offer.
        steps: the rounds so far.
        left: what is left of the budget.
    """

    image: Image.Image
    query: str
    state: SessionState
    changes: Changes
    notes: tuple[str, ...]
    zooms: tuple[Box, ...]
    tools: tuple[str, ...]
    steps: tuple[Step, ...]
    left: Budget


class Policy(Protocol):
    """Decides what to do next. One object serves one session: it may remember."""

    @property
    def description(self) -> Mapping[str, Any]:
        """What a run records of it: "name", and what makes it repeatable; plain JSON data, no secrets.

        "simulated": True marks a policy that is not a model looking at pictures; where one decides, the
        "model" of its "wire" says which.
        """
        ...

    def decide(self, observation: Observation) -> Decision:
        """Say what to do next.

        Raises:
            PolicyError: it cannot go on; what a model said is never a reason for that.
            BudgetReached: what it would do next would break a limit.
        """
        ...


def model_of(description: Mapping[str, Any]) -> str:
    """The model that a policy's description names; empty where none decides."""
    wire = description.get("wire")
    return str(wire.get("model", "")) if isinstance(wire, Mapping) else ""

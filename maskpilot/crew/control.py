"""What the sessions of a run share: what was spent, and whether to go on."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

from maskpilot.agent import Observation, Policy
from maskpilot.errors import BudgetReached, PolicyError
from maskpilot.types import Decision, Stop, Usage

__all__ = ["MAX_FAILURES_IN_A_ROW", "Control", "Supervised"]

MAX_FAILURES_IN_A_ROW = 20
"""An endpoint that is down, a disk that is gone: going on would only fail every sample that is left."""


class Control:
    """Safe between threads.

    Args:
        spent: what the run has cost so far.
        max_cost: once that is reached, sessions stop before their next request.
        max_failures: so many samples in a row that failed end the run; None where somebody else counts them.
    """

    def __init__(
        self,
        spent: Usage,
        max_cost: float | None = None,
        *,
        max_failures: int | None = MAX_FAILURES_IN_A_ROW,
    ) -> None:
        self._lock = threading.Lock()
        self._usage, self._max_cost, self._max_failures = spent, max_cost, max_failures
        self._stopped = threading.Event()
        self._failures_in_a_row = 0

    @property
    def usage(self) -> Usage:
        with self._lock:
            return self._usage

    @property
    def cost_reached(self) -> bool:
        return self._max_cost is not None and (self.usage.cost or 0.0) >= self._max_cost

    @property
    def only_fails(self) -> bool:
        """So many samples in a row have failed that the next ones will, too."""
        return self._max_failures is not None and self._failures_in_a_row >= self._max_failures

    @property
    def stopped(self) -> bool:
        return self._stopped.is_set() or self.cost_reached or self.only_fails

    def add(self, usage: Usage) -> None:
        with self._lock:
            self._usage += usage

    def saw(self, *, failure: bool) -> None:
        """Take note of how a sample ended."""
        with self._lock:
            self._failures_in_a_row = self._failures_in_a_row + 1 if failure else 0

    def stop(self) -> None:
        self._stopped.set()

    def wait(self, seconds: float) -> bool:
        """Pause, and end the pause when somebody calls `stop`; True where the run is stopped."""
        return self.stopped or self._stopped.wait(seconds) or self.stopped


class Supervised:
    """Asks before every decision whether the run goes on, and counts what each one cost, failed ones too."""

    def __init__(self, policy: Policy, control: Control) -> None:
        self._policy, self._control = policy, control

    @property
    def description(self) -> Mapping[str, Any]:
        return self._policy.description

    def decide(self, observation: Observation) -> Decision:
        if self._control.stopped:
            raise BudgetReached(Stop.interrupted)
        try:
            decision = self._policy.decide(observation)
        except (BudgetReached, PolicyError) as error:
            if error.usage:
                self._control.add(error.usage)
            raise
        self._control.add(decision.usage)
        return decision

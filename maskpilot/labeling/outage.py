"""An endpoint that cannot be reached: no image's fault, so all sessions wait until it answers again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from maskpilot.agent import Observation, Policy
from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.crew.control import Control
from maskpilot.crew.progress import span
from maskpilot.errors import PolicyError
from maskpilot.labeling.blame import Blame, blame
from maskpilot.labeling.pilots import Pilot
from maskpilot.types import Decision, Usage

__all__ = ["TRIES", "Outage"]

FIRST_WAIT, LONGEST_WAIT = 5.0, 60.0
"""Seconds between two attempts; doubled from the first to the longest."""

LISTEN = 0.5
"""Seconds after which who waits for another's attempt looks whether the run was stopped."""

TRIES = 3
"""An image that gets no farther in as many outages, while others are answered, has failed by itself."""


class Outage:
    """What the sessions of a run know of the endpoint they share. Safe between threads.

    While it is out of reach, one thread tries now and then with its own image, and all others wait for it.

    Args:
        control: whether the run goes on; stopped when the patience ends.
        patience: seconds to wait for an endpoint.
        note: told when it begins and when it ends, from any thread.
        wait: pauses for seconds, and says whether the run was stopped meanwhile; for tests.
        clock: seconds; for tests.

    Attributes:
        number: outages so far.
        waiting: threads that wait for another one's attempt.
        ended_run: what the endpoint said when it was given up; None while it is not.
        answers: how often a model has decided something in this part of the run, or has answered a `check`.
    """

    def __init__(
        self,
        control: Control,
        patience: float,
        note: Callable[[str], None],
        *,
        wait: Callable[[float], bool] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._control, self._patience, self._note = control, patience, note
        self._wait, self._clock = wait or control.wait, clock
        self._lock, self._checking = threading.Lock(), threading.Lock()
        self._over = threading.Event()
        self._over.set()
        self._prober: int | None = None
        self._began, self._next = 0.0, FIRST_WAIT
        self.number = self.waiting = 0
        self.ended_run: PolicyError | None = None
        self.answers = 0

    def pause(self, error: EndpointError) -> bool:
        """Wait until it is worth trying again.

        Args:
            error: why this thread's session failed.

        Returns:
            False where the run was stopped meanwhile, or is now, since the patience has ended.
        """
        if self._control.stopped:
            return False
        with self._lock:
            if self._over.is_set():
                self._over.clear()
                self._prober = threading.get_ident()
                self._began, self._next = self._clock(), FIRST_WAIT
                self.number += 1
                most = span(self._patience)
                self._note(f"the model cannot be reached ({error}); waiting for it, {most} at most")
            mine = self._prober == threading.get_ident()
        return self._before_next(error) if mine else self._for_another()

    def answered(self) -> None:
        """The endpoint has answered: whoever waits goes on."""
        if self._over.is_set():
            return
        with self._lock:
            if self._over.is_set():
                return
            self._over.set()
            self._prober = None
            seconds = self._clock() - self._began
        self._note(f"the model answers again, after {span(seconds)}; going on")

    def check(self, pilot: Pilot, error: EndpointError, since: int, *, gives_up: bool = True) -> Usage:
        """Find out whether it was the endpoint's fault that it failed on an image.

        It is asked about a picture that any model can take. An answer is one like any other. Of many threads
        that are in doubt together one asks, and all take its word.

        Args:
            pilot: whose endpoint it is. Where he has none to ask, one that answered before is not at fault.
            error: what it said about the image.
            since: `answers` when it began to fail on that image.
            gives_up: without an answer the run ends.

        Returns:
            what asking has cost, which is told to the control as well.
        """
        with self._checking:
            if self._control.stopped or self.answers != since:
                return Usage()
            if pilot.check is None:
                if gives_up and not self.answers:
                    self._give_up(error)
                return Usage()
            try:
                usage = pilot.check()
            except PolicyError as silence:
                usage = silence.usage or Usage()
                if self.answers == since and not self._control.stopped:  # by Ctrl-C: no verdict any more
                    self._note(f"the model does not answer about a simple drawing, either ({silence})")
                    if gives_up:
                        self._give_up(silence)
            else:
                self._heard()
        self._control.add(usage)
        return usage

    def leave(self) -> None:
        """This thread tries no more: where it was the one that tries, another has to."""
        with self._lock:
            if self._prober == threading.get_ident():
                self._prober = None

    def heard_by(self, pilot: Pilot) -> Pilot:
        """A pilot whose policies tell of every answer."""
        return replace(pilot, make=lambda wanted: _Heard(pilot.make(wanted), self._heard))

    def blame(self, error: BaseException | None) -> Blame:
        """Whose fault it is, as far as this run knows: a 403 is a moderator's word on one image where the key
        was let in before.
        """
        if self.answers and isinstance(error, EndpointError) and error.status == 403:
            return Blame.image
        return blame(error)

    def _give_up(self, error: PolicyError) -> None:
        """Wait no more: the run ends."""
        self.ended_run = error
        self._control.stop()

    def _heard(self) -> None:
        with self._lock:
            self.answers += 1
        self.answered()

    def _before_next(self, error: EndpointError) -> bool:
        """Pause ahead of an attempt of this thread's own."""
        left = self._began + self._patience - self._clock()
        if left <= 0:
            self._give_up(error)
            return False
        pause, self._next = min(self._next, left), min(2 * self._next, LONGEST_WAIT)
        return not self._wait(pause)

    def _for_another(self) -> bool:
        """Wait until the endpoint has answered, or until this thread has to take over."""
        with self._lock:
            self.waiting += 1
        try:
            while not self._over.wait(LISTEN):
                if self._control.stopped or self._takes_over():
                    break
        finally:
            with self._lock:
                self.waiting -= 1
        return not self._control.stopped

    def _takes_over(self) -> bool:
        with self._lock:
            if self._prober is None and not self._over.is_set():
                self._prober = threading.get_ident()
                return True
        return False


class _Heard:
    """Tells when a model has answered."""

    def __init__(self, policy: Policy, tell: Callable[[], None]) -> None:
        self._policy, self._tell = policy, tell

    @property
    def description(self) -> Mapping[str, Any]:
        return self._policy.description

    def decide(self, observation: Observation) -> Decision:
        decision = self._policy.decide(observation)
        if decision.usage.calls:
            self._tell()
        return decision

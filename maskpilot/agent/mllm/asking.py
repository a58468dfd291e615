"""The requests of one decision: each within what is left of the budget, all of them billed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace

from maskpilot.agent.mllm.exchange import Reply, ReplyEnd, Request, Wire
from maskpilot.agent.mllm.failures import Failure, OutOfTime, Trouble
from maskpilot.agent.mllm.spending import Meter
from maskpilot.errors import BudgetReached, PolicyError
from maskpilot.types import Budget, Stop, Usage

__all__ = ["MORE_ROOM", "Asking"]

log = logging.getLogger(__name__)

MORE_ROOM = 4
"""A reply that was cut off gets this many times the room."""


class Asking:
    """Sends requests and sums up what they cost.

    Args:
        wire: to send them on.
        meter: estimates them.
        left: of the budget, when the decision began.
        reply_tokens: room for a reply.
    """

    def __init__(
        self,
        wire: Wire,
        meter: Meter,
        left: Budget,
        reply_tokens: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._wire = wire
        self._meter = meter
        self._left = left
        self._reply_tokens = reply_tokens
        self._clock = clock
        self._began = clock()
        self.usage = Usage()

    def send(self, request: Request, *, more_room: bool = False) -> Reply:
        """Send a request.

        Raises:
            BudgetReached: it would break a limit, or the time ran out while it was under way.
            PolicyError: from the wire.
        """
        wanted = self._reply_tokens * (MORE_ROOM if more_room else 1)
        room = self._meter.room(request, self._left, self.usage, wanted)
        seconds = self._seconds()
        try:
            reply = self._wire.send(replace(request, max_tokens=room, seconds=seconds))
        except PolicyError as error:
            self.usage += error.usage or Usage()
            if isinstance(error, OutOfTime) and seconds is not None and not error.impatient:
                cause = error.__cause__
                if isinstance(cause, Failure) and cause.trouble is Trouble.no_connection:
                    log.warning("%s", error)  # the outcome is a limit's, and would not tell of it
                raise BudgetReached(Stop.max_seconds) from error
            raise
        self.usage += reply.usage
        self._meter.learn(request, reply)
        return reply

    def send_whole(self, request: Request, usable: Callable[[Reply], bool]) -> Reply:
        """Send a request, and once more with more room where its reply was cut off before it was `usable`.

        A second attempt that fails (many endpoints refuse a limit above their own) leaves the first reply.

        Raises:
            BudgetReached, PolicyError: as `send` does, of the first attempt.
        """
        reply = self.send(request)
        if reply.end is not ReplyEnd.truncated or usable(reply):
            return reply
        try:
            return self.send(request, more_room=True)
        except (BudgetReached, PolicyError):
            return reply

    def _seconds(self) -> float | None:
        if self._left.max_seconds is None:
            return None
        seconds = self._left.max_seconds - (self._clock() - self._began)
        if seconds <= 0:
            raise BudgetReached(Stop.max_seconds)
        return seconds

"""Trying again where that can help, and not for longer than it can."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import tenacity

from maskpilot.agent.mllm.failures import Failure, Trouble
from maskpilot.types import Usage

__all__ = ["Patience", "Persistence"]

log = logging.getLogger(__name__)

T = TypeVar("T")

WAITED_FOR = frozenset({Trouble.busy, Trouble.overloaded, Trouble.server_error})
"""Troubles in which a server may ask to wait."""

LONG_WAIT = 5.0
"""Seconds of silence after which a user wonders; a shorter wait is not worth a warning."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a wire goes on with one request.

    Attributes:
        seconds: for the whole of it, waits included. A busy server (408, 409, 429) is asked again until then.
        timeout: seconds for one attempt.
        overloaded: attempts that end in a 503 or 529: about a minute, in which a server may load its model.
        server_errors: attempts that end in another 5xx. Few: local servers answer 500 for permanent faults.
        broken: attempts that end in a 200 that is no reply, or in a call that the server cannot parse.
        no_connection: attempts that end without an answer.
        first_wait: seconds before the second attempt; doubled with each further one.
        longest_wait: seconds, of our own choice.
        longest_asked: seconds, of a wait that the server asks for; more is cut to it.

    Raises:
        ValueError: a time or a number is not positive.
    """

    seconds: float = 600.0
    timeout: float = 300.0
    overloaded: int = 8
    server_errors: int = 4
    broken: int = 3
    no_connection: int = 6
    first_wait: float = 0.5
    longest_wait: float = 30.0
    longest_asked: float = 120.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise ValueError(f"Patience.{name}: expected a positive number, got {value!r}")

    def tries(self, trouble: Trouble) -> int | None:
        """How many attempts may end in this; None: as many as fit into the time."""
        return {
            Trouble.busy: None,
            Trouble.overloaded: self.overloaded,
            Trouble.server_error: self.server_errors,
            Trouble.no_connection: self.no_connection,
            Trouble.timed_out: self.no_connection,
            Trouble.broken: self.broken,
            Trouble.misnamed: 2,
            Trouble.echoed: 2,
            Trouble.final: 1,
        }[trouble]


class Persistence:
    """The attempts at one request.

    Args:
        patience: the rules.
        deadline: when to stop, on `clock`.
        clock: seconds.
        sleep: waits for seconds.
        jitter: a random number in [0, 1), so that clients that failed together do not return together.

    Attributes:
        spent: what failed attempts cost, where that is known.
        out_of_time: whether it was the deadline that ended it.
    """

    def __init__(
        self,
        patience: Patience,
        deadline: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        jitter: Callable[[], float],
    ) -> None:
        self._patience = patience
        self._deadline = deadline
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._count: Counter[Trouble] = Counter()
        self.spent = Usage()
        self.out_of_time = False

    @property
    def attempts(self) -> int:
        """Failed ones so far."""
        return self._count.total()

    def run(self, attempt: Callable[[], T]) -> T:
        """Call `attempt` until it returns.

        Raises:
            Failure: the last one, when no further attempt is worth it or in time.
        """
        retrying = tenacity.Retrying(
            retry=tenacity.retry_if_exception(self._is_worth_another),
            wait=self._wait,
            stop=self._is_over,
            sleep=self._sleep,
            before_sleep=self._tell,
            reraise=True,
        )
        return retrying(attempt)

    def _is_worth_another(self, error: BaseException) -> bool:
        if not isinstance(error, Failure):
            return False
        self._count[error.trouble] += 1
        self.spent += error.usage
        return error.trouble is not Trouble.final

    def _wait(self, state: tenacity.RetryCallState) -> float:
        failure = _failure(state)
        if failure.trouble in (Trouble.misnamed, Trouble.echoed):  # the next attempt is another one
            return 0.0
        wait = self._patience.first_wait * 2.0 ** min(self.attempts - 1, 30)
        wait = min(wait, self._patience.longest_wait) * (0.5 + 0.5 * self._jitter())
        if failure.asked is None or failure.trouble not in WAITED_FOR:
            return wait
        # Never less than asked for: the jitter only adds.
        asked = min(failure.asked, self._patience.longest_asked) * (1.0 + 0.1 * self._jitter())
        # "Now" is believed once: of a server that stays busy, or of a clock that is wrong, it is no answer.
        believed = asked >= self._patience.first_wait or self.attempts == 1
        return asked if believed else max(asked, wait)

    def _is_over(self, state: tenacity.RetryCallState) -> bool:
        trouble = _failure(state).trouble
        tries = self._patience.tries(trouble)
        if tries is not None and self._count[trouble] >= tries:
            return True
        self.out_of_time = self._clock() + state.upcoming_sleep >= self._deadline
        return self.out_of_time

    def _tell(self, state: tenacity.RetryCallState) -> None:
        level = logging.INFO if state.upcoming_sleep < LONG_WAIT else logging.WARNING
        log.log(level, "%s; trying again in %.1f s", _failure(state), state.upcoming_sleep)


def _failure(state: tenacity.RetryCallState) -> Failure:
    error = state.outcome.exception() if state.outcome else None
    if not isinstance(error, Failure):
        raise TypeError(f"expected a failed attempt, got {error!r}")
    return error

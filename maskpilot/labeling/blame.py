"""Whose fault it is that a session failed: the endpoint's, or that of the image it was about."""

from __future__ import annotations

from enum import Enum, auto

from maskpilot.agent.mllm.failures import EndpointError, Failure, OutOfTime, Trouble, Unreadable

__all__ = ["Blame", "blame"]

AWAY = frozenset({Trouble.busy, Trouble.no_connection})
CLOSED = frozenset({401, 402, 403, 404})


class Blame(Enum):
    """Whose fault an endpoint's error is.

    away: the endpoint's, for now. silent, failing: the endpoint's, or that of this one request: a model may
    think too long about it, and local servers answer 500 to what they cannot take. closed: the endpoint's or
    the account's, for every image. image: this one's.
    """

    away = auto()
    silent = auto()
    failing = auto()
    closed = auto()
    image = auto()


def blame(error: BaseException | None) -> Blame:
    """Whose fault it is that a session failed; the wire has tried again by then where that could help."""
    if not isinstance(error, EndpointError) or isinstance(error, Unreadable):
        return Blame.image
    trouble = error.__cause__.trouble if isinstance(error.__cause__, Failure) else None
    if trouble is Trouble.final:
        # A 429 for which waiting is of no use: there is no credit left.
        return Blame.closed if error.status in CLOSED | {429} else Blame.image
    if error.status in CLOSED:
        return Blame.closed
    if error.status == 500:
        return Blame.failing
    if trouble is Trouble.timed_out or isinstance(error, OutOfTime):
        return Blame.silent
    status = error.status or 0
    unknown = trouble is None and error.status is None
    is_away = trouble in AWAY or status in (408, 409, 429) or status > 500 or unknown
    return Blame.away if is_away else Blame.image

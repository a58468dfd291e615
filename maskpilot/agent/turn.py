"""One round's decision, applied: pure, from a state to a state."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass, replace

from maskpilot.errors import Recoverable
from maskpilot.tools import SessionState, apply_call, rating_of
from maskpilot.types import Box, Decision, ToolCall, Verdict

__all__ = ["Turn", "canonical", "take_turn"]

MAX_CALLS = 16
"""Calls of one reply that are applied; a model that emits more has lost its way."""


@dataclass(frozen=True, eq=False)
class Turn:
    """What a decision did.

    Attributes:
        state: after all calls; not yet segmented anew.
        errors: what could not be done, in words for the policy.
        notes: warnings and repairs.
        applied: how many calls were applied.
        zooms: places to be shown closer.
        verdict: set where the policy finished.
        reason: its words beside the verdict.
        rating: of the masks that the policy was shown.
    """

    state: SessionState
    errors: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    applied: int = 0
    zooms: tuple[Box, ...] = ()
    verdict: Verdict | None = None
    reason: str = ""
    rating: float | None = None


def take_turn(state: SessionState, decision: Decision, offered: Collection[str]) -> Turn:
    """Apply a decision's calls in order; one that fails does not keep the others from being applied.

    `finish` counts only for masks that the policy has seen: beside a change of prompts, or after a call that
    failed, it is put off and the policy is told so. Keeping and dropping masks beside it is fine, since what
    that leaves is known. A second look's objections put it off as well.
    """
    turn = Turn(state, errors=_few(decision.problems), rating=_rating(decision))
    if not decision.calls and not decision.problems:
        return replace(turn, errors=("no tool call was found in the reply; answer with a tool call",))
    for call in decision.calls[:MAX_CALLS]:
        if turn.verdict is not None:
            turn = replace(turn, notes=(*turn.notes, f"{call.name[:60]} was ignored: it came after finish"))
            continue
        turn = _take_call(turn, call, offered)
    if len(decision.calls) > MAX_CALLS:
        ignored = len(decision.calls) - MAX_CALLS
        turn = replace(turn, notes=(*turn.notes, f"the last {ignored} calls were ignored: too many at once"))
    if turn.verdict is not None and (turn.errors or turn.state.prompts != state.prompts):
        why = "an earlier call failed" if turn.errors else "the prompts changed in the same reply"
        put_off = f"finish was put off: {why}; look at the masks and call it again"
        turn = replace(turn, verdict=None, reason="", notes=(*turn.notes, put_off))
    if turn.verdict is not None and decision.objections:
        turn = replace(turn, verdict=None, reason="", notes=(*turn.notes, *decision.objections))
    return turn


def _few(problems: tuple[str, ...]) -> tuple[str, ...]:
    """Problems of one reply as they are told: a model that repeats itself is not sent all of it back."""
    if len(problems) <= MAX_CALLS:
        return problems
    return (*problems[:MAX_CALLS], f"and {len(problems) - MAX_CALLS} more of the kind; make fewer calls")


def canonical(calls: Collection[ToolCall]) -> str:
    """The same text for calls that ask for the same, whatever their rating, ids or order of arguments."""
    plain = [
        (call.name, {name: value for name, value in call.arguments.items() if name != "rating"})
        for call in calls
    ]
    return json.dumps(plain, sort_keys=True, default=repr)


def _take_call(turn: Turn, call: ToolCall, offered: Collection[str]) -> Turn:
    try:
        outcome = apply_call(turn.state, call, offered)
    except Recoverable as error:
        return replace(turn, errors=(*turn.errors, str(error)))
    return replace(
        turn,
        state=outcome.state,
        notes=(*turn.notes, *(f"{call.name}: {note}" for note in outcome.notes)),
        applied=turn.applied + 1,
        zooms=turn.zooms if outcome.zoom is None else (*turn.zooms, outcome.zoom),
        verdict=outcome.verdict,
        reason=outcome.reason,
    )


def _rating(decision: Decision) -> float | None:
    if decision.rating is not None:
        return decision.rating
    ratings = [rating for call in decision.calls if (rating := rating_of(call)) is not None]
    return ratings[0] if ratings else None

"""What is said and spent in a session: calls, decisions, limits, endings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

__all__ = [
    "Budget",
    "Decision",
    "Seen",
    "SeenPicture",
    "Stop",
    "ToolCall",
    "Usage",
    "Verdict",
]


@dataclass(frozen=True)
class ToolCall:
    """A call as the policy made it; nothing about it has been checked yet.

    Attributes:
        name: what the policy called; possibly no tool at all.
        arguments: what it passed; possibly of wrong types.
        id: the wire's own id of the call, to answer it by; empty where there is none.
    """

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    id: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """What has been spent so far. Sums with `+`.

    Attributes:
        calls: requests to a model.
        prompt_tokens, completion_tokens: all of them, cached and reasoning ones included.
        cached_tokens, reasoning_tokens: the parts of the above that were cached or reasoned.
        images: pictures sent.
        seconds: time spent waiting for the policy.
        cost: in the currency of the prices that the user gave; None where no price is known.
    """

    calls: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    seconds: float = 0.0
    cost: float | None = None

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens

    def __add__(self, other: Usage) -> Usage:
        costs = [cost for cost in (self.cost, other.cost) if cost is not None]
        return Usage(
            calls=self.calls + other.calls,
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            images=self.images + other.images,
            seconds=self.seconds + other.seconds,
            cost=sum(costs) if costs else None,
        )


@dataclass(frozen=True, slots=True)
class SeenPicture:
    """A picture that was sent to a model: the SHA-256 of its RGB pixels, and its size."""

    sha256: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Seen:
    """What a model was told and shown in a round. For the record; the pictures can be drawn anew from it."""

    text: str = ""
    pictures: tuple[SeenPicture, ...] = ()


@dataclass(frozen=True)
class Decision:
    """What a policy wants done, and what it thinks of what it was shown.

    Attributes:
        calls: applied in order, then segmented and shown once.
        thought: the policy's own words; recorded, never obeyed.
        rating: 0-100, of the masks shown in the observation that it answers; None where it gave none.
        usage: what this decision cost.
        problems: what was wrong with the reply itself (not with a call); goes into the next note.
        refused: the model will not do this; ends the session.
        objections: what a second look holds against its own `finish`, which is put off for them; they go
            into the next note.
        unchecked: why a second look that was due could not be had; else empty.
        seen: what a model was told and shown before it decided; None where no model decided.
    """

    calls: tuple[ToolCall, ...] = ()
    thought: str = ""
    rating: float | None = None
    usage: Usage = field(default_factory=Usage)
    problems: tuple[str, ...] = ()
    refused: bool = False
    objections: tuple[str, ...] = ()
    unchecked: str = ""
    seen: Seen | None = None

    def __post_init__(self) -> None:
        if self.rating is not None and not 0 <= self.rating <= 100:
            raise ValueError(f"Decision.rating: expected a number in 0..100 or None, got {self.rating!r}")


@dataclass(frozen=True, slots=True)
class Budget:
    """Limits of one session; None means no limit. Reaching one is an outcome, not an error.

    Raises:
        ValueError: a limit is not positive.
    """

    max_rounds: int | None = 20
    max_seconds: float | None = None
    max_tokens: int | None = None
    max_cost: float | None = None

    def __post_init__(self) -> None:
        for name in ("max_rounds", "max_seconds", "max_tokens", "max_cost"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f"Budget.{name}: expected a positive number or None, got {value!r}")


class Verdict(StrEnum):
    """What the policy says of the result when it finishes; `none` where it never did."""

    complete = "complete"
    absent = "absent"
    best_effort = "best_effort"
    none = "none"


class Stop(StrEnum):
    """Why a session ended."""

    finished = "finished"
    absent = "absent"
    max_rounds = "max_rounds"
    max_tokens = "max_tokens"
    max_seconds = "max_seconds"
    max_cost = "max_cost"
    repeated_errors = "repeated_errors"
    refused = "refused"
    interrupted = "interrupted"
    failed = "failed"

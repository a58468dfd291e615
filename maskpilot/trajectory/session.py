"""What a session was given, what happened in it round by round, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from maskpilot.types import (
    Box,
    Budget,
    Decision,
    ImageRef,
    Instance,
    PromptState,
    Stop,
    Usage,
    Verdict,
)

__all__ = [
    "Changes",
    "Ending",
    "Setup",
    "Step",
    "Trajectory",
    "best_step",
    "changes",
]


@dataclass(frozen=True)
class Setup:
    """All that a session is given.

    Attributes:
        query: what the user wants segmented, in the user's words.
        image: which image.
        tools: names of the tools on offer.
        budget: limits.
        policy: what decides, as plain data ("name" and whatever makes it repeatable; never a secret).
        segmenter: what segments, likewise.
        versions: of the programs involved.
        created: ISO 8601 time with zone.
        start: masks that were there before the session, such as existing labels; locked before the first
            round. Their boxes are the tight ones.

    Raises:
        ValueError: a mask of `start` lies on an image of another size, or two have the same id.
    """

    query: str
    image: ImageRef
    tools: tuple[str, ...]
    budget: Budget = field(default_factory=Budget)
    policy: Mapping[str, Any] = field(default_factory=dict)
    segmenter: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""
    start: tuple[Instance, ...] = ()

    def __post_init__(self) -> None:
        size = (self.image.width, self.image.height)
        for one in self.start:
            if (one.mask.width, one.mask.height) != size:
                raise ValueError(
                    f"Setup.start: expected masks of the image's size {size[0]}x{size[1]}, got mask {one.id} "
                    f"of {one.mask.width}x{one.mask.height}"
                )
        ids = [one.id for one in self.start]
        if len(set(ids)) < len(ids):
            raise ValueError(f"Setup.start: expected ids that are all different, got {ids[:60]}")


@dataclass(frozen=True)
class Step:
    """One round: what the policy did, and what came of it.

    Attributes:
        index: from 0.
        decision: what the policy wanted, as it said it.
        rating: 0-100, of the masks shown *before* this step; None where the policy gave none.
        errors: what was wrong with the reply or its calls, as it was told to the policy.
        notes: warnings and repairs, likewise.
        prompts: the prompts after this step.
        instances: what is shown after this step, by id.
        locked, dropped: ids in the ledger after this step.
        zooms: places to be shown closer.
        seconds: whole round, from the observation to the new masks.
    """

    index: int
    decision: Decision
    rating: float | None
    errors: tuple[str, ...]
    notes: tuple[str, ...]
    prompts: PromptState
    instances: tuple[Instance, ...]
    locked: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    zooms: tuple[Box, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended.

    Attributes:
        best: index of the step whose instances are the result; None where that is nothing (`Stop.absent`) or
            what the session started with.
        usage: of the whole session.
        error: the cause, for `Stop.failed`.
        unrecorded: the part of `usage` that is in no step: decisions that failed or were interrupted.
    """

    stop: Stop
    verdict: Verdict
    reason: str
    best: int | None
    usage: Usage
    seconds: float
    error: str = ""
    unrecorded: Usage = field(default_factory=Usage)


@dataclass(frozen=True)
class Trajectory:
    """A whole session. `ending` is None where it was killed."""

    setup: Setup
    steps: tuple[Step, ...]
    ending: Ending | None

    @property
    def result(self) -> tuple[Instance, ...]:
        """The instances that answer the query: those of the state that the policy rated best."""
        best = best_step(self.steps, self.setup.start) if self.ending is None else self.ending.best
        if best is not None:
            return self.steps[best].instances
        return () if self.ending and self.ending.stop is Stop.absent else self.setup.start

    @property
    def usage(self) -> Usage:
        """Of the steps; what decisions have cost that came to nothing is in the ending alone."""
        return sum((step.decision.usage for step in self.steps), Usage())


def best_step(steps: Sequence[Step], start: Sequence[Instance] = ()) -> int | None:
    """The step after which the shown masks were rated best, the later one of equals.

    A step's rating is about what was shown before it; that of the first one counts where the session started
    with masks. Of several ratings of the same masks the last one counts: a closer look, or a second one, may
    have shown what is wrong with them. Where nothing was ever rated, the last step.

    Args:
        steps: the rounds.
        start: what the session started with.

    Returns:
        an index into `steps`; None where there are no steps, or the start was rated best.
    """
    before = (tuple(start), *(step.instances for step in steps))
    rated = {
        shown: (step.rating, number)
        for number, (step, shown) in enumerate(zip(steps, before, strict=False), start=-1)
        if step.rating is not None and (number >= 0 or start)
    }
    best = max(rated.values())[1] if rated else len(steps) - 1
    return best if best >= 0 else None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a round changed in what is shown, as ids.

    Attributes:
        new: not shown before it.
        changed: shown before it with another mask.
        gone: no longer shown.
    """

    new: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()


def changes(steps: Sequence[Step], index: int = -1, *, start: Sequence[Instance] = ()) -> Changes:
    """What the step at `index` changed against the one before it; nothing where there are no steps.

    Args:
        steps: the rounds.
        index: of one of them.
        start: what the session started with, which the first step is held against.
    """
    if not steps:
        return Changes()
    index = index % len(steps)
    before = {shown.id: shown.mask for shown in (steps[index - 1].instances if index else start)}
    now = {shown.id: shown.mask for shown in steps[index].instances}
    return Changes(
        new=frozenset(now.keys() - before.keys()),
        changed=frozenset(number for number, mask in now.items() if before.get(number, mask) != mask),
        gone=frozenset(before.keys() - now.keys()),
    )

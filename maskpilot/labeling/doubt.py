"""What makes a result doubtful: reasons to ask a model, or for a person to look at it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskpilot import masks
from maskpilot.labeling.types import Review
from maskpilot.segmenters.base import ImageSession
from maskpilot.trajectory import Trajectory
from maskpilot.types import Instance, Stop, Verdict

__all__ = ["LOW_RATING", "NEAR_THRESHOLD", "just_missed", "limited", "rating_of", "review_of", "unsure"]

LOW_RATING = 60.0
"""A result that a model rates below this is to be reviewed."""

NEAR_THRESHOLD = 0.1
"""A score that is less than this above or below the threshold is near it."""

BUDGET = frozenset({Stop.max_rounds, Stop.max_tokens, Stop.max_seconds, Stop.max_cost})
ERRORS = frozenset({Stop.repeated_errors, Stop.refused})


def review_of(trajectory: Trajectory, *, reads: bool, low_rating: float = LOW_RATING) -> tuple[Review, ...]:
    """Why a person should look at the result of a session as a whole.

    Args:
        trajectory: of a session that has ended.
        reads: a model decided (`Pilot.reads`): what it said of the result counts. Of the query alone, finding
            nothing is doubtful in itself.
        low_rating: as `LOW_RATING`.

    Raises:
        ValueError: the session has not ended.
    """
    if trajectory.ending is None:
        raise ValueError("review_of: expected a session that has ended")
    stop = trajectory.ending.stop
    reasons = (
        (Review.budget, stop in BUDGET),
        (Review.errors, stop in ERRORS),
        (Review.low_rating, reads and _rated_low(trajectory, low_rating)),
        (Review.second_look, reads and (_objected(trajectory) or _unchecked(trajectory))),
        (Review.none_found, not reads and not trajectory.result),
    )
    return tuple(reason for reason, holds in reasons if holds)


def rating_of(trajectory: Trajectory) -> float | None:
    """What the policy thinks of its result, 0-100: its last rating of these very masks.

    Returns:
        None where it never rated them, or where there are none.
    """
    if not trajectory.result:
        return None
    # A step's rating is of what was shown before it.
    shown = (trajectory.setup.start, *(step.instances for step in trajectory.steps))
    ratings = [
        step.rating
        for step, before in zip(trajectory.steps, shown, strict=False)
        if before == trajectory.result and step.rating is not None
    ]
    return ratings[-1] if ratings else None


def unsure(trajectory: Trajectory) -> frozenset[int]:
    """Ids of instances of the result that score near the threshold; locked masks need not meet it."""
    best = None if trajectory.ending is None else trajectory.ending.best
    if best is None:
        return frozenset()
    step = trajectory.steps[best]
    limit = step.prompts.threshold + NEAR_THRESHOLD
    return frozenset(
        found.id for found in step.instances if found.score < limit and found.id not in step.locked
    )


def just_missed(trajectory: Trajectory, opened: ImageSession) -> bool:
    """Whether something that is not in the result scores near the threshold, from below.

    Args:
        trajectory: of a session that has ended.
        opened: its image. All candidates of a prompt are kept with it, so this takes no forward pass.

    Raises:
        SegmenterError: the image cannot be asked.
    """
    best = None if trajectory.ending is None else trajectory.ending.best
    if best is None:
        return False
    prompts = trajectory.steps[best].prompts
    lower = replace(prompts, threshold=max(prompts.threshold - NEAR_THRESHOLD, 0.0))
    found = opened.segment(lower)
    below = found.masks[found.scores <= np.float32(prompts.threshold)]
    missed = [masks.encode(mask) for mask in below if mask.any()]
    # A second, weaker candidate for an object that was found is no other object.
    overlaps = masks.iou_matrix(missed, [one.mask for one in trajectory.result])
    return any(row.max(initial=0.0) < masks.SAME_OBJECT_IOU for row in overlaps)


def limited(found: tuple[Instance, ...], max_count: int | None) -> tuple[Instance, ...]:
    """At most as many instances as a class allows: those with the best scores, the earlier ones of equals."""
    if max_count is None or len(found) <= max_count:
        return found
    best = sorted(found, key=lambda one: (-one.score, one.id))[:max_count]
    return tuple(sorted(best, key=lambda one: one.id))


def _rated_low(trajectory: Trajectory, low_rating: float) -> bool:
    rating = rating_of(trajectory)
    said = trajectory.ending is not None and trajectory.ending.verdict is Verdict.best_effort
    return said or (rating is not None and rating < low_rating)


def _unchecked(trajectory: Trajectory) -> bool:
    """The session ended where a second look was due and could not be had."""
    return bool(trajectory.steps and trajectory.steps[-1].decision.unchecked)


def _objected(trajectory: Trajectory) -> bool:
    """A second look held something against what became the result."""
    return any(step.decision.objections and step.instances == trajectory.result for step in trajectory.steps)

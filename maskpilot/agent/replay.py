"""A recorded session, gone through again: for replaying a run, and for going on where one was cut off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from maskpilot import masks
from maskpilot.agent.policy import Observation, Policy
from maskpilot.errors import PolicyError
from maskpilot.segmenters.base import ImageSession
from maskpilot.trajectory import Step
from maskpilot.types import Decision, Detections, PromptState

__all__ = ["Replay", "ReplayedMasks"]


class Replay:
    """Decides what was decided before, then hands over.

    Args:
        steps: the recorded rounds.
        then: goes on when they are used up; without it, being asked for more is an error.
    """

    def __init__(self, steps: Sequence[Step], then: Policy | None = None) -> None:
        self._steps = tuple(steps)
        self._then = then

    @property
    def description(self) -> Mapping[str, Any]:
        return self._then.description if self._then else {"name": "replay"}

    def decide(self, observation: Observation) -> Decision:
        number = len(observation.steps)
        if number < len(self._steps):
            return self._steps[number].decision
        if self._then is None:
            raise PolicyError(f"the recorded session has {len(self._steps)} rounds and did not end in them")
        return self._then.decide(observation)


class ReplayedMasks:
    """An `ImageSession` that finds what was found in recorded rounds, then hands over.

    A segmenter that batches gives the same masks only almost, and a pixel's difference must not make what a
    model decided on them worthless.

    Args:
        steps: the recorded rounds.
        then: goes on when they are used up; it is left open.
    """

    def __init__(self, steps: Sequence[Step], then: ImageSession) -> None:
        self._steps = iter(tuple(steps))
        self._then = then

    @property
    def size(self) -> tuple[int, int]:
        return self._then.size

    def segment(self, prompts: PromptState) -> Detections:
        step = next(self._steps, None)
        return self._then.segment(prompts) if step is None else _found(step, self.size)

    def close(self) -> None: ...


def _found(step: Step, size: tuple[int, int]) -> Detections:
    """What a round showed beside the masks that were locked, which are no detections."""
    shown = [one for one in step.instances if one.id not in step.locked]
    if not shown:
        return Detections.empty(*size)
    shown.sort(key=lambda one: (-one.score, one.id))
    return Detections(
        masks=np.stack([masks.decode(one.mask) for one in shown]),
        boxes=np.array([one.box.xyxy for one in shown], np.float32),
        scores=np.array([one.score for one in shown], np.float32),
    )

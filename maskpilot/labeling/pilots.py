"""Who finds the objects of a class: a fresh policy for each session, made by a pilot."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from maskpilot.agent import OneShot, Policy
from maskpilot.agent.mllm.exchange import Wire
from maskpilot.agent.mllm.memory import Memory
from maskpilot.agent.mllm.policy import MllmPolicy, policy_settings
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.doctor.asking import reading
from maskpilot.doctor.pictures import draw_code
from maskpilot.labeling.types import LabelClass
from maskpilot.types import Usage

__all__ = ["Pilot", "mllm", "one_shot"]


@dataclass(frozen=True)
class Pilot:
    """Makes the policy of every session of a labeling run.

    It is not that of evals, whose policies are made for a sample and may be shown its truth: here there is
    none, and what matters is whether somebody reads.

    Attributes:
        make: a fresh policy for a class on an image. Called from many threads.
        settings: what makes it repeatable, as plain JSON data with a "name"; a run cannot go on with other
            settings.
        reads: a model decides, or what stands for one: it is told the hints, its rounds cost, so that they
            are limited and kept, and what it says of its own result counts. False for the query alone.
        check: asks the endpoint something that it must be able to answer, a picture in it, and returns what
            that cost; raises a PolicyError where it does not answer. None where there is no endpoint. Called
            from any thread.

    Raises:
        ValueError: the settings name nobody.
    """

    make: Callable[[LabelClass], Policy]
    settings: Mapping[str, Any]
    reads: bool
    check: Callable[[], Usage] | None = None

    def __post_init__(self) -> None:
        if not self.settings.get("name"):
            raise ValueError('Pilot.settings: expected a "name", got none')

    @property
    def name(self) -> str:
        """Of the policy: "one_shot", "mllm", ..."""
        return str(self.settings["name"])

    @property
    def model(self) -> str:
        """The model that decides; empty where none does."""
        return str(self.settings.get("model", ""))

    def query(self, wanted: LabelClass) -> str:
        """What a session about a class is asked."""
        return wanted.brief if self.reads else wanted.query


def one_shot() -> Pilot:
    """The query as the text prompt, once: free, and doubtful now and then."""
    return Pilot(lambda _: OneShot(), OneShot.description, reads=False)


def mllm(wire: Wire, settings: MllmSettings, memory: Memory) -> Pilot:
    """A multimodal LLM.

    Args:
        wire: to the model; all sessions share it.
        settings: how to ask it. What it costs and where the key lies are no part of the run's settings.
        memory: what is known of the model; shared as well.
    """
    return Pilot(
        lambda _: MllmPolicy(wire, settings, memory=memory),
        policy_settings(settings),
        reads=True,
        # Drawn anew each time: what stands between here and the model may remember its answers.
        check=lambda: wire.send(reading(draw_code(random.SystemRandom()))).usage,
    )

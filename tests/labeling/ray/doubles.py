"""What actors make: functions that travel by their name, and import what is heavy when they are called."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from maskpilot.agent import Observation
from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.errors import WeightsUnavailable
from maskpilot.labeling.job import Job
from maskpilot.labeling.pilots import Pilot, one_shot
from maskpilot.labeling.types import LabelClass
from maskpilot.segmenters.base import Segmenter
from maskpilot.types import Decision, ToolCall, Usage
from tests.segmenters.pictures import fake_segmenter


def tiny_segmenter() -> Segmenter:
    """A small SAM 3 with random weights."""
    from maskpilot.segmenters.load import load_untrained
    from maskpilot.segmenters.nano.config import TINY

    return load_untrained("cpu", config=TINY)


@dataclass(frozen=True)
class OnDevice:
    """Makes a test double that says where it runs."""

    device: str

    def __call__(self) -> Segmenter:
        segmenter = fake_segmenter()
        segmenter.provenance = {**segmenter.provenance, "device": self.device}
        return segmenter


def no_weights() -> Segmenter:
    """What a user meets who has no access to the weights."""
    raise WeightsUnavailable("the weights are gated; ask for access")


def red_things(segmenter: Segmenter) -> Job:
    """Stars and skies, by their names alone."""
    return Job((LabelClass("star"), LabelClass("sky"), LabelClass("red circle")), segmenter, one_shot())


class Noting:
    """A model that costs something, and notes on disk whenever it is asked."""

    description: Mapping[str, Any] = {"name": "noting", "simulated": True}

    def __init__(self, notes: Path) -> None:
        self._notes = notes

    def decide(self, observation: Observation) -> Decision:
        pixels = hashlib.sha256(observation.image.tobytes()).hexdigest()
        with self._notes.open("a") as file:
            file.write(f"{pixels} {observation.query} {len(observation.steps)}\n")
        spent = Usage(calls=1, prompt_tokens=100, completion_tokens=10)
        call = ToolCall("set_text_prompt", {"text": observation.query})
        if observation.steps:
            call = ToolCall("finish", {"verdict": "complete", "reason": "that is all"})
        return Decision((call,), rating=90.0, usage=spent)


@dataclass(frozen=True)
class NotedJob:
    """Makes the job of `Noting`."""

    notes: Path

    def __call__(self, segmenter: Segmenter) -> Job:
        pilot = Pilot(lambda _: Noting(self.notes), Noting.description, reads=True)
        return Job((LabelClass("star"), LabelClass("red")), segmenter, pilot)


class Refusing:
    """An endpoint's door that stays shut."""

    description: Mapping[str, Any] = {"name": "refusing", "simulated": True}

    def __init__(self, error: EndpointError) -> None:
        self._error = error

    def decide(self, observation: Observation) -> Decision:
        raise self._error


def locked_out(segmenter: Segmenter) -> Job:
    """Whoever asks has the wrong key."""
    error = EndpointError("the key is wrong; set another", status=401)
    return Job((LabelClass("star"),), segmenter, Pilot(lambda _: Refusing(error), {"name": "r"}, reads=True))


def nobody_home(segmenter: Segmenter) -> Job:
    """The endpoint cannot be reached."""
    error = EndpointError("no connection")
    return Job((LabelClass("star"),), segmenter, Pilot(lambda _: Refusing(error), {"name": "r"}, reads=True))

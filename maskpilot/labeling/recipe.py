"""How a segmenter and the job of a run are made, wherever they are needed: no model in it and no key."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from maskpilot.agent.mllm.connect import connect
from maskpilot.agent.mllm.memory import Memory, memory_file
from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.labeling import pilots
from maskpilot.labeling.job import Job
from maskpilot.labeling.overlap import Overlap
from maskpilot.labeling.pilots import Pilot
from maskpilot.labeling.types import LabelClass
from maskpilot.segmenters import load_segmenter
from maskpilot.segmenters.base import Segmenter
from maskpilot.tools import FULL
from maskpilot.types import Budget

__all__ = ["JobRecipe", "SegmenterRecipe"]


@dataclass(frozen=True)
class SegmenterRecipe:
    """Makes a segmenter.

    Attributes:
        name: as `load_segmenter` knows it.
        checkpoint: a file that every machine with a segmenter sees under this path; None: its own weights.
        device: "auto", "cpu", ...
    """

    name: str
    checkpoint: Path | None = None
    device: str = "auto"

    def __call__(self) -> Segmenter:
        return load_segmenter(self.name, checkpoint=self.checkpoint, device=self.device)


@dataclass(frozen=True)
class JobRecipe:
    """Makes a job.

    Attributes:
        classes, tools, budget, overlap: as `Job` has them.
        asked: how to ask a model; None: none is asked. The key is taken from the environment of the process
            that makes the job, under the name that the settings give; it never travels.
        when_unsure: the model is asked only where the query alone is doubtful.
    """

    classes: tuple[LabelClass, ...]
    asked: MllmSettings | None = None
    when_unsure: bool = False
    tools: tuple[str, ...] = FULL
    budget: Budget = field(default_factory=Budget)
    overlap: Overlap = Overlap.keep

    def pilots(self) -> tuple[Pilot, Pilot | None]:
        """Who is asked first, and who where that is doubtful.

        Raises:
            InvalidInput: the endpoint or its key cannot be used.
        """
        if self.asked is None:
            return pilots.one_shot(), None
        model = pilots.mllm(connect(self.asked, os.environ), self.asked, Memory(memory_file(os.environ)))
        return (pilots.one_shot(), model) if self.when_unsure else (model, None)

    def __call__(self, segmenter: Segmenter) -> Job:
        """The job, with a segmenter. Raises as `pilots`."""
        first, unsure = self.pilots()
        return Job(
            classes=self.classes,
            segmenter=segmenter,
            first=first,
            unsure=unsure,
            tools=self.tools,
            budget=self.budget,
            overlap=self.overlap,
        )

"""A model that writes down what it is asked, and fails on demand."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import torch

from maskpilot.segmenters.cache import CacheBounds
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.nano.model import build_nano
from maskpilot.segmenters.sam3 import Sam3Segmenter


class RecordingModel:
    """Stands before a `Sam3Image` and passes everything on.

    Attributes:
        images: number of images in each pass of the image encoder.
        texts: the texts of each pass of the text encoder.
        groundings: the keyword arguments of each `forward_grounding`.
        fault: called with those arguments before each grounding; may raise.
    """

    def __init__(self, model: Any, fault: Callable[[dict[str, Any]], None] = lambda _: None) -> None:
        self.model = model
        self.backbone = self
        self.fault = fault
        self.images: list[int] = []
        self.texts: list[list[str]] = []
        self.groundings: list[dict[str, Any]] = []

    def forward_image(self, batch: torch.Tensor) -> Any:
        self.images.append(len(batch))
        return self.model.backbone.forward_image(batch)

    def forward_text(self, captions: list[str], device: torch.device) -> Any:
        self.texts.append(captions)
        return self.model.backbone.forward_text(captions, device=device)

    def forward_grounding(self, **arguments: Any) -> Any:
        self.groundings.append(arguments)
        self.fault(arguments)
        return self.model.forward_grounding(**arguments)

    @property
    def batches(self) -> list[int]:
        """Number of prompts in each grounding."""
        return [len(arguments["find_input"].img_ids) for arguments in self.groundings]


class Gate:
    """A fault that holds the first grounding until it is opened, so that others queue behind it."""

    def __init__(self) -> None:
        self.reached = threading.Event()
        self.opened = threading.Event()

    def __call__(self, _: dict[str, Any]) -> None:
        self.reached.set()
        self.opened.wait()


def recording(
    fault: Callable[[dict[str, Any]], None] = lambda _: None, *, bounds: CacheBounds | None = None
) -> tuple[Sam3Segmenter, RecordingModel]:
    """A tiny segmenter with random weights, and the model inside it."""
    model = RecordingModel(build_nano(TINY, ["star", "red"]), fault)
    return Sam3Segmenter(model, name="tiny", resolution=TINY.resolution, bounds=bounds), model

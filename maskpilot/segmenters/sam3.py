"""SAM 3 as a `Segmenter`: one model, many images, many threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property
from importlib.metadata import version
from typing import Any

import torch
from PIL import Image
from torchvision.transforms.v2 import functional as transforms

from maskpilot.errors import SegmenterError
from maskpilot.segmenters.cache import CacheBounds
from maskpilot.segmenters.engine import Engine, OpenImage
from maskpilot.types import Detections, PromptState

__all__ = ["Sam3Segmenter", "Sam3Session"]


class Sam3Segmenter:
    """A `Segmenter` over a `Sam3Image`; it finds what sam3's own `Sam3Processor` finds.

    An image is encoded once. All candidates of a prompt are kept, so another threshold, an undo or a repeat
    costs no forward pass. Requests of several threads that arrive together go through the model together.
    Boxes are the model's own, clipped to the image; overlapping masks are all returned.

    Args:
        model: a `Sam3Image` in eval mode on `device`.
        name: what it is, in a word.
        resolution: side of the square that images are resized to, in pixels.
        device: where the model is.
        facts: what to record beside versions, device and dtype; asked once, when `provenance` is first read.
        bounds: of the caches.
        max_batch: the most images, or prompts, in one forward pass.
    """

    def __init__(
        self,
        model: Any,
        *,
        name: str,
        resolution: int,
        device: torch.device | str = "cpu",
        facts: Callable[[], Mapping[str, str]] = dict,
        bounds: CacheBounds | None = None,
        max_batch: int = 8,
    ) -> None:
        self.name = name
        self.resolution = resolution
        self.device = torch.device(device)
        self._facts = facts
        self._engine = Engine(model, self.device, bounds=bounds or CacheBounds(), max_batch=max_batch)

    @cached_property
    def provenance(self) -> Mapping[str, str]:
        """Versions, device and dtype, and where the weights are from."""
        on_cuda = self.device.type == "cuda"
        return {
            "segmenter": self.name,
            **{package: version(package) for package in ("sam3", "torch", "torchvision")},
            "device": torch.cuda.get_device_name(self.device) if on_cuda else str(self.device),
            "dtype": "bfloat16 autocast" if on_cuda else "float32",
            **self._facts(),
        }

    def open(self, image: Image.Image) -> Sam3Session:
        """Run the image encoder once.

        Args:
            image: upright; converted to RGB where it is not.

        Raises:
            SegmenterError: the image could not be read or encoded.
        """
        try:
            pixels = transforms.to_image(image if image.mode == "RGB" else image.convert("RGB"))
            pixels = transforms.resize(pixels, [self.resolution, self.resolution])
        except (OSError, ValueError, RuntimeError) as error:
            raise SegmenterError(f"the image could not be read: {error}") from error
        return Sam3Session(self._engine, self._engine.open(pixels, image.size))

    def close(self) -> None:
        """Release the model and end its thread. Closing twice does no harm."""
        self._engine.close()


class Sam3Session:
    """One open image of a `Sam3Segmenter`."""

    def __init__(self, engine: Engine, image: OpenImage) -> None:
        self._engine = engine
        self._image: OpenImage | None = image
        self.size = image.size

    def segment(self, prompts: PromptState) -> Detections:
        """Find what the prompts ask for; boxes are clamped to the image.

        Raises:
            OutOfMemory: this request alone does not fit.
            SegmenterError: the session is closed, a box lies off the image, or the model failed.
        """
        if self._image is None:
            raise SegmenterError("the image is closed; open it again")
        if prompts.is_empty:
            return Detections.empty(*self.size)
        return self._engine.detect(self._image, prompts)

    def close(self) -> None:
        """Release what is held for the image. Closing twice does no harm."""
        if self._image is not None:
            self._engine.forget(self._image)
            self._image = None

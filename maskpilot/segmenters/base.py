"""What a segmenter is. Every implementation passes the contract suite in tests/segmenters/contract.py."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from PIL import Image

from maskpilot.types import Detections, PromptState

__all__ = ["ImageSession", "Segmenter"]


class ImageSession(Protocol):
    """One image, opened once, prompted many times. Safe to use from one thread at a time."""

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the original image in pixels."""
        ...

    def segment(self, prompts: PromptState) -> Detections:
        """Find what the prompts ask for.

        The answer depends on the image and the prompts alone, never on what was asked before: A, B, A gives
        A twice. It holds candidates that score above `prompts.threshold`, best first; prompts that are
        empty find nothing.

        Raises:
            SegmenterError: the request could not be served; other sessions are not affected.
        """
        ...

    def close(self) -> None:
        """Release what the image holds. Closing twice does no harm; using it afterwards is an error."""
        ...


class Segmenter(Protocol):
    """Opens images. Safe to share between threads: one segmenter serves all sessions of a run."""

    @property
    def name(self) -> str:
        """What this is, in a word: "sam3", "nano", ..."""
        ...

    @property
    def provenance(self) -> Mapping[str, str]:
        """What a run records to be repeatable: versions, checkpoint digest, device, dtype."""
        ...

    def open(self, image: Image.Image) -> ImageSession:
        """Run the image encoder once.

        Args:
            image: RGB, upright (EXIF rotation already applied).

        Raises:
            SegmenterError: the image could not be encoded.
        """
        ...

    def close(self) -> None:
        """Release the model and end its threads. Closing twice does no harm."""
        ...

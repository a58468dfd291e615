"""What lies on an image: boxes, masks, prompts, detections, instances."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Box",
    "Detections",
    "Exemplar",
    "ImageRef",
    "Instance",
    "Mask",
    "PromptState",
]


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A rectangle in float pixels of the original image: x0 <= x < x1, y0 <= y < y1.

    Raises:
        ValueError: a coordinate is not finite, or the box has no area.
    """

    x0: float
    y0: float
    x1: float
    y1: float

    def __post_init__(self) -> None:
        for name in ("x0", "y0", "x1", "y1"):
            value = getattr(self, name)
            if not math.isfinite(value):
                raise ValueError(f"Box.{name}: expected a finite number of pixels, got {value!r}")
            object.__setattr__(self, name, float(value))
        if self.x1 <= self.x0 or self.y1 <= self.y0:
            raise ValueError(f"Box: expected x0 < x1 and y0 < y1, got {self.xyxy}; order the corners")

    @property
    def xyxy(self) -> tuple[float, float, float, float]:
        return (self.x0, self.y0, self.x1, self.y1)

    @property
    def width(self) -> float:
        return self.x1 - self.x0

    @property
    def height(self) -> float:
        return self.y1 - self.y0

    @property
    def area(self) -> float:
        """Square pixels."""
        return self.width * self.height

    def intersection(self, other: Box) -> float:
        """Shared area in square pixels."""
        width = min(self.x1, other.x1) - max(self.x0, other.x0)
        height = min(self.y1, other.y1) - max(self.y0, other.y0)
        return max(width, 0.0) * max(height, 0.0)

    def iou(self, other: Box) -> float:
        """Intersection over union, in [0, 1]."""
        shared = self.intersection(other)
        return shared / (self.area + other.area - shared)


@dataclass(frozen=True, slots=True)
class Exemplar:
    """An example box: `positive` says "this is one, find all like it", otherwise "nothing like this"."""

    box: Box
    positive: bool


@dataclass(frozen=True, slots=True)
class PromptState:
    """All that a segmenter is told about one concept. Hashable: it is a cache key.

    Attributes:
        text: a short noun phrase, or None when only boxes speak.
        boxes: exemplars in the order in which they were given.
        threshold: candidates that score above it are kept; in [0, 1].

    Raises:
        ValueError: the text is blank, or the threshold is outside [0, 1].
    """

    text: str | None = None
    boxes: tuple[Exemplar, ...] = ()
    threshold: float = 0.5

    def __post_init__(self) -> None:
        if self.text is not None and not self.text.strip():
            raise ValueError("PromptState.text: expected a phrase or None, got blank text")
        if not (math.isfinite(self.threshold) and 0.0 <= self.threshold <= 1.0):
            raise ValueError(f"PromptState.threshold: expected a number in [0, 1], got {self.threshold!r}")

    @property
    def is_empty(self) -> bool:
        """True when nothing is asked for: neither text nor boxes."""
        return self.text is None and not self.boxes

    def with_threshold(self, threshold: float) -> PromptState:
        return replace(self, threshold=threshold)


@dataclass(frozen=True, eq=False)
class Detections:
    """What a segmenter found, best score first. The arrays cannot be written to.

    Attributes:
        masks: (n, H, W) bool, in pixels of the original image.
        boxes: (n, 4) float32, xyxy pixels of the original image.
        scores: (n,) float32 in [0, 1].

    Raises:
        ValueError: shapes or dtypes differ from the above, or n differs between the arrays.
    """

    masks: NDArray[np.bool_]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]

    def __post_init__(self) -> None:
        n = len(self.scores)
        expected = {"masks": (3, np.bool_), "boxes": (2, np.float32), "scores": (1, np.float32)}
        for name, (ndim, dtype) in expected.items():
            array: NDArray[Any] = getattr(self, name)
            if array.ndim != ndim or array.dtype != dtype or len(array) != n:
                raise ValueError(
                    f"Detections.{name}: expected {ndim} axes of {np.dtype(dtype)} with n={n} first, "
                    f"got shape {array.shape} of {array.dtype}"
                )
            frozen = array.view()
            frozen.flags.writeable = False
            object.__setattr__(self, name, frozen)
        if self.boxes.shape[1] != 4:
            raise ValueError(f"Detections.boxes: expected shape (n, 4), got {self.boxes.shape}")

    def __len__(self) -> int:
        return len(self.scores)

    @property
    def size(self) -> tuple[int, int]:
        """(width, height) of the image in pixels."""
        return (self.masks.shape[2], self.masks.shape[1])

    @classmethod
    def empty(cls, width: int, height: int) -> Detections:
        """No detections on an image of `width` x `height` pixels."""
        return cls(
            masks=np.zeros((0, height, width), np.bool_),
            boxes=np.zeros((0, 4), np.float32),
            scores=np.zeros(0, np.float32),
        )


@dataclass(frozen=True, slots=True)
class Mask:
    """One mask as COCO run lengths; `maskpilot.masks` makes and reads it.

    Attributes:
        width, height: pixels of the image that it lies on.
        counts: compressed COCO run lengths, column by column.

    Raises:
        ValueError: a side is below one pixel, or there are no counts.
    """

    width: int
    height: int
    counts: bytes

    def __post_init__(self) -> None:
        if self.width < 1 or self.height < 1:
            raise ValueError(f"Mask: expected sides of at least 1 px, got {self.width}x{self.height}")
        if not self.counts:
            raise ValueError("Mask.counts: expected compressed COCO run lengths, got nothing")


@dataclass(frozen=True, slots=True)
class ImageRef:
    """Which image: the digest names its file in the run folder, the name is for people.

    Raises:
        ValueError: the digest or the suffix could not name a file in the run folder, or a side is below one
            pixel.
    """

    sha256: str
    suffix: str
    name: str
    width: int
    height: int

    def __post_init__(self) -> None:
        # Read back from a file that anybody may have written, it becomes a path.
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            raise ValueError(f"ImageRef.sha256: expected 64 hexadecimal digits, got {self.sha256[:80]!r}")
        if not re.fullmatch(r"\.[a-z]{3,4}", self.suffix):
            raise ValueError(f"ImageRef.suffix: expected a file suffix, got {self.suffix[:80]!r}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"ImageRef: expected sides of at least 1 px, got {self.width}x{self.height}")


@dataclass(frozen=True, slots=True)
class Instance:
    """One object that is shown to the policy.

    Attributes:
        id: its number and colour, the same from round to round; from 1.
        mask: its pixels; never empty.
        box: the tight box around the mask.
        score: the segmenter's score in [0, 1].
        text: the phrase that found it, None where boxes alone did.
    """

    id: int
    mask: Mask
    box: Box
    score: float
    text: str | None = None

    def __post_init__(self) -> None:
        if self.id < 1:
            raise ValueError(f"Instance.id: expected a number from 1, got {self.id}")
        if not math.isfinite(self.score):
            raise ValueError(f"Instance.score: expected a finite number, got {self.score}")

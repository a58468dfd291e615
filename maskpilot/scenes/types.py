"""A scene and what is in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskpilot.types import Box

__all__ = ["Scene", "SceneObject", "SceneQuery"]


@dataclass(frozen=True, eq=False, slots=True)
class SceneObject:
    """One object, and the pixels of it that can be seen.

    Attributes:
        shape, colour, texture: words of the vocabulary.
        size: "small", "medium" or "large", of the whole object against the image's mean side.
        mask: (H, W) bool, the visible pixels; never empty, not writeable.
        box: tight around the visible pixels.
        z: what is painted later lies above: 0 is the lowest.
        visible: share of the whole object that can be seen, in (0, 1].
    """

    shape: str
    colour: str
    texture: str
    size: str
    mask: NDArray[np.bool_]
    box: Box
    z: int
    visible: float

    @property
    def area(self) -> int:
        """Visible pixels."""
        return int(np.count_nonzero(self.mask))

    @property
    def centre(self) -> tuple[float, float]:
        """(x, y) of the middle of the visible pixels, in pixels of the image."""
        rows, columns = np.nonzero(self.mask)
        return (float(columns.mean()) + 0.5, float(rows.mean()) + 0.5)


@dataclass(frozen=True, eq=False, slots=True)
class Scene:
    """A drawn image and the exact truth about it.

    Attributes:
        seed: makes the same scene again.
        pixels: (H, W, 3) uint8 RGB, not writeable.
        objects: lowest first; their masks do not overlap.
    """

    seed: int
    pixels: NDArray[np.uint8]
    objects: tuple[SceneObject, ...]

    @property
    def image(self) -> Image.Image:
        """The pixels as a PIL image in mode RGB."""
        return Image.fromarray(self.pixels)

    @property
    def width(self) -> int:
        return int(self.pixels.shape[1])

    @property
    def height(self) -> int:
        return int(self.pixels.shape[0])

    def union(self, indices: tuple[int, ...]) -> NDArray[np.bool_]:
        """All visible pixels of some objects: (H, W) bool."""
        merged = np.zeros((self.height, self.width), np.bool_)
        for index in indices:
            merged |= self.objects[index].mask
        return merged


@dataclass(frozen=True, slots=True)
class SceneQuery:
    """A question about a scene with its exact answer.

    Attributes:
        text: as a person would ask it.
        kind: what it takes to answer it: one of KINDS in `maskpilot.scenes`.
        answer: indices into `Scene.objects`, ascending; empty where nothing matches.
        phrase: the noun phrase that a skilled annotator would give to SAM for it, the text itself where that
            is one. It may find more than the answer, never less, except where `also` is needed too.
        also: further phrases, where one cannot find all of the answer.
    """

    text: str
    kind: str
    answer: tuple[int, ...]
    phrase: str
    also: tuple[str, ...] = ()

"""A test double: it finds the objects that it was told about. No model, no torch, no randomness."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskpilot.errors import SegmenterError
from maskpilot.types import Box, Detections, PromptState

__all__ = ["FakeObject", "FakeSegmenter"]

SAME_BOX_IOU = 0.5
REJECTED, LIKE_REJECTED = 0.1, 0.4  # what a negative box leaves of the score: of the object, of its kind


@dataclass(frozen=True, eq=False)
class FakeObject:
    """One object of the scripted scene.

    Attributes:
        mask: (H, W) bool; not empty.
        words: lower-case words that find it; objects that share one are of a kind.
        score: in [0, 1]; what it scores when it is found.
    """

    mask: NDArray[np.bool_]
    words: frozenset[str]
    score: float = 0.9

    def __post_init__(self) -> None:
        if self.mask.ndim != 2 or self.mask.dtype != np.bool_ or not self.mask.any():
            raise ValueError(f"FakeObject.mask: expected (H, W) bool with a pixel set, got {self.mask!r}")


class FakeSegmenter:
    """A `Segmenter` for tests of everything around a segmenter. Deterministic.

    - A text finds each object that has one of its words.
    - A positive box finds the objects whose own box overlaps it (IoU of 0.5 or more), and their kind.
    - A negative box lowers the score of the objects under it to a tenth, that of their kind to 0.4;
      objects under a positive box are spared.
    - What scores above the threshold is returned, best first.

    Masks are stretched to the size of the image that is opened; objects that vanish thereby are left out.
    """

    def __init__(self, objects: Sequence[FakeObject], *, name: str = "fake") -> None:
        self.objects = tuple(objects)
        self.name = name
        self.provenance: Mapping[str, str] = {"segmenter": "a test double, not a model"}
        self.closed = False

    def open(self, image: Image.Image) -> FakeSession:
        if self.closed:
            raise SegmenterError("the segmenter is closed; make a new one")
        return FakeSession(self, image.size)

    def close(self) -> None:
        self.closed = True


class FakeSession:
    """One opened image of a `FakeSegmenter`."""

    def __init__(self, segmenter: FakeSegmenter, size: tuple[int, int]) -> None:
        self.size = size
        self._segmenter = segmenter
        self._closed = False
        stretched = ((_stretch(thing.mask, size), thing) for thing in segmenter.objects)
        self._objects = [(mask, _tight_box(mask), thing) for mask, thing in stretched if mask.any()]

    def segment(self, prompts: PromptState) -> Detections:
        if self._closed or self._segmenter.closed:
            raise SegmenterError("the image is closed; open it again")
        scores = np.array(self._scores(prompts), np.float32)
        found = [
            index
            for index in np.argsort(-scores, kind="stable").tolist()
            if scores[index] > np.float32(prompts.threshold)
        ]
        if not found:
            return Detections.empty(*self.size)
        return Detections(
            masks=np.stack([self._objects[index][0] for index in found]),
            boxes=np.array([self._objects[index][1].xyxy for index in found], np.float32),
            scores=scores[found],
        )

    def close(self) -> None:
        self._closed = True

    def _scores(self, prompts: PromptState) -> list[float]:
        positives = self._under([exemplar.box for exemplar in prompts.boxes if exemplar.positive])
        negatives = self._under([exemplar.box for exemplar in prompts.boxes if not exemplar.positive])
        wanted = _words_of(positives) | set(re.findall(r"\w+", (prompts.text or "").lower()))
        unwanted = _words_of(negatives)
        scores = []
        for _, _, thing in self._objects:
            score = thing.score if thing in positives or thing.words & wanted else 0.0
            if thing in negatives and thing not in positives:
                score *= REJECTED
            elif thing.words & unwanted and thing not in positives:
                score *= LIKE_REJECTED
            scores.append(score)
        return scores

    def _under(self, boxes: Sequence[Box]) -> list[FakeObject]:
        return [
            thing for _, own, thing in self._objects if any(own.iou(box) >= SAME_BOX_IOU for box in boxes)
        ]


def _words_of(objects: Sequence[FakeObject]) -> frozenset[str]:
    return frozenset().union(*(thing.words for thing in objects))


def _stretch(mask: NDArray[np.bool_], size: tuple[int, int]) -> NDArray[np.bool_]:
    (width, height), (rows, columns) = size, mask.shape
    return mask[np.ix_(np.arange(height) * rows // height, np.arange(width) * columns // width)]


def _tight_box(mask: NDArray[np.bool_]) -> Box:
    y, x = np.nonzero(mask)
    return Box(x.min(), y.min(), x.max() + 1, y.max() + 1)

"""What all sessions of a SAM 3 segmenter share: the model's thread, and what it has already found out."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskpilot.errors import OutOfMemory, SegmenterError
from maskpilot.segmenters.cache import ByteLRU, CacheBounds
from maskpilot.segmenters.forward import BOX_ONLY_TEXT, Candidates, Features, Query, Sam3Forward
from maskpilot.segmenters.machine import free_memory
from maskpilot.segmenters.upsample import pack, unpack, upsample
from maskpilot.segmenters.worker import Worker
from maskpilot.types import Box, Detections, Exemplar, PromptState

__all__ = ["FLOOR", "Engine", "OpenImage", "normalised"]

FLOOR = 0.01
"""Candidates above this score are kept with a prompt. A threshold below it runs the prompt once more."""

SMALL = 1 << 30
"""Bytes of masks for which nobody looks how much memory is free."""

PromptKey = tuple[int, str, tuple[Exemplar, ...]]


@dataclass(frozen=True, eq=False)
class OpenImage:
    """An image as the model sees it.

    Attributes:
        id: unique within the engine.
        size: (width, height) of the original in pixels.
        pixels: (3, resolution, resolution) uint8; kept so that dropped features can be made again.
    """

    id: int
    size: tuple[int, int]
    pixels: torch.Tensor


@dataclass(frozen=True, eq=False)
class _Prompted:
    """One prompt's candidates, and the masks of the best of them in full size: (m, bytes), m <= n."""

    candidates: Candidates
    packed: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return self.candidates.nbytes + self.packed.nbytes


class Engine:
    """Serves many threads with one model, and never asks it the same thing twice while it remembers.

    Args:
        model: a `Sam3Image` in eval mode on `device`.
        device: where the model is.
        bounds: of the caches.
        max_batch: the most images, or prompts, in one forward pass.
    """

    def __init__(self, model: Any, device: torch.device, *, bounds: CacheBounds, max_batch: int) -> None:
        self._forward: Sam3Forward | None = Sam3Forward(model, device, max_text_bytes=bounds.texts)
        self._worker = Worker(
            max_batch=max_batch, is_out_of_memory=is_out_of_memory, free_memory=self._free_memory
        )
        self._ids = itertools.count()
        self._features: ByteLRU[int, Features] = ByteLRU(bounds.images)
        self._prompted: ByteLRU[PromptKey, _Prompted] = ByteLRU(bounds.prompts)

    def open(self, pixels: torch.Tensor, size: tuple[int, int]) -> OpenImage:
        """Encode an image: `pixels` and `size` as in `OpenImage`."""
        image = OpenImage(next(self._ids), size, pixels)
        self._features_of(image)
        return image

    def detect(self, image: OpenImage, prompts: PromptState) -> Detections:
        """What scores above the threshold, best first. Prompts are not empty."""
        key = (image.id, prompts.text or BOX_ONLY_TEXT, prompts.boxes)
        prompted = self._prompt(key, image, prompts)
        scores = prompted.candidates.scores
        count = int(np.count_nonzero(scores > np.float32(prompts.threshold)))
        width, height = image.size
        try:
            masks = self._masks(key, prompted, count, image.size)
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
            raise OutOfMemory(f"{count} masks of {width}x{height} pixels do not fit into memory") from error
        sides = np.array([width, height, width, height], np.float32)
        boxes = np.clip(prompted.candidates.boxes[:count] * sides, 0, sides)
        return Detections(masks=masks, boxes=boxes, scores=scores[:count])

    def forget(self, image: OpenImage) -> None:
        """Drop all that is held for one image."""
        self._features.forget(lambda key: key == image.id)
        self._prompted.forget(lambda key: key[0] == image.id)

    def close(self) -> None:
        """Release the model and end its thread. Closing twice does no harm."""
        self._worker.close()
        self._forward = None
        self._features.forget(lambda _: True)
        self._prompted.forget(lambda _: True)

    def _free_memory(self) -> None:
        """Features of images make room on the device: they can be made again. In the worker's thread."""
        self._features.forget(lambda _: True)
        torch.cuda.empty_cache()

    def _features_of(self, image: OpenImage) -> Features:
        features = self._features.get(image.id)
        if features is None:
            features = self._worker.call(self._model.encode, image.pixels)
            self._features.put(image.id, features, features.nbytes)
        return features

    def _prompt(self, key: PromptKey, image: OpenImage, prompts: PromptState) -> _Prompted:
        floor = min(FLOOR, prompts.threshold)
        prompted = self._prompted.get(key)
        if prompted is None or prompted.candidates.floor > floor:
            query = Query(
                features=self._features_of(image),
                text=key[1],
                boxes=tuple(normalised(exemplar.box, *image.size) for exemplar in prompts.boxes),
                labels=tuple(exemplar.positive for exemplar in prompts.boxes),
                floor=floor,
            )
            candidates = self._worker.call(self._model.ground, query)
            prompted = _Prompted(candidates, pack(np.zeros((0, *reversed(image.size)), np.bool_)))
            self._prompted.put(key, prompted, prompted.nbytes)
        return prompted

    def _masks(
        self, key: PromptKey, prompted: _Prompted, count: int, size: tuple[int, int]
    ) -> NDArray[np.bool_]:
        """The first `count` masks in full size: (count, H, W) bool; upsamples only those not yet held."""
        width, height = size
        _check_room(count, width, height)
        held = len(prompted.packed)
        if count <= held:
            return unpack(prompted.packed[:count], *size)
        masks = np.empty((count, height, width), np.bool_)  # filled in place: they may be most of the memory
        for index, row in enumerate(prompted.packed):
            masks[index] = unpack(row[None], *size)[0]
        packed = pack(upsample(prompted.candidates.logits[held:count], *size, out=masks[held:]))
        grown = replace(prompted, packed=np.concatenate([prompted.packed, packed]) if held else packed)
        if grown.nbytes <= self._prompted.max_bytes:  # else the candidates stay there alone
            self._prompted.put(key, grown, grown.nbytes)
        return masks

    @property
    def _model(self) -> Sam3Forward:
        if self._forward is None:
            raise SegmenterError("the segmenter is closed; load it again")
        return self._forward


def _check_room(count: int, width: int, height: int) -> None:
    """See that full-size masks fit before they are made: the system ends a process that fills its memory.

    Raises:
        OutOfMemory: they do not.
    """
    need = count * width * height
    free = free_memory() if need > SMALL else None
    if free is not None and need > free:
        raise OutOfMemory(
            f"{count} masks of {width}x{height} pixels take {need / 1e9:.1f} GB, and {free / 1e9:.1f} GB are "
            "free; a higher threshold finds fewer, and a smaller image has smaller ones"
        )


def normalised(box: Box, width: int, height: int) -> tuple[float, float, float, float]:
    """A box in pixels as sam3 wants it: cxcywh in [0, 1] of the image's sides, clamped to the image.

    Raises:
        SegmenterError: no part of the box lies on the image.
    """
    x0, x1 = max(box.x0, 0.0), min(box.x1, float(width))
    y0, y1 = max(box.y0, 0.0), min(box.y1, float(height))
    if x0 >= x1 or y0 >= y1:
        raise SegmenterError(f"expected a box on the image of {width}x{height} pixels, got {box.xyxy}")
    return ((x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)


def is_out_of_memory(error: Exception) -> bool:
    """True for the ways in which torch and numpy say that memory is short, on any device."""
    said = str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (
        isinstance(error, RuntimeError)
        and ("out of memory" in said or "not enough memory" in said or "can't allocate memory" in said)
    )

"""Segmenters in processes of their own.

A server holds the model, in an actor with many threads: what arrives together is batched by the segmenter's
own engine.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from PIL import Image

from maskpilot.errors import Fatal
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.types import Detections, PromptState

__all__ = ["MAX_OPEN", "Packed", "SegmenterServer", "start_servers"]

MAX_OPEN = 512
"""Images that a server keeps open: what sessions whose process died left open goes when there are more."""

THREADS = 64
"""Requests that a server takes at a time; its engine batches them."""


@dataclass(frozen=True, eq=False)
class Packed:
    """Detections as they travel: eight pixels a byte.

    Attributes:
        bits: (n, ceil(H * W / 8)) uint8, each row a mask's pixels row by row.
        boxes: (n, 4) float32, xyxy pixels.
        scores: (n,) float32.
        size: (width, height) of the image in pixels.
    """

    bits: NDArray[np.uint8]
    boxes: NDArray[np.float32]
    scores: NDArray[np.float32]
    size: tuple[int, int]

    @classmethod
    def of(cls, found: Detections) -> Packed:
        flat = found.masks.reshape(len(found), found.size[0] * found.size[1])
        return cls(np.packbits(flat, axis=1), found.boxes, found.scores, found.size)

    def detections(self) -> Detections:
        width, height = self.size
        flat = np.unpackbits(self.bits, axis=1, count=width * height)
        masks = flat.reshape(len(self.scores), height, width).view(np.bool_)
        # Copies: a view would hold all of what came along, the bits too, in the memory that processes share.
        return Detections(masks=masks, boxes=self.boxes.copy(), scores=self.scores.copy())


class _Open:
    """An image that is open on a server."""

    def __init__(self, session: ImageSession) -> None:
        self.session = session
        self.busy = threading.Lock()


class SegmenterServer:
    """The model's process. Its methods may be called from many threads.

    Args:
        make: makes the segmenter.
        max_open: images open at a time; beyond that, the one that was not used for longest is closed.
    """

    def __init__(self, make: Callable[[], Segmenter], max_open: int = MAX_OPEN) -> None:
        self._images: OrderedDict[str, _Open] = OrderedDict()
        self._lock = threading.Lock()
        self._max_open = max_open
        self._segmenter: Segmenter | None = None
        try:
            self._segmenter = make()
        except Fatal as problem:  # told to who asks: an actor that dies as it is made is only made again
            self._problem = problem

    def about(self) -> tuple[str, dict[str, str]]:
        """Name and provenance. Raises what kept the segmenter from being made."""
        segmenter = self._made()
        return segmenter.name, dict(segmenter.provenance)

    def open(self, key: str, pixels: NDArray[np.uint8]) -> None:
        """Open an image, (H, W, 3) RGB, under a key of its session's own."""
        session = self._made().open(Image.fromarray(pixels))
        with self._lock:
            self._images[key] = _Open(session)
            surplus = self._surplus()
        for old in surplus:
            old.close()

    def segment(self, key: str, prompts: PromptState) -> Packed | None:
        """What the prompts find; None where no such image is open (any more)."""
        with self._lock:
            image = self._images.get(key)
            if image is None:
                return None
            self._images.move_to_end(key)
            image.busy.acquire()  # free: an image has one session, which waits for its answer
        try:
            return Packed.of(image.session.segment(prompts))
        finally:
            image.busy.release()

    def close(self, key: str) -> None:
        """Close an image. Closing twice does no harm."""
        with self._lock:
            image = self._images.pop(key, None)
        if image is not None:
            image.session.close()

    def _surplus(self) -> list[ImageSession]:
        """Take out what is too much, the oldest first; never what is in use."""
        oldest = list(self._images)[: max(len(self._images) - self._max_open, 0)]
        idle = [key for key in oldest if not self._images[key].busy.locked()]
        return [self._images.pop(key).session for key in idle]

    def _made(self) -> Segmenter:
        if self._segmenter is None:
            raise self._problem
        return self._segmenter


def start_servers(
    make: Callable[[], Segmenter],
    count: int,
    *,
    num_gpus: float = 0.0,
    num_cpus: float = 1.0,
    max_open: int = MAX_OPEN,
) -> list[Any]:
    """Start the actors; they make their segmenters, and make them anew where they die.

    Args:
        make: makes the segmenter; travels to the actors.
        count: how many actors.
        num_gpus, num_cpus: of each.
        max_open: as `SegmenterServer` has it.
    """
    actor = ray.remote(SegmenterServer).options(
        num_gpus=num_gpus, num_cpus=num_cpus, max_concurrency=THREADS, max_restarts=-1
    )
    return [actor.remote(make, max_open) for _ in range(count)]

"""Segmenters in processes of their own, and what stands for them where the sessions run.

A server holds the model, in an actor with many threads: what arrives together is batched by the segmenter's
own engine. A session sees a `RemoteSegmenter`, which is a `Segmenter` like any other.
"""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from PIL import Image
from ray.exceptions import RayActorError, RayTaskError

from maskpilot.errors import Fatal, MaskpilotError, SegmenterError
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.types import Detections, PromptState

__all__ = ["MAX_OPEN", "RemoteSegmenter", "SegmenterServer", "start_servers"]

MAX_OPEN = 512
"""Images that a server keeps open: what sessions whose process died left open goes when there are more."""

ATTEMPTS = 5
"""At one request, where servers die under it."""

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
        return Detections(masks=masks, boxes=self.boxes, scores=self.scores)


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


class RemoteSegmenter:
    """A `Segmenter` whose model lives in other processes.

    Images go to the servers in turn and stay there. Where a server died, or closed an image because it had
    too many, the image is opened anew: what a prompt finds depends on image and prompt alone.

    Args:
        servers: actors of `SegmenterServer`.

    Raises:
        SegmenterError: no server has a segmenter; the message is theirs.
    """

    def __init__(self, servers: Sequence[Any]) -> None:
        # Each session process begins elsewhere, so that together they load the servers alike.
        start = random.randrange(len(servers))  # noqa: S311
        self._turns = itertools.cycle((*servers[start:], *servers[:start]))
        self._lock = threading.Lock()
        self._closed = False
        name, provenance = self.ask(lambda server: server.about.remote())
        self.name: str = name
        self.provenance: Mapping[str, str] = provenance

    def open(self, image: Image.Image) -> RemoteSession:
        self.check_open()
        return RemoteSession(self, image)

    def close(self) -> None:
        """End the use of it here; the servers go on for others."""
        self._closed = True

    def check_open(self) -> None:
        if self._closed:
            raise SegmenterError("the segmenter is closed; make a new one")

    def next_server(self) -> Any:
        with self._lock:
            return next(self._turns)

    def ask(self, request: Callable[[Any], Any]) -> Any:
        """The answer of the first server that lives."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return answer(request(self.next_server()))
            except RayActorError as error:
                if attempt == ATTEMPTS:
                    raise _gone(error) from error
        raise AssertionError("unreachable")


class RemoteSession:
    """One image, open on one of the servers."""

    def __init__(self, segmenter: RemoteSegmenter, image: Image.Image) -> None:
        self.size: tuple[int, int] = image.size
        self._segmenter = segmenter
        self._pixels: NDArray[np.uint8] = np.asarray(image.convert("RGB"))
        self._closed = False
        self._key = ""
        self._server: Any = None
        self._with_server(lambda: None)

    def segment(self, prompts: PromptState) -> Detections:
        self._segmenter.check_open()
        if self._closed:
            raise SegmenterError("the image is closed; open it again")
        packed: Packed = self._with_server(lambda: self._segment(prompts))
        return packed.detections()

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._leave()

    def _segment(self, prompts: PromptState) -> Packed:
        while (packed := answer(self._server.segment.remote(self._key, prompts))) is None:
            self._open()
        found: Packed = packed
        return found

    def _with_server(self, do: Callable[[], Any]) -> Any:
        """Do something while the image is open, on another server where the one it was open on died."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._server is None:
                    self._open()
                return do()
            except RayActorError as error:
                self._server = None
                if attempt == ATTEMPTS:
                    raise _gone(error) from error
        raise AssertionError("unreachable")

    def _open(self) -> None:
        server = self._segmenter.next_server()
        self._key = uuid.uuid4().hex
        answer(server.open.remote(self._key, self._pixels))
        self._server = server

    def _leave(self) -> None:
        if self._server is not None:
            self._server.close.remote(self._key)  # nobody waits for that
            self._server = None


def answer(reference: Any) -> Any:
    """Wait for an actor's answer. What maskpilot raised over there is raised here as it was."""
    try:
        return ray.get(reference)
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, MaskpilotError):
            raise cause from None
        raise SegmenterError(
            f"the segmenter failed on another machine ({type(cause).__name__}); Ray's logs have the details"
        ) from error


def _gone(error: Exception) -> SegmenterError:
    return SegmenterError(
        f"the segmenters' processes died, the last one with {type(error).__name__}; Ray's logs say why. "
        "Memory that is short is the usual cause: fewer segmenters a machine, or fewer sessions"
    )

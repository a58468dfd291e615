"""What stands for the segmenters where the sessions run: a `Segmenter` like any other."""

from __future__ import annotations

import itertools
import random
import threading
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from PIL import Image
from ray.exceptions import RayActorError, RayTaskError

from maskpilot.errors import MaskpilotError, SegmenterError
from maskpilot.labeling.ray.servers import Packed
from maskpilot.types import Detections, PromptState

__all__ = ["RemoteSegmenter"]

ATTEMPTS = 5
"""At one request, where servers die under it."""


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

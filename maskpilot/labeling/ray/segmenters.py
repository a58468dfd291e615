"""What stands for the segmenters where the sessions run: a `Segmenter` like any other."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import ray
from numpy.typing import NDArray
from PIL import Image
from ray.exceptions import RayTaskError

from maskpilot.errors import MaskpilotError, SegmenterError
from maskpilot.labeling.ray.servers import Packed
from maskpilot.labeling.ray.turns import GONE, About, Turns, common, gone
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
        about: what they are, where that is known; else all of them are asked, and waited for.

    Raises:
        SegmenterError: a server has no segmenter (the message is its own), or they differ in more than the
            device.
    """

    def __init__(self, servers: Sequence[Any], about: About | None = None) -> None:
        self.turns = Turns(servers, _about)
        self._closed = False
        name, provenance = about or common(_abouts(servers))
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
            self._open(self._server)
        found: Packed = packed
        return found

    def _with_server(self, do: Callable[[], Any]) -> Any:
        """Do something while the image is open, on another server where the one it was open on died."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                if self._server is None:
                    self._open(
                        self._segmenter.turns.next() if attempt == 1 else self._segmenter.turns.living()
                    )
                return do()
            except GONE as error:
                self._server = None
                if attempt == ATTEMPTS:
                    raise gone(error) from error
        raise AssertionError("unreachable")

    def _open(self, server: Any) -> None:
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


def _about(server: Any) -> About:
    about: About = answer(server.about.remote())
    return about


def _abouts(servers: Sequence[Any]) -> list[About]:
    """What each of the servers is; they load their weights at the same time."""
    asked = [server.about.remote() for server in servers]
    found: list[About] = []
    for server, reference in zip(servers, asked, strict=True):
        try:
            found.append(answer(reference))
        except GONE:  # as they all began: one that comes back is asked again
            found.append(_about(Turns([server], _about).living()))
    return found

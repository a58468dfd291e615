"""Images that sessions work on: each is decoded and encoded once, however many queries it has."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from maskpilot.evals.types import Dataset, Sample
from maskpilot.images import LoadedImage
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.types import Detections, PromptState

__all__ = ["OpenImages"]


class OpenImages:
    """Shares opened images between threads.

    An image that nobody uses stays open until its room is needed, since the next sample may be about it.

    Args:
        dataset: gives the images.
        segmenter: opens them.
        capacity: images that stay open; more than that only while as many are in use.
    """

    def __init__(self, dataset: Dataset, segmenter: Segmenter, capacity: int) -> None:
        self._dataset, self._segmenter, self._capacity = dataset, segmenter, capacity
        self._entries: dict[str, _Entry] = {}
        self._lock = threading.Lock()

    @contextmanager
    def of(self, sample: Sample) -> Iterator[tuple[LoadedImage, ImageSession]]:
        """A sample's image and its session, which is safe to share.

        Raises:
            ImageError: the image cannot be used.
            SegmenterError: it could not be encoded.
        """
        entry = self._enter(sample.image_id)
        try:
            with entry.lock:
                if entry.opened is None:
                    loaded = self._dataset.image(sample)
                    entry.opened = loaded, _Shared(self._segmenter.open(loaded.image))
            yield entry.opened
        finally:
            self._leave(entry)

    def close(self) -> None:
        """Close what is still open."""
        with self._lock:
            entries, self._entries = list(self._entries.values()), {}
        for entry in entries:
            entry.close()

    def _enter(self, image_id: str) -> _Entry:
        with self._lock:
            # Taken out and put back: the order is that of the last use.
            entry = self._entries.pop(image_id, None) or _Entry()
            self._entries[image_id] = entry
            entry.users += 1
            idle = [name for name, other in self._entries.items() if not other.users]
            excess = max(len(self._entries) - self._capacity, 0)
            evicted = [self._entries.pop(name) for name in idle[:excess]]
        for other in evicted:
            other.close()
        return entry

    def _leave(self, entry: _Entry) -> None:
        with self._lock:
            entry.users -= 1


class _Entry:
    """One image; `lock` is held while it is being opened."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.opened: tuple[LoadedImage, _Shared] | None = None

    def close(self) -> None:
        if self.opened is not None:
            self.opened[1].end()


class _Shared:
    """An `ImageSession` for several threads: one prompt at a time, and closing is left to the owner."""

    def __init__(self, session: ImageSession) -> None:
        self._session = session
        self._lock = threading.Lock()

    @property
    def size(self) -> tuple[int, int]:
        return self._session.size

    def segment(self, prompts: PromptState) -> Detections:
        with self._lock:
            return self._session.segment(prompts)

    def close(self) -> None: ...

    def end(self) -> None:
        with self._lock:
            self._session.close()

"""Least-recently-used caches that are bounded in bytes, and safe to share between threads."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["ByteLRU", "CacheBounds"]

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class ByteLRU(Generic[K, V]):
    """Keeps what was used last, up to `max_bytes` together. What alone is larger is not kept at all."""

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._bytes = 0
        self._items: OrderedDict[K, tuple[V, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def nbytes(self) -> int:
        """Bytes held now."""
        return self._bytes

    def get(self, key: K) -> V | None:
        """The value, which thereby becomes the most recently used; None where it is not held."""
        with self._lock:
            if key not in self._items:
                return None
            self._items.move_to_end(key)
            return self._items[key][0]

    def put(self, key: K, value: V, nbytes: int) -> None:
        """Hold a value of `nbytes`, in place of what the key held; the least recently used make room."""
        with self._lock:
            self._drop(key)
            if nbytes > self.max_bytes:
                return
            self._items[key] = (value, nbytes)
            self._bytes += nbytes
            while self._bytes > self.max_bytes:
                self._drop(next(iter(self._items)))

    def forget(self, unwanted: Callable[[K], bool]) -> None:
        """Drop every key that `unwanted` says True to."""
        with self._lock:
            for key in [key for key in self._items if unwanted(key)]:
                self._drop(key)

    def _drop(self, key: K) -> None:
        _, nbytes = self._items.pop(key, (None, 0))
        self._bytes -= nbytes


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheBounds:
    """What a segmenter may hold on to, in bytes; the least recently used goes first.

    Attributes:
        images: features of open images, on the device (full size: 111 MB each, half of it on CUDA). An image
            that was dropped is encoded again when it is next prompted: allow for as many images as threads.
        prompts: candidates of prompts and their masks in full size, eight pixels a byte; in main memory
            (full size: 0.33 MB a candidate).
        texts: text features, on the device.
    """

    images: int = 4 << 30
    prompts: int = 1 << 30
    texts: int = 64 << 20

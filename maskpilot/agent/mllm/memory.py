"""What turned out about a model at an endpoint: how it calls tools, and how it really counts.

Sessions of one process share what they learn. A file lets it outlive the process; it holds no secrets.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path

from maskpilot.agent.mllm.coordinates import Convention
from maskpilot.agent.mllm.exchange import CallStyle

__all__ = ["SHARED", "Memory", "memory_file"]

log = logging.getLogger(__name__)

STYLE, COORDS = "call_style", "coords"


def memory_file(env: Mapping[str, str]) -> Path:
    """Where it is kept between processes."""
    home = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "maskpilot" / "models.json"


class Memory:
    """Choices by the `key` of the settings. Thread-safe.

    Args:
        path: a file to begin with and to write to; None keeps all in memory. A file that cannot be read is
            as good as none: what it knew is found out again.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._known: dict[str, dict[str, str]] = _read(path) if path else {}
        self._lasting: dict[str, dict[str, str]] = {}
        self._settled = {key for key, entry in self._known.items() if STYLE in entry}

    def style(self, key: str) -> CallStyle | None:
        with contextlib.suppress(ValueError):
            return CallStyle(self._get(key, STYLE))
        return None

    def convention(self, key: str) -> Convention | None:
        with contextlib.suppress(ValueError):
            return Convention.parse(self._get(key, COORDS))
        return None

    def remember_style(self, key: str, style: CallStyle, why: str, *, sure: bool = True) -> None:
        """Begin with this style from now on; in other processes too where that is `sure`.

        What a model did once, such as to talk instead of calling a tool, is no reason to ask it in another
        way for ever, nor in every other session where a way that works is known.
        """
        if self._get(key, STYLE) != style and (sure or key not in self._settled):
            if sure:
                self._settled.add(key)
            log.info("%s: tools are called by way of %s from now on: %s", key, style.value, why)
            self._set(key, STYLE, style.value, lasting=sure)

    def remember_convention(self, key: str, convention: Convention) -> None:
        self._set(key, COORDS, convention.name, lasting=True)

    def _get(self, key: str, name: str) -> str:
        with self._lock:
            return self._known.get(key, {}).get(name, "")

    def _set(self, key: str, name: str, value: str, *, lasting: bool) -> None:
        with self._lock:
            self._known.setdefault(key, {})[name] = value
            if self._path and lasting:
                self._lasting.setdefault(key, {})[name] = value
                _write(self._path, self._lasting)


def _read(path: Path) -> dict[str, dict[str, str]]:
    try:
        data = json.loads(path.read_text("utf-8"))
        return {
            str(key): {str(name): str(value) for name, value in entry.items()} for key, entry in data.items()
        }
    except (OSError, ValueError, AttributeError):
        return {}


def _write(path: Path, learned: Mapping[str, Mapping[str, str]]) -> None:
    """Add to what is there by now: another process may have learned something in the meantime.

    Best effort: a home that cannot be written to must not end a session.
    """
    known = _read(path)
    for key, entry in learned.items():
        known[key] = {**known.get(key, {}), **entry}
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(f".{os.getpid()}.new")
        new.write_text(json.dumps(known, indent=1), "utf-8")
        new.replace(path)
    except OSError as error:
        log.warning("%s: cannot be written (%s)", path, error.strerror)


SHARED = Memory()
"""What sessions of this process have in common."""

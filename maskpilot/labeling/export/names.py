"""What images are called in an export: as in their folder, where that is plain on every system."""

from __future__ import annotations

import re
import unicodedata
from pathlib import PurePosixPath

from maskpilot.types import ImageRef

__all__ = ["Names", "is_plain", "is_text"]

SUFFIX = re.compile(
    r"\.(jpe?g|jpe|jfif|mpo|a?png|webp|avif|tiff?|gif|bmp|dib|p[pgbn]m|tga|ico)", re.IGNORECASE
)
"""By which readers know an image."""

RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\..*)?", re.IGNORECASE)
"""Files that Windows cannot have."""

LONGEST = 200
"""Bytes of a name; file systems take 255, and formats add to it."""


class Names:
    """Gives every image of an export a name of its own, in the order asked; the same order, the same names.

    Args:
        by_stem: names must differ in more than the suffix.
        reserved: names that the export itself needs.
    """

    def __init__(self, *, by_stem: bool = False, reserved: tuple[str, ...] = ()) -> None:
        self._by_stem = by_stem
        self._taken = {self._key(name) for name in reserved}
        self._folders: set[str] = set()

    def name(self, source: str, image: ImageRef) -> str:
        """The image's own path where it is plain and free, otherwise one made of its content's hash."""
        if is_plain(source) and self._take(source):
            return source
        stem = image.sha256[:16]
        number = 1
        while not self._take(name := f"{stem}{f'-{number}' if number > 1 else ''}{image.suffix}"):
            number += 1
        return name

    def _take(self, name: str) -> bool:
        key = self._key(name)
        folders = {self._folded(folder) for folder in PurePosixPath(name).parents}
        if key in self._taken or key in self._folders or folders & self._taken:
            return False
        self._taken.add(key)
        self._folders |= folders
        return True

    def _key(self, name: str) -> str:
        return self._folded(PurePosixPath(name).with_suffix("") if self._by_stem else PurePosixPath(name))

    def _folded(self, name: PurePosixPath) -> str:
        """What two names share that some file system takes for the same."""
        return unicodedata.normalize("NFKC", str(name)).casefold()


def is_text(path: str) -> bool:
    """Whether a path is printable text, which every format can hold."""
    return path.isprintable()  # surrogates, control characters and line ends are not


def is_plain(path: str) -> bool:
    """Whether a relative path can be a file on every system, and shows by its suffix that it is an image."""
    parts = path.split("/")
    return SUFFIX.fullmatch(PurePosixPath(path).suffix) is not None and all(
        part not in {"", ".", ".."}
        and is_text(part)
        and not set(part) & set('<>:"|?*\\')
        and not part.endswith((" ", "."))
        and not RESERVED.fullmatch(part)
        and len(part.encode()) <= LONGEST
        for part in parts
    )

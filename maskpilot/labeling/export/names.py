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

NO_TEXT = re.compile(r"[\0-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
"""Control characters, line ends, marks that turn the direction of writing, and bytes that are no text. Spaces
and joiners of any script are none of it: names have them that people and cameras give."""

LONGEST = 200
"""Bytes of a name; file systems take 255, and formats add to it."""


class Names:
    """Gives every image of an export a name of its own, in the order asked; the same order, the same names.

    Args:
        label_suffix: as `Format.label_suffix`; images must leave room for such files, too.
        reserved: names that the export itself needs.
    """

    def __init__(self, *, label_suffix: str = "", reserved: tuple[str, ...] = ()) -> None:
        self._label_suffix = label_suffix
        self._files = {_folded(PurePosixPath(name)) for name in reserved}
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
        path = PurePosixPath(name)
        files = {_folded(path)}
        if self._label_suffix:
            files.add(_folded(path.with_suffix(self._label_suffix)))
        folders = {_folded(folder) for folder in path.parents}
        if files & (self._files | self._folders) or folders & self._files:
            return False
        self._files |= files
        self._folders |= folders
        return True


def _folded(name: PurePosixPath) -> str:
    """What two names share that some file system takes for the same."""
    return unicodedata.normalize("NFKC", str(name)).casefold()


def is_text(path: str) -> bool:
    """Whether a path is text on one line, which every format can hold."""
    return NO_TEXT.search(path) is None


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

"""A folder of images: what lies in it, which of it is labeled, and its files read one by one."""

from __future__ import annotations

import errno
import hashlib
import heapq
import os
import stat
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from maskpilot.errors import ImageError, InvalidInput
from maskpilot.images import MAX_MEGAPIXELS, LoadedImage, load_image
from maskpilot.images import SUFFIXES as WRITTEN
from maskpilot.labeling.store import LABELS, SeenFile

__all__ = ["SUFFIXES", "Scan", "choose", "digest", "read", "scan"]

SUFFIXES = frozenset(WRITTEN.values()) | {
    *(".jpeg", ".jpe", ".jfif", ".mpo", ".apng", ".tiff", ".dib"),
    *(".pbm", ".pgm", ".pnm"),
}
"""A file whose name ends in one of these, in any case, is taken for an image."""

ENDINGS = tuple(sorted(SUFFIXES))

HIDDEN, OTHER, NOT_A_FILE, DANGLING, RUN, REPEATED, UNREADABLE = (
    "hidden",
    "not an image by its name",
    "not a regular file",
    "a link that leads nowhere",
    "the folder of a run",
    "a folder that was scanned already",
    "cannot be read",
)
"""Why something is left out."""


@dataclass(frozen=True)
class Scan:
    """What lies in a folder.

    Attributes:
        folder: that the paths are relative to.
        paths: of what could be images, in order, with "/" between folders; bytes that are not text are
            surrogates, as Python has them.
        skipped: how much was left out, by reason; a folder counts once, whatever is in it.
        problems: folders that could not be read, one line each, for people.
    """

    folder: Path
    paths: tuple[str, ...]
    skipped: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


def scan(images: Path, *, run: Path | None = None) -> Scan:
    """List a folder of images with all folders in it; a single file is a folder of one.

    Nothing is opened but folders: an image is known by its name. Links are followed, but no folder is
    scanned twice, so that loops end; a folder that is reached directly is listed under that path.

    Args:
        images: the folder, or one file.
        run: the run folder, which is left out where it lies inside; so is the folder of any other run.

    Raises:
        InvalidInput: it is missing, cannot be read, holds no images, or is the run folder itself.
    """
    try:
        about = images.stat()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{images}: cannot be read ({reason}); expected a folder of images") from error
    if stat.S_ISREG(about.st_mode):
        return Scan(images.parent, (images.name,))
    if not stat.S_ISDIR(about.st_mode):
        raise InvalidInput(f"{images}: neither a folder nor a regular file; expected a folder of images")
    walk = _Walk(images, run)
    paths = tuple(sorted(walk.paths()))
    found = Scan(images, paths, dict(sorted(walk.skipped.items())), tuple(walk.problems))
    if not paths:
        left = ", ".join(f"{count} {reason}" for reason, count in found.skipped.items())
        raise InvalidInput(
            f"{images}: holds no images, which end in {', '.join(ENDINGS)}"
            + (f"; left out: {left}" if left else "")
        )
    return found


def choose(paths: Sequence[str], *, sample: int | None, seed: int, limit: int | None) -> tuple[str, ...]:
    """Some of the paths, in their order.

    Args:
        paths: as scanned.
        sample: how many are drawn; by hashes, so that of one seed the 10 are among the 100, and a file that
            is added changes little.
        seed: of the draw.
        limit: of these, the first so many.

    Raises:
        InvalidInput: a number below one.
    """
    for option, value in (("--sample", sample), ("--limit", limit)):
        if value is not None and value < 1:
            raise InvalidInput(f"{option}: expected a number from 1, got {value}")
    if sample is not None and sample < len(paths):

        def rank(path: str) -> bytes:
            return hashlib.sha256(b"%d\0" % seed + os.fsencode(path)).digest()

        drawn = set(heapq.nsmallest(sample, paths, key=rank))
        paths = [path for path in paths if path in drawn]
    return tuple(paths[:limit])


def digest(path: Path) -> SeenFile:
    """Size, time and SHA-256 of a file, without holding it in memory.

    Raises:
        ImageError: it is gone, cannot be read, is no regular file, or was written to meanwhile.
    """
    try:
        with open(path, "rb", opener=_without_waiting) as file:
            before = os.fstat(file.fileno())
            if not stat.S_ISREG(before.st_mode):
                raise ImageError(f"{path}: not a regular file")
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            after = os.fstat(file.fileno())
    except FileNotFoundError as error:
        raise ImageError(f"{path}: no such file") from error
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error
    if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
        raise ImageError(f"{path}: was written to while it was read; try again when it is complete")
    return SeenFile.of(after, sha256)


def read(
    folder: Path, path: str, *, seen: SeenFile | None = None, max_megapixels: float = MAX_MEGAPIXELS
) -> LoadedImage:
    """An image of a folder, decoded.

    Args:
        folder: that was scanned.
        path: relative to it.
        seen: what `digest` said of it; its content must still be that.
        max_megapixels: larger pictures are refused.

    Raises:
        ImageError: it is gone, has changed since, or cannot be used; see `maskpilot.images.load_image`.
    """
    image = load_image(folder / path, max_megapixels=max_megapixels)
    if seen is not None and image.sha256 != seen.sha256:
        raise ImageError(f"{folder / path}: has changed since it was first looked at; try again")
    return image


def _without_waiting(path: str, flags: int) -> int:
    """Open a file; a pipe that took its place, and that nobody writes to, would be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class _Walk:
    """One walk over a folder. Linked folders come last, so that a real path goes before one over a link."""

    def __init__(self, root: Path, run: Path | None) -> None:
        self.skipped: Counter[str] = Counter()
        self.problems: list[str] = []
        self._root = root
        self._known = {_identity(root)}
        self._runs = set() if run is None or not run.exists() else {_identity(run)}
        if self._known & self._runs or os.path.lexists(root / LABELS):
            raise InvalidInput(f"{root}: is the folder of a run; images and runs need folders of their own")

    def paths(self) -> Iterator[str]:
        """Of what could be images, in no order."""
        real, linked = [""], list[str]()
        while real or linked:
            folder = real.pop() if real else linked.pop(0)
            if folder and not self._is_new(folder):
                continue
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        path = f"{folder}/{entry.name}" if folder else entry.name
                        kind = self._kind(entry)
                        if kind == "image":
                            yield path
                        elif kind == "folder":
                            (linked if entry.is_symlink() else real).append(path)
                        else:
                            self.skipped[kind] += 1
            except OSError as error:
                self._cannot_read(folder, error)
            linked.sort()

    def _kind(self, entry: os.DirEntry[str]) -> str:
        """Whether it is an "image" or a "folder", else why it is left out."""
        if entry.name.startswith(".") or entry.name == "__MACOSX":
            return HIDDEN
        try:
            if entry.is_dir():
                return "folder"
            if not entry.name.lower().endswith(ENDINGS):
                return OTHER
            if entry.is_file():
                return "image"
            return DANGLING if entry.is_symlink() and not Path(entry.path).exists() else NOT_A_FILE
        except OSError as error:
            return DANGLING if error.errno == errno.ELOOP else UNREADABLE

    def _is_new(self, folder: str) -> bool:
        whole = self._root / folder
        try:
            identity = _identity(whole)
        except OSError as error:
            self._cannot_read(folder, error)
            return False
        if identity in self._runs or os.path.lexists(whole / LABELS):
            self.skipped[RUN] += 1
            return False
        if identity in self._known:
            self.skipped[REPEATED] += 1
            return False
        self._known.add(identity)
        return True

    def _cannot_read(self, folder: str, error: OSError) -> None:
        self.skipped[UNREADABLE] += 1
        self.problems.append(f"folder {folder or '.'!r}: cannot be read ({error.strerror})")


def _identity(folder: Path) -> tuple[int, int]:
    about = folder.stat()
    return about.st_dev, about.st_ino

"""Image files of a run: still there, still the same, and brought into an export."""

from __future__ import annotations

import hashlib
import os
import warnings
from enum import StrEnum
from pathlib import Path, PurePosixPath
from typing import BinaryIO

from PIL import Image

from maskpilot.errors import ImageError

__all__ = ["Images", "bring", "check", "inside", "is_turned"]

CHUNK = 1 << 20
CHANGED = "its content changed since it was labeled; label again to have it"
ORIENTATION = 0x0112
"""EXIF's note which way up a picture is; 1 is upright."""


class Images(StrEnum):
    """What an export does with the image files."""

    copy = "copy"
    """their bytes lie in the export"""
    link = "link"
    """hard links, which need no room; symbolic ones where the file system refuses (another disk)"""
    reference = "reference"
    """they stay where they are, and the export names them"""


def inside(folder: Path, relative: str) -> Path:
    """A file of a folder, by a path that anybody may have written.

    Raises:
        ImageError: it leads out of the folder.
    """
    parts = PurePosixPath(relative).parts
    if not parts or ".." in parts or relative.startswith("/") or "\0" in relative:
        raise ImageError("its path leads out of the folder of images")
    return folder.joinpath(*parts)


def check(source: Path, sha256: str) -> None:
    """See that an image file is still what was labeled.

    Raises:
        ImageError: it vanished, cannot be read, or has another content.
    """
    if _digest(source) != sha256:
        raise ImageError(CHANGED)


def bring(source: Path, target: Path, how: Images, sha256: str) -> bool:
    """Copy or link an image file into an export; the folder that it comes to is made.

    Returns:
        Whether it became a symbolic link.

    Raises:
        ImageError: as `check`; then there is no `target`.
        OSError: the export cannot be written.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if how is Images.copy:
        try:
            with target.open("xb") as file:
                digest = _digest(source, file)
            if digest != sha256:
                raise ImageError(CHANGED)
        except ImageError:
            target.unlink()
            raise
        return False
    check(source, sha256)
    whole = source.resolve()
    try:
        os.link(whole, target)
    except OSError:  # another file system, or one without hard links
        target.symlink_to(whole)
        return True
    return False


def is_turned(path: Path) -> bool:
    """Whether an image is stored lying or mirrored, and a note in it (EXIF) says how to turn it upright."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of Pillow about large images: no pixel is decoded here
            with Image.open(path) as image:
                return bool(image.getexif().get(ORIENTATION, 1) not in {0, 1})
    except Exception:  # noqa: BLE001 (decoders raise almost anything; the run could read it, so this is advice)
        return False


def _digest(source: Path, copy: BinaryIO | None = None) -> str:
    """SHA-256 of a file, which is copied on the way."""
    try:
        if not source.exists():
            raise ImageError("the file is gone")
        if not source.is_file():
            raise ImageError("not a regular file")
        opened = source.open("rb")
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error
    digest = hashlib.sha256()
    with opened:
        while chunk := _read(opened):
            digest.update(chunk)
            if copy is not None:
                copy.write(chunk)
    return digest.hexdigest()


def _read(opened: BinaryIO) -> bytes:
    try:
        return opened.read(CHUNK)
    except OSError as error:
        raise ImageError(f"cannot be read ({error.strerror})") from error

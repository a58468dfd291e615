"""Image files in, upright RGB pictures out.

A file is data from anywhere: whatever is wrong with it ends in an `ImageError` that names the file, the
fault and the remedy.
"""

from __future__ import annotations

import hashlib
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import BmpImagePlugin, IcoImagePlugin, Image, ImageOps, PngImagePlugin, UnidentifiedImageError

from maskpilot import masks
from maskpilot.errors import ImageError
from maskpilot.types import ImageRef, Mask

__all__ = ["MAX_MEGAPIXELS", "LoadedImage", "decode_image", "from_picture", "load_image", "load_truth"]

MAX_MEGAPIXELS = 64.0
"""Larger pictures are refused unless the caller allows more: a small file can hide one that fills memory."""

MAX_BYTES, BYTES_OF_A_PIXEL = 1 << 30, 16
"""Larger files are refused before they are read, unless so many megapixels are allowed that it may take them:
four channels of four bytes are the most that a pixel has."""

MAX_TRUE_MASKS = 2000
"""An image of masks with more values than this is a photo."""

SUFFIXES = {
    "JPEG": ".jpg",
    "MPO": ".jpg",
    "PNG": ".png",
    "WEBP": ".webp",
    "TIFF": ".tif",
    "GIF": ".gif",
    "BMP": ".bmp",
    "AVIF": ".avif",
    "PPM": ".ppm",
    "TGA": ".tga",
    "ICO": ".ico",
}

ICON, PNG = b"\0\0\1\0", b"\x89PNG\r\n\x1a\n"
"""What an icon begins with, and a picture in it that is no bitmap."""

FORMATS = tuple(name for name in SUFFIXES if name != "MPO")  # which Pillow opens as a JPEG first
"""What is decoded. Pillow knows more, but some of it (EPS) hands the file to other programs."""


@dataclass(frozen=True, eq=False)
class LoadedImage:
    """An image file, decoded.

    Attributes:
        image: RGB, upright.
        source: the file's own bytes, so that a run can keep exactly what it was given.
        suffix: a file suffix that fits `source`, chosen by us and not by the file's name.
        name: the file's name, for people; it is never used as a path.
        notes: what was done to it that a person may want to know ("first of 12 frames").
    """

    image: Image.Image
    source: bytes
    suffix: str
    name: str
    notes: tuple[str, ...] = ()

    @cached_property
    def sha256(self) -> str:
        """Of `source`, in hexadecimal."""
        return hashlib.sha256(self.source).hexdigest()

    @property
    def ref(self) -> ImageRef:
        """How a run refers to it."""
        return ImageRef(self.sha256, self.suffix, self.name, *self.image.size)


def load_image(path: Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> LoadedImage:
    """Read an image file as upright 8-bit RGB.

    EXIF rotation is applied; transparency is laid on white; of an animation the first frame is taken; 16-bit
    grey is scaled from 0..65535, 32-bit data from its own range. All but the rotation is said in `notes`.

    Raises:
        ImageError: missing, a folder, not an image, damaged, or larger than `max_megapixels` would be.
    """
    return decode_image(_read(path, max_megapixels), path, max_megapixels=max_megapixels)


def decode_image(source: bytes, path: Path, *, max_megapixels: float = MAX_MEGAPIXELS) -> LoadedImage:
    """Decode an image file that was read already, as `load_image` does.

    Args:
        source: the file's bytes.
        path: names it, in errors and for people; nothing is read from there.
        max_megapixels: larger pictures are refused.

    Raises:
        ImageError: not an image, damaged, or larger than `max_megapixels`.
    """
    if not source:
        raise ImageError(f"{path}: the file is empty (0 bytes)")
    try:
        opened = _opened(source, partial(_check_size, path=path, max_megapixels=max_megapixels))
    except ImageError:
        raise
    except UnidentifiedImageError as error:
        raise ImageError(f"{path}: not an image in a known format ({', '.join(FORMATS)})") from error
    except Exception as error:  # decoders raise almost anything on hostile bytes
        raise ImageError(f"{path}: damaged image header ({type(error).__name__})") from error
    with opened:
        suffix = SUFFIXES[opened.format or ""]
        try:
            with _allowed(opened.size):
                opened.load()
                picture, notes = _to_rgb(opened)
        except Exception as error:  # see above
            raise ImageError(
                f"{path}: truncated or damaged image data ({type(error).__name__}); download it again"
            ) from error
    return LoadedImage(image=picture, source=source, suffix=suffix, name=path.name, notes=notes)


def load_truth(path: Path, size: tuple[int, int]) -> tuple[Mask, ...]:
    """Read true masks from an image in which every value but 0 (black, transparent) is one instance.

    Args:
        path: a grey (of any depth), palette or colour image; lossless.
        size: (width, height) of the image that the masks belong to.

    Raises:
        ImageError: it cannot be read, has another size, or is no image of masks.
    """
    source = _read(path)
    try:
        with _opened(source, partial(_check_truth, path=path, expected=size)) as opened, _allowed(size):
            lossy = opened.format in {"JPEG", "MPO"}
            # As they are stored: Pillow would cut what is above 255 down to it.
            are_values = opened.mode in ("1", "L", "P", "I", "F") or opened.mode.startswith("I;16")
            values = np.asarray(opened if are_values else opened.convert("RGB"))
            hidden = _alpha(opened) == 0 if opened.has_transparency_data else None
    except ImageError:
        raise
    except Exception as error:  # see load_image
        raise ImageError(f"{path}: cannot be read as an image of masks ({type(error).__name__})") from error
    if values.ndim == 3:
        values = values.astype(np.uint32) @ np.array([1, 256, 65536], np.uint32)
    elif values.dtype.kind == "f":
        values = np.nan_to_num(values)  # no number is no instance
    if hidden is not None:
        values = np.where(hidden, 0, values)
    different = np.unique(values)
    if lossy or len(different) > MAX_TRUE_MASKS:
        what = "a JPEG, which blurs values" if lossy else f"a picture of {len(different)} values"
        raise ImageError(f"{path}: is {what}; masks need a lossless file, such as PNG, with one value each")
    return tuple(masks.encode(values == value) for value in different if value)


def from_picture(picture: Image.Image, name: str) -> LoadedImage:
    """Wrap a picture made in memory; its source is a PNG of it."""
    buffer = io.BytesIO()
    rgb = picture.convert("RGB")
    rgb.save(buffer, "PNG", compress_level=1)
    return LoadedImage(image=rgb, source=buffer.getvalue(), suffix=".png", name=name)


def _read(path: Path, max_megapixels: float = MAX_MEGAPIXELS) -> bytes:
    try:
        if path.is_dir():
            raise ImageError(f"{path}: is a folder, expected one image file")
        if not path.exists():
            raise ImageError(f"{path}: no such file")
        if not path.is_file():
            raise ImageError(f"{path}: not a regular file")
        size = path.stat().st_size
        if size > max(MAX_BYTES, max_megapixels * 1e6 * BYTES_OF_A_PIXEL):
            raise ImageError(
                f"{path}: {size / 1e9:.1f} GB, more than a picture of {max_megapixels:g} megapixels takes; "
                "if you trust this file, allow it with --max-megapixels"
            )
        return path.read_bytes()
    except OSError as error:
        raise ImageError(f"{path}: cannot be read ({error.strerror})") from error


def _opened(source: bytes, check: Callable[[tuple[int, int]], None]) -> Image.Image:
    """A picture of which nothing is decoded before its (width, height) passed the check."""
    if source.startswith(ICON):  # Pillow decodes one as soon as it opens it
        check(_icon_size(source))
    with _without_pillows_limit():
        opened = Image.open(io.BytesIO(source), formats=FORMATS)
    check(opened.size)
    return opened


def _check_size(size: tuple[int, int], path: Path, max_megapixels: float) -> None:
    megapixels = size[0] * size[1] / 1e6
    if not megapixels <= max_megapixels:  # nan is no limit to be under
        raise ImageError(
            f"{path}: {megapixels:.0f} megapixels, the limit is {max_megapixels:g}; "
            "if you trust this file, allow it with --max-megapixels"
        )


def _check_truth(size: tuple[int, int], path: Path, expected: tuple[int, int]) -> None:
    if size != expected:
        raise ImageError(
            f"{path}: is {size[0]}x{size[1]} px, the image is {expected[0]}x{expected[1]}; "
            "masks must have the image's size"
        )


def _icon_size(source: bytes) -> tuple[int, int]:
    """(width, height) of the picture in an icon that Pillow takes, by that picture's own header.

    The icon's header has one byte for a side, so what it says is no bound.
    """
    file = io.BytesIO(source)
    offset = IcoImagePlugin.IcoFile(file).entry[0].offset
    file.seek(offset)
    if source[offset : offset + len(PNG)] == PNG:
        return PngImagePlugin.PngImageFile(file).size
    width, height = BmpImagePlugin.DibImageFile(file).size
    return width, height // 2  # the lower half is its transparency


_limit_lock = threading.Lock()


@contextmanager
def _without_pillows_limit() -> Iterator[None]:
    """Open a header without Pillow's own bomb check: ours goes with it, with the caller's limit.

    The limit is a global of Pillow's, so one thread at a time.
    """
    with _limit_lock:
        before = Image.MAX_IMAGE_PIXELS
        Image.MAX_IMAGE_PIXELS = None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _allowed(size: tuple[int, int]) -> AbstractContextManager[None]:
    """While a picture is decoded that was let in: of some formats (TIFF), Pillow checks the size only then.

    Pictures below its limit need not wait for each other.
    """
    with _limit_lock:  # otherwise it may be away for the moment
        limit = Image.MAX_IMAGE_PIXELS
    return nullcontext() if limit is None or size[0] * size[1] <= limit else _without_pillows_limit()


def _upright(opened: Image.Image) -> Image.Image:
    """Turned as EXIF says; as it is where EXIF is damaged, which says nothing of the pixels."""
    opened.load()
    try:
        return ImageOps.exif_transpose(opened) or opened
    except Exception:  # noqa: BLE001 - see decode_image
        return opened


def _alpha(opened: Image.Image) -> NDArray[np.uint8]:
    """(H, W) uint8, 0 where a picture is transparent, however it says so."""
    return np.asarray(opened.convert("RGBA").getchannel("A"))


def _to_rgb(opened: Image.Image) -> tuple[Image.Image, tuple[str, ...]]:
    notes: list[str] = []
    frames = getattr(opened, "n_frames", 1)
    if frames > 1:
        notes.append(f"first of {frames} frames")
    picture = _upright(opened)
    if picture.mode.startswith("I;16"):
        notes.append("16-bit grey scaled from 0..65535")
        grey = np.asarray(picture, np.uint16).astype(np.float32) / 257.0
        return Image.fromarray(np.round(grey).astype(np.uint8)).convert("RGB"), tuple(notes)
    if picture.mode in ("I", "F"):
        values = np.asarray(picture, np.float64)
        finite = values[np.isfinite(values)]  # depth is infinite where nothing was hit: that is no range
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 0.0)
        values = np.clip(np.nan_to_num(values), low, high)
        notes.append(f"{picture.mode}-mode data scaled from {low:g}..{high:g}")
        scaled = (values - low) * (255.0 / (high - low) if high > low else 0.0)
        return Image.fromarray(np.round(scaled).astype(np.uint8)).convert("RGB"), tuple(notes)
    if picture.has_transparency_data:
        notes.append("transparency laid on white")
        rgba = picture.convert("RGBA")
        white = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(white, rgba).convert("RGB"), tuple(notes)
    return picture.convert("RGB"), tuple(notes)

"""Pictures as data URLs.

The same picture always gives the same bytes: providers cache a prompt by its exact prefix, and pictures are
most of it.
"""

from __future__ import annotations

import base64
import io
import weakref

from PIL import Image

__all__ = ["Pictures", "data_url"]

DRAWN_COLOURS = 1024
"""A picture with no more colours than this is a drawing: PNG keeps it exact and small."""

JPEG_QUALITY = 90


def data_url(picture: Image.Image) -> str:
    """A drawing as PNG, a photograph as JPEG without colour subsampling (thin outlines stay crisp)."""
    picture = picture if picture.mode == "RGB" else picture.convert("RGB")
    file = io.BytesIO()
    # getcolors stops counting at the limit, so a photograph costs next to nothing here.
    if picture.getcolors(DRAWN_COLOURS) is not None:
        kind = "png"
        picture.save(file, "PNG")
    else:
        kind = "jpeg"
        picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    return f"data:image/{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"


class Pictures:
    """Data URLs of pictures, each encoded once for as long as the picture lives.

    A conversation sends its older pictures again with every request. Pictures are told apart by identity: one
    that was sent must not be drawn on. Safe to share between threads: the worst that two can do is encode
    the same picture twice, to the same bytes.
    """

    def __init__(self) -> None:
        self._urls: dict[int, tuple[weakref.ref[Image.Image], str]] = {}

    def __len__(self) -> int:
        return len(self._urls)

    def url(self, picture: Image.Image) -> str:
        key = id(picture)
        known = self._urls.get(key)
        if known is not None and known[0]() is picture:
            return known[1]
        url = data_url(picture)
        self._urls[key] = (weakref.ref(picture, lambda _: self._urls.pop(key, None)), url)
        return url

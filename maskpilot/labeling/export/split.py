"""Training and validation images told apart by their content."""

from __future__ import annotations

__all__ = ["TRAIN", "VAL", "split_of"]

TRAIN, VAL = "train", "val"


def split_of(sha256: str, val: float) -> str:
    """Which part an image belongs to; "" where nothing is split.

    It depends on the image alone: it stays what it was when others come, equal images are on the same side,
    and a larger share only adds to the images for validation.

    Args:
        sha256: of the image's content, in hexadecimal.
        val: share of images for validation, in [0, 1).
    """
    if val <= 0:
        return ""
    return VAL if int(sha256[:13], 16) / 16**13 < val else TRAIN

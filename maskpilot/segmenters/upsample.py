"""From the model's small mask logits to masks in pixels of the original image."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

__all__ = ["pack", "unpack", "upsample"]

CHUNK_PIXELS = 4_000_000  # 16 MB as float32; a 50-megapixel image goes mask by mask


def upsample(
    logits: torch.Tensor,
    width: int,
    height: int,
    *,
    chunk_pixels: int = CHUNK_PIXELS,
    out: NDArray[np.bool_] | None = None,
) -> NDArray[np.bool_]:
    """Masks as `Sam3Processor` makes them: sam3/model/sam3_image_processor.py:204-212.

    Args:
        logits: (n, h, w), any float dtype, in main memory.
        width, height: of the original image in pixels.
        chunk_pixels: as many are worked on at a time, but at least one mask.
        out: (n, height, width) bool to write to; a new array where None.

    Returns:
        (n, height, width) bool.
    """
    masks = np.empty((len(logits), height, width), np.bool_) if out is None else out
    step = max(1, chunk_pixels // (width * height))
    with torch.inference_mode():
        for start in range(0, len(logits), step):
            chunk = logits[start : start + step, None].float()
            full = functional.interpolate(chunk, (height, width), mode="bilinear", align_corners=False)
            masks[start : start + step] = (full.sigmoid_() > 0.5).squeeze(1).numpy()
    return masks


def pack(masks: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """(n, H, W) bool to (n, bytes) uint8, eight pixels a byte."""
    return np.packbits(masks.reshape(len(masks), masks.shape[1] * masks.shape[2]), axis=1)


def unpack(packed: NDArray[np.uint8], width: int, height: int) -> NDArray[np.bool_]:
    """Undo `pack`: (n, height, width) bool."""
    bits = np.unpackbits(packed, axis=1, count=width * height)
    return bits.view(np.bool_).reshape(len(packed), height, width)

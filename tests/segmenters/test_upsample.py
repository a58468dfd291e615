"""Small logits to full-size masks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sam3.model.data_misc import interpolate

from maskpilot.segmenters.upsample import pack, unpack, upsample


def logits(n: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(n, 16, 16, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize(("width", "height"), [(90, 60), (1, 1), (7, 300)])
def test_chunks_change_nothing(width: int, height: int) -> None:
    theirs = interpolate(
        logits(5).unsqueeze(1), (height, width), mode="bilinear", align_corners=False
    ).sigmoid()
    for chunk_pixels in (1, 3 * width * height, 10**9):
        ours = upsample(logits(5), width, height, chunk_pixels=chunk_pixels)
        assert np.array_equal(ours, (theirs > 0.5).squeeze(1).numpy())


def test_half_precision_is_upsampled_in_full() -> None:
    half = logits(2, torch.bfloat16)
    assert np.array_equal(upsample(half, 50, 40), upsample(half.float(), 50, 40))


def test_no_masks() -> None:
    assert upsample(logits(0), 90, 60).shape == (0, 60, 90)


@pytest.mark.parametrize("count", [0, 1, 4])
def test_packing_is_undone(count: int) -> None:
    masks = upsample(logits(count), 9, 7)
    packed = pack(masks)
    assert packed.shape == (count, 8)
    assert np.array_equal(unpack(packed, 9, 7), masks)

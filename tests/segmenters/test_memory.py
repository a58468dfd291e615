"""Memory stays where it is, however many images pass through."""

from __future__ import annotations

import gc

import psutil
import pytest

from maskpilot.segmenters.load import load_untrained
from maskpilot.segmenters.nano.config import TINY
from maskpilot.segmenters.upsample import upsample
from maskpilot.types import PromptState
from tests.segmenters.pictures import picture, positive

MB = 1 << 20


def resident() -> int:
    gc.collect()
    return int(psutil.Process().memory_info().rss)


def test_two_hundred_sessions_leave_nothing_behind() -> None:
    segmenter = load_untrained("cpu", config=TINY)

    def pass_through(seed: int) -> None:
        session = segmenter.open(picture(300, 200, seed))
        for prompts in (PromptState("star", threshold=0.0), PromptState(None, (positive(0, 0, 50, 50),))):
            session.segment(prompts)
        session.close()

    for seed in range(30):
        pass_through(seed)
    before = resident()
    for seed in range(200):
        pass_through(seed)
    # What two hundred sessions hold together, features and packed masks, is about 80 MB.
    assert resident() - before < 30 * MB
    segmenter.close()


@pytest.mark.soak
def test_fifty_megapixels_are_upsampled_mask_by_mask() -> None:
    import torch

    logits = torch.randn(12, 288, 288)
    before = resident()
    masks = upsample(logits, 8660, 5774)
    assert masks.shape == (12, 5774, 8660)
    assert psutil.Process().memory_info().rss - before < masks.nbytes + 100 * MB

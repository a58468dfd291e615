"""What a phrase alone missed is asked for again, with a box on it: as people do who correct a segmenter.

Random boxes are mostly on what is found anyway. Interactive segmenters learn from their own errors for the
same reason (arXiv 2304.02643, appendix A).
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from maskpilot.segmenters.nano.training.batch import Batch, Drawn
from maskpilot.segmenters.nano.training.matcher import box_iou
from maskpilot.segmenters.nano.training.pool import Pool
from maskpilot.segmenters.nano.training.prompts import TrainingPrompt, with_positive
from maskpilot.segmenters.nano.training.step import Outcome

__all__ = ["missed"]

FOUND = 0.5
"""Score, and IoU of the box, from which a target counts as found."""
IMAGES, PROMPTS = 2, 3
"""As many images, and prompts of each, are asked for again at most."""


def missed(outcome: Outcome, batch: Batch, pool: Pool, rng: np.random.Generator) -> list[Drawn]:
    """Some of what a batch's prompts without boxes did not find, each with a box on one missed target."""
    if outcome.decoded is None or outcome.pairs is None:
        return []
    last, pairs = outcome.decoded.layers[-1], outcome.pairs
    score = last.logits[pairs.prompts, pairs.queries].sigmoid() * last.presence[pairs.prompts].sigmoid()
    fit = box_iou(last.boxes[pairs.prompts, pairs.queries], batch.boxes)[0]
    found = (pairs.matched & (score > FOUND) & (fit > FOUND)).cpu().numpy()
    targets = [
        (image, prompt, target)
        for image, drawn in enumerate(batch.drawn)
        for prompt in drawn.prompts
        for target in prompt.targets
    ]
    again: dict[int, list[TrainingPrompt]] = {}
    for index in rng.permutation(np.flatnonzero(~found)).tolist():
        image, prompt, target = targets[index]
        if prompt.boxes or (image not in again and len(again) == IMAGES):
            continue
        values = pool[batch.drawn[image].row].values
        again.setdefault(image, []).append(with_positive(prompt, target, values))
    return [replace(batch.drawn[image], prompts=tuple(prompts[:PROMPTS])) for image, prompts in again.items()]

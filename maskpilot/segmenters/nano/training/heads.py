"""Heads that only training uses: they ask the features for what they must not lose on the way.

A model that is trained on masks alone learns the words that most prompts can be answered with, and drops the
rest between the image encoder and the fused memory. So every attribute is asked for directly, at each stage.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, WORDS_OF

__all__ = ["CLASSES", "CODES", "DENSE", "EDGES", "WAVES", "DenseHead", "TrainingHeads"]

DENSE = 2
"""Cells per patch and side: attributes are predicted on a grid twice as fine as the patches."""

CLASSES = tuple(1 + len(WORDS_OF[name]) for name in ATTRIBUTES)
"""Classes of each attribute; class 0 is the background."""
WAVES = (1, 2, 4)
"""Periods per image of the waves that tell where an object's centre is."""
EDGES = 4
"""Distances to the left, upper, right and lower edge of the object's box."""

CODES = 4 * len(WAVES)
"""Waves of a centre: sine and cosine along both axes."""
NOWHERE = -4.0
"""Logit of a place before anything is known: few places are what an exemplar shows."""
DENSE_OUTPUTS = sum(CLASSES) + EDGES + CODES


class DenseHead(nn.Module):
    """Linear, per location: features (n, channels, g, g) -> logits (n, outputs, 2g, 2g).

    Args:
        first: what it says everywhere at first; so it can join a trained model and disturb nothing.
    """

    def __init__(
        self, channels: int, outputs: int, *, finer: int = DENSE, first: float | None = None
    ) -> None:
        super().__init__()
        self.finer = finer
        self.linear = nn.Conv2d(channels, outputs * finer**2, 1)
        if first is not None:
            with torch.no_grad():
                for parameter, value in zip(self.linear.parameters(), (0.0, first), strict=True):
                    parameter.fill_(value)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return functional.pixel_shuffle(self.linear(features), self.finer)


class TrainingHeads(nn.Module):
    """All of them.

    Attributes:
        trunk, neck: which value of each attribute is where, how far the edges of its object are, and waves of
            where its centre is, from the image alone.
        match: per location of the fused memory: is it in the target set, and does it match the prompt's word
            for each attribute.
        shown: per location of the fused memory: is it on what a positive exemplar shows.
        pixels: per mask cell of the segmentation head: waves of the centre of the object that it belongs to,
            by which a query's mask can be told from its neighbours'.
        words: which value of each attribute a text names, from its pooled tokens; class 0 is "none".
    """

    def __init__(self, config: NanoConfig) -> None:
        super().__init__()
        self.trunk = DenseHead(config.vit_width, DENSE_OUTPUTS, finer=DENSE * config.patch // config.stride)
        self.neck = DenseHead(config.width, DENSE_OUTPUTS)
        self.match = DenseHead(config.width, 1 + len(ATTRIBUTES))
        self.shown = DenseHead(config.width, 1, first=NOWHERE)
        self.pixels = nn.Conv2d(config.width, CODES, 1)
        self.words = nn.Linear(config.width, sum(CLASSES))

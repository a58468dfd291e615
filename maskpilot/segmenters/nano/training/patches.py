"""How the image encoder's patches start."""

from __future__ import annotations

import torch
from torch import nn

from maskpilot.segmenters.nano.training.dense import to_tensor
from maskpilot.segmenters.nano.training.pool import Pool

__all__ = ["see_principal_components"]

NOISE = 1e-3
"""Of a principal component, relative to pixels in [-1, 1]: what varies less than this is not blown up."""


def see_principal_components(embedding: nn.Conv2d, pool: Pool, *, samples: int = 64) -> None:
    """Let patches start as their principal components, each of about unit size, instead of random sums.

    What random sums leave unclear about edges, the blocks above would have to learn first.
    """
    side, outputs = embedding.kernel_size[0], embedding.out_channels
    images = to_tensor([pool[row] for row in range(min(samples, len(pool)))])
    patches = (
        nn.functional.unfold(images, side, stride=side).transpose(1, 2).flatten(0, 1)
    )  # (n, 3 * side ** 2)
    spread, axes = torch.linalg.eigh(patches.T @ patches / len(patches))  # ascending
    axes = axes.flip(1)[:, :outputs] / (spread.flip(0)[:outputs] + NOISE).sqrt()
    with torch.no_grad():
        embedding.weight.copy_(axes.T.reshape(outputs, 3, side, side))

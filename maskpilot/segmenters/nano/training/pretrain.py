"""The first stage: the image encoder alone learns to see shape, colour, texture and size everywhere.

It costs a fraction of the rest, and what comes after starts from features that already hold every attribute.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from sam3.model.sam3_image import Sam3Image
from torch import nn

from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.dense import DenseTargets, accuracies, dense_loss, flip, to_tensor
from maskpilot.segmenters.nano.training.heads import DENSE, TrainingHeads
from maskpilot.segmenters.nano.training.optimiser import Optimiser
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, Pool, Sample
from maskpilot.segmenters.nano.training.threads import Threads

__all__ = ["pretrain", "see_principal_components"]

NOISE = 1e-3
"""Of a principal component, relative to pixels in [-1, 1]: what varies less than this is not blown up."""
SPREAD = 1.0
"""Size that the neck's output is held at: the fusion encoder adds text features of about this size to it."""


def pretrain(
    model: Sam3Image,
    heads: TrainingHeads,
    config: NanoConfig,
    pool: Pool,
    *,
    minutes: float,
    batch: int = 8,
    rate: float = 1e-3,
    seed: int = 0,
    log: Callable[[dict[str, float]], None],
) -> None:
    """Train trunk and neck in place, for a time."""
    vision = model.backbone.vision_backbone
    modules = nn.ModuleList([vision.trunk, vision.convs[-1], heads.trunk, heads.neck])
    optimiser = Optimiser([(list(modules.named_parameters()), 1.0)], rate=rate)
    threads = Threads(torch.get_num_threads())
    started = time.monotonic()
    for step, (images, targets) in enumerate(_batches(pool, batch, config.grid * DENSE, seed)):
        share = (time.monotonic() - started) / (60 * minutes)
        if share >= 1:
            return
        warm = min(1.0, (step + 1) / 40)
        optimiser.scale(warm * (1 if share < 0.8 else 1 - 3 * (share - 0.8)))
        with torch.autocast(images.device.type, dtype=torch.bfloat16):
            features = vision.trunk(images)[-1]
            neck = vision.convs[-1](features)
            at_trunk, at_neck = heads.trunk(features), heads.neck(neck)
        spread = (neck.float().pow(2).mean().sqrt() - SPREAD) ** 2
        loss = dense_loss(at_trunk, targets) + dense_loss(at_neck, targets) + 0.1 * spread
        norm = optimiser.step(loss)
        threads.tick()
        if step % 50 == 0:
            seen = {f"neck_{name}": value for name, value in accuracies(at_neck, targets.values).items()}
            log({"step": step, "share": share, "loss": loss.item(), "norm": norm, **seen})


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


def busy_rows(pool: Pool) -> NDArray[np.float64]:
    """Chances to draw each scene, (n,): by how many objects it has that are not small; they teach most."""
    sizes = np.asarray(pool.values[:, :, ATTRIBUTES.index("size")])
    there = np.arange(sizes.shape[1])[None] < np.asarray(pool.objects)[:, None]
    weights = ((sizes > 0) & there).sum(axis=1).astype(np.float64)
    return weights / weights.sum() if weights.any() else np.full(len(pool), 1 / len(pool))


def _batches(pool: Pool, size: int, cells: int, seed: int) -> Iterator[tuple[torch.Tensor, DenseTargets]]:
    rng = np.random.default_rng(seed)
    chances = busy_rows(pool)
    while True:
        samples: list[Sample] = [pool[int(row)] for row in rng.choice(len(pool), size, p=chances)]
        samples = [flip(sample) if rng.random() < 0.5 else sample for sample in samples]
        yield to_tensor(samples), DenseTargets.of(samples, cells)

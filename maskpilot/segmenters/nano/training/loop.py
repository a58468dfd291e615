"""The second stage: the whole model learns to find what prompts ask for."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sam3.model.sam3_image import Sam3Image

from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.batch import Batch, draw_batch
from maskpilot.segmenters.nano.training.checkpoint import Average, read_checkpoint, write_checkpoint
from maskpilot.segmenters.nano.training.forward import decode, fuse, prepare_for_training
from maskpilot.segmenters.nano.training.heads import TrainingHeads
from maskpilot.segmenters.nano.training.losses import (
    LossWeights,
    decoder_losses,
    fusion_losses,
    match_accuracies,
    total,
)
from maskpilot.segmenters.nano.training.optimiser import Optimiser
from maskpilot.segmenters.nano.training.pool import Pool
from maskpilot.segmenters.nano.training.prompts import Mix
from maskpilot.segmenters.nano.training.threads import Threads

__all__ = ["CURRICULUM", "Plan", "mix_at", "train"]

CURRICULUM: tuple[tuple[float, Mix], ...] = (
    # Single words first: there is no other word to answer from.
    (0.12, Mix(words=(0.8, 0.15, 0.05))),
    (0.25, Mix({"text": 0.8, "unknown": 0.03, "box": 0.09, "everything": 0.02, "positive": 0.06})),
    # "Things" asks for every object: nothing teaches more about where they are.
    (
        1.0,
        Mix(
            {
                "text": 0.5,
                "everything": 0.14,
                "unknown": 0.02,
                "box": 0.13,
                "positive": 0.09,
                "negative": 0.12,
            },
            absent=0.35,
        ),
    ),
)
"""(until which share of the time, what is drawn)."""

WARM_UP = 60
LAST_RATE = 0.02


@dataclass(frozen=True, slots=True)
class Plan:
    """How to train.

    Attributes:
        minutes: of training, over all runs that resume each other.
        images, prompts: of one step; prompts are per image.
        shown: share of the prompts whose masks are computed.
        fusion_only: share of the time before the decoder joins: it has nothing to read in the fused memory
            until the words are bound to what they name.
        rate: peak learning rate; trunk_factor: the image encoder's share of it.
        seed: of scenes and prompts.
    """

    minutes: float
    images: int = 6
    prompts: int = 6
    shown: float = 0.25
    fusion_only: float = 0.15
    rate: float = 1e-3
    trunk_factor: float = 0.5
    seed: int = 0
    save_every: float = 4.0


def mix_at(share: float) -> Mix:
    """What is drawn at a share of the training time."""
    return next(mix for until, mix in CURRICULUM if share < until or until == 1.0)


def train(
    model: Sam3Image,
    heads: TrainingHeads,
    config: NanoConfig,
    pool: Pool,
    plan: Plan,
    *,
    checkpoint: Path,
    log: Callable[[dict[str, float]], None],
    weights: LossWeights | None = None,
) -> dict[str, torch.Tensor]:
    """Train in place, from the checkpoint where there is one.

    Returns:
        The averaged parameters by name.
    """
    prepare_for_training(model)
    device = next(model.parameters()).device
    trunk = [(name, p) for name, p in model.named_parameters() if ".trunk." in name]
    rest = [(name, p) for name, p in model.named_parameters() if ".trunk." not in name]
    optimiser = Optimiser(
        [(trunk, plan.trunk_factor), (rest, 1.0), (list(heads.named_parameters()), 1.0)], rate=plan.rate
    )
    average = Average(dict(model.named_parameters()))
    elapsed, step = 0.0, 0
    if state := read_checkpoint(checkpoint):
        model.load_state_dict(state["model"])
        heads.load_state_dict(state["heads"])
        optimiser.load_state_dict(state["optimiser"])
        average.values, average.steps = state["average"], state["step"]
        elapsed, step = state["elapsed"], state["step"]
    # A resumed run goes on with other scenes than it began with.
    rng = np.random.default_rng([plan.seed, step])
    threads = Threads(torch.get_num_threads())
    weights = weights or LossWeights()
    saved = last = time.monotonic()
    while (share := elapsed / (60 * plan.minutes)) < 1:
        optimiser.scale(_rate_at(share, step))
        batch = draw_batch(pool, config, mix_at(share), rng, images=plan.images, prompts=plan.prompts)
        seen = _step(
            model, heads, optimiser, batch.to(device), plan, weights, rng, share=share, verbose=step % 20 == 0
        )
        average.update()
        threads.tick()
        step += 1
        now = time.monotonic()
        elapsed, last = elapsed + now - last, now
        if seen:
            log({"step": step, "share": share, "minutes": elapsed / 60, **seen})
        if now - saved > 60 * plan.save_every or elapsed >= 60 * plan.minutes:
            saved = now
            state = {"model": model.state_dict(), "heads": heads.state_dict(), "average": average.values}
            state |= {"optimiser": optimiser.state_dict(), "elapsed": elapsed, "step": step}
            write_checkpoint(checkpoint, state)
    return average.values


def _rate_at(share: float, step: int) -> float:
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * (LAST_RATE + (1 - LAST_RATE) * 0.5 * (1 + math.cos(math.pi * share)))


def _step(
    model: Sam3Image,
    heads: TrainingHeads,
    optimiser: Optimiser,
    batch: Batch,
    plan: Plan,
    weights: LossWeights,
    rng: np.random.Generator,
    *,
    share: float,
    verbose: bool,
) -> dict[str, float]:
    """One step; what is logged of it where `verbose`."""
    count = max(1, round(plan.shown * len(batch)))
    shown = torch.from_numpy(np.sort(rng.choice(len(batch), count, replace=False))).to(batch.images.device)
    with torch.autocast(batch.images.device.type, dtype=torch.bfloat16):
        fused = fuse(model, heads, batch)
        outputs = decode(model, fused, batch, shown=shown) if share >= plan.fusion_only else None
    terms = fusion_losses(fused, batch)
    seen = {}
    if outputs is not None:
        terms |= decoder_losses(outputs, batch)
        present = torch.tensor([found > 0 for found in batch.counts], device=batch.images.device)
        seen["presence_right"] = ((outputs.layers[-1].presence > 0) == present).float().mean().item()
    loss = total(terms, weights)
    norm = optimiser.step(loss)
    if not verbose:
        return {}
    seen |= {f"match_{name}": value for name, value in match_accuracies(fused.match, batch).items()}
    return {"loss": loss.item(), "norm": norm, **{name: term.item() for name, term in terms.items()}, **seen}

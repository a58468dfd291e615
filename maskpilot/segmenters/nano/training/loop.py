"""The second stage: the whole model learns to find what prompts ask for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from sam3.model.sam3_image import Sam3Image
from torch import distributed

from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.again import missed
from maskpilot.segmenters.nano.training.attention import look_faster
from maskpilot.segmenters.nano.training.checkpoint import (
    Average,
    read_checkpoint,
    taking_over,
    write_checkpoint,
)
from maskpilot.segmenters.nano.training.forward import prepare_for_training
from maskpilot.segmenters.nano.training.heads import TrainingHeads
from maskpilot.segmenters.nano.training.losses import LossWeights, total
from maskpilot.segmenters.nano.training.optimiser import Optimiser
from maskpilot.segmenters.nano.training.pool import Pool
from maskpilot.segmenters.nano.training.step import Depth, run_batch
from maskpilot.segmenters.nano.training.stream import Stream

__all__ = ["Plan", "train"]

WARM_UP = 60
FALL_FROM, LAST_RATE = 0.25, 0.01
"""Share of the time from which the learning rate falls, and what is left of it at the end."""
LOG_EVERY = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How to train.

    Attributes:
        minutes: of training, over all runs that resume each other.
        done: share of the curriculum that the weights have behind them.
        image_until: share of the time in which only the image encoder learns, which is cheap.
        fusion_until: share of the time until the decoder joins: it has nothing to read in the fused memory
            until the words are bound to what they name.
        images, prompts: of one step of one process; prompts are per image.
        shown: share of the prompts whose targets are outlined.
        rate: peak learning rate; trunk_factor: the image encoder's share of it, once it does not learn alone.
        seed: of scenes and prompts.
        workers: processes that draw batches; 0 lets the training process do it.
        save_every: minutes between checkpoints.
    """

    minutes: float
    done: float = 0.0
    image_until: float = 0.2
    fusion_until: float = 0.3
    images: int = 10
    prompts: int = 5
    shown: float = 0.35
    rate: float = 1e-3
    trunk_factor: float = 0.7
    seed: int = 0
    workers: int = 0
    save_every: float = 2.0

    def share(self, elapsed: float) -> float:
        """How far the curriculum is after so many seconds, in [0, 1)."""
        return self.done + (1 - self.done) * elapsed / (60 * self.minutes)

    def depth(self, share: float) -> Depth:
        """How far batches go at a share of the time."""
        if share < self.image_until:
            return "image"
        return "fusion" if share < self.fusion_until else "all"


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

    Processes of one `torch.distributed` group train one model together, each on batches of its own.

    Returns:
        The averaged parameters by name.

    Raises:
        RunFolderError: the checkpoint is of a model of other dimensions.
    """
    prepare_for_training(model)
    look_faster(model.transformer.decoder)
    device = next(model.parameters()).device
    optimiser = _optimiser(model, heads, plan)
    average = Average(dict(model.named_parameters()))
    elapsed, step = 0.0, 0
    if state := read_checkpoint(checkpoint):
        with taking_over(checkpoint):
            model.load_state_dict(state["model"])
            heads.load_state_dict(state["heads"])
        optimiser.load_state_dict(state["optimiser"])
        average.load(state["average"], state["step"])
        elapsed, step = state["elapsed"], state["step"]
    rank = distributed.get_rank() if distributed.is_initialized() else 0
    # A resumed run goes on with other scenes than it began with.
    seed = (plan.seed, step, rank)
    rng = np.random.default_rng(seed)
    stream = Stream(pool, config, images=plan.images, prompts=plan.prompts, seed=seed)
    batches = stream.load(workers=plan.workers, pin=device.type == "cuda")
    weights = weights or LossWeights()
    outlined = max(1, round(plan.shown * plan.images * plan.prompts))
    saved = last = time.monotonic()
    while (share := plan.share(elapsed)) < 1:
        stream.share.value = share
        optimiser.scale(_rate_at(share, step))
        batch = next(batches).to(device)
        outcome = run_batch(model, heads, batch, rng, depth=plan.depth(share), outlined=outlined)
        loss = total(outcome.terms, weights)
        now = time.monotonic()
        norm, elapsed = optimiser.step(loss, elapsed + now - last)
        last = now
        average.update()
        stream.ask_again(missed(outcome, batch, pool, rng))
        step += 1
        if rank:
            continue
        if step % LOG_EVERY == 1:
            seen = {"loss": loss.item(), "norm": norm.item(), **outcome.describe(batch)}
            log({"step": step, "share": share, "minutes": elapsed / 60, **seen})
        if now - saved > 60 * plan.save_every or elapsed >= 60 * plan.minutes:
            saved = now
            state = {"model": model.state_dict(), "heads": heads.state_dict(), "average": average.values}
            state |= {"optimiser": optimiser.state_dict(), "elapsed": elapsed, "step": step}
            write_checkpoint(checkpoint, state)
    return average.values


def _optimiser(model: Sam3Image, heads: TrainingHeads, plan: Plan) -> Optimiser:
    learning = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    trunk = [(name, p) for name, p in learning if ".trunk." in name]
    rest = [(name, p) for name, p in learning if ".trunk." not in name]
    groups = [(trunk, plan.trunk_factor), (rest, 1.0), (list(heads.named_parameters()), 1.0)]
    return Optimiser(groups, rate=plan.rate)


def _rate_at(share: float, step: int) -> float:
    """Constant after a warm-up, then down in a line: much of what is gained is gained on the way down."""
    warm = min(1.0, (step + 1) / WARM_UP)
    return warm * min(1.0, LAST_RATE + (1 - LAST_RATE) * (1 - share) / (1 - FALL_FROM))

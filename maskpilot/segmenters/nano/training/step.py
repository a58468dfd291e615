"""What one batch is worth: all loss terms, from the image encoder's to the masks'."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from sam3.model.sam3_image import Sam3Image

from maskpilot.segmenters.nano.training.attention import plain_attention
from maskpilot.segmenters.nano.training.batch import Batch
from maskpilot.segmenters.nano.training.dense import accuracies
from maskpilot.segmenters.nano.training.forward import Decoded, Fused, Seen, decode, fuse, outline, see
from maskpilot.segmenters.nano.training.heads import TrainingHeads
from maskpilot.segmenters.nano.training.losses import (
    SHOWN_FIT,
    decoder_losses,
    fusion_losses,
    image_losses,
    mask_losses,
    match_accuracies,
    pixel_loss,
)
from maskpilot.segmenters.nano.training.matcher import Pairs, match

__all__ = ["Depth", "Outcome", "choose", "run_batch"]


SHOWN_COUNTS = 5
"""For so many targets counts one that a positive box shows, when it is drawn which prompts to outline."""
Depth = Literal["image", "fusion", "all"]
"""How far a batch goes: through the image encoder, through fusion too, or to the decoder and masks."""


@dataclass(frozen=True, eq=False)
class Outcome:
    """Loss terms of a batch, each a scalar, and what was found; None where the batch did not go as far."""

    terms: dict[str, torch.Tensor]
    seen: Seen
    fused: Fused | None = None
    decoded: Decoded | None = None
    pairs: Pairs | None = None

    def describe(self, batch: Batch) -> dict[str, float]:
        """Figures for the log; waits for the device."""
        found = {name: term.item() for name, term in self.terms.items()}
        named = accuracies(self.seen.at_neck, batch.dense.values)
        found |= {f"neck_{name}": value for name, value in named.items()}
        if self.fused is not None:
            matched = match_accuracies(self.fused.match, batch)
            found |= {f"match_{name}": value for name, value in matched.items()}
        if self.decoded is not None and self.pairs is not None:
            last = self.decoded.layers[-1]
            scores = last.logits.sigmoid()
            shown = scores * last.presence.sigmoid()[:, None] > 0.5
            found["presence_right"] = ((last.presence > 0) == batch.present).float().mean().item()
            found["score_of_targets"] = scores[self.pairs.prompts, self.pairs.queries].mean().item()
            found["shown_per_target"] = shown.sum().item() / max(1, len(batch.boxes))
        return found


def run_batch(
    model: Sam3Image,
    heads: TrainingHeads,
    batch: Batch,
    rng: np.random.Generator,
    *,
    depth: Depth = "all",
    outlined: int = 1,
) -> Outcome:
    """Run a batch through the model.

    Args:
        rng: chooses the prompts whose targets are outlined.
        outlined: number of prompts whose targets are outlined.
    """
    device = batch.images.device
    with torch.autocast(device.type, dtype=torch.bfloat16), plain_attention(device):
        seen = see(model, heads, batch.images)
        terms = image_losses(seen, batch)
        if depth == "image":
            return Outcome(terms, seen)
        fused = fuse(model, heads, seen, batch)
        terms |= fusion_losses(fused, batch)
        if depth == "fusion":
            return Outcome(terms, seen, fused)
        decoded = decode(model, fused)
        anchors = model.transformer.decoder.reference_points.weight.sigmoid()[:, :2]
        last = decoded.layers[-1]
        pairs = match(last.logits, last.boxes, anchors, batch.boxes, batch.asked_by, batch.shown)
        terms |= decoder_losses(decoded, pairs, batch)
        chosen = choose(batch.counts, batch.exemplar_labels.any(0).cpu().numpy(), outlined, rng)
        if len(chosen):
            terms |= _outlines(model, heads, fused, decoded, pairs, batch, chosen)
    return Outcome(terms, seen, fused, decoded, pairs)


def choose(
    counts: Sequence[int], shown: NDArray[np.bool_], most: int, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Prompts to outline, at most so many; never those without targets.

    More likely those with more targets, and those that show one by a positive box: it is hard to see.
    """
    chances = np.array(counts, float)
    if not chances.any():
        return np.zeros(0, np.int64)
    chances += SHOWN_COUNTS * (chances > 0) * shown
    most = min(most, int(np.count_nonzero(chances)))
    return rng.choice(len(counts), most, replace=False, p=chances / chances.sum())


def _outlines(
    model: Sam3Image,
    heads: TrainingHeads,
    fused: Fused,
    decoded: Decoded,
    pairs: Pairs,
    batch: Batch,
    chosen: NDArray[np.int64],
) -> dict[str, torch.Tensor]:
    """Mask terms of all targets of the chosen prompts."""
    device = decoded.queries.device
    counts = np.array(batch.counts, np.int64)
    first = np.cumsum(counts) - counts
    row = np.repeat(np.arange(len(chosen)), counts[chosen])
    column = np.concatenate([np.arange(counts[prompt]) for prompt in chosen])
    into, at, target, prompts = (
        torch.from_numpy(part).to(device, non_blocking=True)
        for part in (row, column, first[chosen][row] + column, chosen)
    )
    found = decoded.queries[pairs.prompts[target], pairs.queries[target]]
    queries = found.new_zeros(len(chosen), int(counts[chosen].max()), found.shape[-1])
    queries[into, at] = found
    weights = pairs.matched[target] * (1 + (SHOWN_FIT - 1) * batch.shown[target])
    masks, codes = outline(model, heads, fused, batch, prompts=prompts, queries=queries)
    terms = mask_losses(masks[into, at], batch.masks[batch.objects[target]], batch.boxes[target], weights)
    return terms | {"pixels": pixel_loss(codes, batch, prompts)}

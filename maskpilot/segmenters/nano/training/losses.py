"""What training minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from maskpilot.segmenters.nano.training.batch import Batch
from maskpilot.segmenters.nano.training.dense import dense_loss
from maskpilot.segmenters.nano.training.forward import Fused, LayerOutput, Outputs
from maskpilot.segmenters.nano.training.heads import CLASSES
from maskpilot.segmenters.nano.training.matcher import Pairs, giou, match_one, match_several
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES

__all__ = ["LossWeights", "decoder_losses", "fusion_losses", "match_accuracies", "total"]

NOTHING_THERE = 0.2
"""Weight of the background where matching is asked: most places are background."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Factors of the terms of both kinds of losses."""

    factors: Mapping[str, float] = field(
        default_factory=lambda: {
            "score": 1.0,
            "presence": 1.0,
            "distance": 5.0,
            "giou": 2.0,
            "mask": 5.0,
            "dice": 3.0,
            "union": 1.0,
            "match": 4.0,
            "words": 0.3,
            "dense": 1.0,
        }
    )


def total(terms: Mapping[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """The weighted sum of the terms."""
    return torch.stack([weights.factors[name] * term for name, term in terms.items()]).sum()


def fusion_losses(fused: Fused, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms, each a scalar, that keep every attribute alive up to the fused memory."""
    return {
        "match": _match_term(fused.match.float(), batch),
        "words": _words_term(fused.words.float(), batch.named),
        "dense": _dense_term(fused, batch),
    }


def decoder_losses(outputs: Outputs, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms, each a scalar, of scores, presence, boxes and masks."""
    present = torch.tensor(
        [count > 0 for count in batch.counts], dtype=torch.float32, device=batch.boxes.device
    )
    layers = [_layer_terms(layer, batch) for layer in outputs.layers]
    terms = {name: torch.stack([found[name] for found, _ in layers]).mean() for name in layers[0][0]}
    presence = torch.stack([layer.presence for layer in outputs.layers])
    terms["presence"] = functional.binary_cross_entropy_with_logits(presence, present.expand_as(presence))
    terms["mask"], terms["dice"] = _mask_terms(outputs, batch, layers[-1][1])
    terms["union"] = _union_term(outputs, batch)
    return terms


def match_accuracies(match: torch.Tensor, batch: Batch) -> dict[str, float]:
    """Balanced accuracy of the match head on objects, for the target set and for each attribute."""
    on_object = batch.dense.values[batch.image_ids, 0] > 0
    found = {}
    for axis, name in enumerate(("target", *ATTRIBUTES)):
        asked = on_object & (batch.heard[:, axis] > 0)[:, None, None]
        right, wanted = match[:, axis] > 0, batch.wanted[:, axis] > 0.5
        yes, no = right[asked & wanted], right[asked & ~wanted]
        if len(yes) and len(no):
            found[name] = float((yes.float().mean() + 1 - no.float().mean()) / 2)
    return found


def _dense_term(fused: Fused, batch: Batch) -> torch.Tensor:
    """What the image features must hold whatever is asked."""
    parts = (fused.at_trunk, fused.at_neck)
    return torch.stack([dense_loss(part, batch.dense) for part in parts]).sum()


def _layer_terms(layer: LayerOutput, batch: Batch) -> tuple[dict[str, torch.Tensor], Pairs]:
    one = match_one(layer.logits, layer.boxes, batch.boxes, batch.counts)
    several = match_several(layer.more_logits, layer.more_boxes, batch.boxes, batch.counts)
    score = _score_term(layer.logits, one) + _score_term(layer.more_logits, several)
    distance, overlap = _box_terms(layer.boxes, batch.boxes, one)
    more_distance, more_overlap = _box_terms(layer.more_boxes, batch.boxes, several)
    return {"score": score, "distance": distance + more_distance, "giou": overlap + more_overlap}, one


def _score_term(logits: torch.Tensor, pairs: Pairs) -> torch.Tensor:
    """Focal cross-entropy (arXiv 1708.02002), with full weight on targets."""
    prompts, queries, _ = pairs
    wanted = torch.zeros_like(logits)
    wanted[prompts, queries] = 1.0
    weight = torch.where(wanted > 0, 1.0, 0.75 * logits.detach().sigmoid() ** 2)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    return (weight * entropy).sum() / max(len(prompts), 1)


def _box_terms(boxes: torch.Tensor, targets: torch.Tensor, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    prompts, queries, rows = pairs
    found, wanted = boxes[prompts, queries], targets[rows]
    count = max(len(prompts), 1)
    return (found - wanted).abs().sum() / count, (1 - giou(found, wanted)).sum() / count


def _mask_terms(outputs: Outputs, batch: Batch, pairs: Pairs) -> tuple[torch.Tensor, torch.Tensor]:
    """Cross-entropy and dice of the matched queries' masks."""
    place = torch.full((len(batch),), -1, device=outputs.shown.device)
    place[outputs.shown] = torch.arange(len(outputs.shown), device=outputs.shown.device)
    prompts, queries, rows = pairs
    seen = place[prompts] >= 0
    logits = outputs.masks[place[prompts[seen]], queries[seen]].float()
    return _entropy_and_dice(logits, batch.masks[rows[seen]])


def _union_term(outputs: Outputs, batch: Batch) -> torch.Tensor:
    parts = batch.masks.split(list(batch.counts))
    empty = torch.zeros(batch.masks.shape[1:], device=batch.masks.device)
    unions = torch.stack(
        [parts[row].sum(0) if batch.counts[row] else empty for row in outputs.shown.tolist()]
    )
    return functional.binary_cross_entropy_with_logits(outputs.union.float(), unions.clamp(max=1))


def _entropy_and_dice(logits: torch.Tensor, wanted: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    count = max(len(logits), 1)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none").mean((1, 2))
    sure = logits.sigmoid()
    shared = (sure * wanted).sum((1, 2))
    dice = 1 - (2 * shared + 1) / (sure.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    return entropy.sum() / count, dice.sum() / count


def _match_term(match: torch.Tensor, batch: Batch) -> torch.Tensor:
    on_object = (batch.dense.values[batch.image_ids, :1] > 0).float()
    weight = batch.heard[:, :, None, None] * (NOTHING_THERE + (1 - NOTHING_THERE) * on_object)
    entropy = functional.binary_cross_entropy_with_logits(match, batch.wanted, reduction="none")
    return (weight * entropy).sum() / weight.sum().clamp(min=1)


def _words_term(words: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
    parts = zip(words.split(CLASSES, 1), named.unbind(1), strict=True)
    return torch.stack([functional.cross_entropy(part, value) for part, value in parts]).mean()

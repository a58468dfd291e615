"""What training minimises."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch.nn import functional

from maskpilot.segmenters.nano.training.batch import Batch
from maskpilot.segmenters.nano.training.dense import SMALLEST, dense_loss
from maskpilot.segmenters.nano.training.forward import Decoded, Fused, LayerOutput, Seen
from maskpilot.segmenters.nano.training.heads import CLASSES
from maskpilot.segmenters.nano.training.matcher import Pairs, box_iou, giou
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES

__all__ = [
    "SHOWN_FIT",
    "LossWeights",
    "decoder_losses",
    "fusion_losses",
    "image_losses",
    "mask_losses",
    "match_accuracies",
    "pixel_loss",
    "total",
]

NOTHING_THERE = 0.2
"""Weight of the background where matching is asked: most places are background."""
SPREAD = 1.0
"""Size that the neck's output is held at: the fusion encoder adds text features of about this size to it."""
SHOWN = 6.0
"""Weight of the scores at an object that a positive exemplar shows: each such prompt has one."""
SHOWN_FIT = 3.0
"""Weight of its box and its mask."""
MARGIN = 0.025
"""Around an object's box, as a share of the image's side: what a mask must be told apart from."""


@dataclass(frozen=True, slots=True)
class LossWeights:
    """Factors of the terms of both kinds of losses."""

    factors: Mapping[str, float] = field(
        default_factory=lambda: {
            "score": 1.0,
            "presence": 1.0,
            "distance": 0.8,
            "giou": 2.0,
            "mask": 2.0,
            "dice": 3.0,
            "match": 4.0,
            "shown": 0.5,
            "words": 0.3,
            "pixels": 2.0,
            "dense": 1.0,
            "spread": 0.1,
        }
    )


def total(terms: Mapping[str, torch.Tensor], weights: LossWeights) -> torch.Tensor:
    """The weighted sum of the terms."""
    return torch.stack([weights.factors[name] * term for name, term in terms.items()]).sum()


def image_losses(seen: Seen, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms, each a scalar, of what the image features must hold whatever is asked."""
    return {
        "dense": dense_loss(seen.at_trunk, batch.dense) + dense_loss(seen.at_neck, batch.dense),
        "spread": (seen.neck.float().pow(2).mean().sqrt() - SPREAD) ** 2,
    }


def fusion_losses(fused: Fused, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms, each a scalar, that keep every attribute alive up to the fused memory."""
    return {
        "match": _match_term(fused.match.float(), batch),
        "shown": _shown_term(fused.shown.float(), batch),
        "words": _words_term(fused.words.float(), batch.named),
    }


def decoder_losses(decoded: Decoded, pairs: Pairs, batch: Batch) -> dict[str, torch.Tensor]:
    """Terms, each a scalar, of scores, presence and boxes; the same queries answer in all layers."""
    present = batch.present.float()
    terms = [_layer_terms(layer, pairs, batch) for layer in decoded.layers]
    presence = torch.stack([layer.presence for layer in decoded.layers])
    return {name: torch.stack([part[name] for part in terms]).mean() for name in terms[0]} | {
        "presence": functional.binary_cross_entropy_with_logits(presence, present.expand_as(presence))
    }


def mask_losses(
    logits: torch.Tensor, wanted: torch.Tensor, boxes: torch.Tensor, weights: torch.Tensor
) -> dict[str, torch.Tensor]:
    """Cross-entropy and dice of masks.

    Cells in and around an object's box count as much as all others together: of a small object's mask hardly
    anything else would be heard.

    Args:
        logits: (k, m, m), enlarged here as whoever shows them will; wanted: (k, 2m, 2m), covered shares;
            boxes: (k, 4) cxcywh; weights: (k,) of the masks, 0 for those to leave out.
    """
    whole = weights.sum().clamp(min=1)
    size = wanted.shape[-2:]
    logits = functional.interpolate(logits.float()[None], size, mode="bilinear", align_corners=False)[0]
    centres = (torch.arange(logits.shape[-1], device=logits.device) + 0.5) / logits.shape[-1]
    reach = boxes[:, 2:] / 2 + MARGIN
    near_x, near_y = ((centres - boxes[:, axis, None]).abs() < reach[:, axis, None] for axis in (0, 1))
    near = (near_y[:, :, None] & near_x[:, None, :]).float()
    share = near / near.sum((1, 2), keepdim=True).clamp(min=1)
    share = share + (1 - near) / (1 - near).sum((1, 2), keepdim=True).clamp(min=1)
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted, reduction="none")
    entropy = (share * entropy).sum((1, 2))
    sure = logits.sigmoid()
    shared = (sure * wanted).sum((1, 2))
    dice = 1 - (2 * shared + 1) / (sure.sum((1, 2)) + wanted.sum((1, 2)) + 1)
    return {"mask": (entropy * weights).sum() / whole, "dice": (dice * weights).sum() / whole}


def pixel_loss(codes: torch.Tensor, batch: Batch, prompts: torch.Tensor) -> torch.Tensor:
    """How far cells are from saying whose they are: see `heads.TrainingHeads.pixels`.

    Args:
        codes: (s, 4 * len(WAVES), m, m) of the prompts (s,).
    """
    wanted, on_object = (part[batch.image_ids[prompts]] for part in (batch.codes, batch.on_object))
    off = (codes.float() - wanted).abs().mean(1)
    return (off * on_object).sum() / on_object.sum().clamp(min=1)


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


def _layer_terms(layer: LayerOutput, pairs: Pairs, batch: Batch) -> dict[str, torch.Tensor]:
    found = layer.boxes[pairs.prompts, pairs.queries]
    matched = pairs.matched.float()
    count = matched.sum().clamp(min=1)
    # Relative to the object: an error of two pixels matters where the object has fifteen.
    distance = (found - batch.boxes).abs().sum(1) / batch.boxes[:, 2:].prod(1).sqrt().clamp(min=SMALLEST)
    overlap = 1 - giou(found, batch.boxes)
    weight = matched * (1 + (SHOWN_FIT - 1) * batch.shown)
    return {
        "score": _score_term(layer, pairs, found.detach(), batch),
        "distance": (distance * weight).sum() / count,
        "giou": (overlap * weight).sum() / count,
    }


def _score_term(layer: LayerOutput, pairs: Pairs, found: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Focal cross-entropy (arXiv 1708.02002) where a target's score is to say how well its box fits.

    What a positive exemplar shows is there for certain, and one query answers for it: the others that start
    next to it are to keep quiet.
    """
    shown = (batch.shown & pairs.matched).float()
    fit = box_iou(found, batch.boxes)[0].sqrt().maximum(shown) * pairs.matched
    place = pairs.prompts * layer.logits.shape[1] + pairs.queries
    wanted = (
        torch.zeros_like(layer.logits).flatten().scatter_reduce(0, place, fit, "amax").view_as(layer.logits)
    )
    weight = torch.where(wanted > 0, 1.0, layer.logits.detach().sigmoid())
    at_shown = torch.zeros_like(weight).index_add(0, pairs.prompts, pairs.near * shown[:, None]) > 0
    weight = torch.where(at_shown, SHOWN * weight, weight)
    entropy = functional.binary_cross_entropy_with_logits(layer.logits, wanted, reduction="none")
    return (weight * entropy).sum() / pairs.matched.sum().clamp(min=1)


def _match_term(match: torch.Tensor, batch: Batch) -> torch.Tensor:
    on_object = (batch.dense.values[batch.image_ids, :1] > 0).float()
    weight = batch.heard[:, :, None, None] * (NOTHING_THERE + (1 - NOTHING_THERE) * on_object)
    entropy = functional.binary_cross_entropy_with_logits(match, batch.wanted, reduction="none")
    return (weight * entropy).sum() / weight.sum().clamp(min=1)


def _shown_term(logits: torch.Tensor, batch: Batch) -> torch.Tensor:
    """Focal cross-entropy of which places a positive exemplar shows, in units of their number."""
    on, off = batch.shown_at, 1 - batch.shown_at
    asked = batch.shown_at.amax((1, 2))
    entropy = functional.binary_cross_entropy_with_logits(logits, batch.shown_at, reduction="none")
    off = off * logits.detach().sigmoid()
    parts = (entropy * on).sum((1, 2)) + (entropy * off).sum((1, 2))
    return (parts / on.sum((1, 2)).clamp(min=1) * asked).sum() / asked.sum().clamp(min=1)


def _words_term(words: torch.Tensor, named: torch.Tensor) -> torch.Tensor:
    parts = zip(words.split(CLASSES, 1), named.unbind(1), strict=True)
    return torch.stack([functional.cross_entropy(part, value) for part, value in parts]).mean()

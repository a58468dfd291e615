"""Which query answers for which target."""

from __future__ import annotations

from dataclasses import dataclass

import torch

__all__ = ["Pairs", "box_iou", "giou", "match"]

CLASS_COST, DISTANCE_COST, GIOU_COST = 2.0, 5.0, 2.0
"""As in DETR's descendants: arXiv 2010.04159, section 4."""
PLACE_COST = 0.5
"""For each place that lies between a query's and the target's centre: so it is soon decided who answers."""
FIRST = 100.0
"""More than any cost: what an exemplar shows gets its query before others."""
ROUNDS = 4
"""Targets that want the same query are served in turn; who gets none after so many rounds goes without."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """The query of each target.

    Attributes:
        prompts, queries: (t,) int64, of each target; matched: (t,) bool, false where no query was left.
        near: (t, q) bool, the queries that start next to the target's centre.
    """

    prompts: torch.Tensor
    queries: torch.Tensor
    matched: torch.Tensor
    near: torch.Tensor


def box_iou(first: torch.Tensor, second: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """IoU of boxes in cxcywh, and their union's area; broadcast over the leading axes."""
    a0, a1 = first[..., :2] - first[..., 2:] / 2, first[..., :2] + first[..., 2:] / 2
    b0, b1 = second[..., :2] - second[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2
    shared = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    return shared / union.clamp(min=1e-7), union


def giou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Generalised IoU (arXiv 1902.09630) of boxes in cxcywh, broadcast over the leading axes."""
    iou, union = box_iou(first, second)
    low = torch.minimum(first[..., :2] - first[..., 2:] / 2, second[..., :2] - second[..., 2:] / 2)
    high = torch.maximum(first[..., :2] + first[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2)
    hull = (high - low).clamp(min=0).prod(-1).clamp(min=1e-7)
    return iou - (hull - union) / hull


@torch.no_grad()
def match(
    logits: torch.Tensor,
    boxes: torch.Tensor,
    anchors: torch.Tensor,
    targets: torch.Tensor,
    prompts: torch.Tensor,
    shown: torch.Tensor,
) -> Pairs:
    """Each target gets the cheapest of the queries that start next to its centre, and a query one target.

    Queries lie on a grid as dense as the image features, so a target has up to four neighbours to choose
    from. One that a positive exemplar shows has no choice and comes first, so that it follows from the
    exemplar alone who answers. Nothing here waits for the device.

    Args:
        logits: (n, q); boxes: (n, q, 4) cxcywh; anchors: (q, 2), centres; targets: (t, 4) cxcywh;
            prompts: (t,) int64, the prompt of each target; shown: (t,) bool.
    """
    places = len(anchors) ** 0.5
    of = boxes[prompts]  # (t, q, 4)
    away = (anchors - targets[:, None, :2]).abs().amax(-1) * places  # (t, q)
    cost = -CLASS_COST * logits.sigmoid()[prompts] - GIOU_COST * giou(of, targets[:, None])
    cost = cost + DISTANCE_COST * (of - targets[:, None]).abs().sum(-1) + PLACE_COST * away
    cost = torch.where(shown[:, None], away - FIRST, cost)
    near = away <= 1
    cost = cost.masked_fill(~near, torch.inf)
    queries = torch.zeros_like(prompts)
    matched = torch.zeros_like(prompts, dtype=torch.bool)
    taken = torch.zeros_like(logits)
    for _ in range(ROUNDS):
        least, wish = cost.masked_fill(taken[prompts] > 0, torch.inf).min(1)
        wanting = ~matched & least.isfinite()
        least = torch.where(wanting, least, torch.inf)
        best = torch.full_like(logits, torch.inf).flatten()
        place = prompts * logits.shape[1] + wish
        best = best.scatter_reduce(0, place, least, "amin")
        won = wanting & (least == best[place])
        queries, matched = torch.where(won, wish, queries), matched | won
        taken = taken.flatten().scatter_reduce(0, place, won.to(taken), "amax").view_as(taken)
    return Pairs(prompts, queries, matched, near)

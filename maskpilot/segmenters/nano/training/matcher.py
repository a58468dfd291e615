"""Which query answers for which target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment

__all__ = ["Pairs", "giou", "match_one", "match_several"]

CLASS_COST, DISTANCE_COST, GIOU_COST = 2.0, 5.0, 2.0
"""As in DETR's descendants: arXiv 2010.04159, section 4."""
SEVERAL = 4
"""Queries for one target in one-to-many matching."""

Pairs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
"""Prompt, query and target (counted through the whole batch) of each pair: three (k,) int64."""


def giou(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Generalised IoU (arXiv 1902.09630) of boxes in cxcywh, broadcast over the leading axes."""
    a0, a1 = first[..., :2] - first[..., 2:] / 2, first[..., :2] + first[..., 2:] / 2
    b0, b1 = second[..., :2] - second[..., 2:] / 2, second[..., :2] + second[..., 2:] / 2
    shared = (torch.minimum(a1, b1) - torch.maximum(a0, b0)).clamp(min=0).prod(-1)
    union = first[..., 2:].prod(-1) + second[..., 2:].prod(-1) - shared
    hull = (torch.maximum(a1, b1) - torch.minimum(a0, b0)).clamp(min=0).prod(-1)
    return shared / union.clamp(min=1e-7) - (hull - union) / hull.clamp(min=1e-7)


def match_one(
    logits: torch.Tensor, boxes: torch.Tensor, targets: torch.Tensor, counts: Sequence[int]
) -> Pairs:
    """Hungarian matching: each target gets the query of its own that makes the whole cheapest.

    Args:
        logits: (n, q); boxes: (n, q, 4) cxcywh; targets: (t, 4) cxcywh, prompt by prompt; counts: n.
    """
    pairs: list[tuple[int, int, int]] = []
    first = 0
    for prompt, cost in enumerate(_costs(logits, boxes, targets, counts)):
        queries, rows = linear_sum_assignment(cost)
        pairs += zip([prompt] * len(rows), queries.tolist(), (first + rows).tolist(), strict=True)
        first += counts[prompt]
    return _as_pairs(pairs, logits.device)


def match_several(
    logits: torch.Tensor, boxes: torch.Tensor, targets: torch.Tensor, counts: Sequence[int]
) -> Pairs:
    """One-to-many matching: each target gets the queries that fit it best; a query serves one target."""
    pairs: list[tuple[int, int, int]] = []
    first = 0
    for prompt, cost in enumerate(_costs(logits, boxes, targets, counts)):
        if counts[prompt]:
            best = np.argpartition(cost, SEVERAL, axis=0)[:SEVERAL]  # (SEVERAL, targets)
            for query in np.unique(best).tolist():
                rows = np.flatnonzero((best == query).any(axis=0))
                pairs.append((prompt, query, first + int(rows[np.argmin(cost[query, rows])])))
        first += counts[prompt]
    return _as_pairs(pairs, logits.device)


def _costs(
    logits: torch.Tensor, boxes: torch.Tensor, targets: torch.Tensor, counts: Sequence[int]
) -> list[np.ndarray[tuple[int, int], np.dtype[np.float32]]]:
    """Of each prompt: (q, its targets) float32."""
    prompts = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts)).to(logits.device)
    sure = -CLASS_COST * logits.sigmoid()[prompts]  # (t, q)
    of = boxes[prompts]  # (t, q, 4)
    distance = (of - targets[:, None]).abs().sum(-1)
    costs = sure + DISTANCE_COST * distance - GIOU_COST * giou(of, targets[:, None])
    return [part.numpy().T for part in costs.detach().float().cpu().split(list(counts))]


def _as_pairs(pairs: list[tuple[int, int, int]], device: torch.device) -> Pairs:
    prompts, queries, targets = torch.tensor(pairs, dtype=torch.int64, device=device).reshape(-1, 3).unbind(1)
    return prompts, queries, targets

"""What costs most in training, computed as it is at inference, only faster.

Torch's fused attention is slow backwards on CPUs: two matrix products and a softmax in bfloat16 take a third
of the time on the small maps of this model. And sam3's decoder computes where queries look with a network,
of which this model only uses two units, see `model._look_inside_the_box`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from unittest import mock

import numpy as np
import torch
from sam3.model.box_ops import box_cxcywh_to_xyxy
from sam3.model.decoder import TransformerDecoder
from sam3.model.model_misc import MLP
from torch.nn import functional

__all__ = ["look_faster", "plain_attention"]


def look_faster(decoder: TransformerDecoder) -> None:
    """Make a decoder compute its position bias from the two units in use, and return no attention weights."""
    decoder._get_rpb_matrix = partial(_position_bias, decoder)
    for layer in decoder.layers:
        for attention in (layer.self_attn, layer.ca_text):
            attention.forward = partial(attention.forward, need_weights=False)


def _position_bias(
    decoder: TransformerDecoder, boxes: torch.Tensor, _size: tuple[torch.Tensor, torch.Tensor]
) -> torch.Tensor:
    """As sam3's `_get_rpb_matrix`, for boxes (q, n, 4) cxcywh: (n, heads, q, places)."""
    edges = box_cxcywh_to_xyxy(boxes).transpose(0, 1).detach()  # (n, q, 4)
    starts = decoder.compilable_cord_cache
    with torch.no_grad(), torch.autocast(edges.device.type, enabled=False):
        along_y, along_x = (
            _along(bias, start, edges[..., axis::2])
            for bias, start, axis in (
                (decoder.boxRPB_embed_y, starts[0], 1),
                (decoder.boxRPB_embed_x, starts[1], 0),
            )
        )
        return (along_y[..., :, None] + along_x[..., None, :]).flatten(3)


def _along(bias: MLP, starts: torch.Tensor, edges: torch.Tensor) -> torch.Tensor:
    """The part of one axis: edges (n, q, 2), where places start (g,) -> (n, heads, q, g) in bfloat16."""
    first, last = bias.layers[0], bias.layers[1]
    away = (starts[:, None] - edges[:, :, None]) * 8  # (n, q, g, 2)
    away = away.sign() * torch.log2(away.abs() + 1) / np.log2(8)
    outside = functional.linear(away, first.weight[:2], first.bias[:2]).relu()
    found = functional.linear(outside, last.weight[:, :2], last.bias)
    return found.permute(0, 3, 1, 2).to(torch.bfloat16).contiguous()


@contextmanager
def plain_attention(device: torch.device) -> Iterator[None]:
    """On a CPU, let torch's scaled dot product attention be computed as it is written."""
    if device.type != "cpu":
        yield
        return
    with mock.patch.object(functional, "scaled_dot_product_attention", _attend):
        yield


def _attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attn_mask: torch.Tensor | None = None,
    *_options: Any,
    **_more_options: Any,
) -> torch.Tensor:
    """softmax(q k' / sqrt(d) + mask) v, for (n, heads, length, d); a mask is added, it cannot be bool."""
    dtype = torch.bfloat16 if torch.is_autocast_enabled("cpu") else query.dtype
    with torch.autocast("cpu", enabled=False):
        q, k, v = (part.to(dtype).flatten(0, 1) for part in (query, key, value))
        scores = torch.baddbmm(
            q.new_empty(1, 1, 1), q, k.transpose(1, 2), beta=0, alpha=1 / math.sqrt(q.shape[-1])
        )
        if attn_mask is not None:
            shape = (*query.shape[:2], query.shape[2], key.shape[2])
            scores = scores + attn_mask.to(dtype).expand(shape).flatten(0, 1)
        found: torch.Tensor = torch.bmm(scores.softmax(-1), v).unflatten(0, query.shape[:2])
    return found

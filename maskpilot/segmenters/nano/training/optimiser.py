"""Muon for the matrices inside, AdamW for the rest, one learning rate for both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import distributed, nn

__all__ = ["Optimiser"]

Named = tuple[str, nn.Parameter]

MAX_NORM = 1.0
WEIGHT_DECAY = 0.02


class Optimiser:
    """Steps groups of parameters, each with a factor on the learning rate.

    Muon (Jordan et al. 2024) orthogonalises the updates of hidden matrices; scaled to AdamW's update size,
    the two share a learning rate. Embeddings, convolutions, norms, biases and heads stay with AdamW.

    Args:
        groups: (named parameters, factor on the learning rate) each.
        rate: the learning rate at scale 1.
    """

    def __init__(self, groups: Sequence[tuple[Sequence[Named], float]], *, rate: float) -> None:
        hidden, plain = [], []
        self.parameters: list[nn.Parameter] = []
        for named, factor in groups:
            inner = [parameter for name, parameter in named if _is_hidden(name, parameter)]
            known = {id(parameter) for parameter in inner}
            outer = [parameter for _, parameter in named if id(parameter) not in known]
            if inner:
                hidden.append({"params": inner, "factor": factor})
            if outer:
                plain.append({"params": outer, "factor": factor})
            self.parameters += inner + outer
        self.rate = rate
        self.optimisers: list[torch.optim.Optimizer] = []
        if hidden:
            self.optimisers.append(
                torch.optim.Muon(
                    hidden, lr=rate, weight_decay=WEIGHT_DECAY, adjust_lr_fn="match_rms_adamw", ns_steps=4
                )
            )
        if plain:
            self.optimisers.append(
                torch.optim.AdamW(plain, lr=rate, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY, fused=True)
            )

    def scale(self, share: float) -> None:
        """Set the learning rate to a share of its full value."""
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.rate * share * group["factor"]

    def state_dict(self) -> dict[str, Any]:
        """All that is needed to go on later."""
        return {str(index): optimiser.state_dict() for index, optimiser in enumerate(self.optimisers)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        for index, optimiser in enumerate(self.optimisers):
            optimiser.load_state_dict(state[str(index)])

    def step(self, loss: torch.Tensor, elapsed: float = 0.0) -> tuple[torch.Tensor, float]:
        """Follow the loss's gradient, averaged over processes; a gradient that is not finite counts as zero.

        Returns:
            Its norm before clipping, and `elapsed`, averaged over processes as well.
        """
        for parameter in self.parameters:
            parameter.grad = None
        loss.backward()
        if distributed.is_initialized():
            elapsed = _average([p.grad for p in self.parameters if p.grad is not None], elapsed)
        norm = nn.utils.clip_grad_norm_(self.parameters, MAX_NORM)
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad.nan_to_num_(0.0, 0.0, 0.0)
        for optimiser in self.optimisers:
            optimiser.step()
        return norm, elapsed


def _is_hidden(name: str, parameter: nn.Parameter) -> bool:
    """Whether a parameter is a matrix between hidden layers of a transformer."""
    inside = any(part in name for part in ("blocks.", "layers.", "resblocks.", "encode.", "cross_attend"))
    return parameter.ndim == 2 and inside and "embed" not in name


def _average(gradients: list[torch.Tensor], elapsed: float) -> float:
    """Average gradients in place over processes, and a number with them."""
    shape = [gradient.numel() for gradient in gradients]
    whole = torch.cat([*(gradient.flatten() for gradient in gradients), gradients[0].new_tensor([elapsed])])
    distributed.all_reduce(whole)
    whole /= distributed.get_world_size()
    for gradient, part in zip(gradients, whole[:-1].split(shape), strict=True):
        gradient.copy_(part.view_as(gradient))
    return float(whole[-1])

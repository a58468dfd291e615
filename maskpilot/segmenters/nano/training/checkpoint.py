"""Where training stands, on disk; and the weights that are shipped."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import nn

from maskpilot.segmenters.nano.config import NanoConfig

__all__ = ["Average", "export", "read_checkpoint", "write_checkpoint"]


class Average:
    """A moving average of a model's parameters: steadier than any single step.

    Args:
        parameters: what to follow; the average starts as a copy.
        decay: weight of the past, reached after a while.
    """

    def __init__(self, parameters: Mapping[str, nn.Parameter], *, decay: float = 0.998) -> None:
        self.parameters = parameters
        self.decay = decay
        self.values = {name: parameter.detach().clone() for name, parameter in parameters.items()}
        self.steps = 0

    def update(self) -> None:
        """Follow the parameters after a step."""
        self.steps += 1
        decay = min(self.decay, (1 + self.steps) / (10 + self.steps))
        current = [parameter.detach() for parameter in self.parameters.values()]
        torch._foreach_lerp_(list(self.values.values()), current, 1 - decay)

    def load(self, values: Mapping[str, torch.Tensor], steps: int) -> None:
        """Go on from values that were written."""
        for name, value in values.items():
            self.values[name].copy_(value)
        self.steps = steps


def write_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Write all or nothing: an interrupted write leaves the last checkpoint."""
    partial = path.with_suffix(".partial")
    torch.save(dict(state), partial)
    partial.replace(path)


def read_checkpoint(path: Path) -> dict[str, Any] | None:
    """What was written last; None where nothing was."""
    if not path.is_file():
        return None
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=False)
    return state


def export(
    path: Path, weights: Iterable[tuple[str, torch.Tensor]], config: NanoConfig, vocabulary: Sequence[str]
) -> None:
    """Write weights as float16 safetensors, and beside them a .json with the dimensions and the words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().cpu().half().contiguous() for name, value in weights}, path)
    about = {"config": asdict(config), "vocabulary": list(vocabulary)}
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")

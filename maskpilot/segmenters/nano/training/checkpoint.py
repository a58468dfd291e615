"""Where training stands, on disk; and the weights that are shipped."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from sam3.model.sam3_image import Sam3Image
from torch import nn
from torch.nn import functional

from maskpilot.errors import RunFolderError
from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.forward import FIXED

__all__ = ["Average", "export", "read_checkpoint", "start_from", "taking_over", "write_checkpoint"]

PLACES = ("pos_embed", "query_embed.weight")
"""Parameters with a row for each place of the image."""


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


@contextmanager
def taking_over(path: Path) -> Iterator[None]:
    """While a checkpoint's values are put into a model.

    Raises:
        RunFolderError: they do not fit.
    """
    try:
        yield
    except RuntimeError as error:
        raise RunFolderError(
            f"{path} is of a model of other dimensions (torch says: {str(error).splitlines()[-1].strip()}); "
            "choose another --out, or give the options it was trained with"
        ) from error


def start_from(path: Path, model: Sam3Image, heads: nn.Module) -> None:
    """Take over what another training run learned, though its images may have had another size.

    What the model learned of each place is stretched to the new grid; how queries start is kept as built,
    and so are heads that the other run did not have.

    Raises:
        RunFolderError: no checkpoint there, or its dimensions are other ones.
    """
    state = read_checkpoint(path)
    if state is None:
        raise RunFolderError(f"no checkpoint at {path}; train writes model.pt into its folder")
    own = model.state_dict()
    learned = {
        name: value for name, value in state["average"].items() if not any(part in name for part in FIXED)
    }
    for name, value in learned.items():
        if value.shape != own[name].shape and name.endswith(PLACES):
            learned[name] = _stretch(value, own[name].shape)
    with taking_over(path):
        model.load_state_dict({**own, **learned})
        heads.load_state_dict({**heads.state_dict(), **state["heads"]})


def _stretch(value: torch.Tensor, shape: torch.Size) -> torch.Tensor:
    """Rows of places, (..., places, d), from one square grid to another; rows before the places stay."""
    rows, wanted = value.shape[-2], shape[-2]
    before, side, new = rows - math.isqrt(rows) ** 2, math.isqrt(rows), math.isqrt(wanted)
    grid = value[..., before:, :].reshape(1, side, side, -1).permute(0, 3, 1, 2)
    finer = functional.interpolate(grid, (new, new), mode="bicubic", align_corners=False)
    places = finer.permute(0, 2, 3, 1).reshape(*value.shape[:-2], new * new, -1)
    return torch.cat([value[..., :before, :], places], dim=-2)


def export(
    path: Path, weights: Iterable[tuple[str, torch.Tensor]], config: NanoConfig, vocabulary: Sequence[str]
) -> None:
    """Write weights as float16 safetensors, and beside them a .json with the dimensions and the words."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: value.detach().cpu().half().contiguous() for name, value in weights}, path)
    about = {"config": asdict(config), "vocabulary": list(vocabulary)}
    path.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n")

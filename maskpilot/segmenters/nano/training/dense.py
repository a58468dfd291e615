"""Dense supervision of the image encoder: which shape, colour, texture and size is at each place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from maskpilot.segmenters.nano.training.heads import CLASSES, EDGES
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, Sample

__all__ = [
    "BACKGROUND_WEIGHT",
    "DenseTargets",
    "accuracies",
    "dense_loss",
    "dense_targets",
    "edge_targets",
    "flip",
    "owner_at",
    "to_tensor",
]

WEIGHTS = (2.0, 1.0, 1.0, 0.5)
"""Of ATTRIBUTES: shape is the hardest to see."""
EDGE_WEIGHT = 5.0
BACKGROUND_WEIGHT = 0.3
"""Most places are background; without this the loss would hear little else."""


def dense_targets(sample: Sample, cells: int) -> NDArray[np.int64]:
    """Classes at the cells' centres: (4, cells, cells) int64, 0 for the background."""
    owner = owner_at(sample, cells)
    table = np.zeros((len(sample.values) + 1, len(ATTRIBUTES)), np.int64)
    table[1:] = sample.values.astype(np.int64) + 1
    return table[owner].transpose(2, 0, 1)


def owner_at(sample: Sample, cells: int) -> NDArray[np.uint8]:
    """Who owns the cells' centres: (cells, cells) uint8, see `Sample.owner`."""
    centres = ((np.arange(cells) + 0.5) * len(sample.owner) / cells).astype(int)
    owner: NDArray[np.uint8] = sample.owner[np.ix_(centres, centres)]
    return owner


def edge_targets(sample: Sample, cells: int) -> NDArray[np.float32]:
    """How far cells' centres are from their object's edges: (4, cells, cells) float32, in image sides."""
    centres = (np.arange(cells) + 0.5) / cells
    boxes = np.concatenate([np.zeros((1, 4), np.float32), sample.boxes])[owner_at(sample, cells)]
    x, y = centres[None, :], centres[:, None]
    edges = [x - boxes[..., 0], y - boxes[..., 1], boxes[..., 2] - x, boxes[..., 3] - y]
    return np.stack(edges).astype(np.float32)


def flip(sample: Sample) -> Sample:
    """Mirrored left to right: every shape keeps its name."""
    boxes = sample.boxes.copy()
    boxes[:, [0, 2]] = 1 - sample.boxes[:, [2, 0]]
    return Sample(sample.image[:, ::-1], sample.owner[:, ::-1], sample.values, boxes)


def to_tensor(samples: list[Sample]) -> torch.Tensor:
    """Images as `Sam3Processor` normalises them: (n, 3, r, r) float32 in [-1, 1]."""
    images = torch.from_numpy(np.stack([sample.image for sample in samples]))
    return images.permute(0, 3, 1, 2).float() / 127.5 - 1


@dataclass(frozen=True, eq=False)
class DenseTargets:
    """What lies where in b images.

    Attributes:
        values: (b, 4, 2g, 2g) int64, see `dense_targets`.
        edges: (b, 4, 2g, 2g) float32, see `edge_targets`.
        owners: (b, 2g, 2g) int64, 0 for the background, else the object, counted through all images from 1.
    """

    values: torch.Tensor
    edges: torch.Tensor
    owners: torch.Tensor

    @classmethod
    def of(cls, samples: Sequence[Sample], cells: int) -> DenseTargets:
        """The targets of some samples."""
        owners = []
        first = 0
        for sample in samples:
            local = owner_at(sample, cells).astype(np.int64)
            owners.append(np.where(local > 0, local + first, 0))
            first += len(sample.values)
        return cls(
            values=torch.from_numpy(np.stack([dense_targets(sample, cells) for sample in samples])),
            edges=torch.from_numpy(np.stack([edge_targets(sample, cells) for sample in samples])),
            owners=torch.from_numpy(np.stack(owners)),
        )

    def to(self, device: torch.device) -> DenseTargets:
        """The same on a device."""
        return DenseTargets(self.values.to(device), self.edges.to(device), self.owners.to(device))


def dense_loss(logits: torch.Tensor, targets: DenseTargets) -> torch.Tensor:
    """Errors of the attributes at each place, of the attributes of each whole object, and of the edges.

    The edges make each place find out which object it belongs to, without which no shape can be named. An
    object's mean over its places must name it too, so that small ones count as much as large ones.

    Args:
        logits: (b, sum(CLASSES) + EDGES, 2g, 2g).
    """
    named, distances = logits.float().split((sum(CLASSES), EDGES), 1)
    on_object = targets.owners > 0
    off = (distances - targets.edges).abs().mean(1)[on_object]
    places = _named_error(named.movedim(1, -1).flatten(0, 2), targets.values.movedim(1, -1).flatten(0, 2))
    objects = _named_error(*_by_object(named, targets))
    error: torch.Tensor = places + objects + EDGE_WEIGHT * (off.mean() if len(off) else off.sum())
    return error


def _named_error(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy over the attributes: logits (n, sum(CLASSES)), values (n, 4)."""
    if not len(logits):
        return logits.sum()
    losses = []
    for part, target, classes in zip(logits.split(CLASSES, 1), values.unbind(1), CLASSES, strict=True):
        weight = torch.ones(classes, device=logits.device)
        weight[0] = BACKGROUND_WEIGHT
        losses.append(functional.cross_entropy(part, target, weight))
    shares = torch.tensor(WEIGHTS, device=logits.device) / sum(WEIGHTS)
    error: torch.Tensor = (torch.stack(losses) * shares).sum()
    return error


def _by_object(named: torch.Tensor, targets: DenseTargets) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean logits of each object over its places, and its values; objects that hold no place are left out."""
    owners = targets.owners.flatten()
    places = torch.bincount(owners)
    sums = named.new_zeros(len(places), named.shape[1]).index_add(
        0, owners, named.movedim(1, -1).flatten(0, 2)
    )
    values = targets.values.new_zeros(len(places), targets.values.shape[1])
    values[owners] = targets.values.movedim(1, -1).flatten(0, 2)
    there = places > 0
    there[0] = False
    return sums[there] / places[there, None], values[there]


def accuracies(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Share of the places on objects where each attribute is right."""
    on_object = targets[:, 0] > 0
    parts = zip(ATTRIBUTES, logits.split((*CLASSES, EDGES), 1)[:-1], targets.unbind(1), strict=True)
    return {name: float((part.argmax(1) == target)[on_object].float().mean()) for name, part, target in parts}

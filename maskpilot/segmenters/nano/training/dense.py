"""Dense supervision of the image encoder: which shape, colour, texture and size is at each place."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from maskpilot.segmenters.nano.training.heads import CLASSES, CODES, EDGES, WAVES
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, Sample

__all__ = [
    "BACKGROUND_WEIGHT",
    "DenseTargets",
    "accuracies",
    "code_targets",
    "dense_loss",
    "dense_targets",
    "edge_targets",
    "flip",
    "owner_at",
    "to_tensor",
]

WEIGHTS = (3.0, 1.0, 1.0, 0.5)
"""Of ATTRIBUTES: shape is the hardest to see."""
EDGE_WEIGHT, CODE_WEIGHT = 2.0, 1.0
SMALLEST = 0.03
"""As a share of the image's side: smaller objects have their edges where these would have them."""
NOTHING = -100
"""In place of a value that is not to be learned from."""
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


def code_targets(sample: Sample, cells: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Waves of the centre of each cell's object, (CODES, cells, cells), and where there is one."""
    owner = owner_at(sample, cells)
    centres = (sample.boxes[:, :2] + sample.boxes[:, 2:]) / 2
    turns = 2 * np.pi * centres[:, :, None] * np.array(WAVES, np.float32)  # (n, 2, waves)
    codes = np.concatenate([np.sin(turns), np.cos(turns)], axis=2).reshape(len(centres), CODES)
    table = np.concatenate([np.zeros((1, CODES)), codes]).astype(np.float32)
    return np.ascontiguousarray(table[owner].transpose(2, 0, 1)), (owner > 0).astype(np.float32)


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
        codes: (b, CODES, 2g, 2g) float32, see `code_targets`.
        objects: in all images.
    """

    values: torch.Tensor
    edges: torch.Tensor
    owners: torch.Tensor
    codes: torch.Tensor
    objects: int

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
            codes=torch.from_numpy(np.stack([code_targets(sample, cells)[0] for sample in samples])),
            objects=first,
        )

    def each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> DenseTargets:
        """The same with each tensor changed."""
        return DenseTargets(
            change(self.values), change(self.edges), change(self.owners), change(self.codes), self.objects
        )


def dense_loss(logits: torch.Tensor, targets: DenseTargets) -> torch.Tensor:
    """Errors of the attributes at each place and of each whole object, of edges and of centres.

    The edges make each place find out which object it belongs to, without which no shape can be named. An
    object's mean over its places must name it too, so that small ones count as much as large ones.

    Args:
        logits: (b, DENSE_OUTPUTS, 2g, 2g).
    """
    named, distances, codes = logits.float().split((sum(CLASSES), EDGES, CODES), 1)
    size = (
        (targets.edges[:, :2] + targets.edges[:, 2:]).clamp(min=0).prod(1).sqrt()
    )  # of the object at a place
    off = (distances - targets.edges).abs().mean(1) / size.clamp(min=SMALLEST)
    elsewhere = (codes - targets.codes).abs().mean(1)
    located = ((EDGE_WEIGHT * off + CODE_WEIGHT * elsewhere) * _shares(targets)).sum()
    places = _named_error(named.movedim(1, -1).flatten(0, 2), targets.values.movedim(1, -1).flatten(0, 2))
    objects = _named_error(*_by_object(named, targets))
    error: torch.Tensor = places + objects + located
    return error


def _named_error(logits: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """Weighted cross-entropy of logits (n, sum(CLASSES)) over attributes; values (n, 4) may be NOTHING."""
    losses = []
    for part, target in zip(logits.split(CLASSES, 1), values.unbind(1), strict=True):
        share = torch.where(target > 0, 1.0, BACKGROUND_WEIGHT) * (target != NOTHING)
        entropy = functional.cross_entropy(part, target, ignore_index=NOTHING, reduction="none")
        losses.append((share * entropy).sum() / share.sum().clamp(min=1e-6))
    return torch.stack([weight * loss for weight, loss in zip(WEIGHTS, losses, strict=True)]).sum() / sum(
        WEIGHTS
    )


def _shares(targets: DenseTargets) -> torch.Tensor:
    """Weights of places, (b, 2g, 2g): each object the same whatever its size, all together 1."""
    owners = targets.owners.flatten()
    places = targets.edges.new_zeros(targets.objects + 1).index_add(
        0, owners, targets.edges.new_ones(len(owners))
    )
    shares = places.clamp(min=1).reciprocal()[owners] * (owners > 0)
    return (shares / shares.sum().clamp(min=1)).view_as(targets.owners)


def _by_object(named: torch.Tensor, targets: DenseTargets) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean logits of each object over its places, and its values; NOTHING for objects that hold no place."""
    owners = targets.owners.flatten()
    rows = targets.objects + 1
    places = named.new_zeros(rows).index_add(0, owners, named.new_ones(len(owners)))
    sums = named.new_zeros(rows, named.shape[1]).index_add(0, owners, named.movedim(1, -1).flatten(0, 2))
    values = targets.values.new_full((rows, targets.values.shape[1]), NOTHING)
    values[owners] = targets.values.movedim(1, -1).flatten(0, 2)
    values[0] = NOTHING
    return sums / places.clamp(min=1)[:, None], values


def accuracies(logits: torch.Tensor, targets: torch.Tensor) -> dict[str, float]:
    """Share of the places on objects where each attribute is right."""
    on_object = targets[:, 0] > 0
    parts = zip(ATTRIBUTES, logits.split((*CLASSES, EDGES + CODES), 1)[:-1], targets.unbind(1), strict=True)
    return {name: float((part.argmax(1) == target)[on_object].float().mean()) for name, part, target in parts}

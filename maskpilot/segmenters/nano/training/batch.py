"""Samples and prompts as tensors."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.dense import DenseTargets, code_targets, flip, owner_at, to_tensor
from maskpilot.segmenters.nano.training.heads import DENSE
from maskpilot.segmenters.nano.training.pool import ATTRIBUTES, Pool, Sample, difficulty
from maskpilot.segmenters.nano.training.prompts import Mix, TrainingPrompt, draw_prompt

__all__ = ["MASK_CELLS", "Batch", "Drawn", "collate", "draw_batch"]

MASK_CELLS = 4
"""Mask cells per place and side: the segmentation head upsamples twice by two."""
FINER = 2
"""Masks are judged on cells so many times finer: whoever shows them draws them between the cells' centres."""
JITTER = 0.06
"""How far an exemplar's edges stray, as a share of its size."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """What was drawn: a row of the pool, mirrored or not, and prompts on it."""

    row: int
    flipped: bool
    prompts: tuple[TrainingPrompt, ...] = ()


@dataclass(frozen=True, eq=False)
class Batch:
    """b images with o objects, n prompts on them, t targets in all; p exemplars at most for one prompt.

    Attributes:
        images: (b, 3, r, r) float32 in [-1, 1].
        dense: what lies where in the images.
        texts: n phrases.
        image_ids: (n,) int64, the image of each prompt.
        named: (n, 4) int64, 1 + the named value of each attribute, 0 where none is named.
        exemplars: (p, n, 4) float32 cxcywh in [0, 1]; exemplar_labels: (p, n) int64, 1 positive;
            exemplar_padding: (n, p) bool, True where there is none.
        counts: targets of each prompt; asked_by: (t,) int64, the prompt of each target.
        boxes: (t, 4) float32 cxcywh in [0, 1], prompt by prompt.
        shown: (t,) bool, whether a positive exemplar is this very target;
            shown_at: (n, 2g, 2g) float32, 1 in places of what positive exemplars show.
        objects: (t,) int64, the target's row in `masks`: (o, 2m, 2m) float32, covered share of each half of a
            mask cell.
        codes: (b, CODES, m, m) float32, waves of the centre of the object in each mask cell;
            on_object: (b, m, m) float32, 1 where there is one.
        wanted: (n, 1 + 4, 2g, 2g) float32: is a place in the target set; does it match the named value.
        heard: (n, 1 + 4) float32, 1 where `wanted` is to be learned from.
        drawn: the b images and the n prompts as they were drawn; empty where they were not drawn from a pool.
    """

    images: torch.Tensor
    dense: DenseTargets
    texts: tuple[str, ...]
    image_ids: torch.Tensor
    named: torch.Tensor
    exemplars: torch.Tensor
    exemplar_labels: torch.Tensor
    exemplar_padding: torch.Tensor
    counts: tuple[int, ...]
    asked_by: torch.Tensor
    boxes: torch.Tensor
    shown: torch.Tensor
    shown_at: torch.Tensor
    objects: torch.Tensor
    masks: torch.Tensor
    codes: torch.Tensor
    on_object: torch.Tensor
    wanted: torch.Tensor
    heard: torch.Tensor
    drawn: tuple[Drawn, ...] = ()

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def present(self) -> torch.Tensor:
        """(n,) bool: is there anything to find."""
        return self.wanted[:, 0].amax((1, 2)) > 0

    def to(self, device: torch.device) -> Batch:
        """The same batch with its tensors on a device; does not wait for it."""
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Batch:
        """The same batch in memory that a GPU reads fast; called by torch's loader."""
        return self._each(torch.Tensor.pin_memory)

    def _each(self, change: Callable[[torch.Tensor], torch.Tensor]) -> Batch:
        changed: dict[str, Any] = {"dense": self.dense.each(change)} | {
            field.name: change(value)
            for field in fields(self)
            if isinstance(value := getattr(self, field.name), torch.Tensor)
        }
        return replace(self, **changed)


def draw_batch(
    pool: Pool,
    config: NanoConfig,
    mix: Mix,
    rng: np.random.Generator,
    *,
    images: int,
    prompts: int,
    again: Sequence[Drawn] = (),
) -> Batch:
    """Random scenes of a pool, half of them mirrored, each with as many prompts.

    Args:
        again: what comes first; at most so many images and prompts.
    """
    fresh = [Drawn(row, bool(rng.random() < 0.5)) for row in pool.draw(images - len(again), rng).tolist()]
    drawn, samples = [], []
    for one in (*again, *fresh):
        sample = flip(pool[one.row]) if one.flipped else pool[one.row]
        hard = difficulty(sample)
        new = [draw_prompt(sample.values, mix, rng, hard) for _ in range(prompts - len(one.prompts))]
        drawn.append(replace(one, prompts=(*one.prompts, *new)))
        samples.append(sample)
    return replace(collate(samples, [one.prompts for one in drawn], config, rng), drawn=tuple(drawn))


def collate(
    samples: Sequence[Sample],
    asked: Sequence[Sequence[TrainingPrompt]],
    config: NanoConfig,
    rng: np.random.Generator | None = None,
) -> Batch:
    """Put prompts on samples into one batch; exemplars are jittered where there is an `rng`."""
    flat = [(row, prompt) for row, prompts in enumerate(asked) for prompt in prompts]
    dense = DenseTargets.of(samples, config.grid * DENSE)
    values = dense.values.numpy()
    owners = [owner_at(sample, config.grid * DENSE) for sample in samples]
    soft = [_soft_masks(sample, config.grid * MASK_CELLS * FINER) for sample in samples]
    first = np.cumsum([0, *(len(part) for part in soft)])
    located = [code_targets(sample, config.grid * MASK_CELLS) for sample in samples]
    named = np.array(
        [[prompt.named.get(name, -1) + 1 for name in ATTRIBUTES] for _, prompt in flat], np.int64
    )
    wanted = np.zeros((len(flat), 1 + len(ATTRIBUTES), *owners[0].shape), np.float32)
    heard = np.ones((len(flat), 1 + len(ATTRIBUTES)), np.float32)
    shown_at = np.zeros((len(flat), *owners[0].shape), np.float32)
    for index, (row, prompt) in enumerate(flat):
        wanted[index, 0] = np.isin(owners[row], np.array(prompt.targets, int) + 1)
        wanted[index, 1:] = (values[row] == named[index][:, None, None]) & (values[row] > 0)
        heard[index, 1:] = named[index] > 0
        shown_at[index] = np.isin(owners[row], [target + 1 for target, positive in prompt.boxes if positive])
    exemplars, labels, padding = _exemplars(flat, samples, rng)
    counts = tuple(len(prompt.targets) for _, prompt in flat)
    boxes = [samples[row].boxes[list(prompt.targets)] for row, prompt in flat]
    objects = [first[row] + np.array(prompt.targets, np.int64) for row, prompt in flat]
    shown = [(target, True) in prompt.boxes for _, prompt in flat for target in prompt.targets]
    return Batch(
        images=to_tensor(list(samples)),
        dense=dense,
        texts=tuple(prompt.text for _, prompt in flat),
        image_ids=torch.tensor([row for row, _ in flat]),
        named=torch.from_numpy(named),
        exemplars=torch.from_numpy(exemplars),
        exemplar_labels=torch.from_numpy(labels),
        exemplar_padding=torch.from_numpy(padding),
        counts=counts,
        asked_by=torch.repeat_interleave(torch.tensor(counts)),
        boxes=torch.from_numpy(_centred(np.concatenate(boxes))),
        shown=torch.tensor(shown, dtype=torch.bool),
        shown_at=torch.from_numpy(shown_at),
        objects=torch.from_numpy(np.concatenate(objects)),
        masks=torch.from_numpy(np.concatenate(soft)),
        codes=torch.from_numpy(np.stack([codes for codes, _ in located])),
        on_object=torch.from_numpy(np.stack([there for _, there in located])),
        wanted=torch.from_numpy(wanted),
        heard=torch.from_numpy(heard),
    )


def _soft_masks(sample: Sample, cells: int) -> NDArray[np.float32]:
    """(n, cells, cells) float32: how much of each cell an object covers."""
    step = len(sample.owner) // cells
    blocks = sample.owner.reshape(cells, step, cells, step)
    masks = [(blocks == index + 1).mean(axis=(1, 3), dtype=np.float32) for index in range(len(sample.values))]
    return np.stack(masks) if masks else np.zeros((0, cells, cells), np.float32)


def _exemplars(
    flat: Sequence[tuple[int, TrainingPrompt]], samples: Sequence[Sample], rng: np.random.Generator | None
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    most = max(len(prompt.boxes) for _, prompt in flat)
    boxes = np.full((most, len(flat), 4), 0.5, np.float32)
    labels = np.zeros((most, len(flat)), np.int64)
    padding = np.ones((len(flat), most), np.bool_)
    for column, (row, prompt) in enumerate(flat):
        for place, (index, positive) in enumerate(prompt.boxes):
            x0, y0, x1, y1 = samples[row].boxes[index]
            edges = np.array([x0, y0, x1, y1], np.float32)
            if rng is not None:
                edges += rng.uniform(-JITTER, JITTER, 4).astype(np.float32) * ([x1 - x0, y1 - y0] * 2)
            boxes[place, column] = _centred(np.clip(edges, 0, 1)[None])[0]
            labels[place, column] = positive
            padding[column, place] = False
    return boxes, labels, padding


def _centred(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """From xyxy to cxcywh."""
    low, high = boxes[:, :2], boxes[:, 2:]
    return np.asarray(np.concatenate([(low + high) / 2, high - low], axis=1), np.float32)

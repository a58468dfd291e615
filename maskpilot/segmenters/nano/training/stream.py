"""Batches without end, from what is asked early to what is asked late."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from dataclasses import replace
from multiprocessing.queues import SimpleQueue

import numpy as np
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from maskpilot.segmenters.nano.config import NanoConfig
from maskpilot.segmenters.nano.training.batch import Batch, Drawn, draw_batch
from maskpilot.segmenters.nano.training.pool import Pool
from maskpilot.segmenters.nano.training.prompts import Mix

__all__ = ["CURRICULUM", "Stream", "mix_at"]

CURRICULUM: tuple[tuple[float, Mix], ...] = (
    # Single words first: there is no other word to answer from.
    (0.28, Mix(words=(0.8, 0.15, 0.05))),
    # "Things" asks for every object: nothing teaches more about where they are.
    (
        0.55,
        Mix(
            {
                "text": 0.38,
                "everything": 0.3,
                "unknown": 0.02,
                "box": 0.11,
                "positive": 0.08,
                "negative": 0.11,
            },
            absent=0.3,
        ),
    ),
    (
        1.0,
        Mix(
            {
                "text": 0.39,
                "everything": 0.14,
                "unknown": 0.02,
                "box": 0.13,
                "positive": 0.2,
                "negative": 0.12,
            },
            absent=0.35,
        ),
    ),
)
"""(until which share of the time, what is drawn)."""


def mix_at(share: float) -> Mix:
    """What is drawn at a share of the training time."""
    return next(mix for until, mix in CURRICULUM if share < until or until == 1.0)


class Stream(IterableDataset[Batch]):
    """Random batches of a pool, and what is to be asked again.

    Attributes:
        share: of the training time; whoever trains sets its value, and batches drawn from then on follow it.

    Args:
        images, prompts: of one batch; prompts are per image.
        seed: any number of integers; the same ones give the same batches, for each number of workers.
    """

    def __init__(
        self, pool: Pool, config: NanoConfig, *, images: int, prompts: int, seed: tuple[int, ...]
    ) -> None:
        self.pool, self.config, self.images, self.prompts, self.seed = pool, config, images, prompts, seed
        self.share = multiprocessing.Value("d", 0.0)
        self._again: SimpleQueue[list[Drawn]] = multiprocessing.SimpleQueue()

    def ask_again(self, drawn: list[Drawn]) -> None:
        """Put these into one of the next batches; they are dropped where others still wait."""
        if drawn and self._again.empty():
            self._again.put(drawn)

    def __iter__(self) -> Iterator[Batch]:
        worker = get_worker_info()
        rng = np.random.default_rng([*self.seed, worker.id if worker else 0])
        while True:
            mix = mix_at(self.share.value)
            again = [] if self._again.empty() else self._again.get()[: self.images]
            again = [replace(one, prompts=one.prompts[: self.prompts]) for one in again]
            yield draw_batch(
                self.pool, self.config, mix, rng, images=self.images, prompts=self.prompts, again=again
            )

    def load(self, *, workers: int, pin: bool) -> Iterator[Batch]:
        """The batches, drawn by other processes where there are `workers`."""
        return iter(DataLoader(self, batch_size=None, num_workers=workers, pin_memory=pin))

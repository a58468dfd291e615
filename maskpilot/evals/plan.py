"""What a run is to do, and whether a run folder holds the same."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from maskpilot.errors import DatasetError, InvalidInput
from maskpilot.evals.pilots import Pilot, seed_of
from maskpilot.evals.types import Dataset, Sample
from maskpilot.segmenters.base import Segmenter
from maskpilot.tools import FULL
from maskpilot.types import Budget

__all__ = ["Plan", "select", "settings"]


@dataclass(frozen=True)
class Plan:
    """A run: who answers what, with which means.

    Attributes:
        dataset: its `image` and `truth` are called from many threads.
        segmenter: one for all sessions.
        pilot: makes the policies.
        tools: names of the tools on offer.
        budget: of one session.
        limit: how many samples; all where None.
        seed: chooses them. The 10 of a seed are among its 100, so that a run can be repeated on more.
        workers: sessions at a time.
        max_cost: no session goes on once the run has cost as much; None for no limit.
        baseline: also ask what the query alone finds: one forward pass more a sample.
        pictures: also write a page with pictures of every sample.
        boundary: also compute boundary IoU.

    Raises:
        InvalidInput: a number out of range.
    """

    dataset: Dataset
    segmenter: Segmenter
    pilot: Pilot
    tools: tuple[str, ...] = FULL
    budget: Budget = field(default_factory=Budget)
    limit: int | None = None
    seed: int = 0
    workers: int = 1
    max_cost: float | None = None
    baseline: bool = True
    pictures: bool = True
    boundary: bool = False

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit < 1:
            raise InvalidInput(f"limit: expected at least one sample, got {self.limit}")
        if self.workers < 1:
            raise InvalidInput(f"workers: expected at least one, got {self.workers}")
        if self.max_cost is not None and not self.max_cost > 0:
            raise InvalidInput(f"max_cost: expected a positive number, got {self.max_cost!r}")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Names of the metrics, the headline first: the data set's own, and what is asked for beside them."""
        return tuple(dict.fromkeys([*self.dataset.metrics, *(["boundary_iou"] if self.boundary else [])]))


def select(dataset: Dataset, limit: int | None, seed: int) -> list[Sample]:
    """The samples of a run; those on one image follow each other, so that it is opened once.

    Raises:
        DatasetError: there are none, or two have the same id.
    """
    samples = list(dataset)
    if not samples:
        raise DatasetError(f"{dataset.name}: holds no samples")
    ids = [sample.id for sample in samples]
    if len(set(ids)) < len(ids):
        twice = next(name for number, name in enumerate(ids) if name in ids[:number])
        raise DatasetError(f"{dataset.name}: two samples have the id {twice!r}")
    if limit is not None and limit < len(samples):
        ranked = sorted(samples, key=lambda sample: (seed_of(seed, sample.id), sample.id))
        chosen = {sample.id for sample in ranked[:limit]}
        samples = [sample for sample in samples if sample.id in chosen]
    first: dict[str, int] = {}
    for number, sample in enumerate(samples):
        first.setdefault(sample.image_id, number)
    return sorted(samples, key=lambda sample: first[sample.image_id])


def settings(plan: Plan, samples: Sequence[Sample]) -> dict[str, Any]:
    """All that the results depend on, as plain JSON data; a run goes on only with the same."""
    words = "\n".join(f"{sample.id}\t{sample.image_id}\t{sample.query}" for sample in samples)
    digest = hashlib.sha256(words.encode("utf-8", "surrogatepass")).hexdigest()
    return {
        "dataset": {
            "name": plan.dataset.name,
            "metrics": list(plan.metrics),
            "samples": len(samples),
            "of": len(plan.dataset),
            "sha256": digest,
        },
        "policy": dict(plan.pilot.settings),
        "sees_truth": plan.pilot.sees_truth,
        "segmenter": {"name": plan.segmenter.name, **plan.segmenter.provenance},
        "tools": list(plan.tools),
        "budget": asdict(plan.budget),
        "limit": plan.limit,
        "seed": plan.seed,
        "baseline": plan.baseline,
    }

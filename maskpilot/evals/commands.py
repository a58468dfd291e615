"""What the commands `datasets` and `score` do, from plain values to a record that can be printed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskpilot.errors import Fatal, InvalidInput
from maskpilot.evals.datasets import DATASETS, open_dataset
from maskpilot.evals.predictions import read_predictions
from maskpilot.evals.score import DEFAULT_THRESHOLD, score, score_record
from maskpilot.evals.types import Dataset, Sample

__all__ = ["check_dataset", "list_datasets", "score_predictions"]

LOOKED_AT = 20
"""Samples whose image and truth a check reads; spread over the data set."""

MAX_TAG_VALUES = 20

NAMED = 3
"""Samples that a check names, so that predictions can be written for their like."""


def list_datasets() -> list[dict[str, Any]]:
    """What there is, and what each needs."""
    return [
        {
            "name": about.name,
            "summary": about.summary,
            "layout": about.layout,
            "splits": list(about.splits),
            "metrics": list(about.metrics),
            **about.facts,
        }
        for about in DATASETS.values()
    ]


def check_dataset(
    name: str, path: Path | None, *, split: str | None = None, everything: bool = False
) -> dict[str, Any]:
    """Open a data set and look at some of its samples.

    Args:
        everything: read every image and truth instead of LOOKED_AT of them.

    Returns:
        facts, number of samples and images, the first samples, tags, and the faults found in what was looked
        at.

    Raises:
        DatasetError, InvalidInput: it cannot be opened at all.
    """
    dataset = open_dataset(name, path, split=split)
    samples = list(dataset)
    step = 1 if everything else max(1, len(samples) // LOOKED_AT)
    looked_at = samples[::step]
    faults = [fault for sample in looked_at if (fault := _fault(dataset, sample))]
    tags: dict[str, Counter[str]] = {}
    for sample in samples:
        for tag, value in sample.tags.items():
            tags.setdefault(tag, Counter())[value] += 1
    return {
        "dataset": {"name": dataset.name, **dataset.facts},
        "metrics": list(dataset.metrics),
        "samples": len(samples),
        "images": len({sample.image_id for sample in samples}),
        "first": [
            {"sample": sample.id, "image_id": sample.image_id, "query": sample.query}
            for sample in samples[:NAMED]
        ],
        "tags": {tag: dict(values) for tag, values in tags.items() if len(values) <= MAX_TAG_VALUES},
        "looked_at": len(looked_at),
        "faults": faults,
    }


def score_predictions(
    name: str,
    path: Path | None,
    predictions: Path,
    *,
    split: str | None = None,
    threshold: float = DEFAULT_THRESHOLD,
    boundary: bool = False,
    seed: int = 0,
    count: int | None = None,
    watch: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Score predictions that any system made; of a COCO file all absent classes are asked for.

    Args:
        predictions: COCO results, SA-Co predictions, or a folder of mask images.
        threshold: predictions scoring below count for AP alone; in [0, 1].
        watch: is told how many of how many samples are done.

    Raises:
        DatasetError, ImageError: the data set or the predictions cannot be used.
        InvalidInput: no such data set or split.
    """
    if not 0.0 <= threshold <= 1.0:
        raise InvalidInput(f"--threshold: expected a number in 0..1, got {threshold:g}")
    dataset = open_dataset(name, path, split=split, seed=seed, count=count, negatives=None)
    answers = read_predictions(predictions, dataset)
    scored = score(dataset, answers, threshold=threshold, boundary=boundary, watch=watch)
    return {**score_record(dataset, scored, threshold=threshold), "predictions": str(predictions)}


def _fault(dataset: Dataset, sample: Sample) -> str | None:
    try:
        dataset.image(sample)
        dataset.truth(sample)
    except Fatal as error:
        return f"{sample.id}: {error}"
    return None

"""What a labeling run is to do, and how it ended."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from maskpilot.errors import InvalidInput
from maskpilot.images import MAX_MEGAPIXELS
from maskpilot.labeling.job import Job
from maskpilot.labeling.summary import Summary

__all__ = ["PATIENCE", "Ended", "Outcome", "Plan"]

PATIENCE = 3600.0
"""Seconds for which an endpoint that cannot be reached is waited for."""


@dataclass(frozen=True)
class Plan:
    """A run: which images, and how each is labeled.

    Attributes:
        images: a folder, searched with its subfolders, or one image file.
        job: how an image is labeled.
        sample: so many files, drawn by `seed`; all where None. The 10 of a seed are among its 100.
        seed: draws the sample.
        limit: the first so many files at most, of the sample where there is one.
        workers: images at a time.
        skip_labeled: a COCO file; images that it lists are left out.
        start_from: a COCO file; its masks are there when the sessions begin.
        retry_failed: try files again that failed in an earlier part of the run.
        max_cost: no session goes on once the run has cost as much; None for no limit.
        patience: seconds for which an endpoint that cannot be reached is waited for.
        max_megapixels: larger images are refused.
        keep_sessions: keep the logs of sessions whose labels are committed.

    Raises:
        InvalidInput: a number out of range.
    """

    images: Path
    job: Job
    sample: int | None = None
    seed: int = 0
    limit: int | None = None
    workers: int = 4
    skip_labeled: Path | None = None
    start_from: Path | None = None
    retry_failed: bool = False
    max_cost: float | None = None
    patience: float = PATIENCE
    max_megapixels: float = MAX_MEGAPIXELS
    keep_sessions: bool = False

    def __post_init__(self) -> None:
        for name in ("sample", "limit", "workers"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInput(f"{name}: expected at least one, got {value}")
        for name in ("max_cost", "max_megapixels"):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise InvalidInput(f"{name}: expected a positive number, got {value!r}")
        if not self.patience >= 0:
            raise InvalidInput(f"patience: expected no less than no time at all, got {self.patience!r}")


class Ended(StrEnum):
    """Why a run, or a part of it, ended."""

    complete = "complete"
    interrupted = "interrupted"
    max_cost = "max_cost"
    only_failures = "only_failures"
    unreachable = "unreachable"


@dataclass(frozen=True)
class Outcome:
    """What became of a run, or of a part of it.

    Attributes:
        path: the run folder.
        ended: why.
        total: files of the run.
        done: files whose content is labeled.
        failed: files that could not be labeled.
        left_out: files of the folder that are not of the run, by reason.
        problems: what could not be looked at in the folder.
        summary: of all that the run folder holds.
    """

    path: Path
    ended: Ended
    total: int
    done: int
    failed: int
    summary: Summary
    left_out: Mapping[str, int] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

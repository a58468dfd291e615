"""A run of `maskpilot eval` as it lies on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from maskpilot.errors import InvalidInput, TrajectoryError
from maskpilot.evals.results import RESULTS, Outcome, read_results
from maskpilot.evals.types import Sample, SampleScore
from maskpilot.runfolder import RUN, RunFolder
from maskpilot.trajectory import Trajectory, read_trajectory
from maskpilot.types import Stop, Usage

__all__ = ["Ended", "Run", "in_no_round", "read_run"]


class Ended(StrEnum):
    """Why a run, or a part of it, ended."""

    complete = "complete"
    interrupted = "interrupted"
    max_cost = "max_cost"
    only_failures = "only_failures"


@dataclass(frozen=True)
class Run:
    """What is known of a run, whole or not.

    Attributes:
        path: its folder.
        about: what run.json says: "settings", "facts" of the data set, "versions", "created".
        outcomes: by number; samples that are still to come are not among them.
        failures_as_zero: whether failed samples count as the worst answer.
        ended: why the last part of it ended; None where it is read from disk.
        samples: what was asked; none where it is read from disk.
        unfinished: what sessions have cost that have no outcome yet.
    """

    path: Path
    about: Mapping[str, Any]
    outcomes: tuple[Outcome, ...]
    failures_as_zero: bool = False
    ended: Ended | None = None
    samples: tuple[Sample, ...] = ()
    unfinished: Usage = field(default_factory=Usage)

    @property
    def settings(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.about["settings"]
        return found

    @property
    def total(self) -> int:
        """Samples of the run, whether answered or not."""
        return int(self.settings["dataset"]["samples"])

    @property
    def failed(self) -> tuple[Outcome, ...]:
        return tuple(outcome for outcome in self.outcomes if outcome.failed)

    @property
    def complete(self) -> bool:
        return len(self.outcomes) == self.total

    @property
    def usage(self) -> Usage:
        """Of all samples, failed and unfinished ones too."""
        return sum((outcome.usage for outcome in self.outcomes), self.unfinished)

    @property
    def scores(self) -> list[SampleScore]:
        """What enters the means."""
        counted = (outcome.counted(failures_as_zero=self.failures_as_zero) for outcome in self.outcomes)
        return [score for score in counted if score is not None]

    @property
    def answered(self) -> Sequence[Outcome]:
        """Without the failed ones."""
        return [outcome for outcome in self.outcomes if not outcome.failed]


def read_run(path: Path, *, failures_as_zero: bool = False) -> Run:
    """Read a run folder; nothing in it is changed, so that a run may go on in it meanwhile.

    Raises:
        RunFolderError: it holds no run, or a damaged one.
        InvalidInput: it holds a run of another command.
    """
    folder = RunFolder.open(path)
    about = folder.read_json(RUN)
    if about.get("command") != "eval":
        raise InvalidInput(f"{path}: holds a run of {about.get('command')!r}, expected one of eval")
    outcomes = tuple(read_results(path / RESULTS))
    unfinished = _session_usage(path, {outcome.number for outcome in outcomes})
    return Run(path, about, outcomes, failures_as_zero, unfinished=unfinished)


def _session_usage(path: Path, but: Container[int]) -> Usage:
    """What the sessions in a run folder have cost, without those of some numbers."""
    total = Usage()
    for log in sorted((path / "sessions").glob("[0-9]*.jsonl")):
        if int(log.stem) not in but:
            # One that was killed inside its first line has cost nothing.
            with contextlib.suppress(TrajectoryError):
                trajectory = read_trajectory(log)
                total += trajectory.usage + in_no_round(trajectory)
    return total


def in_no_round(trajectory: Trajectory) -> Usage:
    """What decisions of a session have cost that came to nothing; a failure has it in its outcome."""
    ending = trajectory.ending
    return Usage() if ending is None or ending.stop is Stop.failed else ending.unrecorded

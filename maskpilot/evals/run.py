"""A run of `maskpilot eval` as it lies on disk."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from maskpilot.errors import InvalidInput, TrajectoryError
from maskpilot.evals.results import RESULTS, Outcome, read_results
from maskpilot.evals.types import Sample, SampleScore
from maskpilot.runfolder import RUN, RunFolder
from maskpilot.trajectory import Trajectory, read_trajectory
from maskpilot.types import Stop, Usage

__all__ = ["Ended", "Run", "in_log", "read_run"]


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
    logs = {int(log.stem): log for log in (path / "sessions").glob("[0-9]*.jsonl")}
    outcomes = tuple(
        _with_tries_since(one, logs.pop(one.number, None)) for one in read_results(path / RESULTS)
    )
    unfinished = sum((in_log(one) for one in map(_recorded, logs.values()) if one), Usage())
    return Run(path, about, outcomes, failures_as_zero, unfinished=unfinished)


def in_log(session: Trajectory) -> Usage:
    """What a session has cost, with the decisions that came to nothing."""
    return session.usage + session.ending.unrecorded if session.ending else session.usage


def _with_tries_since(outcome: Outcome, log: Path | None) -> Outcome:
    """A failed sample with what it has cost since: another try may be on its way."""
    session = _recorded(log) if outcome.failed and log else None
    if session is None or (session.ending and session.ending.stop is Stop.failed):
        return outcome
    return replace(outcome, usage=in_log(session) + outcome.wasted)


def _recorded(log: Path) -> Trajectory | None:
    """What there is of a session. One that was killed inside its first line has cost nothing."""
    with contextlib.suppress(TrajectoryError):
        return read_trajectory(log)
    return None

"""Runs a data set: many sessions at a time, one run folder, resumed exactly.

Each finished sample is one line on disk before it is reported; whatever kills the run, no sample is lost and
none is scored twice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from maskpilot.crew.progress import Quiet, Watch
from maskpilot.crew.settings import differences
from maskpilot.errors import DatasetError, RunFolderError
from maskpilot.evals.crew import Crew
from maskpilot.evals.plan import Plan, select, settings
from maskpilot.evals.progress import Standing
from maskpilot.evals.results import RESULTS, Outcome, ResultsFile
from maskpilot.evals.run import Run, read_run
from maskpilot.evals.types import Dataset, Sample
from maskpilot.runfolder import RUN, RunFolder, locked, versions
from maskpilot.wording import counted

__all__ = ["check_folder", "run_eval"]

NAMED = 3
"""Samples that a message names."""


def check_folder(path: Path, *, resume: bool = False, overwrite: bool = False) -> None:
    """See that a folder is new, or holds what it should: what `run_eval` can say without a segmenter.

    It is left as it was.

    Raises:
        RunFolderError: it is in use, holds something else, or cannot be written.
        InvalidInput: it holds a run of another command.
    """
    with locked(path):  # which removes what is made here
        if resume and (path / RUN).is_file():
            read_run(path)
        else:
            RunFolder.create(path, overwrite=overwrite)


def run_eval(
    plan: Plan,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    failures_as_zero: bool = False,
    watch: Watch[Standing] | None = None,
) -> Run:
    """Answer and score every sample of a plan that the run folder does not hold yet.

    Ctrl-C ends it between two requests of each session; a second one ends it at once. Either way it goes on
    later with `resume`.

    Args:
        plan: what to do.
        path: the run folder.
        resume: go on with what it holds; the settings must be the same.
        overwrite: replace what it holds.
        retry_failed: with `resume`, try failed samples again.
        failures_as_zero: count failed samples as the worst answer; otherwise they stand beside the means.
        watch: is told of every sample.

    Returns:
        the run as it then lies on disk, complete or not.

    Raises:
        RunFolderError: the folder is in use, holds something else or scores by other truths, or cannot be
            written.
        DatasetError: the data set cannot be listed.
    """
    tell = watch or Quiet()
    samples = select(plan.dataset, plan.limit, plan.seed)
    with locked(path):
        folder = _folder(plan, samples, path, resume=resume, overwrite=overwrite)
        with ResultsFile(path / RESULTS) as results:
            before = read_run(path)
            known = [one for one in before.outcomes if not (one.failed and retry_failed)]
            _check_truths(plan.dataset, samples, known, path)
            numbers = {outcome.number for outcome in known}
            tasks = [task for task in enumerate(samples, start=1) if task[0] not in numbers]
            ended = Crew(plan, folder, known, results, len(samples), before.usage, tell).work(tasks)
    run = read_run(path, failures_as_zero=failures_as_zero)
    return replace(run, ended=ended, samples=tuple(samples))


def _check_truths(dataset: Dataset, samples: Sequence[Sample], known: Sequence[Outcome], path: Path) -> None:
    """See that what was scored would be scored by the same truths today.

    Raises:
        RunFolderError: it would not.
    """
    changed = []
    for outcome in known:
        # A truth that is gone is no other truth; runs of earlier versions do not say by which they scored.
        with contextlib.suppress(DatasetError):
            if outcome.truth and outcome.truth != dataset.truth_digest(samples[outcome.number - 1]):
                changed.append(outcome.score.sample)
    if changed:
        raise RunFolderError(
            f"{path}: scored {counted(len(changed), 'sample')} by other truths than the data set has now "
            f"({', '.join(changed[:NAMED])}{', ...' if len(changed) > NAMED else ''}); scores by old and new "
            "ones do not go together: put the earlier annotations back, or use another folder"
        )


def _folder(plan: Plan, samples: Sequence[Sample], path: Path, *, resume: bool, overwrite: bool) -> RunFolder:
    """The run folder: a new one, or that of the same run."""
    wanted = settings(plan, samples)
    if resume and (path / RUN).is_file():
        changed = differences(read_run(path).settings, wanted)
        if changed:
            listed = "\n  ".join(changed)
            raise RunFolderError(
                f"{path}: holds a run with other settings, so that its results cannot be gone on with:\n"
                f"  {listed}\nuse the same settings, or another folder"
            )
        return RunFolder.open(path)
    folder = RunFolder.create(path, overwrite=overwrite)
    folder.clear()
    about = {
        "schema": 1,
        "command": "eval",
        "settings": wanted,
        "facts": dict(plan.dataset.facts),
        "versions": versions(),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    folder.write_json(RUN, about)
    return folder

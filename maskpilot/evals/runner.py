"""Runs a data set: many sessions at a time, one run folder, resumed exactly.

Each finished sample is one line on disk before it is reported; whatever kills the run, no sample is lost and
none is scored twice.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any

from maskpilot.errors import RunFolderError
from maskpilot.evals.answer import Job, answer
from maskpilot.evals.control import MAX_FAILURES_IN_A_ROW, Control
from maskpilot.evals.opened import OpenImages
from maskpilot.evals.plan import Plan, differences, select, settings
from maskpilot.evals.progress import Standing, Watch
from maskpilot.evals.results import RESULTS, Outcome, ResultsFile, locked
from maskpilot.evals.run import Ended, Run, read_run
from maskpilot.evals.types import Sample
from maskpilot.runfolder import RUN, RunFolder, versions
from maskpilot.types import Usage

__all__ = ["run_eval"]

Task = tuple[int, Sample]


class _Quiet:
    def __call__(self, standing: Standing) -> None: ...

    def note(self, message: str) -> None: ...


def run_eval(
    plan: Plan,
    path: Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    retry_failed: bool = False,
    failures_as_zero: bool = False,
    watch: Watch | None = None,
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
        RunFolderError: the folder is in use, holds something else, or cannot be written.
        DatasetError: the data set cannot be listed.
    """
    tell = watch or _Quiet()
    samples = select(plan.dataset, plan.limit, plan.seed)
    with locked(path):
        folder = _folder(plan, samples, path, resume=resume, overwrite=overwrite)
        with ResultsFile(path / RESULTS) as results:
            earlier = {outcome.number: outcome for outcome in read_run(path).outcomes}
            tasks = [
                (number, sample)
                for number, sample in enumerate(samples, start=1)
                if number not in earlier or (retry_failed and earlier[number].failed)
            ]
            ended = _Crew(plan, folder, earlier, results, len(samples), tell).work(tasks)
    return replace(read_run(path, failures_as_zero=failures_as_zero), ended=ended)


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


class _Crew:
    """Threads that answer samples, and the one that writes down what becomes of them."""

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        earlier: dict[int, Outcome],
        results: ResultsFile,
        total: int,
        watch: Watch,
    ) -> None:
        self._plan, self._results, self._watch = plan, results, watch
        self._outcomes = dict(earlier)
        self._total, self._known = total, len(earlier)
        spent = sum((outcome.usage for outcome in earlier.values()), Usage())
        self._control = Control(spent, plan.max_cost)
        self._images = OpenImages(plan.dataset, plan.segmenter, plan.workers)
        facts: dict[str, Any] = {
            "segmenter": {"name": plan.segmenter.name, **plan.segmenter.provenance},
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._job = Job(plan, folder, self._images, self._control, facts)
        self._began = time.monotonic()
        self._fresh = 0

    def work(self, tasks: Sequence[Task]) -> Ended:
        """Answer the tasks, in order, until they are done or the run is stopped.

        Raises:
            RunFolderError: a result cannot be written.
        """
        done: SimpleQueue[Outcome | BaseException | None] = SimpleQueue()
        pull = _shared(tasks)
        crew = min(self._plan.workers, len(tasks))
        for _ in range(crew):
            # Daemons: a second Ctrl-C leaves at once, and what they were at is on disk up to its last round.
            threading.Thread(target=self._answer, args=(pull, done.put), daemon=True).start()
        self._tell()
        with closing(self._images):
            problem = self._collect(done, crew)
        if problem is not None:
            raise problem
        if len(self._outcomes) == self._total:
            return Ended.complete
        if self._control.cost_reached:
            self._watch.note("stopped: --max-cost is reached; go on with --resume and a higher one")
            return Ended.max_cost
        if self._control.only_fails:
            self._watch.note(
                f"stopped: {MAX_FAILURES_IN_A_ROW} samples in a row failed; when the cause is mended, go on "
                "with --resume --retry-failed"
            )
            return Ended.only_failures
        return Ended.interrupted

    def _collect(self, done: SimpleQueue[Outcome | BaseException | None], crew: int) -> BaseException | None:
        """Write down what the crew does until all of it is gone; the first fatal error, if there was one."""
        problem: BaseException | None = None
        while crew:
            try:
                item = done.get()
                if isinstance(item, Outcome):
                    self._take(item)
                    continue
                crew -= 1
                problem = problem or item
            except KeyboardInterrupt:
                if self._control.stopped:
                    raise
                self._control.stop()
                self._watch.note("stopping after the requests in flight; Ctrl-C again leaves at once")
            except RunFolderError as error:
                problem = problem or error
            if problem is not None:
                self._control.stop()
        return problem

    def _answer(
        self, pull: Callable[[], Task | None], put: Callable[[Outcome | BaseException | None], None]
    ) -> None:
        """What each thread does; it ends with None, or with what nothing can be done about."""
        try:
            while not self._control.stopped and (task := pull()) is not None:
                outcome = answer(self._job, *task)
                if outcome is not None:
                    self._control.saw(failure=outcome.failed)
                    put(outcome)
        except BaseException as error:  # noqa: BLE001 - raised again by the thread that waits
            put(error)
        else:
            put(None)

    def _take(self, outcome: Outcome) -> None:
        self._results.append(outcome)
        self._outcomes[outcome.number] = outcome
        self._fresh += 1
        if outcome.failed:
            self._watch.note(f"failed: {outcome.score.sample}: {outcome.score.error}")
        self._tell()

    def _tell(self) -> None:
        answered = [outcome for outcome in self._outcomes.values() if not outcome.failed]
        usage = self._control.usage
        self._watch(
            Standing(
                done=len(answered),
                failed=len(self._outcomes) - len(answered),
                total=self._total,
                mean=sum(one.score.values["iou"] for one in answered) / len(answered) if answered else None,
                tokens=usage.tokens,
                cost=usage.cost,
                seconds=time.monotonic() - self._began,
                fresh=self._fresh,
            )
        )


def _shared(tasks: Sequence[Task]) -> Callable[[], Task | None]:
    """The next task for whoever asks; None when there is none left."""
    left: Iterator[Task] = iter(tasks)
    lock = threading.Lock()

    def pull() -> Task | None:
        with lock:
            return next(left, None)

    return pull

"""Answers samples, many at a time, and writes down what becomes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from typing import Any

from maskpilot.crew.control import MAX_FAILURES_IN_A_ROW, Control
from maskpilot.crew.progress import Watch
from maskpilot.crew.threads import shared, work
from maskpilot.evals.answer import Job, answer
from maskpilot.evals.opened import OpenImages
from maskpilot.evals.plan import Plan
from maskpilot.evals.progress import Standing
from maskpilot.evals.results import Outcome, ResultsFile
from maskpilot.evals.run import Ended
from maskpilot.evals.types import Sample
from maskpilot.runfolder import RunFolder, versions
from maskpilot.types import Usage

__all__ = ["Crew"]

Task = tuple[int, Sample]


class Crew:
    """Works on one run.

    Args:
        plan: what to do.
        folder: for session logs and pages.
        earlier: outcomes that the run folder holds already, without those that are tried again.
        results: where outcomes go.
        total: samples of the run.
        spent: what the run has cost so far.
        watch: is told of every outcome.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        earlier: Sequence[Outcome],
        results: ResultsFile,
        total: int,
        spent: Usage,
        watch: Watch[Standing],
    ) -> None:
        self._plan, self._results, self._watch = plan, results, watch
        self._total = total
        self._done = self._failed = self._fresh = 0
        self._iou_sum = 0.0
        for outcome in earlier:
            self._count(outcome)
        self._control = Control(spent, plan.max_cost)
        self._images = OpenImages(plan.dataset, plan.segmenter, plan.workers)
        facts: dict[str, Any] = {
            "segmenter": {"name": plan.segmenter.name, **plan.segmenter.provenance},
            "versions": versions(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        self._job = Job(plan, folder, self._images, self._control, facts)
        self._began = time.monotonic()

    def work(self, tasks: Sequence[Task]) -> Ended:
        """Answer the tasks, in order, until they are done or the run is stopped.

        Raises:
            RunFolderError: a result cannot be written.
            KeyboardInterrupt: at the second Ctrl-C.
        """
        self._tell()
        with closing(self._images):
            work(
                shared(tasks),
                self._answer,
                self._take,
                workers=min(self._plan.workers, len(tasks)),
                control=self._control,
                note=self._watch.note,
            )
        return self._ended()

    def _ended(self) -> Ended:
        if self._done + self._failed == self._total:
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

    def _answer(self, task: Task) -> Outcome | None:
        """What each thread does."""
        outcome = answer(self._job, *task)
        if outcome is not None:
            self._control.saw(failure=outcome.failed)
        return outcome

    def _take(self, outcome: Outcome) -> None:
        self._results.append(outcome)
        self._count(outcome)
        self._fresh += 1
        if outcome.failed:
            self._watch.note(f"failed: {outcome.score.sample}: {outcome.score.error}")
        self._tell()

    def _count(self, outcome: Outcome) -> None:
        if outcome.failed:
            self._failed += 1
        else:
            self._done += 1
            self._iou_sum += outcome.score.values["iou"]

    def _tell(self) -> None:
        usage = self._control.usage
        self._watch(
            Standing(
                done=self._done,
                failed=self._failed,
                total=self._total,
                mean=self._iou_sum / self._done if self._done else None,
                tokens=usage.tokens,
                cost=usage.cost,
                seconds=time.monotonic() - self._began,
                fresh=self._fresh,
            )
        )

"""Threads that answer samples, and the one that writes down what becomes of them."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from queue import SimpleQueue
from types import FrameType
from typing import Any

from maskpilot.errors import RunFolderError
from maskpilot.evals.answer import Job, answer
from maskpilot.evals.control import MAX_FAILURES_IN_A_ROW, Control
from maskpilot.evals.opened import OpenImages
from maskpilot.evals.plan import Plan
from maskpilot.evals.progress import Standing, Watch
from maskpilot.evals.results import Outcome, ResultsFile
from maskpilot.evals.run import Ended, session_usage
from maskpilot.evals.types import Sample
from maskpilot.runfolder import RunFolder, versions

__all__ = ["Crew"]

Task = tuple[int, Sample]

Message = Outcome | BaseException | str | None
"""What a thread says: a sample's outcome, what nothing can be done about, a note, or that it is gone."""


class Crew:
    """Works on one run.

    Args:
        plan: what to do.
        folder: for session logs and pages.
        earlier: outcomes that the run folder holds already, without those that are tried again.
        results: where outcomes go.
        total: samples of the run.
        watch: is told of every outcome.
    """

    def __init__(
        self,
        plan: Plan,
        folder: RunFolder,
        earlier: Sequence[Outcome],
        results: ResultsFile,
        total: int,
        watch: Watch,
    ) -> None:
        self._plan, self._results, self._watch = plan, results, watch
        self._total = total
        self._done = self._failed = self._fresh = 0
        self._iou_sum = 0.0
        for outcome in earlier:
            self._count(outcome)
        spent = sum(
            (one.usage for one in earlier), session_usage(folder.path, {one.number for one in earlier})
        )
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
        done: SimpleQueue[Message] = SimpleQueue()
        pull = _shared(tasks)
        crew = min(self._plan.workers, len(tasks))
        with closing(self._images), _ctrl_c(lambda: self._stop(done)):
            for _ in range(crew):
                # Daemons: a second Ctrl-C leaves at once; what they were at is on disk up to its last round.
                threading.Thread(target=self._answer, args=(pull, done.put), daemon=True).start()
            problem = self._collect(done, crew)
        if problem is not None:
            raise problem
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

    def _stop(self, done: SimpleQueue[Message]) -> None:
        """The first Ctrl-C. It may come at any moment, so it leaves everything to the loop that waits."""
        self._control.stop()
        done.put("stopping after the requests in flight; Ctrl-C again leaves at once")

    def _collect(self, done: SimpleQueue[Message], crew: int) -> BaseException | None:
        """Write down what the crew does until all of it is gone; the first fatal error, if there was one."""
        problem: BaseException | None = None
        while crew:
            item = done.get()
            if isinstance(item, str):
                self._watch.note(item)
            elif not isinstance(item, Outcome):
                crew -= 1
                problem = problem or item
            else:
                try:
                    self._take(item)
                except RunFolderError as error:
                    problem = problem or error
            if problem is not None:
                self._control.stop()
        return problem

    def _answer(self, pull: Callable[[], Task | None], put: Callable[[Message], None]) -> None:
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


@contextmanager
def _ctrl_c(stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` at the first Ctrl-C, and let the second one through.

    Only the main thread may ask for that; elsewhere, and where Ctrl-C is ignored (a shell's background jobs),
    nothing changes.
    """
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or before is signal.SIG_IGN:
        yield
        return

    def first(number: int, frame: FrameType | None) -> None:  # noqa: ARG001
        signal.signal(signal.SIGINT, signal.default_int_handler)
        stop()

    signal.signal(signal.SIGINT, first)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _shared(tasks: Sequence[Task]) -> Callable[[], Task | None]:
    """The next task for whoever asks; None when there is none left."""
    left: Iterator[Task] = iter(tasks)
    lock = threading.Lock()

    def pull() -> Task | None:
        with lock:
            return next(left, None)

    return pull

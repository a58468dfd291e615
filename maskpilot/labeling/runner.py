"""Labels a folder: many images at a time, one run folder, gone on with exactly.

The labels of an image are on disk before they are counted; whatever ends the run, no image is lost, none is
labeled twice, and no round of a session is paid twice.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from hashlib import file_digest
from pathlib import Path
from typing import Any

from maskpilot.crew.control import MAX_FAILURES_IN_A_ROW, Control
from maskpilot.crew.progress import Quiet, Watch
from maskpilot.errors import InvalidInput
from maskpilot.labeling import job as jobs
from maskpilot.labeling.about import take_up
from maskpilot.labeling.books import Books
from maskpilot.labeling.existing import ExistingLabels
from maskpilot.labeling.folder import Scan, choose, scan
from maskpilot.labeling.local import local
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.outage import Outage
from maskpilot.labeling.part import Engine, Part, take_in
from maskpilot.labeling.plan import Ended, Outcome, Plan
from maskpilot.labeling.progress import Standing
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.summary import summarise
from maskpilot.runfolder import locked
from maskpilot.wording import counted

__all__ = ["run_labeling", "select", "settings"]

LABELED_BEFORE, NOT_CHOSEN = "labeled before", "not chosen by --sample or --limit"


def run_labeling(
    plan: Plan,
    path: Path,
    *,
    overwrite: bool = False,
    found: Scan | None = None,
    watch: Watch[Standing] | None = None,
    engine: Engine = local,
) -> Outcome:
    """Label every image of a plan that the run folder does not hold yet.

    The same call goes on where an earlier one ended, however it ended. Ctrl-C ends it between two requests of
    each session, after ten seconds at most; a second one at once. What a session is at by then is logged up
    to its last round, but its thread may go on until the process ends.

    Args:
        plan: what to do.
        path: the run folder.
        overwrite: replace what it holds.
        found: what lies in the folder of images, where it was scanned already.
        watch: is told of every file; of an endpoint that cannot be reached from other threads, too.
        engine: what does the work.

    Raises:
        InvalidInput: there are no images, or existing labels cannot be used.
        RunFolderError: the folder is in use, holds another run or one with other settings, or cannot be
            written; also when the disk refuses on the way.
        EndpointError: the endpoint refuses every image alike: a wrong key, no credit, no such model.
        SegmenterGone: no process holds the segmenter's model any more.
        KeyboardInterrupt: at the second Ctrl-C.
    """
    found = found or scan(plan.images, run=path)
    paths, left_out = select(
        found, skip_labeled=plan.skip_labeled, sample=plan.sample, seed=plan.seed, limit=plan.limit
    )
    start = None if plan.start_from is None else _start(plan.start_from, plan.job, found)
    with locked(path):
        take_up(path, found.folder, settings(plan), overwrite=overwrite)
        with Store(path / LABELS) as store:
            part = _part(plan, found, paths, start, store, path, watch or Quiet())
            if start is not None:
                part.watch.note(_said_of(start))
            part.watch(part.books.standing(part.control))
            engine(part)
            ended = _ended(part)
            unfinished = part.logs.usage(part.books.labeled)
            summary = summarise(store, plan.job.classes, unfinished)
    return Outcome(
        path, ended, len(paths), part.books.done, part.books.lost, summary, left_out, found.problems
    )


def select(
    found: Scan,
    *,
    skip_labeled: Path | None = None,
    sample: int | None = None,
    seed: int = 0,
    limit: int | None = None,
) -> tuple[tuple[str, ...], dict[str, int]]:
    """Files of a run, and how many files of the folder are not of it, by reason.

    Args:
        found: what lies in the folder.
        skip_labeled, sample, seed, limit: as in `Plan`.

    Raises:
        InvalidInput, DatasetError: `skip_labeled` cannot be used.
    """
    left_out = Counter(found.skipped)
    paths: Sequence[str] = found.paths
    if skip_labeled is not None:
        labeled = ExistingLabels.read(skip_labeled, found.paths)
        paths = [path for path in paths if not labeled.has(path)]
        left_out[LABELED_BEFORE] += len(found.paths) - len(paths)
    chosen = choose(paths, sample=sample, seed=seed, limit=limit)
    left_out[NOT_CHOSEN] += len(paths) - len(chosen)
    # That a file lists no image of the folder is as well worth knowing as how many it does.
    return chosen, {reason: count for reason, count in left_out.items() if count or reason == LABELED_BEFORE}


def settings(plan: Plan) -> dict[str, Any]:
    """All that the labels depend on, as plain JSON data; a run goes on only with the same.

    Raises:
        InvalidInput: `plan.start_from` cannot be read.
    """
    start = None
    if plan.start_from is not None:
        try:
            with plan.start_from.open("rb") as file:
                start = file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise InvalidInput(f"{plan.start_from}: cannot be read ({error.strerror})") from error
    return {**jobs.settings(plan.job), "start_from": start}


def _start(file: Path, job: jobs.Job, found: Scan) -> ExistingLabels:
    """Masks to begin with, of which at least some are of the run's classes."""
    existing = ExistingLabels.read(file, found.paths)
    if not {wanted.name for wanted in job.classes} & set(existing.classes):
        listed = ", ".join(map(repr, existing.classes[:10])) or "none at all"
        raise InvalidInput(
            f"{file}: has none of the run's classes (it has {listed}); classes are matched by their names"
        )
    return existing


def _said_of(start: ExistingLabels) -> str:
    """What sessions begin with, in words."""
    crowds = f"; {counted(start.crowds, 'region')} of crowds left out" if start.crowds else ""
    return f"{counted(len(start.labeled), 'image')} of the folder with labels to begin with{crowds}"


def _part(
    plan: Plan,
    found: Scan,
    paths: Sequence[str],
    start: ExistingLabels | None,
    store: Store,
    path: Path,
    watch: Watch[Standing],
) -> Part:
    logs = SessionLogs(path)
    take_in(path, store, logs, watch.note)
    _forget_gone(store, found)
    books = Books(store, logs, paths, retry_failed=plan.retry_failed, keep_sessions=plan.keep_sessions)
    control = Control(store.spent() + logs.usage(books.labeled), plan.max_cost)
    return Part(
        plan=plan,
        path=path,
        folder=found.folder,
        paths=paths,
        start=start,
        logs=logs,
        books=books,
        control=control,
        outage=Outage(control, plan.patience, watch.note),
        watch=watch,
    )


def _forget_gone(store: Store, found: Scan) -> None:
    """Files that were deleted or renamed since are no failures, and no files of the data set."""
    if not os.path.lexists(found.folder / found.paths[0]):  # what is labeled never was files here
        return
    known = {*store.files(), *(failure.path for failure in store.failures())}
    for path in known.difference(found.paths):
        # What could not be listed this time, or was not asked for, may well be there.
        try:
            (found.folder / path).lstat()
        except (FileNotFoundError, NotADirectoryError):
            store.forget(path)
        except OSError:
            continue


WHY = {
    Ended.interrupted: "stopped; the same command goes on",
    Ended.max_cost: "stopped: --max-cost is reached; the same command goes on with a higher one",
    Ended.only_failures: (
        f"stopped: {MAX_FAILURES_IN_A_ROW} images in a row failed; when the cause is mended, the same "
        "command goes on, and with --retry-failed tries these again"
    ),
    Ended.unreachable: (
        "stopped: the model could not be reached for as long as --patience allows, or fails on any picture; "
        "the same command goes on"
    ),
}


def _ended(part: Part) -> Ended:
    """Why it ended; a person is told where it is not done."""
    if part.books.done + part.books.lost == len(part.paths):
        return Ended.complete
    if part.outage.ended_run is not None:
        ended = Ended.unreachable
    elif part.control.cost_reached:
        ended = Ended.max_cost
    else:
        ended = Ended.only_failures if part.control.only_fails else Ended.interrupted
    part.watch.note(WHY[ended])
    return ended

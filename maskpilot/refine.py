"""One query on one image, from opening the image to the files of the result."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime

from maskpilot.agent import Policy, Replay, run_session
from maskpilot.agent.policy import model_of
from maskpilot.errors import InvalidInput, SessionFailed, TrajectoryError
from maskpilot.images import LoadedImage
from maskpilot.results import REPORT, write_results
from maskpilot.runfolder import RUN, RunFolder, versions
from maskpilot.segmenters.base import Segmenter
from maskpilot.tools import FULL
from maskpilot.trajectory import (
    Ending,
    Recorder,
    Setup,
    Step,
    Trajectory,
    TrajectoryWriter,
    best_step,
    read_trajectory,
)
from maskpilot.types import Budget, Stop, Usage

__all__ = [
    "check_query",
    "no_shorter",
    "prepare",
    "read_session",
    "refine",
    "replay",
    "resumable",
    "uninterrupted",
]


MAX_QUERY = 20_000

SETTLED = frozenset({Stop.finished, Stop.absent, Stop.refused, Stop.repeated_errors})
"""Endings by what the policy said or kept saying: the same rounds come to the same end."""


def check_query(query: str) -> str:
    """The query without surrounding space.

    Raises:
        InvalidInput: nothing is asked, or far too much.
    """
    stripped = query.strip()
    if not stripped:
        raise InvalidInput('the query is empty; say what to segment, for example "the red cups"')
    if len(stripped) > MAX_QUERY:
        raise InvalidInput(f"the query has {len(stripped)} characters; {MAX_QUERY} are the limit")
    return stripped


def prepare(
    query: str,
    image: LoadedImage,
    *,
    policy: Policy,
    segmenter: Segmenter,
    tools: Sequence[str] = FULL,
    budget: Budget | None = None,
) -> Setup:
    """What a session is given, with all that makes it repeatable.

    Raises:
        InvalidInput: the query cannot be used.
    """
    return Setup(
        query=check_query(query),
        image=image.ref,
        tools=tuple(tools),
        budget=budget or Budget(),
        policy=dict(policy.description),
        segmenter={"name": segmenter.name, **segmenter.provenance},
        versions=versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def refine(
    setup: Setup,
    image: LoadedImage,
    segmenter: Segmenter,
    policy: Policy,
    folder: RunFolder,
    *,
    resume: Trajectory | None = None,
    watch: Recorder | None = None,
) -> Trajectory:
    """Run one session and leave its results in a run folder, also where it fails or is interrupted.

    Args:
        setup: from `prepare`.
        image: the picture that `setup` names.
        segmenter: opened on the image here.
        policy: decides.
        folder: where everything goes.
        resume: the part of the session that is in the folder already; its rounds are not decided anew, and
            whatever ends the session before they are repeated, they stay and so does their result.
        watch: is told of every step, after it was recorded.

    Raises:
        SessionFailed: a fatal error; what was reached before is in the folder.
    """
    if resume is None:
        folder.clear()
    folder.write_json(RUN, {"schema": 1, "command": "refine", "setup": asdict(setup)})
    folder.keep_image(image)
    folder.remove(REPORT)
    decides = Replay(resume.steps, then=policy) if resume else policy
    opened = segmenter.open(image.image)
    try:
        with TrajectoryWriter(folder.steps, resume=resume) as writer:
            recorder = _Both(writer, watch) if watch else writer
            trajectory = run_session(
                setup,
                image.image,
                opened,
                decides,
                recorder=recorder,
                spent=_unrecorded(resume),
                repeats=resume.steps if resume else (),
            )
    except SessionFailed as failure:
        failure.trajectory = no_shorter(failure.trajectory, resume)
        write_results(folder, failure.trajectory, image)
        raise
    finally:
        opened.close()
    trajectory = no_shorter(trajectory, resume)
    write_results(folder, trajectory, image)
    return trajectory


def replay(folder: RunFolder, segmenter: Segmenter, recorded: Trajectory) -> tuple[int, ...]:
    """Decide a recorded session anew, on the kept image.

    Returns:
        indices of the rounds whose masks, ids or scores differ from the recorded ones; none when all are
        the same bit for bit.

    Raises:
        SessionFailed: the session fails now.
        ImageError: the kept image is missing or was changed.
        KeyboardInterrupt: Ctrl-C; rounds that were not decided anew are not different ones.
    """
    if not recorded.steps:
        return ()
    image = folder.load_image(recorded.setup.image)
    opened = segmenter.open(image.image)
    # The recorded rounds are the limit: a session may have ended on time, on tokens, or on Ctrl-C.
    rounds = Budget(max_rounds=len(recorded.steps))
    given = recorded.setup
    setup = Setup(given.query, given.image, given.tools, rounds, start=given.start)
    try:
        again = uninterrupted(run_session(setup, image.image, opened, Replay(recorded.steps)))
    finally:
        opened.close()
    pairs = itertools.zip_longest(recorded.steps, again.steps)
    return tuple(
        number
        for number, (before, now) in enumerate(pairs)
        if before is None or now is None or before.instances != now.instances
    )


def uninterrupted(trajectory: Trajectory) -> Trajectory:
    """A session that is of use only where it came to an end of its own.

    Raises:
        KeyboardInterrupt: Ctrl-C ended it, which `run_session` takes for an ending like others.
    """
    if trajectory.ending and trajectory.ending.stop is Stop.interrupted:
        raise KeyboardInterrupt
    return trajectory


def resumable(
    folder: RunFolder, query: str, image: LoadedImage, *, policy: Policy, tools: Sequence[str] = FULL
) -> Trajectory | None:
    """The part of a session that a run folder holds, to go on with; None where nothing was recorded yet.

    Raises:
        InvalidInput: it is no run of one session, it was about another query or image, another kind of
            policy, another model or other tools took part, or it ended by what the policy said and its
            results were written.
        RunFolderError: the folder's own record is damaged.
        TrajectoryError: the session's record is damaged.
    """
    if folder.read_json(RUN).get("command") != "refine":
        raise InvalidInput(f"{folder.path}: holds another kind of run than one of refine")
    if not folder.steps.is_file():
        return None
    if b"\n" not in folder.steps.read_bytes():  # killed while its first line was written
        folder.steps.unlink()
        return None
    recorded = read_trajectory(folder.steps)
    if recorded.setup.query != query:
        raise InvalidInput(f"{folder.path}: holds a run of another query, {recorded.setup.query[:200]!r}")
    if recorded.setup.image.sha256 != image.sha256:
        raise InvalidInput(f"{folder.path}: holds a run on another image, {recorded.setup.image.name!r}")
    if recorded.setup.policy.get("name") != policy.description["name"]:
        name = str(recorded.setup.policy.get("name"))[:200]
        raise InvalidInput(f"{folder.path}: holds a run with --policy {name}; go on with the same one")
    model = model_of(recorded.setup.policy)
    if model != model_of(policy.description):
        raise InvalidInput(f"{folder.path}: holds a run with --model {model[:200]}; go on with the same one")
    if recorded.setup.tools != tuple(tools):
        raise InvalidInput(f"{folder.path}: holds a run with other --tools; go on with the same ones")
    stop = recorded.ending.stop if recorded.ending else None
    if stop in SETTLED and (folder.path / REPORT).is_file():
        raise InvalidInput(f"{folder.path}: this run is finished ({stop}); nothing is left to go on with")
    return recorded


def read_session(folder: RunFolder) -> Trajectory:
    """The folder's only session.

    Raises:
        TrajectoryError: it holds none, or many.
    """
    if not folder.steps.is_file():
        raise TrajectoryError(f"{folder.path}: holds no single session (steps.jsonl is missing)")
    return read_trajectory(folder.steps)


def no_shorter(trajectory: Trajectory, recorded: Trajectory | None) -> Trajectory:
    """The recorded rounds with the new ending, where a session that went on ended before it repeated them:
    a limit may be lower than it was, or spent on decisions that came to nothing.
    """
    if recorded is None or trajectory.ending is None:
        return trajectory
    repeated = trajectory.steps[: len(recorded.steps)]
    if [step.instances for step in repeated] == [step.instances for step in recorded.steps]:
        return trajectory
    best = best_step(recorded.steps, recorded.setup.start)
    lost = _unrecorded(recorded)
    ending = replace(trajectory.ending, best=best, usage=recorded.usage + lost, unrecorded=lost)
    return Trajectory(trajectory.setup, recorded.steps, ending)


def _unrecorded(trajectory: Trajectory | None) -> Usage:
    """What its decisions have cost that came to nothing."""
    return trajectory.ending.unrecorded if trajectory is not None and trajectory.ending else Usage()


class _Both:
    """Records first, then tells."""

    def __init__(self, first: Recorder, then: Recorder) -> None:
        self._recorders = (first, then)

    def start(self, setup: Setup) -> None:
        for recorder in self._recorders:
            recorder.start(setup)

    def step(self, step: Step) -> None:
        for recorder in self._recorders:
            recorder.step(step)

    def end(self, ending: Ending) -> None:
        for recorder in self._recorders:
            recorder.end(ending)

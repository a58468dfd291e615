"""One sample of a run: its session, its score, its page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from maskpilot import masks
from maskpilot.agent import OneShot, Policy, Replay, ReplayedMasks, run_session
from maskpilot.crew.control import Control, Supervised
from maskpilot.errors import MaskpilotError, RunFolderError, SessionFailed, TrajectoryError
from maskpilot.evals.loop_metrics import session_values
from maskpilot.evals.metrics import measure
from maskpilot.evals.opened import OpenImages
from maskpilot.evals.plan import Plan
from maskpilot.evals.report.sample import sample_page
from maskpilot.evals.results import Outcome
from maskpilot.evals.run import in_log
from maskpilot.evals.types import Sample, SampleScore, Truth
from maskpilot.images import LoadedImage
from maskpilot.refine import check_query, no_shorter
from maskpilot.runfolder import RunFolder
from maskpilot.segmenters.base import ImageSession
from maskpilot.trajectory import Setup, Trajectory, TrajectoryWriter, read_trajectory
from maskpilot.types import Box, Budget, Instance, Stop, Usage

__all__ = ["Job", "answer"]

UNFINISHED = (Stop.interrupted, Stop.failed)


@dataclass(frozen=True)
class Job:
    """What answering any sample of a run takes."""

    plan: Plan
    folder: RunFolder
    images: OpenImages
    control: Control
    setup: Mapping[str, Any]
    """Facts that every session of the run records alike: segmenter, versions, created."""


def answer(job: Job, number: int, sample: Sample) -> Outcome | None:
    """Answer one sample and score it, or take up what an earlier run left of it.

    Returns:
        None where the run was stopped on the way; a failure is an outcome like any other.

    Raises:
        RunFolderError: the run folder cannot be written.
    """
    attempt = _Attempt(job, number, sample)
    try:
        return attempt.run()
    except RunFolderError:
        raise
    except Exception as error:  # whatever it was: reported beside the mean, never dropped
        if isinstance(error, SessionFailed) and isinstance(error.__cause__, RunFolderError):
            raise error.__cause__ from error
        said = str(error) if isinstance(error, MaskpilotError) else f"{type(error).__name__}: {error}"
        return attempt.failed(said)


class _Attempt:
    """One sample while it is worked on: what is known of it by the time something fails."""

    def __init__(self, job: Job, number: int, sample: Sample) -> None:
        self._job, self._number, self._sample = job, number, sample
        self._path = job.folder.session(number)
        self._truth: Truth | None = None
        self._truth_digest = ""
        self._size: tuple[int, int] | None = None
        self._wasted = Usage()

    def run(self) -> Outcome | None:
        job, sample = self._job, self._sample
        with job.images.of(sample) as (loaded, session):
            self._size = loaded.image.size
            # After the image: some data sets know its size only then.
            truth = self._read_truth()
            trajectory = self._session(truth, loaded, session)
            if trajectory.ending is None or trajectory.ending.stop is Stop.interrupted:
                return None
            one_shot = _one_shot(job, sample, loaded, session) if job.plan.baseline else None
        values = self._scored(trajectory.result)
        values |= session_values(trajectory, lambda shown: self._measured(shown)["iou"], one_shot)
        score = self._score(values)
        if job.plan.pictures:
            page = sample_page(score, trajectory, truth, loaded.image)
            job.folder.write(f"samples/{self._number:06d}.html", page)
        spent = in_log(trajectory) + self._wasted
        return Outcome(self._number, score, spent, wasted=self._wasted, truth=self._truth_digest)

    def failed(self, error: str) -> Outcome:
        """The sample as a failure; `error` says why."""
        recorded = _recorded(self._path)
        logged, wasted = in_log(recorded) if recorded else Usage(), self._wasted
        score = self._score({}, error or "failed")
        try:
            worst = self._worst()
        except Exception:  # noqa: BLE001 - what made the sample fail may do so again
            worst = None
        return Outcome(self._number, score, logged + wasted, worst, wasted, self._truth_digest)

    def _read_truth(self) -> Truth:
        dataset = self._job.plan.dataset
        self._truth = dataset.truth(self._sample)
        self._truth_digest = dataset.truth_digest(self._sample)
        return self._truth

    def _session(self, truth: Truth, loaded: LoadedImage, session: ImageSession) -> Trajectory:
        """Run the sample's session, or what is left of it.

        A session that ended is taken as it is. Of one that did not, rounds that a model was paid for are
        taken from its log; a policy that costs nothing begins again, and says the same again.
        """
        job, path, sample = self._job, self._path, self._sample
        recorded = _recorded(path)
        lost = recorded.ending.unrecorded if recorded and recorded.ending else Usage()
        if recorded and not _is_of(recorded, sample, loaded):
            self._wasted += recorded.usage
            recorded = None
        if recorded and recorded.ending and recorded.ending.stop not in UNFINISHED:
            return recorded
        if recorded is None or not recorded.usage.calls:
            return _run(job, path, sample, truth, loaded, session, None, lost)
        try:
            return no_shorter(_run(job, path, sample, truth, loaded, session, recorded, lost), recorded)
        except SessionFailed as failure:
            if not isinstance(failure.__cause__, TrajectoryError):
                raise
        # The rounds come to something else than they did: what was decided then cannot be gone on with.
        self._wasted += recorded.usage
        return _run(job, path, sample, truth, loaded, session, None, lost)

    def _score(self, values: Mapping[str, Any], error: str = "") -> SampleScore:
        sample = self._sample
        return SampleScore(sample.id, sample.image_id, sample.query, dict(sample.tags), values, error)

    def _scored(self, result: Sequence[Instance]) -> dict[str, Any]:
        return self._measured(result, boundary="boundary_iou" in self._job.plan.metrics)

    def _measured(self, result: Sequence[Instance], *, boundary: bool = False) -> dict[str, Any]:
        if self._truth is None or self._size is None:
            raise AssertionError("unreachable: nothing is measured before the image is open")
        category = self._sample.tags.get("category", "")
        return measure(result, self._truth, self._size, category=category, boundary=boundary)

    def _worst(self) -> dict[str, Any] | None:
        """The worse of nothing and the whole image: mostly nothing where something was to be found."""
        truth = self._truth or self._read_truth()
        if self._size is None:
            sizes = [(mask.width, mask.height) for one in truth.annotators for mask in one]
            self._size = next(iter([*sizes, (self._sample.width, self._sample.height)]))
        width, height = self._size
        if not width:  # nobody says how large the image would have been
            return None
        pixels = masks.encode(np.ones((height, width), np.bool_))
        whole = Instance(1, pixels, Box(0.0, 0.0, float(width), float(height)), 1.0)
        # By what they score: with ignored pixels or several annotators "nothing" may be right after all.
        return min(self._scored(()), self._scored([whole]), key=lambda values: float(values["iou"]))


def _run(
    job: Job,
    path: Path,
    sample: Sample,
    truth: Truth,
    loaded: LoadedImage,
    session: ImageSession,
    recorded: Trajectory | None,
    lost: Usage,
) -> Trajectory:
    if recorded is None:
        path.unlink(missing_ok=True)
    policy = Supervised(job.plan.pilot.policy(sample, truth), job.control)
    decides: Policy = policy
    finds = session
    if recorded is not None:
        decides, finds = Replay(recorded.steps, policy), ReplayedMasks(recorded.steps, session)
    setup = Setup(
        query=check_query(sample.query),
        image=loaded.ref,
        tools=job.plan.tools,
        budget=job.plan.budget,
        policy=dict(policy.description),
        **job.setup,
    )
    with TrajectoryWriter(path, resume=recorded) as writer:
        repeats = recorded.steps if recorded else ()
        return run_session(setup, loaded.image, finds, decides, recorder=writer, spent=lost, repeats=repeats)


def _recorded(path: Path) -> Trajectory | None:
    """What an earlier run left of a session; None where it left nothing that can be read."""
    try:
        return read_trajectory(path) if path.is_file() else None
    except TrajectoryError:  # killed inside the first line
        return None


def _is_of(recorded: Trajectory, sample: Sample, loaded: LoadedImage) -> bool:
    about = recorded.setup
    return about.query == sample.query.strip() and about.image.sha256 == loaded.sha256


def _one_shot(job: Job, sample: Sample, loaded: LoadedImage, session: ImageSession) -> tuple[Instance, ...]:
    setup = Setup(check_query(sample.query), loaded.ref, job.plan.tools, Budget())
    return run_session(setup, loaded.image, session, OneShot()).result

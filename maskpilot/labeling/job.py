"""All classes of one image: the function that a run calls for each image, wherever it runs."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from maskpilot.agent import Policy, Replay, ReplayedMasks, run_session
from maskpilot.crew.control import Control, Supervised
from maskpilot.errors import RunFolderError, SessionFailed, TrajectoryError
from maskpilot.images import LoadedImage
from maskpilot.labeling.doubt import LOW_RATING, just_missed, limited, rating_of, review_of, unsure
from maskpilot.labeling.logs import SessionLogs, cost_of
from maskpilot.labeling.overlap import Overlap, overlapping, resolve
from maskpilot.labeling.pilots import Pilot
from maskpilot.labeling.types import ClassLabels, ImageLabels, Label, LabelClass, Review
from maskpilot.segmenters.base import ImageSession, Segmenter
from maskpilot.tools import FULL
from maskpilot.trajectory import Setup, Trajectory
from maskpilot.types import Budget, Instance, Stop, Usage

__all__ = ["Job", "label_image", "settings"]

UNFINISHED = (Stop.interrupted, Stop.failed)
FIRST, UNSURE = "first", "unsure"


@dataclass(frozen=True)
class Job:
    """What labeling any image of a run takes.

    Attributes:
        classes: what to find, in order; no two of the same name.
        segmenter: opens the images.
        first: is asked for every class.
        unsure: is asked again where the result of the first one is doubtful; None: nobody is.
        tools: names of the tools on offer.
        budget: of one session of who costs something.
        overlap: what becomes of pixels that instances of different classes claim.
        low_rating: results that a model rates below this are to be reviewed; 0-100.

    Raises:
        ValueError: no class, two of the same name, or a rating out of range.
    """

    classes: tuple[LabelClass, ...]
    segmenter: Segmenter
    first: Pilot
    unsure: Pilot | None = None
    tools: tuple[str, ...] = FULL
    budget: Budget = field(default_factory=Budget)
    overlap: Overlap = Overlap.keep
    low_rating: float = LOW_RATING

    def __post_init__(self) -> None:
        names = [wanted.name for wanted in self.classes]
        if not names:
            raise ValueError("Job.classes: expected at least one class, got none")
        if len(set(names)) < len(names):
            twice = next(name for number, name in enumerate(names) if name in names[:number])
            raise ValueError(f"Job.classes: expected different names, got {twice!r} twice")
        if not 0 <= self.low_rating <= 100:
            raise ValueError(f"Job.low_rating: expected a number in 0..100, got {self.low_rating!r}")


def settings(job: Job) -> dict[str, Any]:
    """All that the results depend on, as plain JSON data; a run goes on only with the same."""
    return {
        "classes": {
            str(number): {**asdict(wanted), "hints": list(wanted.hints)}
            for number, wanted in enumerate(job.classes, start=1)
        },
        "policy": dict(job.first.settings),
        "when_unsure": None if job.unsure is None else dict(job.unsure.settings),
        "segmenter": {"name": job.segmenter.name, **job.segmenter.provenance},
        "tools": list(job.tools),
        "budget": asdict(job.budget),
        "overlap": job.overlap.value,
        "low_rating": job.low_rating,
    }


def label_image(
    job: Job,
    image: LoadedImage,
    *,
    start: Mapping[str, Sequence[Instance]] | None = None,
    logs: SessionLogs | None = None,
    control: Control | None = None,
) -> ImageLabels | None:
    """Find the instances of all classes on an image, which is opened once for all of them.

    Args:
        job: of the run.
        image: two calls at a time must not be about the same content where they share `logs`.
        start: by name of the class, masks that are there before its first round: with different ids, tight
            boxes, and of the image's size.
        logs: what earlier attempts left of sessions is gone on with, and what this one does is kept there.
            The caller discards an image's logs once its labels are committed.
        control: asked before every round whether to go on, and told what each one cost.

    Returns:
        None where `control` was stopped on the way.

    Raises:
        SessionFailed: the policy or the segmenter failed in a session; the cause is `__cause__`.
        SegmenterError: the image could not be opened, or asked after a session.
        RunFolderError: the logs cannot be written.
        ValueError: `start` does not fit the image.
    """
    began = time.monotonic()
    opened = job.segmenter.open(image.image)
    try:
        classes = _classes(_Work(job, image, opened, start or {}, logs, control))
    finally:
        opened.close()
    if classes is None:
        return None
    return ImageLabels(image.ref, resolve(classes, job.overlap), time.monotonic() - began)


def _classes(work: _Work) -> list[ClassLabels] | None:
    """The first pilot on every class, then the other one on those that are doubtful; None where stopped."""
    job = work.job
    found: list[ClassLabels] = []
    for number in range(len(job.classes)):
        labels = work.ask(number, FIRST, job.first)
        if labels is None:
            return None
        found.append(labels)
    if job.unsure is None:
        return found
    doubtful = [
        number
        for number, places in enumerate(overlapping(found))
        # What a model was asked before a kill stays asked, should a score round to the other side of a limit.
        if places or found[number].needs_review or work.was_begun(number, UNSURE)
    ]
    for number in doubtful:
        labels, before = work.ask(number, UNSURE, job.unsure), found[number]
        if labels is None:
            return None
        found[number] = replace(
            labels, rounds=before.rounds + labels.rounds, usage=before.usage + labels.usage
        )
    return found


@dataclass(frozen=True, eq=False)
class _Work:
    """One image while it is worked on."""

    job: Job
    image: LoadedImage
    opened: ImageSession
    start: Mapping[str, Sequence[Instance]]
    logs: SessionLogs | None
    control: Control | None

    def was_begun(self, number: int, kind: str) -> bool:
        """Whether an earlier attempt at the image left a session about a class."""
        return self.logs is not None and self.logs.path(self.image.sha256, number, kind).is_file()

    def ask(self, number: int, kind: str, pilot: Pilot) -> ClassLabels | None:
        """One session about a class; None where it was stopped."""
        wanted = self.job.classes[number]
        try:
            trajectory, wasted = self._session(number, kind, pilot)
        except SessionFailed as failure:
            if isinstance(failure.__cause__, RunFolderError):  # nothing about this image is wrong
                raise failure.__cause__ from failure
            raise
        if trajectory.ending is None or trajectory.ending.stop is Stop.interrupted:
            return None
        labels = _class_labels(wanted, pilot, trajectory, trajectory.ending.stop, self.job.low_rating)
        if not pilot.reads and just_missed(trajectory, self.opened):
            labels = replace(labels, review=(*labels.review, Review.near_threshold))
        return replace(labels, usage=labels.usage + wasted)

    def _session(self, number: int, kind: str, pilot: Pilot) -> tuple[Trajectory, Usage]:
        """A session, or what is left to do of it; and what rounds have cost that it could not go on with.

        What a free policy found is found again, so it has no log.
        """
        if self.logs is None or not pilot.reads:
            policy, setup = self._begin(number, pilot)
            return run_session(setup, self.image.image, self.opened, policy), Usage()
        trajectory = self._gone_on_with(self.logs, number, kind, pilot)
        return trajectory, self.logs.given_up(self.image.sha256, number, kind)

    def _gone_on_with(self, logs: SessionLogs, number: int, kind: str, pilot: Pilot) -> Trajectory:
        policy, setup = self._begin(number, pilot)
        recorded = logs.recorded(number, kind, setup)
        if recorded and recorded.ending and recorded.ending.stop not in UNFINISHED:
            return recorded
        try:
            return self._logged(logs, number, kind, setup, policy, recorded)
        except SessionFailed as failure:
            if recorded is None or not isinstance(failure.__cause__, TrajectoryError):
                raise
        # The rounds come to something else than they did: what was decided then cannot be gone on with.
        policy, setup = self._begin(number, pilot)
        return self._logged(logs, number, kind, setup, policy, None)

    def _begin(self, number: int, pilot: Pilot) -> tuple[Policy, Setup]:
        wanted = self.job.classes[number]
        policy = pilot.make(wanted)
        setup = Setup(
            query=pilot.query(wanted),
            image=self.image.ref,
            tools=self.job.tools,
            budget=self.job.budget if pilot.reads else Budget(),
            policy=dict(policy.description),
            segmenter={"name": self.job.segmenter.name, **self.job.segmenter.provenance},
            start=tuple(sorted(self.start.get(wanted.name, ()), key=lambda one: one.id)),
        )
        return (policy if self.control is None else Supervised(policy, self.control)), setup

    def _logged(
        self,
        logs: SessionLogs,
        number: int,
        kind: str,
        setup: Setup,
        policy: Policy,
        recorded: Trajectory | None,
    ) -> Trajectory:
        decides: Policy = policy
        finds = self.opened
        if recorded is not None:
            decides, finds = Replay(recorded.steps, policy), ReplayedMasks(recorded.steps, self.opened)
        with logs.writer(self.image.sha256, number, kind, recorded) as writer:
            repeats = recorded.steps if recorded else ()
            return run_session(setup, self.image.image, finds, decides, recorder=writer, repeats=repeats)


def _class_labels(
    wanted: LabelClass, pilot: Pilot, trajectory: Trajectory, stop: Stop, low_rating: float
) -> ClassLabels:
    """What a session that ended says about a class."""
    found = trajectory.result
    kept = limited(found, wanted.max_count)
    doubtful = frozenset() if pilot.reads else unsure(trajectory)
    review = review_of(trajectory, reads=pilot.reads, low_rating=low_rating)
    return ClassLabels(
        name=wanted.name,
        query=wanted.query,
        policy=pilot.name,
        model=pilot.model,
        stop=stop,
        rounds=len(trajectory.steps),
        rating=rating_of(trajectory),
        labels=tuple(Label(one, (Review.near_threshold,) if one.id in doubtful else ()) for one in kept),
        review=review if len(kept) == len(found) else (*review, Review.too_many),
        usage=cost_of(trajectory),
    )

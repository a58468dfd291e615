"""What each worker of a run does with a file: label it, or say why not."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace

from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.crew.control import Control
from maskpilot.errors import RunFolderError, SegmenterGone, SessionFailed
from maskpilot.images import LoadedImage
from maskpilot.labeling.blame import Blame
from maskpilot.labeling.existing import ExistingLabels
from maskpilot.labeling.job import Job, label_image
from maskpilot.labeling.logs import SessionLogs, unlogged
from maskpilot.labeling.outage import TRIES, Outage
from maskpilot.labeling.pilots import Pilot
from maskpilot.labeling.reading import Seen, failure_of
from maskpilot.labeling.store import SeenFile
from maskpilot.labeling.types import Failure, ImageLabels
from maskpilot.trajectory import Trajectory
from maskpilot.types import Usage

__all__ = ["Labeler", "Result"]


@dataclass(frozen=True, eq=False)
class Result:
    """What became of a file.

    Attributes:
        path: relative to the folder of images.
        file: which content it has; None where that could not be found out.
        labels: of its content, where this file is the one whose image was labeled.
        failure: why there are none.
        worked: a session was held, or begun.
        wasted: what it cost that is in no session log.

    Without labels and without failure, it has the content of a file that had its turn before; without a file
    as well, the run was stopped on the way.
    """

    path: str
    file: SeenFile | None
    labels: ImageLabels | None = None
    failure: Failure | None = None
    worked: bool = False
    wasted: Usage = field(default_factory=Usage)


class Labeler:
    """Labels files; called by many threads.

    Args:
        job: how.
        start: masks that are there when sessions begin; None where there are none.
        logs: of sessions in flight.
        control: whether the run goes on.
        outage: what is known of the endpoint.
        puts_off: an image on which a server fails (500) while it answers nobody is put off until
            `second_turn`. If it fails there as well, it is asked about another picture: then it shows whose
            fault that was.

    Attributes:
        ended_run: why no image can be asked about any more: the endpoint refuses every one alike (a wrong
            key, no credit, no such model), or the segmenter is gone; None while it is not so. The run is
            stopped by then; whoever began it raises this when what was paid for is written down.
    """

    def __init__(
        self,
        job: Job,
        start: ExistingLabels | None,
        logs: SessionLogs,
        control: Control,
        outage: Outage,
        *,
        puts_off: bool = False,
    ) -> None:
        self._job = replace(
            job,
            first=outage.heard_by(job.first),
            unsure=None if job.unsure is None else outage.heard_by(job.unsure),
        )
        self._asked = job.unsure or job.first
        self._start, self._logs, self._control, self._outage = start, logs, control, outage
        self._lock = threading.Lock()
        self._claimed: set[str] = set()
        self._puts_off, self._is_second = puts_off, False
        self._put_off: list[str] = []
        self.ended_run: BaseException | None = None

    def second_turn(self) -> list[str]:
        """Files that were put off, to be labeled now; nothing is put off any more."""
        self._puts_off, self._is_second = False, True
        return self._put_off

    def __call__(self, seen: Seen) -> Result | None:
        """Label a file's content, unless another file with the same one had its turn.

        Returns:
            None where the image was put off or the run stopped on the way, unless that cost something.
            Whatever one image raises is a failure of that image, unless it is one of all (`ended_run`).

        Raises:
            RunFolderError: the session logs cannot be written.
        """
        if seen.image is None or not self._claim(seen.image.sha256):
            return Result(seen.path, seen.file, failure=seen.failure)
        try:
            result = self._label(seen, seen.image)
        finally:
            self._outage.leave()
        if result is not None and result.worked:
            self._control.saw(failure=result.failure is not None)
        return result

    def _claim(self, sha256: str) -> bool:
        """True for the first who asks."""
        with self._lock:
            if sha256 in self._claimed:
                return False
            self._claimed.add(sha256)
            return True

    def _label(self, seen: Seen, image: LoadedImage) -> Result | None:
        """Label an image, again and again where it is the endpoint that fails."""
        wasted, tries = Usage(), _Tries(self._outage)
        while True:
            try:
                labels = self._attempt(seen.path, image)
            except RunFolderError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was: one image, one failure
                cause = _cause(error)
                if isinstance(error, SessionFailed):
                    wasted += unlogged(error)
                    tries.came_to(error.trajectory)
                if isinstance(cause, SegmenterGone) or self._outage.blame(cause) is Blame.closed:
                    self.ended_run = cause
                    self._control.stop()
                    break
                tries.ended_with(cause)
                wasted += tries.ask_in_silence(self._asked)
                if tries.may_be_mended:
                    if not tries.wait():
                        break
                    continue
                if self._puts_off and tries.say_nothing_of_it:
                    self._put_off_until_later(seen.path, image)
                    break
                if self._is_second and tries.say_nothing_of_it:
                    wasted += tries.ask_about_another_picture(self._asked)
                    if self._control.stopped:
                        break
                failure = replace(failure_of(seen.path, cause, image.sha256), usage=wasted)
                return Result(seen.path, seen.file, failure=failure, worked=True)
            else:
                if labels is None:
                    break
                return Result(seen.path, seen.file, labels, worked=True, wasted=wasted)
        # At most, what it cost in vain.
        return None if wasted == Usage() else Result(seen.path, None, wasted=wasted)

    def _put_off_until_later(self, path: str, image: LoadedImage) -> None:
        with self._lock:
            self._claimed.discard(image.sha256)
            self._put_off.append(path)

    def _attempt(self, path: str, image: LoadedImage) -> ImageLabels | None:
        start = None
        if self._start is not None:
            start = self._start.start(path, image.image.size, self._job.classes)
        return label_image(self._job, image, start=start, logs=self._logs, control=self._control)


class _Tries:
    """The attempts at one image."""

    def __init__(self, outage: Outage) -> None:
        self._outage = outage
        self._outages: set[int] = set()
        self._place: tuple[str, int] | None = None
        self._faults = self._silences = self._answers = 0
        self._whose = Blame.image
        self._error: EndpointError | None = None

    def came_to(self, session: Trajectory) -> None:
        """Note where an attempt ended. One that got on is not what keeps the endpoint away."""
        place = session.setup.query, len(session.steps)
        if place != self._place:
            self._place = place
            self._outages.clear()
            self._silences = 0

    def ended_with(self, cause: BaseException) -> None:
        """Note why an attempt failed."""
        self._whose = self._outage.blame(cause)
        if not isinstance(cause, EndpointError):
            return
        self._error = cause
        if self._whose is Blame.image:
            self._outage.answered()
        if not (self._faults or self._silences):
            self._answers = self._outage.answers
        self._faults += self._whose is Blame.failing
        self._silences += self._whose is Blame.silent

    @property
    def may_be_mended(self) -> bool:
        """Whether another attempt may do, since it was not the image that made this one fail."""
        if self._whose is Blame.image:
            return False
        if self._silences >= TRIES and not self._nobody_was_answered:
            return False
        return max(len(self._outages), self._faults) < TRIES

    @property
    def say_nothing_of_it(self) -> bool:
        """Whether a server failed on this image that has answered nobody else meanwhile either."""
        return self._whose is Blame.failing and self._nobody_was_answered

    @property
    def _nobody_was_answered(self) -> bool:
        return self._answers == self._outage.answers

    def ask_about_another_picture(self, pilot: Pilot) -> Usage:
        """See `Outage.check`."""
        return self._outage.check(pilot, self._last, self._answers)

    def ask_in_silence(self, pilot: Pilot) -> Usage:
        """The same where time and again no reply came about this image, nor meanwhile about another one.

        Without an answer the endpoint is waited for as before.
        """
        if self._whose is not Blame.silent or self._silences % TRIES or not self._nobody_was_answered:
            return Usage()
        return self._outage.check(pilot, self._last, self._answers, gives_up=False)

    def wait(self) -> bool:
        """Wait until another attempt is worth it; False where the run was stopped."""
        goes_on = self._outage.pause(self._last)
        self._outages.add(self._outage.number)
        return goes_on

    @property
    def _last(self) -> EndpointError:
        if self._error is None:
            raise AssertionError("unreachable: the endpoint was not to blame")
        return self._error


def _cause(error: Exception) -> BaseException:
    return (isinstance(error, SessionFailed) and error.__cause__) or error

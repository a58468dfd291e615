"""Session logs of images in flight, so that rounds which were paid for are never paid again.

They lie in `sessions/<content>/<number of the class>-<first or unsure>.jsonl` and go once the image's labels
are committed. One that was begun anew keeps the old log beside the new one, as `….1.jsonl` and so on, since
its rounds were paid for. A session of a free policy has none: it says the same again.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from maskpilot.errors import RunFolderError, SessionFailed, TrajectoryError
from maskpilot.trajectory import Setup, Trajectory, TrajectoryWriter, read_trajectory
from maskpilot.types import Stop, Usage

__all__ = ["SessionLogs", "cost_of", "unlogged"]

SESSIONS = "sessions"


@dataclass(frozen=True)
class SessionLogs:
    """The logs of a run. Can be pickled; safe between threads that work on different images.

    Attributes:
        folder: of the run.
    """

    folder: Path

    def path(self, sha256: str, number: int, kind: str) -> Path:
        """Where a session lies.

        Args:
            sha256: of the image's content.
            number: of the class in the run.
            kind: which of the sessions about it: "first" or "unsure".
        """
        return self._of(sha256) / f"{number}-{kind}.jsonl"

    def recorded(self, number: int, kind: str, setup: Setup) -> Trajectory | None:
        """What an earlier attempt left of a session.

        Returns:
            None where it left nothing, or nothing of use: a log that was cut in its first line or damaged,
            or of a session that was given another query or other masks to begin with.
        """
        path = self.path(setup.image.sha256, number, kind)
        if not path.is_file():
            return None
        try:
            recorded = read_trajectory(path)
        except TrajectoryError:
            return None
        return recorded if _about(recorded.setup) == _about(setup) else None

    def writer(self, sha256: str, number: int, kind: str, resume: Trajectory | None) -> TrajectoryWriter:
        """A log to write to: that of `resume` goes on, anything else there is given up.

        Raises:
            RunFolderError: it cannot be written.
        """
        path = self.path(sha256, number, kind)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if resume is None:
                _give_up(path)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror})") from error
        return TrajectoryWriter(path, resume=resume)

    def images(self) -> Iterator[str]:
        """Content (SHA-256) of the images that have logs, in order."""
        folder = self.folder / SESSIONS
        if folder.is_dir():
            yield from sorted(path.name for path in folder.iterdir() if path.is_dir())

    def usage(self, labeled: Container[str]) -> Usage:
        """What the rounds in logs of images that are not `labeled` have cost.

        A log that cannot be read counts as nothing, since nothing of it can be used.
        """
        spent = Usage()
        for sha256 in self.images():
            if sha256 not in labeled:
                spent += _cost(self._of(sha256).glob("*.jsonl"))
        return spent

    def given_up(self, sha256: str, number: int, kind: str) -> Usage:
        """What a session has cost in logs that could not be gone on with. Arguments as `path` has them."""
        return _cost(self._of(sha256).glob(f"{number}-{kind}.*.jsonl"))

    def discard(self, sha256: str) -> None:
        """Forget the sessions of an image, since its labels are committed. Twice does no harm.

        Raises:
            RunFolderError: they cannot be removed.
        """
        try:
            shutil.rmtree(self._of(sha256))
        except FileNotFoundError:
            return
        except OSError as error:
            raise RunFolderError(f"{self._of(sha256)}: cannot be removed ({error.strerror})") from error

    def _of(self, sha256: str) -> Path:
        return self.folder / SESSIONS / sha256


def _cost(paths: Iterable[Path]) -> Usage:
    spent = Usage()
    for path in sorted(paths):
        try:
            spent += cost_of(read_trajectory(path))
        except TrajectoryError:
            continue
    return spent


def _give_up(path: Path) -> None:
    """Make room for a new log; what the old one has cost is not forgotten."""
    if _cost([path]) == Usage():
        path.unlink(missing_ok=True)
        return
    names = (path.with_suffix(f".{number}{path.suffix}") for number in itertools.count(1))
    path.rename(next(name for name in names if not name.exists()))


def _about(setup: Setup) -> tuple[object, ...]:
    return (setup.query, setup.image.sha256, setup.start)


def cost_of(session: Trajectory) -> Usage:
    """What a session has cost, a decision included that came to nothing since a limit was reached in it.

    One that failed is left out: whoever sees it fail writes down what that cost (`unlogged`).
    """
    if session.ending is None or session.ending.stop is Stop.failed:
        return session.usage
    return session.usage + session.ending.unrecorded


def unlogged(failure: SessionFailed) -> Usage:
    """What a session that failed has cost beyond the rounds in its log: a decision that came to nothing."""
    return failure.unrecorded or Usage()

"""Files of the folder, read and hashed ahead of the sessions, and left alone where nothing is to be done."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path

from maskpilot.errors import ImageError, MaskpilotError
from maskpilot.images import LoadedImage
from maskpilot.labeling.folder import digest, read
from maskpilot.labeling.store import SeenFile
from maskpilot.labeling.types import Failure

__all__ = ["Reader", "Seen", "failure_of", "said"]


@dataclass(frozen=True, eq=False)
class Seen:
    """A file of the folder, as it was found.

    Attributes:
        path: relative to the folder.
        file: which content it has; None where that could not be found out.
        image: to be labeled; None where nothing is to be done, or can be.
        failure: why it cannot be labeled, or why it could not be the last time.
    """

    path: str
    file: SeenFile | None = None
    image: LoadedImage | None = None
    failure: Failure | None = None


@dataclass(frozen=True, eq=False)
class Reader:
    """Reads files; safe between threads.

    Attributes:
        folder: of the images.
        files: as they were last seen.
        labeled: content that needs no more work; may grow meanwhile.
        failed: content that could not be labeled and is not tried again.
        max_megapixels: larger images are refused.
    """

    folder: Path
    files: Mapping[str, SeenFile]
    labeled: Set[str]
    failed: Mapping[str, Failure]
    max_megapixels: float

    def __call__(self, path: str) -> Seen:
        """Look at a file, and read it where its content is unknown or still to be labeled. Never raises."""
        before, now = self.files.get(path), self._status(path)
        if now is not None and now == before and (known := self._known(path, now)):
            return known
        try:
            # Read after it was looked at: what is written to it meanwhile shows the next time.
            image = read(self.folder, path, max_megapixels=self.max_megapixels)
        except Exception as error:  # noqa: BLE001 - decoders raise almost anything; one file is one failure
            return self._unreadable(path, error)
        now = now and replace(now, sha256=image.sha256)
        return (now and self._known(path, now)) or Seen(path, now, image)

    def _status(self, path: str) -> SeenFile | None:
        """A file with the content that it had, if it is the same; None where it cannot be looked at."""
        before = self.files.get(path)
        try:
            status = (self.folder / path).stat()
        except (OSError, ValueError):  # reading it says what is wrong
            return None
        return SeenFile.of(status, "" if before is None else before.sha256)

    def _known(self, path: str, file: SeenFile) -> Seen | None:
        """A file with whose content nothing is to be done."""
        if file.sha256 in self.labeled:
            return Seen(path, file)
        failure = self.failed.get(file.sha256)
        return None if failure is None else Seen(path, file, failure=replace(failure, path=path))

    def _unreadable(self, path: str, error: Exception) -> Seen:
        try:
            file = digest(self.folder / path)
        except (ImageError, OSError):
            file = None
        failure = failure_of(path, error, None if file is None else file.sha256)
        # Other files of the same content fail for the same reason, which must not name this one.
        reason = failure.error.removeprefix(f"{self.folder / path}: ")
        return Seen(path, file, failure=replace(failure, error=reason))


def failure_of(path: str, error: BaseException, sha256: str | None) -> Failure:
    """Why a file could not be labeled, as it is kept."""
    return Failure(path, type(error).__name__, said(error), sha256)


def said(error: BaseException) -> str:
    """An error in words; its kind is named where it is none of ours."""
    return str(error) if isinstance(error, MaskpilotError) else f"{type(error).__name__}: {error}"

"""The results of a run on disk: one line a sample, each on disk before the next one is taken up.

A run that is killed at any moment leaves whole lines and perhaps the beginning of one; the beginning is taken
back, and its sample is answered again.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from maskpilot.errors import RunFolderError
from maskpilot.evals.types import SampleScore
from maskpilot.lines import append_line
from maskpilot.types import Usage

__all__ = ["RESULTS", "Outcome", "ResultsFile", "read_results"]

RESULTS = "results.jsonl"


@dataclass(frozen=True)
class Outcome:
    """What became of one sample.

    Attributes:
        number: of the sample in the run, from 1; names its session log and its page.
        score: its values, or why it has none.
        usage: what it cost, also where it failed.
        worst: for a failed sample, the values of the worst possible answer; None where not even the truth
            could be read.
        wasted: the part of `usage` that is in no session log, so that another try does not count it again.
        truth: digest of what the truth was made from that it was scored by; empty where there is none.
    """

    number: int
    score: SampleScore
    usage: Usage = field(default_factory=Usage)
    worst: Mapping[str, Any] | None = None
    wasted: Usage = field(default_factory=Usage)
    truth: str = ""

    @property
    def failed(self) -> bool:
        return bool(self.score.error)

    def counted(self, *, failures_as_zero: bool) -> SampleScore | None:
        """The score that enters the means; None for a failure that is only reported beside them."""
        if not self.failed:
            return self.score
        if not failures_as_zero or self.worst is None:
            return None
        return replace(self.score, values=self.worst, error="")


class ResultsFile:
    """Appends outcomes to a run's results; each is on disk when the call returns.

    Args:
        path: the file; what a killed run left unfinished at its end is cut off.

    Raises:
        RunFolderError: it cannot be written, a full disk included.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            # Unbuffered: closing cannot fail later.
            self._file = path.open("a+b", buffering=0)
            self._file.truncate(_end_of_whole_lines(self._file))
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def append(self, outcome: Outcome) -> None:
        """Add one outcome.

        Raises:
            RunFolderError: the disk is full or refuses; the file is as it was before.
        """
        line = json.dumps(asdict(outcome), default=_plain, allow_nan=False).encode() + b"\n"
        try:
            append_line(self._file, line)
        except OSError as error:
            raise RunFolderError(
                f"{self._path}: cannot be written ({error.strerror}); what was scored before is intact. "
                "Make room, then go on with --resume"
            ) from error


def read_results(path: Path) -> list[Outcome]:
    """What became of every sample so far, by number; a failed one that was tried again counts once.

    An unfinished last line is left out; a missing file holds nothing.

    Raises:
        RunFolderError: a line is not an outcome, or a scored sample was scored again.
    """
    try:
        lines = path.read_bytes().split(b"\n")[:-1] if path.exists() else []
    except OSError as error:
        raise RunFolderError(f"{path}: cannot be read ({error.strerror})") from error
    outcomes: dict[int, Outcome] = {}
    for at, line in enumerate(lines, start=1):
        try:
            outcome = _outcome(json.loads(line))
        except (KeyError, TypeError, ValueError) as error:
            raise RunFolderError(f"{path}: line {at} is not the result of a sample ({error!r})") from error
        earlier = outcomes.get(outcome.number)
        if earlier is not None and not earlier.failed:
            raise RunFolderError(f"{path}: line {at} scores sample {outcome.score.sample!r} a second time")
        outcomes[outcome.number] = outcome if earlier is None else _after(earlier, outcome)
    return [outcomes[number] for number in sorted(outcomes)]


def _after(earlier: Outcome, outcome: Outcome) -> Outcome:
    """A second try. It counts all that the session's log holds, so that only the rest is to be added."""
    wasted = earlier.wasted
    return replace(outcome, usage=outcome.usage + wasted, wasted=outcome.wasted + wasted)


def _outcome(record: Mapping[str, Any]) -> Outcome:
    return Outcome(
        number=record["number"],
        score=SampleScore(**record["score"]),
        usage=Usage(**record["usage"]),
        worst=record["worst"],
        wasted=Usage(**record.get("wasted", {})),  # of earlier versions: none
        truth=record.get("truth", ""),  # likewise
    )


def _end_of_whole_lines(file: io.FileIO) -> int:
    file.seek(0)
    return file.read().rfind(b"\n") + 1


def _plain(value: Any) -> Any:
    """Numbers of numpy as numbers of Python, mappings as dictionaries."""
    if isinstance(value, Mapping):
        return dict(value)
    if hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"a result holds {type(value).__name__}, which is no plain data")

"""A session on disk: versioned JSON Lines, one line a step.

The first line says what was asked of whom, the last one how it ended. A session that was killed lacks the
last line, and perhaps the end of the line before: the reader gives what is there.
"""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from maskpilot.errors import RunFolderError, TrajectoryError
from maskpilot.lines import append_line
from maskpilot.trajectory.records import read_ending, read_setup, read_step, setup_record, step_record
from maskpilot.trajectory.session import Ending, Setup, Step, Trajectory

__all__ = [
    "SCHEMA",
    "Recorder",
    "TrajectoryWriter",
    "read_trajectory",
]


SCHEMA = 1
"""Goes up when a reader of the old records would misread the new ones."""


class Recorder(Protocol):
    """Where a session goes while it happens. What has been passed in must survive the process."""

    def start(self, setup: Setup) -> None: ...

    def step(self, step: Step) -> None: ...

    def end(self, ending: Ending) -> None: ...


class TrajectoryWriter:
    """Writes a session line by line; each line is on disk when the call returns.

    Args:
        path: the file; it must not exist, unless `resume` is given.
        resume: the part of this session that `path` already holds. Its records are kept; the same steps,
            passed in again, are compared instead of written. Its ending goes when there is something new to
            record: a session that ends before all of its steps were passed in leaves the file as it was.

    Raises:
        RunFolderError: the file exists or cannot be written, a full disk included.
        TrajectoryError: while resuming, a repeated step differs from the recorded one, or the start does.
    """

    def __init__(self, path: Path, *, resume: Trajectory | None = None) -> None:
        self._path = path
        self._resumes = resume is not None
        self._start = resume.setup.start if resume is not None else ()
        self._to_repeat = list(resume.steps) if resume is not None else []
        self._failed = False
        self._begun = self._uncut = resume is not None
        try:
            # Unbuffered: what a full disk cut off can be taken back, and closing cannot fail later.
            self._file = path.open("xb" if resume is None else "r+b", buffering=0)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def start(self, setup: Setup) -> None:
        if self._resumes and setup.start != self._start:
            raise TrajectoryError(
                f"{self._path}: the session started with other masks than it is to go on with; "
                "start anew with --overwrite"
            )
        if not self._resumes:
            self._write({"kind": "setup", "schema": SCHEMA, **setup_record(setup)})
            self._begun = True

    def step(self, step: Step) -> None:
        if self._to_repeat:
            if step.instances != self._to_repeat[0].instances:
                raise TrajectoryError(
                    f"{self._path}: round {step.index + 1} gives other masks than were recorded; the "
                    "segmenter or its version changed. Start anew with --overwrite"
                )
            self._to_repeat.pop(0)
            return
        self._write({"kind": "step", **step_record(step)})

    def end(self, ending: Ending) -> None:
        if self._begun and not self._to_repeat:  # Ctrl-C may have come before the first line
            self._write({"kind": "end", **asdict(ending)})

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._failed:  # a record is missing: what follows it would make no sense
            raise RunFolderError(f"{self._path}: an earlier record could not be written")
        try:
            if self._uncut:
                _cut_unfinished(self._file)
                self._uncut = False
            append_line(self._file, _line(record))
        except OSError as error:
            self._failed = True
            raise RunFolderError(
                f"{self._path}: cannot be written ({error.strerror}); what was recorded before is intact. "
                "Make room, then go on with --resume"
            ) from error


def read_trajectory(path: Path) -> Trajectory:
    """Read a session; an unfinished last line is left out.

    Raises:
        TrajectoryError: no such file, a newer schema, or a line that is not a record of a session.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise TrajectoryError(f"{path}: cannot be read ({error.strerror})") from error
    # All that was written whole ends in a newline, so what follows the last one was cut off.
    records = [_record(path, number, line) for number, line in enumerate(lines[:-1], start=1)]
    if not records or records[0].get("kind") != "setup":
        raise TrajectoryError(f"{path}: line 1 is not the start of a recorded session")
    if records[0].get("schema") != SCHEMA:
        raise TrajectoryError(
            f"{path}: has schema {records[0].get('schema')!r}, this version reads {SCHEMA}; use the version "
            "of maskpilot that wrote it"
        )
    steps: list[Step] = []
    ending = None
    number = 1
    try:
        setup = read_setup(records[0])
        for number, record in enumerate(records[1:], start=2):  # noqa: B007 (named in the error)
            if record["kind"] == "step":
                steps.append(read_step(record, setup.image))
            else:
                ending = read_ending(record)
        if ending and ending.best is not None and not 0 <= ending.best < len(steps):
            raise ValueError(f"the best of {len(steps)} rounds is said to be {ending.best}")
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrajectoryError(f"{path}: line {number} is not a record of a session ({error!r})") from error
    return Trajectory(setup, tuple(steps), ending)


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False, default=repr).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate from a model: escapes keep it
        return json.dumps(record, default=repr).encode() + b"\n"


def _cut_unfinished(file: io.FileIO) -> None:
    """Leave the file with its last whole record at its end; an ending goes too, since the session goes on."""
    lines = file.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    if lines and lines[-1].startswith(b'{"kind": "end"'):
        lines.pop()
    file.truncate(sum(len(line) for line in lines))


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise TrajectoryError(f"{path}: line {number} is not JSON; the file was damaged") from error
    if not isinstance(record, dict):
        raise TrajectoryError(f"{path}: line {number} is not a record of a session")
    return record

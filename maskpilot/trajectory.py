"""A session on disk: versioned JSON Lines, one line a step.

The first line says what was asked of whom, the last one how it ended. A session that was killed lacks the
last line, and perhaps the end of the line before: the reader gives what is there.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from maskpilot import masks
from maskpilot.errors import RunFolderError, TrajectoryError
from maskpilot.types import (
    Box,
    Budget,
    Decision,
    Exemplar,
    ImageRef,
    Instance,
    Mask,
    PromptState,
    Seen,
    SeenPicture,
    Stop,
    ToolCall,
    Usage,
    Verdict,
)

__all__ = [
    "SCHEMA",
    "Changes",
    "Ending",
    "Recorder",
    "Setup",
    "Step",
    "Trajectory",
    "TrajectoryWriter",
    "best_step",
    "changes",
    "read_trajectory",
]

SCHEMA = 1
"""Goes up when a reader of the old records would misread the new ones."""


@dataclass(frozen=True)
class Setup:
    """All that a session is given.

    Attributes:
        query: what the user wants segmented, in the user's words.
        image: which image.
        tools: names of the tools on offer.
        budget: limits.
        policy: what decides, as plain data ("name" and whatever makes it repeatable; never a secret).
        segmenter: what segments, likewise.
        versions: of the programs involved.
        created: ISO 8601 time with zone.
    """

    query: str
    image: ImageRef
    tools: tuple[str, ...]
    budget: Budget = field(default_factory=Budget)
    policy: Mapping[str, Any] = field(default_factory=dict)
    segmenter: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    created: str = ""


@dataclass(frozen=True)
class Step:
    """One round: what the policy did, and what came of it.

    Attributes:
        index: from 0.
        decision: what the policy wanted, as it said it.
        rating: 0-100, of the masks shown *before* this step; None where the policy gave none.
        errors: what was wrong with the reply or its calls, as it was told to the policy.
        notes: warnings and repairs, likewise.
        prompts: the prompts after this step.
        instances: what is shown after this step, by id.
        locked, dropped: ids in the ledger after this step.
        zooms: places to be shown closer.
        seconds: whole round, from the observation to the new masks.
    """

    index: int
    decision: Decision
    rating: float | None
    errors: tuple[str, ...]
    notes: tuple[str, ...]
    prompts: PromptState
    instances: tuple[Instance, ...]
    locked: tuple[int, ...] = ()
    dropped: tuple[int, ...] = ()
    zooms: tuple[Box, ...] = ()
    seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended.

    Attributes:
        best: index of the step whose instances are the result; None for an empty result.
        error: the cause, for `Stop.failed`.
    """

    stop: Stop
    verdict: Verdict
    reason: str
    best: int | None
    usage: Usage
    seconds: float
    error: str = ""


@dataclass(frozen=True)
class Trajectory:
    """A whole session. `ending` is None where it was killed."""

    setup: Setup
    steps: tuple[Step, ...]
    ending: Ending | None

    @property
    def result(self) -> tuple[Instance, ...]:
        """The instances that answer the query: those of the state that the policy rated best."""
        best = best_step(self.steps) if self.ending is None else self.ending.best
        return () if best is None else self.steps[best].instances

    @property
    def usage(self) -> Usage:
        return sum((step.decision.usage for step in self.steps), Usage())


def best_step(steps: Sequence[Step]) -> int | None:
    """The step after which the shown masks were rated best, the later one of equals.

    A step's rating is about what was shown before it. Where nothing was ever rated, the last step.

    Returns:
        an index into `steps`; None where there are no steps.
    """
    rated = [(step.rating, number) for number, step in enumerate(steps[1:]) if step.rating is not None]
    if rated:
        return max(rated)[1]
    return len(steps) - 1 if steps else None


@dataclass(frozen=True, slots=True)
class Changes:
    """What a round changed in what is shown, as ids.

    Attributes:
        new: not shown before it.
        changed: shown before it with another mask.
        gone: no longer shown.
    """

    new: frozenset[int] = frozenset()
    changed: frozenset[int] = frozenset()
    gone: frozenset[int] = frozenset()


def changes(steps: Sequence[Step], index: int = -1) -> Changes:
    """What the step at `index` changed against the one before it; nothing where there are no steps."""
    if not steps:
        return Changes()
    index = index % len(steps)
    before = {shown.id: shown.mask for shown in steps[index - 1].instances} if index else {}
    now = {shown.id: shown.mask for shown in steps[index].instances}
    return Changes(
        new=frozenset(now.keys() - before.keys()),
        changed=frozenset(number for number, mask in now.items() if before.get(number, mask) != mask),
        gone=frozenset(before.keys() - now.keys()),
    )


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
            passed in again, are compared instead of written. Where the session ends before all of them were
            passed in, that is no ending of what is recorded, and none is written.

    Raises:
        RunFolderError: the file exists or cannot be written, a full disk included.
        TrajectoryError: while resuming, a repeated step differs from the recorded one.
    """

    def __init__(self, path: Path, *, resume: Trajectory | None = None) -> None:
        self._path = path
        self._resumes = resume is not None
        self._to_repeat = list(resume.steps) if resume is not None else []
        self._failed = False
        try:
            # Unbuffered: what a full disk cut off can be taken back, and closing cannot fail later.
            self._file = path.open("xb" if resume is None else "r+b", buffering=0)
            if resume is not None:
                _cut_unfinished(self._file)
        except OSError as error:
            raise RunFolderError(f"{path}: cannot be written ({error.strerror})") from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def start(self, setup: Setup) -> None:
        if not self._resumes:
            self._write({"kind": "setup", "schema": SCHEMA, **asdict(setup)})

    def step(self, step: Step) -> None:
        if self._to_repeat:
            if step.instances != self._to_repeat[0].instances:
                raise TrajectoryError(
                    f"{self._path}: round {step.index + 1} gives other masks than were recorded; the "
                    "segmenter or its version changed. Start anew with --overwrite"
                )
            self._to_repeat.pop(0)
            return
        self._write({"kind": "step", **_step_record(step)})

    def end(self, ending: Ending) -> None:
        if not self._to_repeat:
            self._write({"kind": "end", **asdict(ending)})

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._failed:  # a record is missing: what follows it would make no sense
            raise RunFolderError(f"{self._path}: an earlier record could not be written")
        line = _line(record)
        begin = self._file.tell()
        try:
            while line:
                line = line[self._file.write(line) :]
            os.fsync(self._file.fileno())
        except OSError as error:
            with contextlib.suppress(OSError):
                self._file.truncate(self._file.seek(begin))
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
        setup = _setup(records[0])
        for number, record in enumerate(records[1:], start=2):  # noqa: B007 (named in the error)
            if record["kind"] == "step":
                steps.append(_step(record, setup.image))
            else:
                ending = _ending(record)
        if ending and ending.best is not None and not 0 <= ending.best < len(steps):
            raise ValueError(f"the best of {len(steps)} rounds is said to be {ending.best}")
    except (KeyError, TypeError, ValueError) as error:
        raise TrajectoryError(f"{path}: line {number} is not a record of a session ({error!r})") from error
    return Trajectory(setup, tuple(steps), ending)


def _line(record: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(record, ensure_ascii=False, default=repr).encode() + b"\n"
    except UnicodeEncodeError:  # a lone surrogate from a model: escapes keep it
        return json.dumps(record, default=repr).encode() + b"\n"


def _cut_unfinished(file: io.FileIO) -> None:
    """Leave the file open behind its last whole record; an ending goes too, since the session goes on."""
    lines = file.read().splitlines(keepends=True)
    if lines and not lines[-1].endswith(b"\n"):
        lines.pop()
    if lines and lines[-1].startswith(b'{"kind": "end"'):
        lines.pop()
    file.truncate(sum(len(line) for line in lines))
    file.seek(0, os.SEEK_END)


def _record(path: Path, number: int, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except ValueError as error:
        raise TrajectoryError(f"{path}: line {number} is not JSON; the file was damaged") from error
    if not isinstance(record, dict):
        raise TrajectoryError(f"{path}: line {number} is not a record of a session")
    return record


def _step_record(step: Step) -> dict[str, Any]:
    return {
        "index": step.index,
        "decision": _decision_record(step.decision),
        "rating": step.rating,
        "errors": step.errors,
        "notes": step.notes,
        "prompts": _prompts_record(step.prompts),
        "instances": [
            {
                "id": instance.id,
                "score": instance.score,
                "text": instance.text,
                "counts": instance.mask.counts.decode("ascii"),
            }
            for instance in step.instances
        ],
        "locked": step.locked,
        "dropped": step.dropped,
        "zooms": [box.xyxy for box in step.zooms],
        "seconds": step.seconds,
    }


def _decision_record(decision: Decision) -> dict[str, Any]:
    return {
        "calls": [
            {"name": call.name, "arguments": dict(call.arguments), "id": call.id} for call in decision.calls
        ],
        "thought": decision.thought,
        "rating": decision.rating,
        "usage": asdict(decision.usage),
        "problems": decision.problems,
        "refused": decision.refused,
        "objections": decision.objections,
        "seen": None if decision.seen is None else asdict(decision.seen),
    }


def _prompts_record(prompts: PromptState) -> dict[str, Any]:
    boxes = [{"xyxy": exemplar.box.xyxy, "positive": exemplar.positive} for exemplar in prompts.boxes]
    return {"text": prompts.text, "boxes": boxes, "threshold": prompts.threshold}


def _setup(record: Mapping[str, Any]) -> Setup:
    return Setup(
        query=record["query"],
        image=ImageRef(**record["image"]),
        tools=tuple(record["tools"]),
        budget=Budget(**record["budget"]),
        policy=record["policy"],
        segmenter=record["segmenter"],
        versions=record["versions"],
        created=record["created"],
    )


def _step(record: Mapping[str, Any], image: ImageRef) -> Step:
    prompts = record["prompts"]
    return Step(
        index=record["index"],
        decision=_decision(record["decision"]),
        rating=record["rating"],
        errors=tuple(record["errors"]),
        notes=tuple(record["notes"]),
        prompts=PromptState(
            prompts["text"],
            tuple(Exemplar(Box(*box["xyxy"]), box["positive"]) for box in prompts["boxes"]),
            prompts["threshold"],
        ),
        instances=tuple(_instance(instance, image) for instance in record["instances"]),
        locked=tuple(record["locked"]),
        dropped=tuple(record["dropped"]),
        zooms=tuple(Box(*xyxy) for xyxy in record["zooms"]),
        seconds=record["seconds"],
    )


def _decision(record: Mapping[str, Any]) -> Decision:
    return Decision(
        calls=tuple(ToolCall(call["name"], call["arguments"], call["id"]) for call in record["calls"]),
        thought=record["thought"],
        rating=record["rating"],
        usage=Usage(**record["usage"]),
        problems=tuple(record["problems"]),
        refused=record["refused"],
        objections=tuple(record["objections"]),
        seen=None if record["seen"] is None else _seen(record["seen"]),
    )


def _seen(record: Mapping[str, Any]) -> Seen:
    return Seen(record["text"], tuple(SeenPicture(**picture) for picture in record["pictures"]))


def _instance(record: Mapping[str, Any], image: ImageRef) -> Instance:
    mask = Mask(image.width, image.height, record["counts"].encode("ascii"))
    box = masks.tight_box(mask)
    if box is None:
        raise ValueError(f"instance {record['id']} has an empty mask")
    return Instance(record["id"], mask, box, record["score"], record["text"])


def _ending(record: Mapping[str, Any]) -> Ending:
    return Ending(
        stop=Stop(record["stop"]),
        verdict=Verdict(record["verdict"]),
        reason=record["reason"],
        best=record["best"],
        usage=Usage(**record["usage"]),
        seconds=record["seconds"],
        error=record["error"],
    )

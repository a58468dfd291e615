"""The processes that hold sessions: many threads that mostly wait for a model and for a segmenter."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import threading
import uuid
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import ray

from maskpilot.crew.control import Control
from maskpilot.errors import Fatal, InvalidInput, RunFolderError, SegmenterGone
from maskpilot.images import decode_image
from maskpilot.labeling.existing import ExistingLabels
from maskpilot.labeling.job import Job
from maskpilot.labeling.labeler import Labeler, Result
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.outage import Outage
from maskpilot.labeling.ray.manifest import relative
from maskpilot.labeling.ray.records import write_part
from maskpilot.labeling.ray.segmenters import RemoteSegmenter
from maskpilot.labeling.ray.turns import About
from maskpilot.labeling.reading import Reader, Seen, failure_of
from maskpilot.labeling.store import SeenFile
from maskpilot.labeling.types import Failure
from maskpilot.runfolder import RUN
from maskpilot.segmenters.base import Segmenter
from maskpilot.types import Usage

__all__ = ["BYTES", "PATH", "RECEIPT", "Orders", "SessionWorker", "files_of"]

PATH, BYTES = "path", "bytes"
"""Columns of what comes in: a file's path, and its content where that comes along."""

RECEIPT = pa.schema([(name, pa.string()) for name in ("part", "problem", "kind", "usage")])
"""What goes out, a row a batch: the part that was written, why the run must end, what was spent (JSON)."""

HINT = ". On a cluster, an environment variable is set where `ray start` is called, on every machine"

LISTEN = 1.0
"""Seconds after which a process says what it has cost, and asks whether the run goes on."""


@dataclass(frozen=True, eq=False)
class Orders:
    """What a process is told. All of it can be pickled.

    Attributes:
        job: makes the job, in the process that uses it. Not shown: the endpoint's address may hold a secret.
        servers: actors of the segmenters.
        about: what the segmenters are.
        board: actor that all processes know.
        run: folder of the run, on storage that all machines share.
        images: folder of the images, likewise.
        start: masks that are there when sessions begin.
        patience: seconds for which an endpoint that cannot be reached is waited for.
        max_megapixels: larger images are refused.
    """

    job: Callable[[Segmenter], Job] = field(repr=False)
    servers: Sequence[Any]
    about: About
    board: Any
    run: Path
    images: Path
    start: ExistingLabels | None
    patience: float
    max_megapixels: float


class SessionWorker:
    """Labels batches of files, one in each of its threads; what it has done is on disk before it says so.

    Args:
        orders: for all processes alike.
    """

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._problem = ""
        self._lock = threading.Lock()
        self._told = Usage()
        # What all processes come to decides, not the images that one of them happened to get.
        self._control = Control(Usage(), max_failures=None)
        board = orders.board
        self._outage = Outage(self._control, orders.patience, board.say.remote)
        try:
            _check_shared(orders)
            job = orders.job(RemoteSegmenter(orders.servers, orders.about))
        except Fatal as error:  # told by the first batch: an actor that dies as it is made is only made again
            self._problem = f"on {platform.node()}: {error}{HINT if isinstance(error, InvalidInput) else ''}"
            return
        logs = SessionLogs(orders.run)
        self._labeler = Labeler(job, orders.start, logs, self._control, self._outage)
        self._reader = Reader(orders.images, {}, frozenset(), {}, orders.max_megapixels)
        threading.Thread(target=_listen, args=(board, self._control), daemon=True).start()

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Label the files of a batch, one after the other."""
        if self._problem:
            return self._receipt("", self._problem, "setup")
        results: list[Result] = []
        problem, kind = "", ""
        try:
            for path, source in self._wanted(batch):
                if self._control.stopped:
                    break
                result = self._label(path, source)
                if result is not None:
                    results.append(result)
        except RunFolderError as error:
            problem, kind = str(error), "folder"
        ended = self._labeler.ended_run
        if ended is not None:  # the segmenters are gone also where the command was killed, and Ray with it
            problem, kind = str(ended), "segmenter" if isinstance(ended, SegmenterGone) else "endpoint"
        if self._outage.ended_run is not None:
            problem, kind = str(self._outage.ended_run), "unreachable"
        part = ""
        try:
            part = write_part(self._orders.run, results).name if results else ""
        except RunFolderError as error:
            problem, kind = str(error), "folder"
        return self._receipt(part, problem, kind)

    def _wanted(self, batch: pa.Table) -> list[tuple[str, bytes | None]]:
        found = files_of(batch, str(self._orders.images))
        wanted = set(ray.get(self._orders.board.wanted.remote([path for path, _ in found])))
        return [(path, source) for path, source in found if path in wanted]

    def _label(self, path: str, source: bytes | None) -> Result | None:
        seen = self._reader(path) if source is None else self._decoded(path, source)
        if seen.file is not None:
            claim = ray.get(self._orders.board.claim.remote(path, seen.file.sha256))
            if isinstance(claim, Failure):
                return Result(path, seen.file, failure=replace(claim, path=path))
            if not claim:
                return Result(path, seen.file)
        return self._labeler(seen)

    def _decoded(self, path: str, source: bytes) -> Seen:
        file = SeenFile(len(source), 0, hashlib.sha256(source).hexdigest())
        try:
            image = decode_image(source, Path(path), max_megapixels=self._orders.max_megapixels)
        except Exception as error:  # noqa: BLE001 - decoders raise almost anything; one file is one failure
            return Seen(path, file, failure=failure_of(path, error, file.sha256))
        return Seen(path, file, image)

    def _receipt(self, part: str, problem: str, kind: str) -> pa.Table:
        usage = json.dumps(asdict(self._fresh()))
        row = {"part": part, "problem": problem, "kind": kind, "usage": usage}
        return pa.Table.from_pylist([row], RECEIPT)

    def _fresh(self) -> Usage:
        """What all threads have spent since the last receipt."""
        with self._lock:
            before, self._told = self._told, self._control.usage
            more = {name: value - (getattr(before, name) or 0) for name, value in _numbers(self._told)}
            return Usage(**more)


def files_of(batch: pa.Table, images: str) -> list[tuple[str, bytes | None]]:
    """Paths of a batch, relative to the folder of images, and the content that came along, if any did.

    What comes without content has its path already, whatever a manifest would mean by that.
    """
    if BYTES not in batch.column_names:
        return [(os.fsdecode(path), None) for path in batch[PATH].to_pylist()]
    paths = (relative(path, images) for path in batch[PATH].to_pylist())
    return [(path, source) for path, source in zip(paths, batch[BYTES].to_pylist(), strict=True) if path]


def _numbers(usage: Usage) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in asdict(usage).items() if value is not None]


def _check_shared(orders: Orders) -> None:
    """Raises RunFolderError where this machine does not see what the others see."""
    if not (orders.run / RUN).is_file():
        raise RunFolderError(
            f"{orders.run}: the run folder is not to be found here; --out must lie on storage that all "
            "machines of the cluster see under the same path"
        )


def _listen(board: Any, control: Control) -> None:
    """Say what was spent, and stop when the run is to end or nobody is there any more who could say so."""
    process = uuid.uuid4().hex
    try:
        while not control.wait(LISTEN):
            if ray.get(board.stopped.remote(process, control.usage.cost or 0.0)):
                control.stop()
    except Exception:  # noqa: BLE001 - whatever keeps it from asking
        control.stop()

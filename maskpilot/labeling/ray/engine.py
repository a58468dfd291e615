"""The engine that spreads a run over a Ray cluster.

Files go through Ray Data in small blocks to processes with many sessions each; their segmenters are actors
of their own. What a block came to is a part on shared storage before anybody hears of it, and goes from
there into the run's database: whatever dies, what is in a part stays.
"""

from __future__ import annotations

import json
import logging
import math
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

import pyarrow as pa
import ray
import ray.data
from ray.exceptions import RayError

from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.crew.ahead import ahead
from maskpilot.crew.interrupts import ctrl_c
from maskpilot.errors import InvalidInput, PolicyError, RunFolderError
from maskpilot.labeling.books import Books
from maskpilot.labeling.job import Job
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.part import PARQUET, PENDING, Part
from maskpilot.labeling.ray.board import Board
from maskpilot.labeling.ray.manifest import Manifest
from maskpilot.labeling.ray.records import read_part, settle
from maskpilot.labeling.ray.segmenters import RemoteSegmenter, start_servers
from maskpilot.labeling.ray.worker import BYTES, PATH, Orders, SessionWorker
from maskpilot.labeling.reading import Reader
from maskpilot.segmenters.base import Segmenter
from maskpilot.types import Usage

__all__ = ["Cluster", "OnRay", "connected"]

GRACE = 10.0
"""Seconds for what is in flight after the run was stopped."""

TICK = 0.5
"""Seconds after which it is looked at whether the run was stopped, and what the processes say."""

LOOKERS, DEPTH = 16, 64
"""Threads that look whether files changed, and how far ahead they are."""

SESSIONS_A_PROCESS = 16
"""Threads of a process: they wait most of the time, and a process takes some hundred megabytes."""

PORTIONS = 4
"""Parts for each session at least, so that none of them waits long for the last one."""

PROCESS_CPUS, SEGMENTER_CPUS = 0.25, 0.5
"""What Ray is told that they need; less than one, so that small machines hold both."""


@dataclass(frozen=True)
class Cluster:
    """Where to work, and in what portions.

    Attributes:
        address: of a cluster, as Ray writes it; None: RAY_ADDRESS, else a Ray of this machine's own.
        segmenters: processes that hold the model; None: one for each GPU, or one where there is none.
        rows: images of a part at most; fewer where there are few for each session. What a crash loses is at
            most what their free rounds took.
        options: for `ray.init`.

    Raises:
        InvalidInput: a number below one.
    """

    address: str | None = None
    segmenters: int | None = None
    rows: int = 16
    options: tuple[tuple[str, Any], ...] = ()

    def __post_init__(self) -> None:
        for name in ("segmenters", "rows"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InvalidInput(f"{name}: expected at least one, got {value}")


@contextmanager
def connected(cluster: Cluster, make: Callable[[], Segmenter]) -> Iterator[list[Any]]:
    """Join a cluster or start one, with segmenters on it; they and a Ray of this machine's own end with it.

    Args:
        cluster: where.
        make: makes a segmenter, in the process that holds it; a function that can be pickled.

    Yields:
        the actors.

    Raises:
        InvalidInput: the cluster cannot be reached, or lacks GPUs.
        SegmenterError: the segmenters cannot be made.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # Ray's makers would be told of the run
    address = cluster.address or os.environ.get("RAY_ADDRESS") or "local"
    mine = not ray.is_initialized()
    if mine:
        options: dict[str, Any] = {"include_dashboard": False} if address == "local" else {}
        try:
            # An environment of variables is what Ray writes into its logs: no key travels that way.
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="error",
                **options,
                **dict(cluster.options),
            )
        except (RayError, ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidInput(f"--address {address}: no Ray cluster there ({error})") from error
    servers: list[Any] = []
    try:
        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = cluster.segmenters or max(gpus, 1)
        servers = start_servers(make, count, num_gpus=min(gpus / count, 1.0), num_cpus=SEGMENTER_CPUS)
        yield servers
    finally:
        for server in servers:
            ray.kill(server)
        if mine:
            ray.shutdown()


@dataclass(frozen=True, eq=False)
class OnRay:
    """An engine (`labeling.part.Engine`).

    Attributes:
        cluster: in what portions to work.
        servers: actors of the segmenters; see `connected`.
        job: makes the job, in the processes that hold sessions; a function that can be pickled.
        manifest: where the images come from; None: from the folder.
    """

    cluster: Cluster
    servers: list[Any]
    job: Callable[[Segmenter], Job]
    manifest: Manifest | None = None

    def segmenter(self) -> RemoteSegmenter:
        """What stands for the segmenters here.

        Raises:
            SegmenterError: they cannot be made.
        """
        return RemoteSegmenter(self.servers)

    def __call__(self, part: Part) -> None:
        """Label files until all are done or the run is stopped.

        Ctrl-C ends it within ten seconds; what is in flight by then is gone on with from the session logs.

        Raises:
            RunFolderError: the run folder cannot be written, or is not where all machines see it.
            PolicyError: the endpoint refuses every image alike.
        """
        left = list(self._left(part))
        if not left or part.control.stopped:
            return
        books = part.books
        wanted = left if self._has_bytes else None
        board = ray.remote(Board).options(num_cpus=0).remote(list(books.labeled), dict(books.failed), wanted)
        orders = Orders(
            job=self.job,
            servers=self.servers,
            board=board,
            run=part.path.resolve(),
            images=part.folder.absolute(),
            start=part.start,
            patience=part.plan.patience,
            max_megapixels=part.plan.max_megapixels,
        )
        with _quiet():
            rows = max(min(self.cluster.rows, math.ceil(len(left) / (PORTIONS * part.plan.workers))), 1)
            labeled = _pool(
                self._rows(left, rows), orders, min(part.plan.workers, math.ceil(len(left) / rows))
            )
            _collect(labeled, board, part)

    @property
    def _has_bytes(self) -> bool:
        return self.manifest is not None and self.manifest.has_bytes

    def _left(self, part: Part) -> Iterator[str]:
        """Files with which something is to be done; the others are taken into the books."""
        books = part.books
        known = {
            path
            for path in part.paths
            if (file := books.files.get(path))
            and (file.sha256 in books.labeled or file.sha256 in books.failed)
        }
        if self._has_bytes:  # what they were is known only when they are read
            yield from part.paths
            return
        yield from (path for path in part.paths if path not in known)
        reader = Reader(part.folder, books.files, books.labeled, books.failed, part.plan.max_megapixels)
        before = [path for path in part.paths if path in known]
        with closing(ahead(before, reader, threads=LOOKERS, depth=DEPTH)) as looked:
            for seen in looked:
                if seen.image is not None:
                    yield seen.path
                else:
                    part.take(Result(seen.path, seen.file, failure=seen.failure))

    def _rows(self, left: list[str], rows: int) -> Any:
        """The files as a Ray data set, in blocks of so many rows."""
        if self.manifest is not None and self.manifest.has_bytes:
            data = ray.data.read_parquet(str(self.manifest.source))
            data = data.select_columns([self.manifest.column, BYTES]).rename_columns([PATH, BYTES])
            # A file of few row groups would be one block, and a block is lost or kept as a whole.
            return data.repartition(target_num_rows_per_block=rows)
        blocks = [left[start : start + rows] for start in range(0, len(left), rows)]
        return ray.data.from_arrow(
            [pa.table({PATH: pa.array(map(os.fsencode, block), pa.binary())}) for block in blocks]
        )


def _pool(data: Any, orders: Orders, sessions: int) -> Any:
    """The data set of receipts: nothing happens before it is read."""
    threads = min(sessions, SESSIONS_A_PROCESS)
    pool = ray.data.ActorPoolStrategy(
        min_size=1,
        max_size=math.ceil(sessions / threads),
        max_tasks_in_flight_per_actor=threads,
        max_concurrent_calls_per_actor=threads,
        enable_true_multi_threading=True,
    )
    return data.map_batches(
        SessionWorker,
        fn_constructor_args=(orders,),
        batch_size=None,
        batch_format="pyarrow",
        compute=pool,
        num_cpus=PROCESS_CPUS,
    )


def _is_known(sha256: str, books: Books) -> bool:
    return sha256 in books.labeled or sha256 in books.failed


def _collect(labeled: Any, board: Any, part: Part) -> None:
    """Put into the books what the processes come to, until they are through or the run is stopped."""
    said: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_read, args=(labeled, said.put), daemon=True).start()
    problem: dict[str, str] = {}
    until: float | None = None
    with ctrl_c(part.control.stop):
        while until is None or monotonic() < until:
            if until is None and part.control.stopped:
                ray.get(board.stop.remote())
                part.watch.note(f"stopping after the requests in flight ({GRACE:g} s at most)")
                until = monotonic() + GRACE
            try:
                receipt = said.get(timeout=TICK)
            except Empty:
                for message in ray.get(board.heard.remote()):
                    part.watch.note(message)
                continue
            if receipt is None:
                break
            if isinstance(receipt, BaseException):
                last = str(receipt).strip().splitlines()[-1:]
                raise PolicyError(f"Ray gave up: {' '.join(last)}; the same command goes on") from receipt
            part.control.add(Usage(**json.loads(receipt["usage"])))
            if receipt["part"]:
                _take(part, part.path / PARQUET / PENDING / receipt["part"])
            if receipt["problem"] and not problem:
                problem = receipt
                part.control.stop()
    if problem:
        _raise(problem, part)


def _read(labeled: Any, put: Callable[[Any], None]) -> None:
    """Read receipts as they come; None at the end."""
    try:
        for row in labeled.iter_rows():
            put(row)
        put(None)
    except BaseException as error:  # noqa: BLE001 - raised by the thread that waits
        put(error)


def _take(part: Part, path: Path) -> None:
    for result in read_part(path):
        if result.worked:
            part.control.saw(failure=result.failure is not None)
        part.take(result)
    settle(path)


def _raise(problem: dict[str, str], part: Part) -> None:
    kind, said = problem["kind"], problem["problem"]
    if kind == "unreachable":
        part.outage.ended_run = EndpointError(said)
        return
    raise {"endpoint": PolicyError, "setup": InvalidInput, "folder": RunFolderError}[kind](said)


@contextmanager
def _quiet() -> Iterator[None]:
    """Ray Data's own bars and lines would go between ours."""
    context = ray.data.DataContext.get_current()
    before = context.enable_progress_bars
    context.enable_progress_bars = False
    logger = logging.getLogger("ray.data")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        context.enable_progress_bars = before
        logger.setLevel(level)

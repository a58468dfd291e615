"""The engine that spreads a run over a Ray cluster.

Files go through Ray Data in small blocks to processes with many sessions each; their segmenters are actors
of their own. What a block came to is a part on shared storage before anybody hears of it, and goes from
there into the run's database: whatever dies, what is in a part stays.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import ray
import ray.data

from maskpilot.crew.ahead import ahead
from maskpilot.labeling.job import Job
from maskpilot.labeling.labeler import Result
from maskpilot.labeling.part import Part
from maskpilot.labeling.ray.board import Board
from maskpilot.labeling.ray.cluster import PROCESS_CPUS, Cluster, can_read
from maskpilot.labeling.ray.collecting import collect
from maskpilot.labeling.ray.manifest import Manifest
from maskpilot.labeling.ray.segmenters import RemoteSegmenter
from maskpilot.labeling.ray.worker import BYTES, PATH, Orders, SessionWorker
from maskpilot.labeling.reading import Reader
from maskpilot.segmenters.base import Segmenter

__all__ = ["OnRay"]

LOOKERS, DEPTH = 16, 64
"""Threads that look whether files changed, and how far ahead they are."""

SESSIONS_A_PROCESS = 16
"""Threads of a process: they wait most of the time, and a process takes some hundred megabytes."""

PORTIONS = 4
"""Parts for each session at least, so that none of them waits long for the last one."""


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
            InvalidInput: a manifest with content could not be read beside everything else.
            PolicyError: the endpoint refuses every image alike.
            SegmenterGone: all segmenters died for good.
        """
        left = list(self._left(part))
        if not left or part.control.stopped:
            return
        if self._has_bytes:
            can_read(ray.cluster_resources())
        board = _board(part, left if self._has_bytes else None)
        segmenter = part.plan.job.segmenter
        orders = Orders(
            job=self.job,
            servers=self.servers,
            about=(segmenter.name, dict(segmenter.provenance)),
            board=board,
            run=part.path.resolve(),
            images=part.folder.absolute(),
            start=part.start,
            patience=part.plan.patience,
            max_megapixels=part.plan.max_megapixels,
        )
        workers = part.plan.workers
        rows = min(self.cluster.rows, math.ceil(len(left) / (PORTIONS * workers)))
        sessions = min(workers, math.ceil(len(left) / rows))
        collect(_pool(self._rows(left, rows), orders, sessions), board, part)

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


def _board(part: Part, wanted: list[str] | None) -> Any:
    """The actor that all processes of a run know."""
    books, most = part.books, part.plan.max_cost
    may_cost = None if most is None else most - (part.control.usage.cost or 0.0)
    actor = ray.remote(Board).options(num_cpus=0)
    return actor.remote(list(books.labeled), dict(books.failed), wanted, may_cost)


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

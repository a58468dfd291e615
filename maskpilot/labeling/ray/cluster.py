"""A Ray cluster with segmenters on it."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from maskpilot.errors import InvalidInput
from maskpilot.labeling.ray.servers import start_servers
from maskpilot.segmenters.base import Segmenter

__all__ = ["PROCESS_CPUS", "Cluster", "can_read", "connected", "own_ray", "shares"]

SEGMENTER_CPUS = 0.5
"""What Ray is told that a segmenter's process needs; less than one, so that small machines hold all."""

PROCESS_CPUS = 0.25
"""What Ray is told that a process of sessions needs; less than one, since it mostly waits."""

READING_CPUS = 1.0
"""What Ray Data asks for to read a file of Parquet. Where that is never free, it waits without end."""

LEAST_CPUS = 2
"""Processors that hold all of the above."""

FINEST = 10_000
"""Parts of one that Ray can count."""


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
        options = own_ray(os.cpu_count() or 1) if address == "local" else {}
        try:
            # An environment of variables is what Ray writes into its logs: no key travels that way.
            ray.init(
                address=address,
                log_to_driver=False,
                logging_level="error",
                **(options | dict(cluster.options)),
            )
        except (RayError, ConnectionError, ValueError, RuntimeError) as error:
            raise InvalidInput(f"--address {address}: no Ray cluster there ({error})") from error
    servers: list[Any] = []
    try:
        resources = ray.cluster_resources()
        count = cluster.segmenters or max(int(resources.get("GPU", 0)), 1)
        num_gpus, num_cpus = shares(count, resources)
        servers = start_servers(make, count, num_gpus=num_gpus, num_cpus=num_cpus)
        yield servers
    finally:
        for server in servers:
            ray.kill(server)
        if mine:
            ray.shutdown()


def own_ray(processors: int) -> dict[str, Any]:
    """Options of a Ray of this machine's own, which has so many processors.

    Ray counts them and holds nobody to a share, so that a machine with one of them is told to have two.
    """
    few = {"num_cpus": LEAST_CPUS} if processors < LEAST_CPUS else {}
    return {"include_dashboard": False, **few}


def can_read(resources: Mapping[str, float]) -> None:
    """See that a manifest with content can be read beside segmenters and sessions.

    Raises:
        InvalidInput: nobody would ever read it.
    """
    cpus = resources.get("CPU", 0.0)
    if cpus < LEAST_CPUS:
        raise InvalidInput(
            "--manifest: Ray reads a column of content with a whole processor beside segmenters and "
            f"sessions, and was told of {cpus:g}; start it with `ray start --num-cpus {LEAST_CPUS}` at "
            "least, or leave that column out"
        )


def shares(count: int, resources: Mapping[str, float]) -> tuple[float, float]:
    """What Ray is told that each of so many segmenters needs, so that it finds room for all of them.

    One without room would be waited for without end, by every image whose turn it is.

    Returns:
        GPUs: a whole one, or the part that lets the fullest GPU hold its segmenters. Processors: half of
        all of them together at most, which leaves room for the sessions, and for reading where it can.
    """
    gpus = int(resources.get("GPU", 0))
    num_gpus = 0.0 if not gpus else 1.0 / math.ceil(count / gpus)
    cpus = resources.get("CPU", 1.0)
    beside = READING_CPUS + PROCESS_CPUS
    together = min(cpus / 2, cpus - beside) if cpus > beside else cpus / 2
    num_cpus = min(SEGMENTER_CPUS, together / count)
    # Rounded down: what is rounded up is too much for the last one.
    return math.floor(num_gpus * FINEST) / FINEST, math.floor(num_cpus * FINEST) / FINEST

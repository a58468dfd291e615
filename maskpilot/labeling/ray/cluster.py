"""A Ray cluster with segmenters on it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from maskpilot.errors import InvalidInput
from maskpilot.labeling.ray.servers import start_servers
from maskpilot.segmenters.base import Segmenter

__all__ = ["Cluster", "connected"]

SEGMENTER_CPUS = 0.5
"""What Ray is told that a segmenter's process needs; less than one, so that small machines hold all."""


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

"""Servers in turn, and what all of them are: which one gets the next image, which of them live."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ray.exceptions import ActorDiedError, NodeDiedError, ObjectLostError, OutOfMemoryError, RayActorError

from maskpilot.errors import SegmenterError, SegmenterGone

__all__ = ["GONE", "About", "Turns", "common"]

About = tuple[str, Mapping[str, str]]
"""Name and provenance of a segmenter."""

GONE = (RayActorError, OutOfMemoryError, NodeDiedError, ObjectLostError)
"""What Ray raises where the process of a server died under a request, or its machine did."""

PATIENCE = 600.0
"""Seconds in which a server that died is back: loading the weights may take minutes on a slow disk."""

PAUSE = 1.0
"""Seconds before all of them are tried again."""

MACHINES_OWN = frozenset({"device", "dtype", "checkpoint"})
"""Facts that may differ between the machines of a cluster; of a checkpoint the name, its digest may not."""


class Turns:
    """Hands out servers. Safe between threads.

    Args:
        servers: at least one.
        greet: returns where a server lives, and raises one of `GONE` where it does not.
        patience: seconds to wait for one that lives.
        wait: pauses for seconds; for tests.
        clock: seconds; for tests.
    """

    def __init__(
        self,
        servers: Sequence[Any],
        greet: Callable[[Any], object],
        *,
        patience: float = PATIENCE,
        wait: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        # Each session process begins elsewhere, so that together they load the servers alike.
        start = random.randrange(len(servers))  # noqa: S311
        self._turns = itertools.cycle((*servers[start:], *servers[:start]))
        self._count, self._greet, self._patience = len(servers), greet, patience
        self._wait, self._clock = wait, clock
        self._lock = threading.Lock()

    def next(self) -> Any:
        """Whose turn it is."""
        with self._lock:
            return next(self._turns)

    def living(self) -> Any:
        """The next one that lives: Ray refuses what comes while it makes a server anew, and does not wait.

        Raises:
            SegmenterGone: all have died for good, or none came back in time.
        """
        until = self._clock() + self._patience
        while True:
            dead = 0
            for server in (self.next() for _ in range(self._count)):
                try:
                    self._greet(server)
                except GONE as error:
                    dead += isinstance(error, ActorDiedError)
                    last = error
                else:
                    return server
            if dead == self._count or self._clock() >= until:
                raise SegmenterGone(f"{_died(last)}. The same command goes on") from last
            self._wait(PAUSE)


def gone(error: Exception) -> SegmenterError:
    """Servers died again and again under one image, as a person is told."""
    return SegmenterError(_died(error))


def _died(error: Exception) -> str:
    return (
        f"the segmenters' processes died, the last one with {type(error).__name__}; Ray's logs say why. "
        "Memory that is short is the usual cause: fewer segmenters a machine, or fewer sessions"
    )


def common(servers: Sequence[About]) -> About:
    """What a cluster's segmenters are, whichever of them answers and in whatever order.

    Devices that differ are all named, so that a run goes on where there are the same ones.

    Raises:
        SegmenterError: they differ in what decides what is found: weights, or versions.
    """
    names = sorted({name for name, _ in servers})
    if len(names) > 1:
        raise SegmenterError(f"the segmenters differ: {' and '.join(names)}; make the same ones everywhere")
    facts: dict[str, str] = {}
    for fact in dict.fromkeys(fact for _, provenance in servers for fact in provenance):
        values = sorted({provenance.get(fact, "none") for _, provenance in servers})
        if len(values) > 1 and fact not in MACHINES_OWN:
            raise SegmenterError(
                f"the segmenters differ in {fact}: {' and '.join(values)}; every machine needs the same "
                "weights and the same versions"
            )
        facts[fact] = ", ".join(values)
    return names[0], facts

"""The end of the pipe: what the processes of a run come to goes into its books."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Callable
from pathlib import Path
from queue import Empty, SimpleQueue
from time import monotonic
from typing import Any

import ray
import ray.data
from ray.exceptions import RayError

from maskpilot.agent.mllm.failures import EndpointError
from maskpilot.crew.interrupts import ctrl_c
from maskpilot.errors import InvalidInput, PolicyError, RunFolderError, SegmenterGone
from maskpilot.labeling.part import PARQUET, PENDING, Part
from maskpilot.labeling.ray.records import read_part, settle
from maskpilot.types import Usage

__all__ = ["collect"]

GRACE = 10.0
"""Seconds for what is in flight after the run was stopped."""

TICK = 0.5
"""Seconds after which it is looked at whether the run was stopped, and what the processes say."""

_PROBLEMS = {
    "endpoint": PolicyError,
    "folder": RunFolderError,
    "segmenter": SegmenterGone,
    "setup": InvalidInput,
}
"""What ends a run, as receipts call it."""


def collect(labeled: Any, board: Any, part: Part) -> None:
    """Put into the books what the processes come to, until they are through or the run is stopped.

    Raises:
        RunFolderError: the run folder cannot be written.
        InvalidInput: a process lacks what it needs.
        PolicyError: the endpoint refuses every image alike, or Ray gave up.
        SegmenterGone: all segmenters died for good.
    """
    try:
        _collect(labeled, board, part)
    except RayError as error:  # the board is gone, with its machine or with all of Ray
        raise _given_up(error) from error


def _collect(labeled: Any, board: Any, part: Part) -> None:
    _quieten()
    said: SimpleQueue[Any] = SimpleQueue()
    threading.Thread(target=_read, args=(labeled, said.put), daemon=True).start()
    problem: dict[str, str] = {}
    until: float | None = None
    listen = monotonic() + TICK
    with ctrl_c(part.control.stop):
        while until is None or monotonic() < until:
            if until is None and part.control.stopped:
                ray.get(board.stop.remote())
                part.watch.note(f"stopping after the requests in flight ({GRACE:g} s at most)")
                until = monotonic() + GRACE
            if monotonic() >= listen:  # also while receipts come: one machine may be cut off, and others not
                for message in ray.get(board.heard.remote()):
                    part.watch.note(message)
                listen = monotonic() + TICK
            try:
                receipt = said.get(timeout=TICK)
            except Empty:
                continue
            if receipt is None:
                break
            if isinstance(receipt, BaseException):
                raise _given_up(receipt) from receipt
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
    raise _PROBLEMS[kind](said)


def _given_up(error: BaseException) -> PolicyError:
    last = str(error).strip().splitlines()[-1:]
    return PolicyError(f"Ray gave up: {' '.join(last)}; the same command goes on")


def _quieten() -> None:
    """Ray Data's own bars and lines would go between ours."""
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)

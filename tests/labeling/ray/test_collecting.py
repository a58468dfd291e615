"""The end of the pipe, where something is wrong further up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray")

from ray.exceptions import ActorDiedError

from maskpilot.crew.control import Control
from maskpilot.crew.progress import Quiet
from maskpilot.errors import PolicyError
from maskpilot.labeling.books import Books
from maskpilot.labeling.job import Job
from maskpilot.labeling.logs import SessionLogs
from maskpilot.labeling.outage import Outage
from maskpilot.labeling.part import Part
from maskpilot.labeling.pilots import one_shot
from maskpilot.labeling.plan import Plan
from maskpilot.labeling.ray.collecting import collect
from maskpilot.labeling.store import LABELS, Store
from maskpilot.labeling.types import LabelClass
from maskpilot.types import Usage
from tests.segmenters.pictures import fake_segmenter

pytestmark = [
    pytest.mark.ray,
    # Ray Data 2.60 copies its own settings, and warns of those that are old.
    pytest.mark.filterwarnings(r"ignore::DeprecationWarning:ray\.data"),
]


class Dead:
    """A board whose machine is gone: asking it anything raises."""

    def __getattr__(self, name: str) -> Any:
        raise ActorDiedError


class Nothing:
    """What processes come to that all died."""

    def iter_rows(self) -> list[Any]:
        raise RuntimeError("Traceback ...\n  File ...\nAll workers died")


def part_of(tmp_path: Path, store: Store) -> Part:
    plan = Plan(tmp_path, Job((LabelClass("star"),), fake_segmenter(), one_shot()))
    logs, control, watch = SessionLogs(tmp_path), Control(Usage()), Quiet()
    return Part(
        plan=plan,
        path=tmp_path,
        folder=tmp_path,
        paths=("a.png",),
        start=None,
        logs=logs,
        books=Books(store, logs, ("a.png",), retry_failed=False, keep_sessions=False),
        control=control,
        outage=Outage(control, 0.0, watch.note),
        watch=watch,
    )


def test_a_board_that_is_gone_is_said_in_our_words(tmp_path: Path) -> None:
    with Store(tmp_path / LABELS) as store:
        part = part_of(tmp_path, store)
        part.control.stop()
        with pytest.raises(PolicyError, match=r"Ray gave up: .*; the same command goes on"):
            collect(Nothing(), Dead(), part)


def test_a_pipe_that_broke_is_said_by_its_last_line(tmp_path: Path) -> None:
    with (
        Store(tmp_path / LABELS) as store,
        pytest.raises(PolicyError, match="Ray gave up: All workers died; the same command goes on"),
    ):
        collect(Nothing(), Dead(), part_of(tmp_path, store))

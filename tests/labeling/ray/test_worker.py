"""What a process is told, and which files it is given."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

pytest.importorskip("ray")

import pyarrow as pa

from maskpilot.agent.mllm.settings import MllmSettings
from maskpilot.labeling.ray.worker import BYTES, PATH, Orders, files_of
from maskpilot.labeling.recipe import JobRecipe
from maskpilot.labeling.types import LabelClass

pytestmark = pytest.mark.ray


def test_files_of_the_folder_are_called_what_they_are_called() -> None:
    names = ["a.png", "file:1.png", "file:/a.png", "sub/b c%20.png", "not-text-\udcff.png"]
    batch = pa.table({PATH: pa.array(map(os.fsencode, names), pa.binary())})
    assert files_of(batch, "/images") == [(name, None) for name in names]


def test_files_of_a_manifest_lie_within_the_folder() -> None:
    paths = ["a.png", "file:///images/b.png", "/elsewhere/c.png", "../d.png"]
    batch = pa.table({PATH: paths, BYTES: [b"a", b"b", b"c", b"d"]})
    assert files_of(batch, "/images") == [("a.png", b"a"), ("b.png", b"b")]


def test_orders_do_not_show_what_may_be_secret() -> None:
    asked = MllmSettings("m", base_url="https://host/v1?key=s3cret", extra={"account": "s3cret"})
    folder = Path("/run")
    orders = Orders(
        JobRecipe((LabelClass("star"),), asked), [], ("fake", {}), None, folder, folder, None, 1.0, 1.0
    )
    assert "s3cret" not in repr(orders)

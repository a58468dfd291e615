"""One small Ray for all tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Where these tests are not to run, Ray is not loaded for them: that takes seconds."""
    return "not ray" in config.getoption("markexpr") or None


@pytest.fixture(scope="session")
def cluster() -> Iterator[Any]:
    """A Ray of this machine's own, with two processors whatever the machine has."""
    ray = pytest.importorskip("ray")
    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=0,
        object_store_memory=128 * 2**20,
        include_dashboard=False,
        log_to_driver=False,
        logging_level="error",
    )
    yield ray
    ray.shutdown()

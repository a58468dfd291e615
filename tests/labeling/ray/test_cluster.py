"""Room for all segmenters of a cluster."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from maskpilot.labeling.ray.cluster import shares

pytestmark = pytest.mark.ray


@pytest.mark.parametrize(
    ("count", "gpus", "share"),
    [(1, 1, 1.0), (2, 4, 1.0), (4, 2, 0.5), (5, 2, 1 / 3), (3, 2, 0.5), (3, 0, 0), (7, 1, 1 / 7)],
)
def test_gpus_hold_all_segmenters(count: int, gpus: int, share: float) -> None:
    got, _ = shares(count, {"GPU": gpus, "CPU": 64})
    assert got == pytest.approx(share, abs=1e-4)
    assert got <= share


@pytest.mark.parametrize(("count", "cpus"), [(1, 1), (1, 2), (4, 2), (8, 1), (8, 256)])
def test_segmenters_leave_processors_to_the_sessions(count: int, cpus: int) -> None:
    _, got = shares(count, {"CPU": cpus})
    assert 0 < got <= 0.5
    assert count * got <= cpus / 2

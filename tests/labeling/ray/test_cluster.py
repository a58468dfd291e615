"""Room for all segmenters of a cluster."""

from __future__ import annotations

import pytest

pytest.importorskip("ray")

from maskpilot.errors import InvalidInput
from maskpilot.labeling.ray.cluster import PROCESS_CPUS, can_read, own_ray, shares

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


@pytest.mark.parametrize("count", [1, 2, 8])
@pytest.mark.parametrize("cpus", [2, 3, 16])
def test_a_whole_processor_is_left_to_read_a_manifest(count: int, cpus: int) -> None:
    _, got = shares(count, {"CPU": cpus})
    assert cpus - count * got - PROCESS_CPUS >= 1


def test_a_machine_with_one_processor_can_read_a_manifest() -> None:
    assert own_ray(1)["num_cpus"] == 2
    assert "num_cpus" not in own_ray(2)  # Ray counts for itself


def test_a_manifest_that_nobody_could_read_is_refused() -> None:
    can_read({"CPU": 2.0})
    for resources in ({"CPU": 1.0, "GPU": 4.0}, {}):
        with pytest.raises(InvalidInput, match=r"with a whole processor .* --num-cpus 2"):
            can_read(resources)

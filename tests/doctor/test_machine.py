"""What the doctor says of the machine."""

from pathlib import Path

import pytest

from maskpilot.doctor import Health, Row, examine_machine
from maskpilot.doctor.machine import disk_row, python_row, torch_row, weights_row


def test_every_row_of_this_machine_has_a_verdict(tmp_path: Path) -> None:
    rows = examine_machine("untrained", None, tmp_path)
    assert [row.check for row in rows] == ["Python", "torch", "weights of untrained", "disk"]
    assert rows[0].health is Health.ok


def test_an_old_python_is_a_failure() -> None:
    assert python_row((3, 10, 2)).health is Health.failed
    assert python_row((3, 14, 0)).health is Health.ok


def test_torch_on_a_gpu_on_the_cpu_and_broken() -> None:
    def broken() -> tuple[str, str]:
        raise ImportError("libcudart.so.13: cannot open shared object file\nmore")

    assert torch_row(lambda: ("2.15.0", "cuda: H200, 140 GB")).health is Health.ok
    assert torch_row(lambda: ("2.15.0", "cpu")).health is Health.note
    row = torch_row(broken)
    assert row.health is Health.failed
    assert "libcudart" in row.detail
    assert "\n" not in row.detail


def test_weights_in_the_cache_in_a_file_and_nowhere(tmp_path: Path) -> None:
    file = tmp_path / "sam3.pt"
    file.write_bytes(b"x")
    assert weights_row("sam3", None, lambda: file).health is Health.ok
    assert weights_row("sam3", file).health is Health.ok
    missing = weights_row("sam3", None, lambda: None)
    assert missing.health is Health.failed
    assert "hf auth login" in missing.fix
    assert weights_row("sam3", tmp_path / "gone.pt").health is Health.failed
    assert weights_row("untrained", None).health is Health.note


def test_disk_space() -> None:
    assert disk_row(10.0, 5.0).health is Health.ok
    assert disk_row(1.0, 5.0).health is Health.failed


def test_a_failure_names_a_fix() -> None:
    with pytest.raises(ValueError, match="expected a fix"):
        Row("x", Health.failed, "y")

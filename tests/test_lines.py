"""Lines are whole or not there."""

import io
from pathlib import Path

import pytest

from maskpilot.lines import append_line


class Interrupted(io.FileIO):
    """A file whose writes are interrupted half-way."""

    def write(self, data: object) -> int:
        assert isinstance(data, bytes)
        super().write(data[: len(data) // 2])
        raise KeyboardInterrupt


def test_lines_follow_one_another(tmp_path: Path) -> None:
    with (tmp_path / "log").open("xb", buffering=0) as file:
        append_line(file, b"one\n")
        append_line(file, b"two\n")
    assert (tmp_path / "log").read_bytes() == b"one\ntwo\n"


def test_a_line_that_is_interrupted_half_way_is_taken_back(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\n")
    with Interrupted(path, "r+b") as file, pytest.raises(KeyboardInterrupt):
        append_line(file, b"two and more\n")
    assert path.read_bytes() == b"one\n"

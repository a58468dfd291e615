"""What commands tell on stderr."""

import pytest

from maskpilot.cli.console import Every


def test_progress_is_told_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    tell = Every("images exported", clock=lambda: now[0])
    for done, seconds in enumerate((1.0, 4.9, 5.0, 9.9, 10.1), start=1):
        now[0] = seconds
        tell(done, 8)
    printed = capsys.readouterr()
    assert printed.err == "3/8 images exported\n5/8 images exported\n"
    assert printed.out == ""

"""What commands tell on stderr."""

import pytest

from maskpilot.cli.console import Every, printable


def test_spaces_of_all_kinds_are_printed_and_what_turns_text_around_is_not() -> None:
    spaces = "at 3.14\N{NARROW NO-BREAK SPACE}PM\N{IDEOGRAPHIC SPACE}.png\N{NO-BREAK SPACE}"
    assert printable(spaces) == spaces
    assert printable("\N{RIGHT-TO-LEFT OVERRIDE}\x9b\t\u2028") == "\N{REPLACEMENT CHARACTER}" * 4


def test_progress_is_told_every_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    now = [0.0]
    tell = Every("images exported", clock=lambda: now[0])
    for done, seconds in enumerate((1.0, 4.9, 5.0, 9.9, 10.1), start=1):
        now[0] = seconds
        tell(done, 8)
    printed = capsys.readouterr()
    assert printed.err == "3/8 images exported\n5/8 images exported\n"
    assert printed.out == ""

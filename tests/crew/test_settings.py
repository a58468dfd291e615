"""Settings of two runs."""

from maskpilot.crew.settings import differences


def test_differences_name_what_changed() -> None:
    before = {"a": 1, "b": {"c": 2, "d": [1, 2]}}
    assert differences(before, {"a": 1, "b": {"c": 2, "d": (1, 2)}}) == []
    assert differences(before, {"a": 1, "b": {"c": 3, "d": [1, 2]}, "e": 5}) == [
        "b.c: was 2, now 3",
        "e: was not there, now 5",
    ]

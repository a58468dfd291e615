"""Words that every room says alike."""

from maskpilot.wording import counted


def test_one_of_a_kind_is_told_as_one() -> None:
    assert [counted(number, "mask") for number in (0, 1, 2, 1200)] == [
        "0 masks",
        "1 mask",
        "2 masks",
        "1,200 masks",
    ]
    assert (counted(1, "class", "classes"), counted(2, "class", "classes")) == ("1 class", "2 classes")

"""Words that every room says alike."""

from maskpilot.wording import amount, counted


def test_one_of_a_kind_is_told_as_one() -> None:
    assert [counted(number, "mask") for number in (0, 1, 2, 1200)] == [
        "0 masks",
        "1 mask",
        "2 masks",
        "1,200 masks",
    ]
    assert (counted(1, "class", "classes"), counted(2, "class", "classes")) == ("1 class", "2 classes")


def test_costs_are_told_without_exponents() -> None:
    costs = (0.0, 0.00001, 0.01234567, 0.5, 6.75, 999.94, 1000, 15_300.4, 1_234_567.8)
    told = ["0", "< 0.0001", "0.01235", "0.5", "6.75", "999.9", "1,000", "15,300", "1,234,568"]
    assert [amount(cost) for cost in costs] == told

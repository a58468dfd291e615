"""Words that every room says alike."""

from __future__ import annotations

__all__ = ["amount", "counted"]


def counted(number: int, one: str, many: str | None = None) -> str:
    """How many there are of something: "1 file", "1,200 files"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def amount(cost: float) -> str:
    """What something costs, in a currency that the user knows: "< 0.0001", "0.01234", "6.75", "15,300"."""
    if 0 < cost < 0.0001:
        return "< 0.0001"
    return f"{cost:,.0f}" if cost >= 1000 else f"{cost:.4g}"

"""Words that every room says alike."""

from __future__ import annotations

__all__ = ["counted"]


def counted(number: int, one: str, many: str | None = None) -> str:
    """How many there are of something: "1 file", "1,200 files"."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"

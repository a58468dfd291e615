"""What a check comes to."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Health", "Row"]


class Health(StrEnum):
    """ok; note: worth knowing, the work can be done; failed: it cannot; skipped: was not looked at."""

    ok = "ok"
    note = "note"
    failed = "failed"
    skipped = "skipped"


@dataclass(frozen=True, slots=True)
class Row:
    """One check.

    Attributes:
        check: its name.
        health: what it came to.
        detail: what was found.
        fix: what to do; empty where nothing is to be done.

    Raises:
        ValueError: a failed check without a fix.
    """

    check: str
    health: Health
    detail: str
    fix: str = ""

    def __post_init__(self) -> None:
        if self.health is Health.failed and not self.fix:
            raise ValueError(f"Row {self.check}: expected a fix beside a failure, got none")

"""Where a run of an eval stands."""

from __future__ import annotations

from dataclasses import dataclass

from maskpilot.crew.progress import eta, span
from maskpilot.wording import counted

__all__ = ["Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Attributes:
        done: scored samples; failed ones are not among them.
        failed: samples that failed.
        total: samples of the run.
        mean: IoU of the scored ones so far; None where there are none.
        tokens, cost: spent so far, failed samples and earlier parts of the run included.
        seconds: since this part of the run began.
        fresh: samples that were done or failed since then.
    """

    done: int
    failed: int
    total: int
    mean: float | None
    tokens: int
    cost: float | None
    seconds: float
    fresh: int

    @property
    def finished(self) -> int:
        return self.done + self.failed

    @property
    def left(self) -> int:
        """Samples to go."""
        return self.total - self.finished

    @property
    def line(self) -> str:
        """All of it in a line."""
        to_go = eta(self.left, self.seconds, self.fresh)
        parts = [
            f"{self.done} done",
            f"{self.failed} failed",
            f"mean IoU {self.mean:.3f}" if self.mean is not None else "",
            counted(self.tokens, "token") if self.tokens else "",
            f"cost {self.cost:.4g}" if self.cost is not None else "",
            f"{span(to_go)} to go" if to_go is not None and self.left else "",
        ]
        return ", ".join(part for part in parts if part)

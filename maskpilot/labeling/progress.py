"""Where a labeling run stands."""

from __future__ import annotations

from dataclasses import dataclass

from maskpilot.crew.progress import eta, span
from maskpilot.wording import amount, counted

__all__ = ["Standing"]


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a run stands.

    Attributes:
        done: files whose content is labeled.
        failed: files that could not be labeled.
        total: files of the run.
        images: labeled images; files of the same content are one.
        review: of these, to be looked at by a person.
        instances: of all images.
        rounds: of all sessions.
        tokens, cost: spent so far, failed images and earlier parts of the run included.
        seconds: since this part of the run began.
        fresh: files that were labeled or failed since then, without those that were done before.
    """

    done: int
    failed: int
    total: int
    images: int
    review: int
    instances: int
    rounds: int
    tokens: int
    cost: float | None
    seconds: float
    fresh: int

    @property
    def finished(self) -> int:
        return self.done + self.failed

    @property
    def left(self) -> int:
        """Files to go."""
        return self.total - self.finished

    @property
    def expected_cost(self) -> float | None:
        """Of the whole run, if what is left costs as much an image as what is done; None where unknown."""
        if self.cost is None or not self.images:
            return None
        return self.cost + self.left * self.cost / self.images

    @property
    def line(self) -> str:
        """All of it in a line."""
        to_go, expected = eta(self.left, self.seconds, self.fresh), self.expected_cost
        more = f" of about {amount(expected)}" if expected is not None and self.left else ""
        # What matters most comes first: a narrow terminal breaks the line.
        parts = [
            f"{self.done} done",
            f"{self.failed} failed",
            f"{span(to_go)} to go" if to_go is not None and self.left else "",
            f"cost {amount(self.cost)}{more}" if self.cost is not None else "",
            f"{self.review} to review",
            counted(self.instances, "instance"),
            f"{self.rounds / self.images:.1f} rounds an image" if self.images else "",
            counted(self.tokens, "token") if self.tokens else "",
        ]
        return ", ".join(part for part in parts if part)

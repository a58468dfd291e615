"""What a reply costs, at the prices that the user gives."""

from __future__ import annotations

import math
from dataclasses import dataclass

from maskpilot.types import Usage

__all__ = ["Prices"]

MILLION = 1_000_000


@dataclass(frozen=True, slots=True)
class Prices:
    """Per million tokens, in whatever currency the user counts in.

    Attributes:
        input: of prompt tokens.
        output: of completion tokens, reasoning ones included.
        cached: of prompt tokens that the provider had cached; None: as `input`.

    Raises:
        ValueError: a price is negative or not finite.
    """

    input: float
    output: float
    cached: float | None = None

    def __post_init__(self) -> None:
        for name in ("input", "output", "cached"):
            price = getattr(self, name)
            if price is not None and not (math.isfinite(price) and price >= 0):
                raise ValueError(
                    f"Prices.{name}: expected a price per million tokens, 0 or more, got {price!r}"
                )

    def cost(self, usage: Usage) -> float:
        """Of these tokens; `usage.cost` itself is not looked at."""
        cached = min(usage.cached_tokens, usage.prompt_tokens)
        at_full_price = usage.prompt_tokens - cached
        cached_price = self.input if self.cached is None else self.cached
        spent = at_full_price * self.input + cached * cached_price + usage.completion_tokens * self.output
        return spent / MILLION

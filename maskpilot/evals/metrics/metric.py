"""What a metric is: terms of each sample, summed, and what the sums come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["Metric", "Terms", "mean_of"]

Terms = tuple[float, ...]
Values = Mapping[str, Any]


@dataclass(frozen=True)
class Metric:
    """One number about many samples.

    All but AP are functions of sums over samples, so a bootstrap need not touch the samples again: it
    weighs their terms.

    Attributes:
        name: as users write it.
        title: as it is printed.
        source: the paper or the official code that defines it.
        is_mean: it is a plain mean over samples, so that a clustered standard error applies; otherwise it is
            a ratio or more, for which one bootstraps.
        terms: a sample's summands, from the values of `measure`; None for a sample that does not take part.
            Of a mean they are (value, 1).
        finish: sums of the terms -> the metric; None where it is undefined.
        pooled: in place of terms and finish, for a metric that is no function of sums.

    Raises:
        ValueError: neither terms with finish nor pooled is given.
    """

    name: str
    title: str
    source: str
    is_mean: bool = False
    terms: Callable[[Values], Terms | None] | None = None
    finish: Callable[[Sequence[float]], float | None] | None = None
    pooled: Callable[[Sequence[Values]], float | None] | None = None

    def __post_init__(self) -> None:
        if (self.terms is None or self.finish is None) == (self.pooled is None):
            raise ValueError(f"Metric {self.name}: expected terms and finish, or pooled")

    def aggregate(self, scores: Sequence[Values]) -> float | None:
        """The metric over samples, from their values; None where it is undefined."""
        if self.pooled is not None:
            return self.pooled(scores)
        if self.terms is None or self.finish is None:
            raise AssertionError("unreachable: see __post_init__")
        terms = [found for values in scores if (found := self.terms(values)) is not None]
        if not terms:
            return None
        return self.finish(np.asarray(terms, np.float64).sum(axis=0).tolist())


def mean_of(name: str, title: str, source: str, value: Callable[[Values], float | None]) -> Metric:
    """A metric that is the mean of one value of each sample that has it."""

    def terms(values: Values) -> Terms | None:
        found = value(values)
        return None if found is None else (float(found), 1.0)

    return Metric(
        name=name,
        title=title,
        source=source,
        is_mean=True,
        terms=terms,
        finish=lambda sums: sums[0] / sums[1],
    )

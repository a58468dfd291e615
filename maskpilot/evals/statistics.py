"""Means, ratios and differences with honest intervals. Pure functions; numpy alone.

Samples on the same image are not independent: the image is the cluster. Formulas follow Miller, "Adding
Error Bars to Evals" (arXiv 2411.00640), and for the correction for few clusters Cameron and Miller, "A
Practitioner's Guide to Cluster-Robust Inference" (J. Human Resources 50, 2015).
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["DRAWS", "Z_95", "Estimate", "clustered_mean", "of_sums", "paired_mean", "paired_sums"]

Z_95 = 1.959963984540054
"""0.975 quantile of the normal distribution: 95% of it lie within plus or minus this many deviations."""

DRAWS = 1000
FEW_CLUSTERS = 30
"""Below this, intervals of either kind are known to be too narrow (Cameron and Miller, section VI)."""

BLOCK = 1 << 22
"""Resampled counts that are held at once."""

Finish = Callable[[Sequence[float]], float | None]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its 95% interval.

    Attributes:
        value: the estimate itself.
        standard_error, low, high: None where a single cluster says nothing of the spread.
        samples, clusters: what it rests on.
    """

    value: float
    standard_error: float | None
    low: float | None
    high: float | None
    samples: int
    clusters: int

    @property
    def is_rough(self) -> bool:
        """True where so few images are behind it that the interval is too narrow."""
        return self.clusters < FEW_CLUSTERS

    @property
    def record(self) -> dict[str, Any]:
        """As plain JSON data, rounded to six digits."""
        plain = asdict(self)
        return {name: round(value, 6) if isinstance(value, float) else value for name, value in plain.items()}


def clustered_mean(values: Sequence[float], clusters: Sequence[Hashable]) -> Estimate | None:
    """The mean, its standard error clustered; None where there are no values.

    SE = sqrt(G/(G-1) * sum over clusters c of (sum over i in c of (s_i - mean))^2) / n: arXiv 2411.00640,
    section 2.2 (its SE_CLT^2 plus the cross terms within a cluster, over n^2), with the factor G/(G-1) of
    Cameron and Miller, equation 11. Where every cluster has one sample this is the usual s / sqrt(n).

    Args:
        values: one per sample.
        clusters: the image of each sample.

    Raises:
        ValueError: the lengths differ.
    """
    if len(values) != len(clusters):
        raise ValueError(f"clustered_mean: expected a cluster per value, got {len(values)}, {len(clusters)}")
    if not len(values):
        return None
    scores = np.asarray(values, np.float64)
    mean = float(scores.mean())
    numbers, count = _numbered(clusters)
    residuals = np.bincount(numbers, weights=scores - mean, minlength=count)
    error = None
    if count > 1:
        error = float(np.sqrt(count / (count - 1) * np.square(residuals).sum()) / len(scores))
    return _normal(mean, error, len(scores), count)


def paired_mean(
    first: Sequence[float], second: Sequence[float], clusters: Sequence[Hashable]
) -> Estimate | None:
    """The mean of `second - first` on the same samples: arXiv 2411.00640, section 4.2.

    What makes a sample hard for both systems cancels, so that the interval is narrower than that of two
    separate means. Arguments and `Raises` as for `clustered_mean`.
    """
    differences = np.asarray(second, np.float64) - np.asarray(first, np.float64)
    return clustered_mean(differences.tolist(), clusters)


def of_sums(
    terms: Sequence[Sequence[float]],
    clusters: Sequence[Hashable],
    finish: Finish,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate | None:
    """A function of sums over samples, such as cIoU or cgF1, with a percentile interval by bootstrap.

    It is no mean of samples, so the formula of `clustered_mean` does not hold for it. Whole images are drawn
    with replacement (Efron and Tibshirani, An Introduction to the Bootstrap, 1993, chapters 8 and 13).

    Args:
        terms: (n, k), a row per sample.
        clusters: the image of each sample.
        finish: k sums -> the number, or None where they do not define it; such draws are left out.
        draws: how many; the last digit of the interval depends on it.
        seed: the same one gives the same interval.

    Returns:
        None where the number is not defined on the samples themselves.
    """
    if not terms:
        return None
    sums = _cluster_sums(terms, clusters)
    value = finish(sums.sum(axis=0).tolist())
    if value is None:
        return None
    drawn = [finish(row) for row in _resampled(sums, draws, seed)]
    return _percentiles(value, [one for one in drawn if one is not None], len(terms), len(sums))


def paired_sums(
    first: Sequence[Sequence[float]],
    second: Sequence[Sequence[float]],
    clusters: Sequence[Hashable],
    finish: Finish,
    *,
    draws: int = DRAWS,
    seed: int = 0,
) -> Estimate | None:
    """`finish` of the second system less that of the first, both on the same drawn images.

    Arguments and result as for `of_sums`.

    Raises:
        ValueError: the lengths differ.
    """
    if len(first) != len(second):
        raise ValueError(f"paired_sums: expected the same samples, got {len(first)} and {len(second)}")
    if not first:
        return None
    width = len(first[0])

    def difference(sums: Sequence[float]) -> float | None:
        before, after = finish(sums[:width]), finish(sums[width:])
        return None if before is None or after is None else after - before

    both = [(*one, *other) for one, other in zip(first, second, strict=True)]
    return of_sums(both, clusters, difference, draws=draws, seed=seed)


def _cluster_sums(terms: Sequence[Sequence[float]], clusters: Sequence[Hashable]) -> NDArray[np.float64]:
    """(G, k): the terms of each cluster, added up."""
    numbers, count = _numbered(clusters)
    rows = np.asarray(terms, np.float64).reshape(len(numbers), -1)
    sums = np.zeros((count, rows.shape[1]))
    np.add.at(sums, numbers, rows)
    return sums


def _resampled(sums: NDArray[np.float64], draws: int, seed: int) -> Iterator[list[float]]:
    """Sums over as many clusters as there are, drawn with replacement, again and again."""
    count = len(sums)
    if count < 2:
        return
    generator = np.random.default_rng(seed)
    shares = np.full(count, 1 / count)
    step = max(1, BLOCK // count)
    for begin in range(0, draws, step):
        times = generator.multinomial(count, shares, size=min(step, draws - begin))
        yield from (times @ sums).tolist()


def _numbered(clusters: Sequence[Hashable]) -> tuple[NDArray[np.int64], int]:
    """Clusters as numbers from 0, in the order of their first appearance."""
    seen: Mapping[Hashable, int] = {cluster: number for number, cluster in enumerate(dict.fromkeys(clusters))}
    return np.fromiter((seen[cluster] for cluster in clusters), np.int64, len(clusters)), len(seen)


def _normal(value: float, error: float | None, samples: int, clusters: int) -> Estimate:
    if error is None:
        return Estimate(value, None, None, None, samples, clusters)
    return Estimate(value, error, value - Z_95 * error, value + Z_95 * error, samples, clusters)


def _percentiles(value: float, drawn: Sequence[float], samples: int, clusters: int) -> Estimate:
    if len(drawn) < 2:
        return Estimate(value, None, None, None, samples, clusters)
    low, high = np.quantile(drawn, (0.025, 0.975)).tolist()
    return Estimate(value, float(np.std(drawn, ddof=1)), low, high, samples, clusters)

"""The assignment problem: who is paired with whom, so that the sum is the greatest."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["best_pairs"]


def best_pairs(gains: NDArray[np.float64]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Pair rows with columns one to one so that the gains sum to the most.

    The Hungarian method by shortest augmenting paths (Kuhn 1955; Jonker and Volgenant 1987), O(n^2 m).
    scipy has it too, but nothing else here needs scipy.

    Args:
        gains: (n, m) float64, finite.

    Returns:
        rows ascending, and the column of each; min(n, m) pairs, some perhaps of gain 0.

    Raises:
        ValueError: not two axes, or a gain that is not finite.
    """
    if gains.ndim != 2 or not np.isfinite(gains).all():
        raise ValueError(f"best_pairs: expected a finite (n, m) matrix, got shape {gains.shape}")
    if gains.shape[0] > gains.shape[1]:
        columns, rows = best_pairs(gains.T)
        order = np.argsort(rows)
        return rows[order], columns[order]
    row_of = _augment(-gains)
    columns = np.flatnonzero(row_of >= 0)
    rows = row_of[columns]
    order = np.argsort(rows)
    return rows[order], columns[order]


def _augment(costs: NDArray[np.float64]) -> NDArray[np.intp]:
    """The row assigned to each column, -1 for none: (m,) of an (n, m) matrix of costs with n <= m."""
    n, m = costs.shape
    row_price, column_price = np.zeros(n), np.zeros(m)
    row_of = np.full(m, -1, np.intp)
    for start in range(n):
        distance, came_from = np.full(m, np.inf), np.full(m, -1, np.intp)
        done = np.zeros(m, np.bool_)
        row, column, reached = start, -1, 0.0
        while row >= 0:
            through = reached + costs[row] - row_price[row] - column_price
            shorter = ~done & (through < distance)
            distance[shorter], came_from[shorter] = through[shorter], column
            column = int(np.argmin(np.where(done, np.inf, distance)))
            reached = float(distance[column])
            done[column] = True
            row = int(row_of[column])
        row_price[start] += reached
        visited = done & (row_of >= 0)
        row_price[row_of[visited]] += reached - distance[visited]
        column_price[done] -= reached - distance[done]
        while column >= 0:
            before = int(came_from[column])
            row_of[column] = row_of[before] if before >= 0 else start
            column = before
    return row_of

"""Which of several molecules are better, with one objective or with several kept apart.

One dominates another where it is at least as good in every objective and better in one. The first
front is dominated by none, the second by none once the first is taken away, and so on; within a
front, those come first whose neighbours are far (Deb, Pratap, Agarwal, Meyarivan, IEEE Trans. Evol.
Comput. 6, 2002).
"""

from __future__ import annotations

import numpy as np

__all__ = ["crowding", "fitness", "fronts", "scalarised"]


def fitness(values: np.ndarray) -> np.ndarray:
    """Return one number for each of n molecules, higher is better, (n,).

    Args:
        values: float64 (n, k), finite. With k = 1 it is the value itself.
    """
    if values.shape[1] == 1:
        return values[:, 0]
    found = -fronts(values).astype(np.float64)
    for front in np.unique(found):
        members = np.flatnonzero(found == front)
        far = crowding(values[members])
        found[members] += far / (1.0 + far) * 0.5
    return found


def fronts(values: np.ndarray) -> np.ndarray:
    """Return the number of the front of each molecule, 0 the first: int64 (n,)."""
    n = len(values)
    found = np.full(n, -1)
    left = np.arange(n)
    number = 0
    while len(left):
        here = values[left]
        order = np.lexsort(here.T[::-1])[::-1]  # whatever dominates another stands before it
        front: list[int] = []
        for k in order:
            kept = here[front]
            dominated = ((kept >= here[k]).all(axis=1) & (kept > here[k]).any(axis=1)).any()
            if not dominated:
                front.append(int(k))
        found[left[front]] = number
        left = np.delete(left, front)
        number += 1
    return found


def crowding(values: np.ndarray) -> np.ndarray:
    """Return how far the neighbours of each member of a front are, (n,); 4 k at its ends.

    The sum over objectives of the distance between the two neighbours, as a share of the range.
    """
    n, k = values.shape
    far = np.zeros(n)
    for column in values.T:
        order = np.argsort(column, kind="stable")
        spread = column[order[-1]] - column[order[0]] or 1.0
        far[order[[0, -1]]] += 4.0 * k
        far[order[1:-1]] += (column[order[2:]] - column[order[:-2]]) / spread
    return np.minimum(far, 4.0 * k)


def scalarised(values: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """Return one number a molecule to learn from, (n,): of k objectives, weighted at random.

    It is the augmented Chebyshev function of the objectives scaled to 0..1 (Knowles, IEEE Trans.
    Evol. Comput. 10, 2006), min_i w_i v_i + 0.05 sum_i w_i v_i, with weights w from the simplex.
    """
    if values.shape[1] == 1:
        return values[:, 0]
    weights = random.dirichlet(np.ones(values.shape[1]))
    low, high = values.min(axis=0), values.max(axis=0)
    scaled = (values - low) / np.where(high > low, high - low, 1.0) * weights
    return scaled.min(axis=1) + 0.05 * scaled.sum(axis=1)

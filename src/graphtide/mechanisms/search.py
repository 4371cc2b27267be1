"""Search for the sparse law that explains the rows of the weak form.

Everything happens on the Gram matrix of the columns scaled to unit length. All supports of up to
four terms are tried where they are few enough, then a beam goes on to seven; the best of each size
is polished by exchanging two of its terms for any other two, and shortened from above. A forward
search alone misses laws whose terms are useless one at a time (x - x^2 with x_i x_j), and
thresholded least squares keeps what merely correlates.

The size is the smallest from which no further term lowers the logarithm of the residual sum of
squares by ``ELBOW``. Information criteria and cross-validation select too many terms here: smoothed
regressors leave a systematic residual that more terms fit, however many rows there are.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.candidates import Candidate
from graphtide.weakform.gram import NodeGram

__all__ = [
    "ELBOW",
    "Problem",
    "Support",
    "best_supports",
    "chosen_size",
    "combinations",
    "identities",
    "rivals",
    "simplest",
]

ELBOW = 0.2
"""What one more term must take off the logarithm of the residual; 0.2 to 0.5 give the same."""
ALIKE = 0.03
"""Sets of one size whose log residuals differ by less are told apart by simplicity alone."""
MOST_TERMS = 7
BEAM = 40
MOST_COMBINATIONS = 100_000
RELATIVE_FLOOR = 1e-11
"""Residuals below this share of the target are round-off and quadrature, not information."""


@dataclass(frozen=True, slots=True)
class Support:
    """A set of terms and how well it explains the rows.

    Attributes:
        terms: numbers of the columns, increasing.
        log_residual: logarithm of the share of the target's sum of squares left unexplained.
    """

    terms: tuple[int, ...]
    log_residual: float


class Problem:
    """A scaled Gram matrix, and the residuals of many supports at once.

    Attributes:
        columns: numbers of the usable columns; supports count through them.
        count: how many they are.
    """

    def __init__(self, gram: np.ndarray, cross: np.ndarray, target: float) -> None:
        diagonal = np.sqrt(np.clip(np.diag(gram), 0.0, None))
        usable = np.isfinite(diagonal) & (diagonal > 0) & np.isfinite(gram).all(axis=0)
        self.columns = np.flatnonzero(usable)
        scale = diagonal[self.columns]
        self.gram = gram[np.ix_(self.columns, self.columns)] / np.outer(scale, scale)
        self.cross = cross[self.columns] / scale / math.sqrt(target)
        self.count = len(self.columns)

    def residuals(self, supports: np.ndarray) -> np.ndarray:
        """Return the unexplained share of each support, shape (S,), for supports (S, k).

        Supports whose columns depend on each other explain nothing more than a smaller one does and
        are given the residual 1.
        """
        grams = self.gram[supports[:, :, None], supports[:, None, :]]
        cross = self.cross[supports]
        result = np.ones(len(supports))
        k = supports.shape[1]
        # Cholesky by hand over the batch: k is at most seven, and a pivot near zero is seen.
        factor = np.zeros_like(grams)
        forward = np.zeros_like(cross)
        sound = np.ones(len(supports), dtype=bool)
        for i in range(k):
            pivot = grams[:, i, i] - (factor[:, i, :i] ** 2).sum(axis=1)
            sound &= pivot > 1e-9
            root = np.sqrt(np.where(sound, pivot, 1.0))
            factor[:, i, i] = root
            forward[:, i] = (cross[:, i] - (factor[:, i, :i] * forward[:, :i]).sum(axis=1)) / root
            if i + 1 < k:
                below = grams[:, i + 1 :, i] - np.einsum(
                    "srl,sl->sr", factor[:, i + 1 :, :i], factor[:, i, :i]
                )
                factor[:, i + 1 :, i] = below / root[:, None]
        result[sound] = 1.0 - (forward[sound] ** 2).sum(axis=1)
        return np.clip(result, RELATIVE_FLOOR, None)

    def support(self, terms: np.ndarray, residual: float) -> Support:
        """Return a support in the numbers of the whole library."""
        return Support(tuple(sorted(int(self.columns[t]) for t in terms)), math.log(residual))


def best_supports(
    gram: np.ndarray, cross: np.ndarray, target: float, *, most_terms: int = MOST_TERMS
) -> list[Support]:
    """Return the best support found of each size from 0 to ``most_terms``.

    Args:
        gram: R'R, shape (P, P).
        cross: R'y, shape (P,).
        target: y'y, positive.
        most_terms: the largest size.

    Cost: about 60,000 systems of four equations for 36 terms, a tenth of a second.
    """
    problem = Problem(gram, cross, target)
    most = min(most_terms, problem.count)
    best: dict[int, tuple[np.ndarray, float]] = {}
    beam = np.empty((1, 0), dtype=np.int64)
    for size in range(1, most + 1):
        if math.comb(problem.count, size) <= MOST_COMBINATIONS:
            supports = combinations(problem.count, size)
        else:
            supports = _extended(beam, problem.count)
        residuals = problem.residuals(supports)
        order = np.argsort(residuals, kind="stable")[:BEAM]
        beam = supports[order]
        best[size] = (beam[0], float(residuals[order[0]]))
    for size in range(most, 0, -1):
        best[size] = _exchanged(problem, *best[size])
        if size > 1:
            shorter = np.array([np.delete(best[size][0], i) for i in range(size)])
            residuals = problem.residuals(shorter)
            k = int(np.argmin(residuals))
            if residuals[k] < best[size - 1][1]:
                best[size - 1] = (shorter[k], float(residuals[k]))
    found = [Support((), 0.0)]
    found += [problem.support(*best[size]) for size in range(1, most + 1)]
    return found


def combinations(count: int, size: int) -> np.ndarray:
    """Return all choices of ``size`` out of ``count``, shape (S, size)."""
    flat = itertools.chain.from_iterable(itertools.combinations(range(count), size))
    return np.fromiter(flat, np.int64).reshape(-1, size)


def _extended(beam: np.ndarray, count: int) -> np.ndarray:
    """Return every support of the beam with one more term, each once."""
    longer = np.concatenate(
        [np.column_stack([beam, np.full(len(beam), term)]) for term in range(count)]
    )
    longer.sort(axis=1)
    distinct = (np.diff(longer, axis=1) > 0).all(axis=1)
    return np.unique(longer[distinct], axis=0)


def _exchanged(problem: Problem, support: np.ndarray, residual: float) -> tuple[np.ndarray, float]:
    """Exchange up to two terms for any others while that lowers the residual."""
    while True:
        neighbours = _exchanges(support, problem.count)
        if not len(neighbours):
            return support, residual
        residuals = problem.residuals(neighbours)
        k = int(np.argmin(residuals))
        if residuals[k] >= residual * (1.0 - 1e-9):
            return support, residual
        support, residual = neighbours[k], float(residuals[k])


def _exchanges(support: np.ndarray, count: int) -> np.ndarray:
    """Return the supports that differ in one or two terms."""
    size = len(support)
    others = np.setdiff1d(np.arange(count), support)
    result = []
    for swapped in (1, 2):
        if size < swapped or len(others) < swapped:
            continue
        incoming = others[combinations(len(others), swapped)]
        for outgoing in itertools.combinations(range(size), swapped):
            kept = np.delete(support, outgoing)
            result.append(
                np.column_stack([np.broadcast_to(kept, (len(incoming), size - swapped)), incoming])
            )
    if not result:
        return np.empty((0, size), dtype=np.int64)
    return np.sort(np.concatenate(result), axis=1)


def chosen_size(supports: Sequence[Support], *, elbow: float = ELBOW) -> int:
    """Return the smallest size from which every further term lowers the log residual too little.

    A larger size wins only where each of its additional terms is worth ``elbow`` on average: two
    terms that help only together are not overlooked.
    """
    for size, support in enumerate(supports):
        gains = [
            (support.log_residual - longer.log_residual) / (len(longer.terms) - len(support.terms))
            for longer in supports[size + 1 :]
        ]
        if all(gain < elbow for gain in gains):
            return size
    return len(supports) - 1


def rivals(
    gram: np.ndarray,
    cross: np.ndarray,
    target: float,
    support: Support,
    *,
    within: float = ELBOW,
    most: int = 5,
) -> list[Support]:
    """Return other supports of the same size whose log residual is as low within ``within``."""
    if not support.terms:
        return []
    problem = Problem(gram, cross, target)
    place = {int(column): k for k, column in enumerate(problem.columns)}
    chosen = np.array([place[term] for term in support.terms])
    neighbours = _exchanges(chosen, problem.count)
    if not len(neighbours):
        return []
    residuals = problem.residuals(neighbours)
    limit = math.exp(support.log_residual + within)
    order = [k for k in np.argsort(residuals, kind="stable")[:most] if residuals[k] <= limit]
    return [problem.support(neighbours[k], float(residuals[k])) for k in order]


def simplest(candidates: Sequence[Candidate], gram: NodeGram, support: Support) -> Support:
    """Return the simplest among the sets of one size that explain alike.

    For small arguments x, sin(x), tanh(x) and tan(x) are nearly one function and noise decides
    between them; sets whose log residuals differ by less than ``ALIKE`` count as alike. Fewer
    functions are simpler (any of them is a polynomial over a short range), then fewer symbols.
    """
    alike = [support, *rivals(*gram.total(), support, within=ALIKE, most=200)]

    def cost(found: Support) -> tuple[int, int, float]:
        terms = [candidates[p] for p in found.terms]
        functions = sum(not term.polynomial for term in terms)
        return functions, sum(term.complexity for term in terms), found.log_residual

    return min(alike, key=cost)


def identities(gram: np.ndarray, *, tolerance: float = 1e-9) -> list[dict[int, float]]:
    """Return the linear relations between columns that hold on these data: {column: factor}.

    Each relation sums to zero; they span the null space of the scaled Gram matrix and are made
    sparse by elimination, so that a reader recognises k_i x_i = k x_i or mean(x_j - x_i).
    """
    diagonal = np.sqrt(np.clip(np.diag(gram), 0.0, None))
    usable = np.flatnonzero(np.isfinite(diagonal) & (diagonal > 0))
    if not usable.size:
        return []
    scale = diagonal[usable]
    eigenvalues, vectors = np.linalg.eigh(gram[np.ix_(usable, usable)] / np.outer(scale, scale))
    null = vectors[:, eigenvalues < tolerance * eigenvalues[-1]] / scale[:, None]
    if not null.size:
        return []
    rows = _reduced(null.T)
    relations = []
    for row in rows:
        kept = np.abs(row) > 1e-4 * np.abs(row).max()
        relations.append({int(usable[k]): float(row[k]) for k in np.flatnonzero(kept)})
    return [relation for relation in relations if len(relation) <= 4]


def _reduced(rows: np.ndarray) -> np.ndarray:
    """Return the reduced row echelon form, with pivots of the largest size."""
    rows = rows.copy()
    pivot_row = 0
    for column in range(rows.shape[1]):
        if pivot_row == len(rows):
            break
        k = pivot_row + int(np.argmax(np.abs(rows[pivot_row:, column])))
        if abs(rows[k, column]) < 1e-8 * np.abs(rows).max():
            continue
        rows[[pivot_row, k]] = rows[[k, pivot_row]]
        rows[pivot_row] /= rows[pivot_row, column]
        for other in range(len(rows)):
            if other != pivot_row:
                rows[other] -= rows[other, column] * rows[pivot_row]
        pivot_row += 1
    return rows[:pivot_row]

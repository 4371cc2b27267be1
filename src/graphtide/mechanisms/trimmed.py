"""Trimmed least squares over nodes: the law of those nodes whose neighbourhoods are right.

A neighbour that is missing or wrong is a gross error of all rows of that node, and least squares
spreads it over the coefficients. Here few nodes at a time, drawn at random, suggest a law; the
share of the nodes that follow it best then decides on the law anew, in turn (concentration steps:
Rousseeuw and Van Driessen, Technometrics 41, 1999, with whole nodes in the place of rows). A start
of four nodes is free of errors often enough: with six nodes in ten right, one in eight. Each node's
Gram matrix is kept apart, so a step costs a few small products.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.search import ELBOW, Problem, best_supports, chosen_size, combinations
from graphtide.weakform.gram import NodeGram

__all__ = ["Trimmed", "node_residuals", "trimmed_law"]

NODES_IN_A_START = 4
MOST_TERMS_IN_A_START = 3
CONCENTRATIONS = 3
FINALISTS = 4
MOST_TERMS = 6


@dataclass(frozen=True, slots=True, eq=False)
class Trimmed:
    """A law of some of the nodes.

    Attributes:
        terms: numbers of the columns.
        kept: numbers of the rows of the Gram whose nodes follow it best.
        score: log of their mean residual, plus ``ELBOW`` for each term.
    """

    terms: tuple[int, ...]
    kept: np.ndarray
    score: float


def trimmed_law(
    gram: NodeGram,
    degree: np.ndarray,
    *,
    share: float,
    starts: int = 100,
    seed: int | Sequence[int] = 0,
) -> Trimmed | None:
    """Return the law that a share of the nodes follows best.

    Args:
        gram: sums of products for each node, nodes of equal weight.
        degree: shape (N,), number of neighbours: nodes with few are tried more often, being right
            more often.
        share: of the nodes, how many decide.
        starts: number of random starts.
        seed: seed of the starts.

    Returns None where no start finds any term. Cost: about a second for 36 terms and 100 starts.
    """
    generator = np.random.default_rng(seed)
    count = len(gram.target)
    keep = max(math.ceil(share * count), min(count, NODES_IN_A_START))
    chance = 1.0 / np.maximum(degree, 1.0)
    chance = chance / chance.sum()
    width = gram.cross.shape[1]
    sizes = [
        combinations(width, size)
        for size in range(1, MOST_TERMS_IN_A_START + 1)
        if size <= width and math.comb(width, size) <= 40_000
    ]
    found: dict[tuple[int, ...], float] = {}
    for _ in range(starts):
        nodes = generator.choice(count, min(NODES_IN_A_START, count), replace=False, p=chance)
        terms = _few_terms(gram, nodes, sizes)
        if terms is None:
            continue
        score = math.inf
        for _ in range(CONCENTRATIONS):
            nodes, score = _concentrated(gram, terms, nodes, keep)
        found[tuple(sorted(nodes.tolist()))] = score
    best: Trimmed | None = None
    for kept in sorted(found, key=lambda nodes: found[nodes])[:FINALISTS]:
        law = _settled(gram, np.array(kept), keep)
        if law is not None and (best is None or law.score < best.score):
            best = law
    return best


def node_residuals(gram: NodeGram, terms: Sequence[int], coefficients: np.ndarray) -> np.ndarray:
    """Return each node's sum of squares that a law leaves, shape (N,)."""
    columns = list(terms)
    matrix, cross = gram.terms[:, columns][:, :, columns], gram.cross[:, columns]
    quadratic = np.einsum("npq,p,q->n", matrix, coefficients, coefficients)
    return np.maximum(gram.target - 2.0 * cross @ coefficients + quadratic, 0.0)


def _few_terms(
    gram: NodeGram, nodes: np.ndarray, sizes: Sequence[np.ndarray]
) -> tuple[int, ...] | None:
    """Return the best few terms for a few nodes; the smaller set where more gains too little."""
    target = float(gram.target[nodes].sum())
    if not target > 0:
        return None
    problem = Problem(gram.terms[nodes].sum(axis=0), gram.cross[nodes].sum(axis=0), target)
    best, best_score = None, 0.0
    for supports in sizes:
        usable = supports[supports[:, -1] < problem.count]
        if not len(usable):
            continue
        residuals = problem.residuals(usable)
        k = int(np.argmin(residuals))
        score = math.log(residuals[k]) + ELBOW * supports.shape[1]
        if score < best_score:
            best, best_score = problem.support(usable[k], float(residuals[k])).terms, score
    return best


def _concentrated(
    gram: NodeGram, terms: Sequence[int], nodes: np.ndarray, keep: int
) -> tuple[np.ndarray, float]:
    """Fit a law to some nodes and return those that follow it best, with their score."""
    columns = list(terms)
    matrix = gram.terms[nodes][:, columns][:, :, columns].sum(axis=0)
    cross = gram.cross[nodes][:, columns].sum(axis=0)
    coefficients = np.linalg.lstsq(matrix, cross, rcond=1e-12)[0]
    residuals = node_residuals(gram, columns, coefficients)
    kept = np.argsort(residuals, kind="stable")[:keep]
    return kept, math.log(max(float(residuals[kept].mean()), 1e-300)) + ELBOW * len(columns)


def _settled(gram: NodeGram, kept: np.ndarray, keep: int) -> Trimmed | None:
    """Search the whole library on the kept nodes, and choose the nodes anew, in turn."""
    terms: tuple[int, ...] = ()
    score = math.inf
    for _, concentrate in itertools.product(range(CONCENTRATIONS), (False, True)):
        if not concentrate:
            weight = np.zeros(len(gram.target))
            weight[kept] = 1.0
            supports = best_supports(*gram.weighted(weight).total(), most_terms=MOST_TERMS)
            terms = supports[chosen_size(supports)].terms
            if not terms:
                return None
        for _ in range(2 * concentrate):
            kept, score = _concentrated(gram, terms, kept, keep)
    return Trimmed(terms, np.sort(kept), score)

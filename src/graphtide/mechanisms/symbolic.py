"""Symbolic regression: candidates for laws that no library holds.

Genetic programming is given the smoothed states, their sums over neighbours and the slopes, and
returns an expression; it is also given the law's functions one by one, as free curves
(:mod:`~graphtide.mechanisms.curves`), for a function inside a sum over neighbours is not seen in
the sum. Slopes of smoothed data are biased, so it does not have the last word: the additive parts
become candidates, and the search in the weak form decides whether they earn a place and what their
coefficients are.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphtide.equation.expression import (
    Aggregate,
    Expression,
    Number,
    Product,
    Sum,
    Symbol,
    add,
    multiply,
    negate,
    replace,
    symbols,
)
from graphtide.equation.grammar import parse_expression
from graphtide.equation.printing import expression_text
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.curve_terms import curve_terms
from graphtide.mechanisms.genetic import expression_of, need_genetic_programming
from graphtide.mechanisms.rows import Sample, prepare
from graphtide.mechanisms.user_terms import term_of
from graphtide.trajectory import Trajectory

__all__ = ["symbolic_terms"]

ROWS = 4000
"""Readings that the search is given, at most."""
OPERATIONS = "add,sub,mul,div,sin,exp,tanh,square,constant,variable"
LENGTH = 25


def symbolic_terms(
    trajectories: Sequence[Trajectory], graphs: Sequence[Graph], *, seed: int = 0
) -> list[Candidate]:
    """Return candidates for each variable's law, found by genetic programming.

    Args:
        trajectories: states of the same variables.
        graphs: the network of each, or one for all.
        seed: seed of the search and of the readings drawn.

    Raises:
        InputError: the extra ``symbolic`` is not installed; or a trajectory is too short.
    """
    need_genetic_programming()
    variables = trajectories[0].variables
    each = list(graphs) if len(graphs) > 1 else list(graphs) * len(trajectories)
    samples = [prepare(t, g) for t, g in zip(trajectories, each, strict=True)]
    features, slopes = _table(samples)
    generator = np.random.default_rng(seed)
    drawn = generator.choice(len(features), min(ROWS, len(features)), replace=False)
    names = [*variables, *_sums(variables)]
    found: dict[str, Candidate] = {}
    for d in range(len(variables)):
        text = expression_of(
            features[drawn], slopes[drawn, d], names, OPERATIONS, length=LENGTH, seed=seed
        )
        for term in _terms(text, variables):
            found.setdefault(term.text, term)
    for term in curve_terms(samples, seed=seed):
        found.setdefault(term.text, term)
    return list(found.values())


def _table(samples: Sequence[Sample]) -> tuple[np.ndarray, np.ndarray]:
    """Return states, sums of x_j and of x_j - x_i over neighbours, (R, 3 D), and slopes, (R, D)."""
    features, slopes = [], []
    for sample in samples:
        graph, times = sample.graph, sample.tests.times
        slope = sample.smoothed.evaluate(times, derivative=1)[:, sample.usable]
        states = np.nan_to_num(sample.grid)
        totals = np.stack([(graph.adjacency @ x.T).T for x in np.moveaxis(states, 2, 0)], axis=2)
        gaps = totals - graph.degree[:, None] * states
        both = np.concatenate([states, totals, gaps], axis=2)[:, sample.usable]
        features.append(both.reshape(-1, both.shape[2]))
        slopes.append(slope.reshape(-1, slope.shape[2]))
    return np.concatenate(features), np.concatenate(slopes)


def _terms(text: str, variables: tuple[str, ...]) -> list[Candidate]:
    """Return the additive parts of an expression that are terms of a law."""
    sums = _sums(variables)
    expression = parse_expression(text, (*variables, *sums))
    result = []
    for part in _parts(expression):
        terms = [s for s in symbols(part) if s.kind == "variable"]
        if not terms:
            continue
        written = expression_text(
            replace(part, lambda e: sums.get(e.name) if isinstance(e, Symbol) else None)
        )
        try:
            result.append(term_of(written, variables))
        except InputError:  # a function of a sum over neighbours is no term of the search
            continue
    return result


def _parts(expression: Expression) -> list[Expression]:
    """Return the additive parts without their coefficients; factors that are sums are opened."""
    if isinstance(expression, Sum):
        return [part for term in expression.terms for part in _parts(term)]
    if isinstance(expression, Product):
        factors = [f for f in expression.factors if not isinstance(f, Number)]
        opened = next((f for f in factors if isinstance(f, Sum)), None)
        if opened is not None:
            rest = [f for f in factors if f is not opened]
            return [part for term in opened.terms for part in _parts(multiply(term, *rest))]
        return [multiply(*factors)]
    return [] if isinstance(expression, Number) else [expression]


def _sums(variables: tuple[str, ...]) -> dict[str, Expression]:
    """Return the sums over neighbours by the names that stand for them."""
    here = [Symbol("variable", name, "i") for name in variables]
    there = [Symbol("variable", name, "j") for name in variables]
    totals = {f"total{d}": Aggregate("sum", other) for d, other in enumerate(there)}
    gaps = {
        f"gap{d}": Aggregate("sum", add(other, negate(own)))
        for d, (own, other) in enumerate(zip(here, there, strict=True))
    }
    return {**totals, **gaps}

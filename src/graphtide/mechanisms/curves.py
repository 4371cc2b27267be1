"""Laws as free curves: dx_i/dt = F(x_i) + sum_j A_ij G(x_j) + sum_j A_ij H(x_j - x_i).

F, G and H are cubic splines with knots at quantiles of what was visited, fitted at once in the weak
form (a generalised additive model, Hastie and Tibshirani, Statistical Science 1, 1986). No form of
theirs is assumed: symbolic regression then reads one curve at a time. A curve that the others can
do without is left out.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.interpolate import BSpline

from graphtide.mechanisms.bootstrap import node_covariance
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.rows import Sample, grams

__all__ = ["Curve", "Place", "additive_curves"]

Place: TypeAlias = Literal["own", "neighbour", "difference"]
PLACES: tuple[Place, ...] = ("own", "neighbour", "difference")

DEGREE = 3
PIECES = 14
"""Polynomial pieces of a spline."""
POINTS = 400
"""Points at which a curve is given at most: half as dense as the visited states, half even."""
TRUSTED = 0.1
"""A curve is given where its standard error is at most this share of its range."""
WORTH = 0.5
"""What a curve must take off the logarithm of the residual to be kept."""
ALIKE = 1e-10
"""Directions of the scaled Gram matrix below this share of the largest are not determined."""


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """One function of the law, up to a constant.

    Attributes:
        place: of what it is a function: the node's own state, a neighbour's, or their difference.
        variable: of which variable.
        points: where it is known, shape (Q,).
        values: the function there, shape (Q,).
        basis: the splines that it was made of, as terms of the search.
    """

    place: Place
    variable: str
    points: np.ndarray
    values: np.ndarray
    basis: tuple[Candidate, ...]


@dataclass(frozen=True, slots=True, eq=False)
class _Basis:
    place: Place
    variable: str
    points: np.ndarray
    knots: np.ndarray

    def __len__(self) -> int:
        return len(self.knots) - DEGREE - 1

    def element(self, k: int) -> Callable[[np.ndarray], np.ndarray]:
        """Return one function of the basis; beyond the visited range it goes on as at its end."""
        low, high = self.knots[0], self.knots[-1]
        spline = BSpline(self.knots, np.eye(len(self))[k], DEGREE)
        return lambda x: spline(np.clip(x, low, high))

    def candidates(self) -> tuple[Candidate, ...]:
        """Return the basis as terms of the search."""
        name, result = self.variable, list[Candidate]()
        for k in range(len(self)):
            f = self.element(k)
            text = f"{self.place} {name} {k}"
            if self.place == "own":
                result.append(Candidate(text, 0, own=lambda s, f=f: f(s[name])))
            elif self.place == "neighbour":
                pairs = ((lambda s: np.ones_like(s[name]), lambda s, f=f: f(s[name])),)
                result.append(Candidate(text, 0, "sum", separable=pairs))
            else:
                result.append(
                    Candidate(text, 0, "sum", pair=lambda s, o, f=f: f(o[name] - s[name]))
                )
        return tuple(result)

    def curve(self, coefficients: np.ndarray, covariance: np.ndarray) -> Curve:
        """Return the curve with these coefficients, its mean over the points taken off.

        Only where it is known: where states are rare a spline may be anything.
        """
        design = BSpline(self.knots, np.eye(len(self)), DEGREE)(self.points)
        design -= design.mean(axis=0)
        values = design @ coefficients
        errors = np.sqrt(np.maximum(((design @ covariance) * design).sum(axis=1), 0.0))
        order = np.argsort(errors, kind="stable")
        ordered = values[order]
        range_so_far = np.maximum.accumulate(ordered) - np.minimum.accumulate(ordered)
        sound = np.flatnonzero(errors[order] <= TRUSTED * range_so_far)
        known = np.sort(order[: sound[-1] + 1]) if sound.size else np.arange(len(values))
        return Curve(
            self.place, self.variable, self.points[known], values[known], self.candidates()
        )


def additive_curves(samples: Sequence[Sample]) -> list[list[Curve]]:
    """Return the curves that explain each variable's motion.

    Cost: a search over 17 terms for each curve; the functions of differences are computed on
    every edge at every time.
    """
    variables = samples[0].observed.variables
    bases = [b for name in variables for p in PLACES if (b := _basis(samples, p, name)) is not None]
    candidates = [c for basis in bases for c in basis.candidates()]
    ends = np.cumsum([len(basis) for basis in bases])
    columns = [np.arange(end - len(b), end) for b, end in zip(bases, ends, strict=True)]
    result = []
    for gram in grams(samples, candidates):
        matrix, cross, target = gram.total()
        kept = list(range(len(bases)))
        fit = _fit(matrix, cross, target, [columns[k] for k in kept])
        while kept:
            shorter = [[k for k in kept if k != gone] for gone in kept]
            fits = [_fit(matrix, cross, target, [columns[k] for k in s]) for s in shorter]
            best = min(range(len(kept)), key=lambda n: fits[n].left)
            if fits[best].left - fit.left > WORTH:
                break
            kept, fit = shorter[best], fits[best]
        if not kept:
            result.append([])
            continue
        covariance = node_covariance(
            gram.with_columns(list(fit.places)), fit.coefficients, alike=ALIKE
        )
        spans = np.split(np.arange(len(fit.places)), np.cumsum([len(bases[k]) for k in kept])[:-1])
        result.append(
            [
                bases[k].curve(fit.coefficients[span], covariance[np.ix_(span, span)])
                for k, span in zip(kept, spans, strict=True)
            ]
        )
    return result


def _basis(samples: Sequence[Sample], place: Place, variable: str) -> _Basis | None:
    """Return the splines of one function; None where what it depends on does not vary."""
    visited = np.concatenate([_visited(sample, place, variable) for sample in samples])
    if not visited.size or not np.ptp(visited) > 0:
        return None
    dense = np.quantile(visited, np.linspace(0.0, 1.0, POINTS // 2))
    points = np.sort(np.concatenate([dense, np.linspace(dense[0], dense[-1], POINTS // 2)]))
    # Half by quantiles, half evenly: curves bend where states are rare, too.
    shares = np.linspace(0.0, 1.0, PIECES + 1)
    even = points[0] + shares * (points[-1] - points[0])
    inner = (0.5 * (np.quantile(visited, shares) + even))[1:-1]
    knots = np.concatenate([[points[0]] * (DEGREE + 1), inner, [points[-1]] * (DEGREE + 1)])
    return _Basis(place, variable, points, knots)


def _visited(sample: Sample, place: Place, variable: str) -> np.ndarray:
    series = sample.states()[variable]
    if place == "difference":
        rows, columns = sample.graph.adjacency.nonzero()
        series = series[:, columns] - series[:, rows]
    elif place == "neighbour":
        series = series[:, np.diff(sample.graph.adjacency.tocsc().indptr) > 0]
    else:
        series = series[:, sample.usable]
    return series[np.isfinite(series)]


@dataclass(frozen=True, slots=True, eq=False)
class _Fit:
    """Least squares on some columns, and the log of the share left."""

    places: np.ndarray
    coefficients: np.ndarray
    left: float


def _fit(
    matrix: np.ndarray, cross: np.ndarray, target: float, columns: Sequence[np.ndarray]
) -> _Fit:
    if not columns:
        return _Fit(np.empty(0, dtype=int), np.empty(0), 0.0)
    places = np.concatenate(columns)
    part, right = matrix[np.ix_(places, places)], cross[places]
    scale = np.sqrt(np.maximum(np.diag(part), 1e-300))
    outer = np.outer(scale, scale)
    inverse = np.linalg.pinv(part / outer, rcond=ALIKE, hermitian=True) / outer
    coefficients = inverse @ right
    left = target - 2.0 * right @ coefficients + coefficients @ part @ coefficients
    return _Fit(places, coefficients, float(np.log(max(left / target, 1e-12))))

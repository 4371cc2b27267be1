"""Bases of functions of a node's state: splines, polynomials, saturating powers, trigonometric.

A function of one variable is cubic between breakpoints, f(x) = sum_p c_p (x - b_m)^p on
[b_m, b_m+1], and continues as a straight line outside them, so that a roll-out that leaves the
range of the data neither explodes nor stops. B-splines: de Boor, A Practical Guide to Splines
(1978); the penalty on the integrated squared second derivative: O'Sullivan (1986), Eilers and Marx,
P-splines (1996). Functions of several variables are products of functions of one.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from typing import Literal

import numpy as np

from graphtide.errors import InputError
from graphtide.weakform.piecewise import PiecewiseBasis

__all__ = [
    "FourierBasis",
    "ProductBasis",
    "fourier_basis",
    "knots",
    "polynomial_basis",
    "saturating_basis",
    "spline_basis",
]

KnotSpacing = Literal["uniform", "quantile", "geometric"]


@dataclass(frozen=True, slots=True, eq=False)
class FourierBasis:
    """The functions sin(k w x), cos(k w x), k = 1..harmonics, defined everywhere."""

    frequency: float
    harmonics: int

    @property
    def size(self) -> int:
        """Number of functions n = 2 x harmonics."""
        return 2 * self.harmonics

    @property
    def roughness(self) -> np.ndarray:
        """No function is penalised: zeros of shape (n, n)."""
        return np.zeros((self.size, self.size))

    @property
    def rates(self) -> np.ndarray:
        """The rates k w of the harmonics, shape (harmonics,)."""
        return self.frequency * np.arange(1, self.harmonics + 1)

    def evaluate(self, values: np.ndarray) -> np.ndarray:
        """Return the functions at ``values`` (...,), shape (..., n)."""
        phase = values[..., None] * self.rates
        return np.concatenate([np.sin(phase), np.cos(phase)], axis=-1)

    def derivative(self, values: np.ndarray) -> np.ndarray:
        """Return the first derivatives at ``values`` (...,), shape (..., n)."""
        phase = values[..., None] * self.rates
        return np.concatenate([self.rates * np.cos(phase), -self.rates * np.sin(phase)], axis=-1)


@dataclass(frozen=True, slots=True, eq=False)
class ProductBasis:
    """Functions of D variables: each a product of one function of each variable.

    Args:
        factors: one basis for each of D variables.
        index: shape (n, D), int64: which function of each variable; -1 stands for the constant 1.
    """

    factors: tuple[PiecewiseBasis | FourierBasis, ...]
    index: np.ndarray

    @property
    def size(self) -> int:
        """Number of functions n."""
        return len(self.index)

    @property
    def roughness(self) -> np.ndarray:
        """Penalty of shape (n, n) on the functions of one variable alone."""
        penalty = np.zeros((self.size, self.size))
        for d, factor in enumerate(self.factors):
            alone = (self.index >= 0).sum(axis=1) == (self.index[:, d] >= 0)
            rows = np.flatnonzero(alone & (self.index[:, d] >= 0))
            which = self.index[rows, d]
            penalty[np.ix_(rows, rows)] += factor.roughness[np.ix_(which, which)]
        return penalty

    def evaluate(self, states: np.ndarray) -> np.ndarray:
        """Return the functions at ``states`` (..., D), shape (..., n)."""
        result: np.ndarray | None = None
        for d, factor in enumerate(self.factors):
            part = _pick(factor.evaluate(states[..., d]), self.index[:, d], 1.0)
            result = part if result is None else result * part
        return np.ones((*states.shape[:-1], self.size)) if result is None else result

    def derivative(self, states: np.ndarray) -> np.ndarray:
        """Return the first derivatives at ``states`` (..., D), shape (..., n, D)."""
        count = len(self.factors)
        values = [
            _pick(factor.evaluate(states[..., d]), self.index[:, d], 1.0)
            for d, factor in enumerate(self.factors)
        ]
        result = np.empty((*states.shape[:-1], self.size, count))
        for d, factor in enumerate(self.factors):
            slope = _pick(factor.derivative(states[..., d]), self.index[:, d], 0.0)
            for other in range(count):
                if other != d:
                    slope = slope * values[other]
            result[..., d] = slope
        return result

    @staticmethod
    def of_one(factor: PiecewiseBasis | FourierBasis, *, constant: bool = False) -> ProductBasis:
        """Return the functions of one variable as functions of D = 1, with 1 in front if asked."""
        first = -1 if constant else 0
        return ProductBasis((factor,), np.arange(first, factor.size)[:, None])

    @staticmethod
    def additive(factors: tuple[PiecewiseBasis, ...]) -> ProductBasis:
        """Return 1 and every function of one variable (of each basis all but its first)."""
        count = len(factors)
        rows = [np.full(count, -1)]
        for d, factor in enumerate(factors):
            for k in range(1, factor.size):
                row = np.full(count, -1)
                row[d] = k
                rows.append(row)
        return ProductBasis(factors, np.array(rows, dtype=np.int64))

    @staticmethod
    def total_degree(factors: tuple[PiecewiseBasis, ...], degree: int) -> ProductBasis:
        """Return all products of powers up to a total degree, for polynomial factors."""
        powers = [p for p in product(range(degree + 1), repeat=len(factors)) if sum(p) <= degree]
        powers.sort(key=lambda p: (sum(p), p))
        index = np.array(powers, dtype=np.int64)
        return ProductBasis(factors, np.where(index == 0, -1, index))


def knots(values: np.ndarray, pieces: int, spacing: KnotSpacing) -> np.ndarray:
    """Return ``pieces + 1`` breakpoints over the range of ``values``.

    ``quantile`` mixes the quantiles of the values with an even grid; ``geometric`` crowds the
    breakpoints near the lowest value (the last piece is e^4 times wider than the first), which
    suits responses that saturate.
    """
    low, high = float(values.min()), float(values.max())
    margin = 1e-6 * (high - low) or 1e-6 * max(abs(low), 1.0)
    share = np.linspace(0.0, 1.0, pieces + 1)
    if spacing == "geometric":
        share = np.expm1(4.0 * share) / np.expm1(4.0)
    points = low + (high - low) * share
    if spacing == "quantile":
        points = 0.5 * points + 0.5 * np.quantile(values, share)
    points[0], points[-1] = low - margin, high + margin
    return points


def polynomial_basis(low: float, high: float, degree: int) -> PiecewiseBasis:
    """Return the powers 0..degree (at most 3) of (x - low) / (high - low).

    Raises:
        InputError: the degree is above 3 or the range is empty.
    """
    if not 0 <= degree <= 3:
        raise InputError(f"a polynomial of degree {degree} was asked for; 0 to 3 are offered")
    if not high > low:
        raise InputError(f"the range {low} to {high} is empty")
    local = np.zeros((1, 4, degree + 1))
    for power in range(degree + 1):
        local[0, power, power] = (high - low) ** -power
    size = degree + 1
    return _with_straight_ends(np.array([low, high]), local, np.zeros((size, size)))


def spline_basis(breakpoints: np.ndarray) -> PiecewiseBasis:
    """Return the M + 3 cubic B-splines on M + 1 breakpoints; they add up to 1."""
    from scipy.interpolate import BSpline

    first, last = breakpoints[0], breakpoints[-1]
    padded = np.concatenate([[first] * 3, breakpoints, [last] * 3])
    pieces = len(breakpoints) - 1
    functions = BSpline(padded, np.eye(pieces + 3), 3)
    factorial = (1.0, 1.0, 2.0, 6.0)
    local = np.stack(
        [functions(breakpoints[:-1], nu=power) / factorial[power] for power in range(4)], axis=1
    )
    width = np.diff(breakpoints)
    left = 2.0 * local[:, 2]
    right = left + 6.0 * local[:, 3] * width[:, None]
    roughness = np.einsum("m,ma,mb->ab", width / 3, left, left)
    roughness += np.einsum("m,ma,mb->ab", width / 3, right, right)
    cross = np.einsum("m,ma,mb->ab", width / 6, left, right)
    roughness = (roughness + cross + cross.T) * (last - first) ** 3
    return _with_straight_ends(breakpoints, local, roughness)


def saturating_basis(low: float, high: float, half: float, degree: int) -> PiecewiseBasis:
    """Return the powers 0..degree of u = (x - low) / (x - low + half), tabulated.

    The functions saturate as responses of Hill and Holling type do; ``half`` is where u is 1/2.
    Cubic Hermite interpolation on 96 pieces, error below 1e-7 for half above a hundredth of the
    range.
    """
    share = np.expm1(4.0 * np.linspace(0.0, 1.0, 97)) / np.expm1(4.0)
    breakpoints = low + (high - low) * share
    distance = breakpoints - low
    ratio, slope = distance / (distance + half), half / (distance + half) ** 2
    powers = np.arange(degree + 1)
    value = ratio[:, None] ** powers
    derivative = powers * ratio[:, None] ** np.maximum(powers - 1, 0) * slope[:, None]
    width = np.diff(breakpoints)[:, None]
    secant = np.diff(value, axis=0) / width
    start, end = derivative[:-1], derivative[1:]
    second = (3 * secant - 2 * start - end) / width
    third = (start + end - 2 * secant) / width**2
    local = np.stack([value[:-1], start, second, third], axis=1)
    return _with_straight_ends(breakpoints, local, np.zeros((degree + 1, degree + 1)))


def fourier_basis(frequency: float = 1.0, harmonics: int = 1) -> FourierBasis:
    """Return sin and cos of the harmonics of a frequency (for phases: frequency 1)."""
    return FourierBasis(frequency, harmonics)


def _with_straight_ends(
    breakpoints: np.ndarray, local: np.ndarray, roughness: np.ndarray
) -> PiecewiseBasis:
    pieces, _, size = local.shape
    table = np.zeros((pieces + 2, 4, size))
    table[1:-1] = local
    table[0, :2] = local[0, :2]
    width = breakpoints[-1] - breakpoints[-2]
    last = local[-1]
    table[-1, 0] = ((last[3] * width + last[2]) * width + last[1]) * width + last[0]
    table[-1, 1] = (3 * last[3] * width + 2 * last[2]) * width + last[1]
    return PiecewiseBasis(np.asarray(breakpoints, dtype=float), table, roughness)


def _pick(values: np.ndarray, index: np.ndarray, missing: float) -> np.ndarray:
    """Return the columns ``index`` of values (..., n); -1 gives a column of ``missing``."""
    if len(index) == values.shape[-1] and (index == np.arange(len(index))).all():
        return values
    picked = values[..., index]
    picked[..., index < 0] = missing
    return picked

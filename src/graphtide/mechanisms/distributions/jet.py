"""Exact derivatives by forward differentiation: a value, its gradient and its Hessian.

A jet holds y, dy/dp and d2y/dp2 of an array y for P parameters p. Sums and products follow the
rules of Leibniz, functions the chain rule: (f o y)'' = f' y'' + f'' y' y'^T. The same code of a
hazard runs on plain arrays and on jets: the functions below take either.

Reference:
    Griewank and Walther, Evaluating Derivatives (2nd edition, 2008), chapters 3 and 13.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.special import erfcx, expit, log_ndtr

__all__ = [
    "Jet",
    "Value",
    "cumulative_sum",
    "exp",
    "expm1_over",
    "log",
    "log1mexp",
    "log1p_over",
    "log_normal_survival",
    "parameters",
    "softplus",
    "values_of_array",
]

Numbers: TypeAlias = np.ndarray


@dataclass(frozen=True, slots=True)
class Jet:
    """An array with its derivatives by P parameters.

    Attributes:
        value: shape (n,), or (1,) for what depends on the parameters alone.
        gradient: shape (P, n) or (P, 1).
        hessian: shape (P, P, n) or (P, P, 1).
    """

    value: Numbers
    gradient: Numbers
    hessian: Numbers

    # NumPy arrays on the left leave the operation to the jet.
    __array_ufunc__ = None

    def __add__(self, other: Value) -> Jet:
        """Return the sum."""
        if isinstance(other, Jet):
            return Jet(
                self.value + other.value,
                self.gradient + other.gradient,
                self.hessian + other.hessian,
            )
        return Jet(self.value + other, self.gradient, self.hessian)

    __radd__ = __add__

    def __neg__(self) -> Jet:
        """Return the negative."""
        return Jet(-self.value, -self.gradient, -self.hessian)

    def __sub__(self, other: Value) -> Jet:
        """Return the difference."""
        return self + (-other)

    def __rsub__(self, other: Numbers | float) -> Jet:
        """Return the difference."""
        return (-self) + other

    def __mul__(self, other: Value) -> Jet:
        """Return the product."""
        if isinstance(other, Jet):
            cross = self.gradient[:, None] * other.gradient[None, :]
            return Jet(
                self.value * other.value,
                self.value * other.gradient + other.value * self.gradient,
                self.value * other.hessian
                + other.value * self.hessian
                + cross
                + cross.swapaxes(0, 1),
            )
        return Jet(self.value * other, self.gradient * other, self.hessian * other)

    __rmul__ = __mul__

    def reciprocal(self) -> Jet:
        """Return 1/y."""
        inverse = 1.0 / self.value
        return self.through(inverse, -(inverse**2), 2.0 * inverse**3)

    def __truediv__(self, other: Value) -> Jet:
        """Return the quotient."""
        return self * (other.reciprocal() if isinstance(other, Jet) else 1.0 / other)

    def __rtruediv__(self, other: Numbers | float) -> Jet:
        """Return the quotient."""
        return self.reciprocal() * other

    def __getitem__(self, index: Numbers | slice) -> Jet:
        """Return the entries at an index; what is the same for all entries stays."""
        return Jet(*(_taken(part, index) for part in (self.value, self.gradient, self.hessian)))

    def through(self, value: Numbers, first: Numbers, second: Numbers) -> Jet:
        """Return f(y) from f, f' and f'' at y."""
        outer = self.gradient[:, None] * self.gradient[None, :]
        return Jet(value, first * self.gradient, first * self.hessian + second * outer)

    def total(self, weight: Numbers) -> tuple[float, Numbers, Numbers]:
        """Return the weighted sum over entries: value, gradient (P,), Hessian (P, P)."""
        sums = (_weighted(part, weight) for part in (self.value, self.gradient, self.hessian))
        value, gradient, hessian = sums
        return float(value), gradient, hessian


Value: TypeAlias = Jet | Numbers | float


def parameters(values: Numbers, first: Numbers, second: Numbers) -> list[Jet]:
    """Return each parameter as a jet of the P free variables that it is a function of.

    Args:
        values: shape (P,), the parameters.
        first: shape (P,), derivative of each by its own free variable.
        second: shape (P,), second derivative.
    """
    count = len(values)
    jets = []
    for k in range(count):
        gradient = np.zeros((count, 1))
        hessian = np.zeros((count, count, 1))
        gradient[k], hessian[k, k] = first[k], second[k]
        jets.append(Jet(np.array([values[k]], dtype=np.float64), gradient, hessian))
    return jets


def exp(y: Value) -> Value:
    """Return e^y."""
    if isinstance(y, Jet):
        value = np.exp(y.value)
        return y.through(value, value, value)
    return np.exp(y)


def log(y: Value) -> Value:
    """Return the natural logarithm."""
    if isinstance(y, Jet):
        inverse = 1.0 / y.value
        return y.through(np.log(y.value), inverse, -(inverse**2))
    return np.log(y)


def softplus(y: Value) -> Value:
    """Return log(1 + e^y)."""
    inner = y.value if isinstance(y, Jet) else y
    value = np.logaddexp(0.0, inner)
    if isinstance(y, Jet):
        share = np.asarray(expit(inner))
        return y.through(value, share, share * (1.0 - share))
    return value


def log_normal_survival(z: Value) -> Value:
    """Return log(1 - Phi(z)) of the standard normal law; its derivative is -1/(Mills' ratio)."""
    inner = z.value if isinstance(z, Jet) else z
    value = log_ndtr(-np.asarray(inner))
    if isinstance(z, Jet):
        # Far left the scaled error function overflows to infinity and the hazard to its limit 0.
        hazard = np.asarray(np.sqrt(2.0 / np.pi) / erfcx(z.value / np.sqrt(2.0)))
        return z.through(value, -hazard, -hazard * (hazard - z.value))
    return value


def log1mexp(y: Value) -> Value:
    """Return log(1 - e^-y) for y > 0: the chance of an event in a cell of cumulative hazard y."""
    inner = np.asarray(y.value if isinstance(y, Jet) else y)
    value = np.where(
        inner < np.log(2.0), np.log(-np.expm1(-inner)), np.log1p(-np.exp(-np.maximum(inner, 0.1)))
    )
    if isinstance(y, Jet):
        odds = 1.0 / np.expm1(np.minimum(inner, 700.0))
        return y.through(value, odds, -(odds + odds**2))
    return value


def log1p_over(y: Value) -> Value:
    """Return log(1 + y)/y, 1 at y = 0."""
    return _divided(y, np.log1p, lambda v: 1.0 / (1.0 + v), lambda v: -1.0 / (1.0 + v) ** 2, _LOG1P)


def expm1_over(y: Value) -> Value:
    """Return (e^y - 1)/y, 1 at y = 0."""
    return _divided(y, np.expm1, np.exp, np.exp, _EXPM1)


def cumulative_sum(y: Value) -> Value:
    """Return the running sum along the entries."""
    if isinstance(y, Jet):
        return Jet(
            np.cumsum(y.value, axis=-1),
            np.cumsum(y.gradient, axis=-1),
            np.cumsum(y.hessian, axis=-1),
        )
    return np.cumsum(y)


def _taken(part: Numbers, index: Numbers | slice) -> Numbers:
    return part if part.shape[-1] == 1 else part[..., index]


def _weighted(part: Numbers, weight: Numbers) -> Numbers:
    return part[..., 0] * weight.sum() if part.shape[-1] == 1 else part @ weight


def values_of_array(value: Value) -> Numbers:
    """Return a function's value on a plain array as an array."""
    assert not isinstance(value, Jet)
    return np.asarray(value)


# Coefficients of log(1 + y)/y and (e^y - 1)/y about 0, constant last.
_LOG1P = np.array([(-1.0) ** k / (k + 1) for k in range(12)])[::-1]
_EXPM1 = np.array([1.0 / np.prod(np.arange(1.0, k + 2)) for k in range(12)])[::-1]
_SERIES_BELOW = 0.02


def _divided(
    y: Value,
    function: Callable[[Numbers], Numbers],
    first: Callable[[Numbers], Numbers],
    second: Callable[[Numbers], Numbers],
    series: Numbers,
) -> Value:
    """Return f(y)/y for f(0) = 0, by its series near 0 where the quotient loses digits."""
    inner = np.asarray(y.value if isinstance(y, Jet) else y, dtype=np.float64)
    small = np.abs(inner) < _SERIES_BELOW
    safe = np.where(small, 1.0, inner)
    near = np.where(small, inner, 0.0)
    quotient = np.where(small, np.polyval(series, near), function(safe) / safe)
    if not isinstance(y, Jet):
        return quotient
    slope = np.where(
        small,
        np.polyval(np.polyder(series), near),
        (first(safe) - function(safe) / safe) / safe,
    )
    curvature = np.where(
        small,
        np.polyval(np.polyder(series, 2), near),
        (second(safe) - 2.0 * (first(safe) - function(safe) / safe) / safe) / safe,
    )
    return y.through(quotient, slope, curvature)

"""Families with several scales: sums of hazards, mixtures, broken powers, sums of mechanisms.

Hazards add where several causes end growth (competing risks); mechanisms add where several drive
it. The four-parameter family h = l (1 + (x - m)/s)^-theta holds the exponential (theta 0), the
power law (1), stretched exponentials (between) and tails thinner than exponential (below 0) with
one cross-over scale; it is graphtide's own. theta > 1 would leave a share of units growing for
ever, so theta is at most 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from graphtide.mechanisms.distributions.family import Family, Parameter, Summary
from graphtide.mechanisms.distributions.jet import (
    Jet,
    Value,
    cumulative_sum,
    exp,
    expm1_over,
    log,
)

__all__ = ["SEVERAL_SCALES", "hazard_sum", "mechanism_sum"]

_GAUSS_PLACES, _GAUSS_WEIGHTS = np.polynomial.legendre.leggauss(5)
_LONGEST_STEP = 0.7  # of log x in one quadrature


def _quantile(summary: Summary, share: float) -> float:
    return float(np.interp(share, summary.shares, summary.quantiles))


def _cut_off_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return log(p[0] + p[1] * x) - np.log(x)


def _cut_off_cumulative(x: np.ndarray, p: Sequence[Value], start: float) -> Value:
    return p[0] * np.log(x / start) + p[1] * (x - start)


def _double_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    above = x >= _plain(p[2])
    return log(p[0] * (~above) + p[1] * above) - np.log(x)


def _double_cumulative(x: np.ndarray, p: Sequence[Value], start: float) -> Value:
    above = x >= _plain(p[2])
    cross = log(p[2]) - np.log(start)
    reached = np.log(x / start)
    return p[0] * (reached * ~above + cross * above) + p[1] * ((reached - cross) * above)


def _double_inverse(t: np.ndarray, p: Sequence[float], start: float) -> np.ndarray:
    crossing = p[0] * np.log(p[2] / start)
    later = p[2] * np.exp(np.maximum(t - crossing, 0.0) / p[1])
    return np.where(t < crossing, start * np.exp(t / p[0]), later)


def _four_log_hazard(x: np.ndarray, p: Sequence[Value], start: float) -> Value:
    return log(p[0]) - p[2] * log(1.0 + (x - start) / p[1])


def _four_cumulative(x: np.ndarray, p: Sequence[Value], start: float) -> Value:
    # Integral of (1 + y/s)^-theta = L s (e^((1 - theta) L) - 1)/((1 - theta) L), L = log(1 + y/s).
    stretched = log(1.0 + (x - start) / p[1])
    return p[0] * p[1] * (stretched * expm1_over((1.0 - p[2]) * stretched))


def _four_inverse(t: np.ndarray, p: Sequence[float], start: float) -> np.ndarray:
    rate, scale, theta = p
    share = t / (rate * scale)
    rest = 1.0 - theta
    stretched = share if rest < 1e-12 else np.log1p(rest * share) / rest
    return start + scale * np.expm1(stretched)


def _two_rates(p: Sequence[Value]) -> tuple[Value, Value, Value]:
    return p[0], p[1], p[1] + p[2]


def _mixture_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    share, slow, fast = _two_rates(p)
    rest = (1.0 - share) * exp(-(p[2] * x))
    return log(share * slow + fast * rest) - log(share + rest)


def _mixture_cumulative(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    share, slow, _ = _two_rates(p)
    return slow * x - log(share + (1.0 - share) * exp(-(p[2] * x)))


def _plain(value: Value) -> float:
    return float(np.ravel(value.value if isinstance(value, Jet) else value)[0])


SEVERAL_SCALES: tuple[Family, ...] = (
    Family(
        "power_law_cutoff",
        (Parameter("exponent"), Parameter("rate")),
        "start",
        _cut_off_log_hazard,
        _cut_off_cumulative,
        lambda s: [
            (0.5 / s.log_excess, 0.5 / max(s.mean - s.start, 1e-300)),
            (0.9 / s.log_excess, 0.05 / max(s.mean - s.start, 1e-300)),
            (0.05 / s.log_excess, 0.95 / max(s.mean - s.start, 1e-300)),
        ],
        "dx/dt = x/(exponent + rate*x)",
        "growth in proportion to size up to a scale, by a constant amount beyond it",
        located=True,
    ),
    Family(
        "two_exponentials",
        (Parameter("share", "share"), Parameter("slow_rate"), Parameter("rate_gap")),
        "nonnegative",
        _mixture_log_hazard,
        _mixture_cumulative,
        lambda s: [
            (0.5, 0.7 / s.mean, 3.0 / s.mean),
            (0.1, 0.2 / s.mean, 2.0 / s.mean),
            (0.02, 0.05 / s.mean, 1.0 / s.mean),
        ],
        "dx/dt = (share + (1 - share)*exp(-rate_gap*x))"
        "/(share*slow_rate + (1 - share)*(slow_rate + rate_gap)*exp(-rate_gap*x))",
        "two kinds of units, each growing by its own constant amount; seen together, growth "
        "quickens with size",
    ),
    Family(
        "four_parameter",
        (Parameter("rate"), Parameter("scale"), Parameter("theta", "at most one")),
        "start",
        _four_log_hazard,
        _four_cumulative,
        lambda s: [
            (1.0 / max(s.mean - s.start, 1e-300), s.mean - s.start, 0.3),
            (3.0 / max(s.mean - s.start, 1e-300), 0.2 * (s.mean - s.start), 0.8),
            (0.5 / max(s.mean - s.start, 1e-300), s.mean - s.start, -1.0),
        ],
        "dx/dt = (1 + (x - x_min)/scale)^theta/rate",
        "constant growth below a scale, growth as a power of the size beyond it",
        _four_inverse,
        located=True,
    ),
    Family(
        "double_power_law",
        (Parameter("lower_exponent"), Parameter("upper_exponent"), Parameter("crossover")),
        "start",
        _double_log_hazard,
        _double_cumulative,
        lambda s: [
            (1.0 / s.log_excess, 1.0 / s.log_excess, _quantile(s, q)) for q in (0.3, 0.6, 0.9)
        ],
        "dx/dt = x/(lower_exponent + (upper_exponent - lower_exponent)*heaviside(x - crossover))",
        "growth in proportion to size at one rate, and at another beyond a size",
        _double_inverse,
        located=True,
    ),
)
"""Families of several scales with a fixed form."""


def _power_text(power: float) -> str:
    return "1" if power == 0.0 else "x" if power == 1.0 else f"x^{power:g}"


def _named(powers: Sequence[float], letter: str) -> tuple[Parameter, ...]:
    return tuple(Parameter(f"{letter}{k + 1}") for k in range(len(powers)))


def _weighted(x: np.ndarray, powers: Sequence[float], p: Sequence[Value]) -> Value:
    total: Value = p[0] * x ** powers[0]
    for power, weight in zip(powers[1:], p[1:], strict=True):
        total = total + weight * x**power
    return total


def hazard_sum(powers: Sequence[float]) -> Family:
    """Return the family h(x) = sum_k c_k x^p_k from the sample's start: several causes of an end.

    Args:
        powers: at least two different exponents p_k.
    """

    def integral(x: np.ndarray, power: float, start: float) -> np.ndarray:
        if power == -1.0:
            return np.log(x / start)
        return (x ** (power + 1.0) - start ** (power + 1.0)) / (power + 1.0)

    def cumulative(x: np.ndarray, p: Sequence[Value], start: float) -> Value:
        total: Value = p[0] * integral(x, powers[0], start)
        for power, weight in zip(powers[1:], p[1:], strict=True):
            total = total + weight * integral(x, power, start)
        return total

    def guesses(s: Summary) -> list[tuple[float, ...]]:
        middle = np.array([max(s.mean, 1.001 * s.start)])
        return [tuple(1.0 / len(powers) / integral(middle, q, s.start)[0] for q in powers)]

    names = _named(powers, "h")
    terms = " + ".join(
        f"{name.name}*{_power_text(q)}" for name, q in zip(names, powers, strict=True)
    )
    return Family(
        "hazard_sum",
        names,
        "start",
        lambda x, p, _: log(_weighted(x, powers, p)),
        cumulative,
        guesses,
        f"dx/dt = 1/({terms})",
        f"growth that several causes can end, each with its own dependence on size: hazard {terms}",
        located=True,
        choices=1,
    )


def mechanism_sum(powers: Sequence[float]) -> Family:
    """Return the family of growth dx/dt = sum_k c_k x^p_k from the sample's start.

    The time H(x) = integral of dx/f is worked out by Gauss quadrature between the values in order.

    Args:
        powers: at least two different exponents p_k, at most 1: growth as a higher power would
            reach infinity at a finite age.
    """

    def cumulative(x: np.ndarray, p: Sequence[Value], start: float) -> Value:
        return _integrated(x, start, lambda points: 1.0 / _weighted(points, powers, p))

    def guesses(s: Summary) -> list[tuple[float, ...]]:
        middle = max(_quantile(s, 0.6), 1.001 * s.start)
        pace = max(middle - s.start, 1e-300)
        return [tuple(pace / len(powers) / middle**q for q in powers)]

    names = _named(powers, "c")
    terms = " + ".join(
        f"{name.name}*{_power_text(q)}" for name, q in zip(names, powers, strict=True)
    )
    return Family(
        "mechanism_sum",
        names,
        "start",
        lambda x, p, _: -log(_weighted(x, powers, p)),
        cumulative,
        guesses,
        f"dx/dt = {terms}",
        f"growth of several kinds added up: {terms}",
        located=True,
        choices=1,
    )


def _integrated(x: np.ndarray, start: float, function: Callable[[np.ndarray], Value]) -> Value:
    """Return the integral of a function from a positive start to each x, by pieces of log x."""
    marks = np.unique(np.concatenate([[start], np.maximum(x, start)]))
    logs = np.log(marks)
    longest = float(np.max(np.diff(logs), initial=0.0))
    if longest > _LONGEST_STEP:
        span = logs[-1] - logs[0]
        between = np.linspace(logs[0], logs[-1], int(span / _LONGEST_STEP) + 2)
        logs = np.unique(np.concatenate([logs, between]))
    half = 0.5 * np.diff(logs)
    middle = 0.5 * (logs[1:] + logs[:-1])
    pieces: Value = np.zeros(len(half))
    for place, weight in zip(_GAUSS_PLACES, _GAUSS_WEIGHTS, strict=True):
        points = np.exp(middle + place * half)
        pieces = pieces + (weight * half * points) * function(points)
    reached = cumulative_sum(pieces)
    index = np.searchsorted(logs, np.log(np.maximum(x, start)) - 1e-12)
    place = np.clip(index, 0, len(half))
    if isinstance(reached, Jet):
        count = len(reached.gradient)
        reached = Jet(
            np.concatenate([[0.0], reached.value]),
            np.concatenate([np.zeros((count, 1)), reached.gradient], axis=1),
            np.concatenate([np.zeros((count, count, 1)), reached.hessian], axis=2),
        )
        return reached[place]
    return np.concatenate([[0.0], np.asarray(reached)])[place]

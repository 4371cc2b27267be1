"""The named families with one scale, each with its hazard and the growth that makes it.

Formulas of h, H and of the trajectory are those of the standard distributions (Johnson, Kotz and
Balakrishnan, Continuous Univariate Distributions, 1994); f = 1/h is the mechanism.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtri_exp

from graphtide.mechanisms.distributions.family import Family, Parameter, Summary
from graphtide.mechanisms.distributions.jet import (
    Value,
    exp,
    expm1_over,
    log,
    log1p_over,
    log_normal_survival,
    softplus,
)

__all__ = ["ONE_SCALE"]

_LOG_ROOT_TWO_PI = 0.5 * np.log(2.0 * np.pi)


def _quantile(summary: Summary, share: float) -> float:
    return float(np.interp(share, summary.shares, summary.quantiles))


def _weibull_guess(s: Summary) -> tuple[float, float]:
    """Return shape and scale from the spread of log x, pi/(shape sqrt 6) under the law."""
    shape = float(np.clip(np.pi / (np.sqrt(6.0) * s.log_deviation), 0.05, 100.0))
    return shape, float(np.exp(s.log_mean + 0.5772 / shape))


def _pareto_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return log(p[0]) - np.log(x)


def _generalised_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return -log(p[0] + p[1] * x)


def _generalised_cumulative(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    share = x / p[0]
    return share * log1p_over(p[1] * share)


def _generalised_end(values: Sequence[float]) -> float:
    return float(-values[0] / values[1]) if values[1] < 0.0 else np.inf


def _weibull_power(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return exp(p[0] * (np.log(x) - log(p[1])))


def _weibull_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return log(p[0]) - log(p[1]) + (p[0] - 1.0) * (np.log(x) - log(p[1]))


def _gaussian_cumulative(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return -log_normal_survival((x - p[0]) / p[1])


def _gaussian_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    z = (x - p[0]) / p[1]
    return -0.5 * z * z - _LOG_ROOT_TWO_PI - log(p[1]) - log_normal_survival(z)


def _gompertz_cumulative(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return p[0] * (x * expm1_over(p[1] * x))


def _burr_cumulative(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return p[1] * softplus(p[0] * (np.log(x) - log(p[2])))


def _burr_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    z = p[0] * (np.log(x) - log(p[2]))
    return log(p[0]) + log(p[1]) - np.log(x) + z - softplus(z)


def _logistic_log_hazard(x: np.ndarray, p: Sequence[Value], _start: float) -> Value:
    return -log(p[1]) - softplus((p[0] - x) / p[1])


def _log_logistic(p: Sequence[Value]) -> list[Value]:
    return [p[0], np.ones(1), p[1]]


def _softplus_inverse(t: np.ndarray) -> np.ndarray:
    return t + np.log(-np.expm1(-t))


ONE_SCALE: tuple[Family, ...] = (
    Family(
        "exponential",
        (Parameter("rate"),),
        "nonnegative",
        lambda x, p, _: log(p[0]) + 0.0 * x,
        lambda x, p, _: p[0] * x,
        lambda s: [(1.0 / s.mean,)],
        "dx/dt = 1/rate",
        "growth by the same amount in each unit of time, whatever the size",
        lambda t, p, _: t / p[0],
    ),
    Family(
        "pareto",
        (Parameter("exponent"),),
        "start",
        _pareto_log_hazard,
        lambda x, p, start: p[0] * np.log(x / start),
        lambda s: [(1.0 / s.log_excess,)],
        "dx/dt = x/exponent",
        "growth in proportion to size",
        lambda t, p, start: start * np.exp(t / p[0]),
        located=True,
    ),
    Family(
        "rayleigh",
        (Parameter("scale"),),
        "nonnegative",
        lambda x, p, _: np.log(2.0) + np.log(x) - 2.0 * log(p[0]),
        lambda x, p, _: (x / p[0]) * (x / p[0]),
        lambda s: [(float(np.hypot(s.mean, s.deviation)),)],
        "dx/dt = scale^2/(2*x)",
        "growth that slows as one over the size: size as the square root of time, as in diffusion",
        lambda t, p, _: p[0] * np.sqrt(t),
    ),
    Family(
        "weibull",
        (Parameter("shape"), Parameter("scale")),
        "positive",
        _weibull_log_hazard,
        _weibull_power,
        lambda s: [_weibull_guess(s), (1.0, s.mean)],
        "dx/dt = scale/shape*(x/scale)^(1 - shape)",
        "growth as a power of the size: size as a power of time (stretched exponential)",
        lambda t, p, _: p[1] * t ** (1.0 / p[0]),
    ),
    Family(
        "generalised_pareto",
        (Parameter("scale"), Parameter("shape", "real")),
        "nonnegative",
        _generalised_log_hazard,
        _generalised_cumulative,
        lambda s: [
            (s.mean, 0.1),
            (0.6 * _quantile(s, 0.5), 0.8),
            (max(s.mean, 0.6 * s.largest), -0.5),
        ],
        "dx/dt = scale + shape*x",
        "a constant growth plus growth in proportion to size",
        lambda t, p, _: p[0] * t * np.asarray(expm1_over(p[1] * t)),
        largest=_generalised_end,
    ),
    Family(
        "gompertz",
        (Parameter("rate"), Parameter("slowing")),
        "nonnegative",
        lambda x, p, _: log(p[0]) + p[1] * x,
        _gompertz_cumulative,
        lambda s: [
            (0.5 / s.mean, 0.5 / s.mean),
            (0.05 / s.mean, 3.0 / s.mean),
            (1.0 / s.mean, 0.1 / s.largest),
        ],
        "dx/dt = exp(-slowing*x)/rate",
        "growth that slows exponentially with size: size as the logarithm of time",
        lambda t, p, _: np.log1p(p[1] * t / p[0]) / p[1],
    ),
    Family(
        "gaussian",
        (Parameter("mean", "real"), Parameter("deviation")),
        "real",
        _gaussian_log_hazard,
        _gaussian_cumulative,
        lambda s: [(s.mean, s.deviation)],
        "dx/dt = deviation*sqrt(pi/2)*erfcx((x - mean)/(deviation*sqrt(2)))",
        "fast growth up to a typical size, and slower and slower growth beyond it",
        lambda t, p, _: p[0] - p[1] * ndtri_exp(-t),
    ),
    Family(
        "logistic",
        (Parameter("mean", "real"), Parameter("scale")),
        "real",
        _logistic_log_hazard,
        lambda x, p, _: softplus((x - p[0]) / p[1]),
        lambda s: [(s.mean, 0.5513 * s.deviation)],
        "dx/dt = scale*(1 + exp(-(x - mean)/scale))",
        "fast growth up to a typical size, and growth by a constant amount beyond it",
        lambda t, p, _: p[0] + p[1] * _softplus_inverse(t),
    ),
    Family(
        "lognormal",
        (Parameter("log_mean", "real"), Parameter("log_deviation")),
        "positive",
        lambda x, p, _: _gaussian_log_hazard(np.log(x), p, 0.0) - np.log(x),
        lambda x, p, _: _gaussian_cumulative(np.log(x), p, 0.0),
        lambda s: [(s.log_mean, s.log_deviation)],
        "dx/dt = x*log_deviation*sqrt(pi/2)*erfcx((log(x) - log_mean)/(log_deviation*sqrt(2)))",
        "growth in proportion to size, by a factor that falls slowly as the unit gets larger",
        lambda t, p, _: np.exp(p[0] - p[1] * ndtri_exp(-t)),
    ),
    Family(
        "log_logistic",
        (Parameter("shape"), Parameter("scale")),
        "positive",
        lambda x, p, start: _burr_log_hazard(x, _log_logistic(p), start),
        lambda x, p, start: _burr_cumulative(x, _log_logistic(p), start),
        lambda s: [(np.pi / np.sqrt(3.0) / s.log_deviation, float(np.exp(s.log_mean)))],
        "dx/dt = scale/shape*((x/scale)^(1 - shape) + x/scale)",
        "growth as a power of the size below a scale, in proportion to size above it",
        lambda t, p, _: p[1] * np.exp(_softplus_inverse(t) / p[0]),
    ),
    Family(
        "burr_xii",
        (Parameter("inner_shape"), Parameter("outer_shape"), Parameter("scale")),
        "positive",
        _burr_log_hazard,
        _burr_cumulative,
        lambda s: [
            (1.8 / s.log_deviation, 1.0, float(np.exp(s.log_mean))),
            (1.2 / s.log_deviation, 4.0, float(np.exp(s.log_mean + 2 * s.log_deviation))),
            (3.0 / s.log_deviation, 0.5, float(np.exp(s.log_mean - 0.5 * s.log_deviation))),
        ],
        "dx/dt = scale/(inner_shape*outer_shape)*((x/scale)^(1 - inner_shape) + x/scale)",
        "growth as a power of the size below a scale, in proportion to size above it",
        lambda t, p, _: p[2] * np.exp(_softplus_inverse(t / p[1]) / p[0]),
    ),
)
"""Families of one scale, fewer parameters first."""

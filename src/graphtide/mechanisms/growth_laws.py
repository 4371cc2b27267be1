"""Laws of growth with closed solutions, written so that no limit of a parameter overflows.

With t counted from the first time, a the age at that time (time since the origin s) and n0 the size
there, each law is a differential equation of the size n and its solution:

    exponential   dn/dt = r n                       n0 exp(r t)
    power law     dn/dt = p n / (t - s)             n0 ((t - s)/a)^p
    logistic      dn/dt = r n (1 - n/N)             N / (1 + (N/n0 - 1) exp(-r t))
    Gompertz      dn/dt = r n log(N/n)              N exp(log(n0/N) exp(-r t))
    Bass          dn/dt = (p + q n/N) (N - n)       Bass, Management Science 15 (1969) 215
    NetTide       dn/dt = r n (1 - n/N) / (t - s)^theta
                  N / (1 + (N/n0 - 1) exp(-r T)), T = ((t - s)^(1 - theta) - a^(1 - theta))
                  / (1 - theta), for theta = 1 log((t - s)/a)
                  (Zang, Cui & Faloutsos, KDD 2016, with r = beta N)

A NetTide with theta 0 is logistic, and with theta 1 and N far away a power law; theta may exceed 1:
growth then fizzles out below N. Fits work on internal parameters that are free to take any value
and keep N above n0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

__all__ = ["GROWTH_LAWS", "GrowthLaw", "Span", "effective_time"]


@dataclass(frozen=True, slots=True)
class Span:
    """The times that a law is fitted on.

    Attributes:
        first: the first time.
        last: the last time.
        origin: when growth began, before the first time.
    """

    first: float
    last: float
    origin: float

    @property
    def age(self) -> float:
        """Time from the origin to the first time."""
        return self.first - self.origin

    @property
    def middle_age(self) -> float:
        """Geometric middle of the ages."""
        return float(np.sqrt(self.age * (self.last - self.origin)))


_Numbers = tuple[float, ...]


@dataclass(frozen=True, slots=True)
class GrowthLaw:
    """A law of growth.

    Attributes:
        name: its name.
        parameters: names of its parameters, the size n0 at the first time first.
        text: its differential equation, of the size x.
        log_size: internal parameters, times and span to log n.
        natural: internal parameters and span to the parameters by their names.
        starts: times, log sizes and span to internal parameters from which fits begin.
        capacity: whether N is among the parameters.
    """

    name: str
    parameters: tuple[str, ...]
    text: str
    log_size: Callable[[np.ndarray, np.ndarray, Span], np.ndarray]
    natural: Callable[[np.ndarray, Span], _Numbers]
    starts: Callable[[np.ndarray, np.ndarray, Span], list[_Numbers]]

    @property
    def capacity(self) -> bool:
        """Whether growth ends at a size N."""
        return "N" in self.parameters


def effective_time(times: np.ndarray, theta: float, span: Span) -> np.ndarray:
    """Return the integral of (t - s)^(-theta) from the first time, shape of the times.

    Exact for every theta: near 1, where the closed form is 0/0, as a series by expm1.
    """
    logarithm = np.log((times - span.origin) / span.age)
    return np.power(span.age, 1.0 - theta) * logarithm * _expm1_over((1.0 - theta) * logarithm)


def _expm1_over(value: np.ndarray) -> np.ndarray:
    """Return (exp(z) - 1)/z, 1 at z = 0."""
    value = np.asarray(value, dtype=np.float64)
    small = np.abs(value) < 1e-12
    safe = np.where(small, 1.0, value)
    return np.where(small, 1.0, np.expm1(safe) / safe)


def _softplus(value: np.ndarray | float) -> np.ndarray:
    """Return log(1 + exp(z)) without overflow."""
    return np.logaddexp(0.0, value)


def _exp(value: float) -> float:
    """Return exp, kept where its square is still finite; fits that stray further mean nothing."""
    return float(np.exp(np.clip(value, -300.0, 300.0)))


def _capacity(log_n0: float, excess: float) -> float:
    """Return N = n0 (1 + exp(excess))."""
    return _exp(log_n0 + float(_softplus(excess)))


def _slope(times: np.ndarray, log_size: np.ndarray) -> float:
    """Return the mean rate of growth, positive."""
    rate = (log_size[-1] - log_size[0]) / (times[-1] - times[0])
    return max(float(rate), 1e-3 / float(times[-1] - times[0]))


def _exponential(u: np.ndarray, times: np.ndarray, span: Span) -> np.ndarray:
    return u[0] + _exp(u[1]) * (times - span.first)


def _power_law(u: np.ndarray, times: np.ndarray, span: Span) -> np.ndarray:
    return u[0] + _exp(u[1]) * np.log((times - span.origin) / span.age)


def _logistic(u: np.ndarray, times: np.ndarray, span: Span) -> np.ndarray:
    return u[0] + _softplus(u[2]) - _softplus(u[2] - _exp(u[1]) * (times - span.first))


def _gompertz(u: np.ndarray, times: np.ndarray, span: Span) -> np.ndarray:
    return u[0] - _exp(u[2]) * np.expm1(-_exp(u[1]) * (times - span.first))


def _bass(u: np.ndarray, times: np.ndarray, span: Span) -> np.ndarray:
    # y = n/N: y = (1 - pC E)/(1 + qC E), C = (1 - y0)/(p + q y0), E = exp(-(p + q) t).
    p, q = _exp(u[1]), _exp(u[2])
    y0 = np.exp(-_softplus(u[3]))
    c = np.exp(u[3] - _softplus(u[3])) / (p + q * y0)
    fallen = -np.expm1(-(p + q) * (times - span.first))
    grown = y0 * (p + q) / (p + q * y0) + p * c * fallen
    return u[0] + _softplus(u[3]) + np.log(grown) - np.log1p(q * c * (1.0 - fallen))


def _nettide(u: np.ndarray, times: np.ndarray, span: Span) -> np.ndarray:
    # u[1] is the logarithm of the rate at the middle age, so that it hangs little with theta.
    theta = float(np.clip(u[2], -30.0, 30.0))
    rate = _exp(u[1] + theta * np.log(span.middle_age))
    steps = rate * effective_time(times, theta, span)
    return u[0] + _softplus(u[3]) - _softplus(u[3] - steps)


def _excesses(log_size: np.ndarray) -> list[float]:
    """Return starts of log(N/n0 - 1): N little, some, and far above the last size."""
    over = max(float(log_size[-1] - log_size[0]), 0.0)
    return [float(np.log(np.expm1(over + extra))) for extra in (0.05, 0.7, 4.0)]


def _starts_exponential(t: np.ndarray, y: np.ndarray, span: Span) -> list[_Numbers]:
    del span
    return [(y[0], float(np.log(_slope(t, y))))]


def _starts_power_law(t: np.ndarray, y: np.ndarray, span: Span) -> list[_Numbers]:
    rise = (y[-1] - y[0]) / np.log((t[-1] - span.origin) / span.age)
    return [(y[0], float(np.log(max(rise, 1e-3))))]


def _starts_logistic(t: np.ndarray, y: np.ndarray, span: Span) -> list[_Numbers]:
    del span
    rate = np.log(_slope(t, y))
    return [(y[0], float(rate + f), e) for e in _excesses(y) for f in (0.0, 1.5)]


def _starts_gompertz(t: np.ndarray, y: np.ndarray, span: Span) -> list[_Numbers]:
    rise, length = max(float(y[-1] - y[0]), 1e-3), span.last - span.first
    del t
    return [
        (y[0], float(np.log(k / length)), float(np.log(rise / -np.expm1(-k))))
        for k in (0.1, 1.0, 3.0, 8.0)
    ]


def _starts_bass(t: np.ndarray, y: np.ndarray, span: Span) -> list[_Numbers]:
    rate = np.log(_slope(t, y))
    del span
    return [(y[0], float(rate - g), float(rate), e) for e in _excesses(y) for g in (1.0, 4.0)]


def _starts_nettide(t: np.ndarray, y: np.ndarray, span: Span) -> list[_Numbers]:
    del span
    rate = float(np.log(_slope(t, y)))
    return [(y[0], rate, theta, e) for theta in (0.0, 0.9, 1.8) for e in _excesses(y)]


_LAWS = (
    GrowthLaw(
        "exponential",
        ("n0", "r"),
        "dx/dt = r*x",
        _exponential,
        lambda u, _span: (_exp(u[0]), _exp(u[1])),
        _starts_exponential,
    ),
    GrowthLaw(
        "power law",
        ("n0", "p"),
        "dx/dt = p*x/(t - s)",
        _power_law,
        lambda u, _span: (_exp(u[0]), _exp(u[1])),
        _starts_power_law,
    ),
    GrowthLaw(
        "logistic",
        ("n0", "r", "N"),
        "dx/dt = r*x*(1 - x/N)",
        _logistic,
        lambda u, _span: (_exp(u[0]), _exp(u[1]), _capacity(u[0], u[2])),
        _starts_logistic,
    ),
    GrowthLaw(
        "Gompertz",
        ("n0", "r", "N"),
        "dx/dt = r*x*log(N/x)",
        _gompertz,
        lambda u, _span: (_exp(u[0]), _exp(u[1]), _exp(u[0] + _exp(u[2]))),
        _starts_gompertz,
    ),
    GrowthLaw(
        "Bass",
        ("n0", "p", "q", "N"),
        "dx/dt = (p + q*x/N)*(N - x)",
        _bass,
        lambda u, _span: (_exp(u[0]), _exp(u[1]), _exp(u[2]), _capacity(u[0], u[3])),
        _starts_bass,
    ),
    GrowthLaw(
        "NetTide",
        ("n0", "r", "theta", "N"),
        "dx/dt = r*x*(1 - x/N)/(t - s)^theta",
        _nettide,
        lambda u, span: (
            _exp(u[0]),
            _exp(u[1] + u[2] * np.log(span.middle_age)),
            float(u[2]),
            _capacity(u[0], u[3]),
        ),
        _starts_nettide,
    ),
)

GROWTH_LAWS: Mapping[str, GrowthLaw] = MappingProxyType({law.name: law for law in _LAWS})
"""The laws by name."""

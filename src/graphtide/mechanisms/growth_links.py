"""Links of a growing network: NetTide's law of links, and densification.

NetTide (Zang, Cui & Faloutsos, KDD 2016): with n(t) nodes,

    de/dt = (b / (t - s)^theta) (alpha n (n - 1)^gamma - e) + 2 dn/dt.

In the effective time T of the nodes (dT = dt / (t - s)^theta) this is linear,
de/dT = b (alpha n (n - 1)^gamma - e) + 2 dn/dT, and is solved exactly for sources that are linear
between the points of a fine grid. Densification is e ~ n^a (Leskovec, Kleinberg & Faloutsos 2005).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.growth_fit import GrowthFit, inverse_information, jacobian, minimise
from graphtide.mechanisms.growth_laws import effective_time

__all__ = ["Densification", "LinksFit", "densification", "fit_links", "solve_links"]

_POINTS = 400
"""Points of the grid on which the law of links is solved."""


@dataclass(frozen=True, slots=True)
class Densification:
    """The exponent a of e ~ n^a with its standard error, and the constant."""

    exponent: float
    standard_error: float
    constant: float

    def links(self, nodes: np.ndarray) -> np.ndarray:
        """Return constant * n^a."""
        return self.constant * nodes**self.exponent


@dataclass(frozen=True, slots=True, eq=False)
class LinksFit:
    """NetTide's law of links fitted to a curve.

    Attributes:
        nodes: the fit of the nodes, whose theta and n(t) it uses.
        internal: logarithms of e0, b, alpha, and gamma as it is.
        standard_errors: of e0, b, alpha and gamma.
        residuals: log of the readings minus log of the law, shape (T,).
    """

    nodes: GrowthFit
    internal: np.ndarray
    standard_errors: dict[str, float]
    residuals: np.ndarray

    @property
    def parameters(self) -> dict[str, float]:
        """e0, b, alpha and gamma."""
        e0, b, alpha = np.exp(self.internal[:3]).tolist()
        return {"e0": e0, "b": b, "alpha": alpha, "gamma": float(self.internal[3])}

    def links(self, times: np.ndarray) -> np.ndarray:
        """Return numbers of links at times, shape of the times."""
        return np.exp(_log_links(self.internal, times, self.nodes))


def densification(nodes: np.ndarray, links: np.ndarray) -> Densification:
    """Return the least-squares exponent of log e over log n."""
    x, y = np.log(nodes), np.log(links)
    centred = x - x.mean()
    spread = float(centred @ centred)
    exponent = float(centred @ y) / spread
    residual = y - y.mean() - exponent * centred
    error = float(np.sqrt(residual @ residual / max(1, len(x) - 2) / spread))
    return Densification(exponent, error, float(np.exp(y.mean() - exponent * x.mean())))


def fit_links(times: np.ndarray, links: np.ndarray, nodes: GrowthFit) -> LinksFit:
    """Return the least-squares fit of NetTide's law of links to log e.

    Args:
        times: (T,) increasing.
        links: (T,) positive.
        nodes: NetTide's fit of the nodes.
    """
    target = np.log(links)
    size = nodes.size(times)
    grown = float(effective_time(times[-1:], float(nodes.internal[2]), nodes.span)[0])
    slope = densification(size, links)
    best, least = np.zeros(4), np.inf
    for pace in (1.0, 30.0):
        for gamma in (slope.exponent - 1.0, 0.3):
            alpha = np.median(links / (size * np.maximum(size - 1.0, 0.1) ** gamma))
            start = np.array([target[0], np.log(pace / grown), np.log(alpha), gamma])
            found = minimise(lambda u: _log_links(u, times, nodes) - target, start)
            residual = _log_links(found, times, nodes) - target
            if float(residual @ residual) < least:
                best, least = found, float(residual @ residual)
    rows = jacobian(lambda u: _log_links(u, times, nodes), best)
    variance = least / max(1, len(times) - 4)
    errors = np.sqrt(np.diag(inverse_information(rows.T @ rows / max(variance, 1e-300))))
    values = [*np.exp(best[:3]), 1.0]
    names = ("e0", "b", "alpha", "gamma")
    named = {str(n): float(e * v) for n, e, v in zip(names, errors, values, strict=True)}
    return LinksFit(nodes, best, named, target - _log_links(best, times, nodes))


def solve_links(
    times: np.ndarray, nodes: GrowthFit, *, e0: float, b: float, alpha: float, gamma: float
) -> np.ndarray:
    """Return numbers of links at times from NetTide's law, e0 at the first time of the nodes."""
    internal = np.array([np.log(e0), np.log(b), np.log(alpha), gamma])
    return np.exp(_log_links(internal, times, nodes))


def _log_links(internal: np.ndarray, times: np.ndarray, nodes: GrowthFit) -> np.ndarray:
    e0, b, alpha = np.exp(np.clip(internal[:3], -200.0, 200.0))
    gamma = float(np.clip(internal[3], -20.0, 20.0))
    span, theta = nodes.span, float(nodes.internal[2])
    # The grid is even in the logarithm of the age, and finer where readings are.
    ages = np.geomspace(span.age, max(float(times[-1]), span.last) - span.origin, _POINTS)
    grid = np.union1d(ages[1:-1] + span.origin, np.append(times, span.first))
    steps = np.diff(effective_time(grid, theta, span)) * b
    size = nodes.size(grid)
    source = alpha * size * np.maximum(size - 1.0, 1e-9) ** gamma
    change = 2.0 * np.diff(size)
    decay = np.exp(-steps)
    # Exact for linear sources: weights of the two ends of each step (series where it is short).
    share = -np.expm1(-steps)
    safe = np.where(steps > 1e-8, steps, 1.0)
    mean = np.where(steps > 1e-8, share / safe, 1.0 - steps / 2.0)  # mean of exp(-b(T_end - T))
    ahead = np.where(steps > 1e-4, 1.0 - mean, steps / 2.0 - steps**2 / 6.0)
    added = source[:-1] * (share - ahead) + source[1:] * ahead + change * mean
    links = np.empty(len(grid))
    links[0] = value = e0
    for k, (keep, more) in enumerate(zip(decay.tolist(), added.tolist(), strict=True), start=1):
        value = keep * value + more
        links[k] = value
    at = np.searchsorted(grid, times)
    return np.log(np.maximum(links[at], 1e-300))

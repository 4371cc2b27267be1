"""The free curve: a hazard that is a power law between knots, fitted as a Poisson regression.

With u = log x and lambda(u) = x h(x), log lambda is linear between knots, so h and the mechanism
f = 1/h are powers of x there. On a fine grid in u the likelihood is that of Poisson counts with
the exposure of the units still growing (Holford, Biometrics 36, 1980); whole and rounded numbers
have the complementary log-log likelihood of their cells (Prentice and Gloeckler, Biometrics 34,
1978), which is the exact grouping of a continuous law. Both are concave. A knot is added where the
score test is largest until it falls below log n. Values that may be negative take u = x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import ComputationError
from graphtide.mechanisms.distributions.jet import expm1_over, log1mexp, values_of_array
from graphtide.mechanisms.distributions.nodes import Nodes
from graphtide.mechanisms.distributions.risk import RiskGrid, risk_grid

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["FreeCurve", "fit_free_curve"]

_MOST_KNOTS = 40
_CANDIDATES = 120
_MOST_STEPS = 40
_NEAREST = 0.01  # of the range of u


@dataclass(frozen=True, slots=True)
class FreeCurve:
    """A piecewise power-law hazard; log lambda(u) = b0 + b1 (u - u0) + sum_k g_k (u - k)_+.

    Attributes:
        coefficients: (2 + K,) b0, b1, g_1 ... g_K.
        covariance: (2 + K, 2 + K).
        knots: (K,) places of u.
        logarithmic: whether u = log(x + shift); otherwise u = x.
        shift: 1 for counts that begin at 0, else 0.
        start: x at which growth is seen to begin.
        size: number of units.
    """

    coefficients: np.ndarray
    covariance: np.ndarray
    knots: np.ndarray
    logarithmic: bool
    shift: float
    start: float
    size: float

    @property
    def complexity(self) -> int:
        """Number of coefficients and of places of knots."""
        return len(self.coefficients) + len(self.knots)

    def coordinate(self, x: np.ndarray) -> np.ndarray:
        """Return u at x."""
        return _coordinate(x, self.logarithmic, self.shift)

    def log_rate(self, u: np.ndarray) -> np.ndarray:
        """Return log lambda(u)."""
        return self._basis(u) @ self.coefficients

    def hazard(self, x: np.ndarray) -> np.ndarray:
        """Return h(x); the mechanism is 1/h."""
        u = self.coordinate(x)
        return np.exp(self.log_rate(u)) / self._stretch(x)

    def cumulative_hazard(self, x: np.ndarray) -> np.ndarray:
        """Return H(x): the time at which x is passed, 0 up to the start."""
        begin = float(self.coordinate(np.array(self.start)))
        u = np.maximum(self.coordinate(np.maximum(x, self.start)), begin)
        edges, rates, slopes, reached = self._pieces(begin)
        piece = np.clip(np.searchsorted(edges, u, side="right") - 1, 0, len(rates) - 1)
        along = u - edges[piece]
        grown = values_of_array(expm1_over(slopes[piece] * along))
        return reached[piece] + rates[piece] * along * grown

    def trajectory(self, ages: np.ndarray) -> np.ndarray:
        """Return x(t) at ages t; infinite where the hazard is too small ever to reach an age."""
        begin = float(self.coordinate(np.array(self.start)))
        edges, rates, slopes, reached = self._pieces(begin)
        piece = np.clip(np.searchsorted(reached, ages, side="right") - 1, 0, len(rates) - 1)
        share = (ages - reached[piece]) / rates[piece]
        bend = slopes[piece] * share
        with np.errstate(divide="ignore", invalid="ignore"):
            along = np.where(
                np.abs(bend) < 1e-9, share, np.log1p(np.maximum(bend, -1.0)) / slopes[piece]
            )
        u = edges[piece] + along
        return np.exp(np.minimum(u, 700.0)) - self.shift if self.logarithmic else u

    def exponent(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return d log f/d log x with its standard error (for u = x, of d log f/dx)."""
        slopes = np.concatenate(
            [
                np.zeros((len(x), 1)),
                np.ones((len(x), 1)),
                (self.coordinate(x)[:, None] >= self.knots) * 1.0,
            ],
            axis=1,
        )
        value = slopes @ self.coefficients
        error = np.sqrt(np.einsum("ij,jk,ik->i", slopes, self.covariance, slopes))
        return (1.0 - value if self.logarithmic else -value), error

    def pointwise(self, nodes: Nodes) -> np.ndarray:
        """Return the log-likelihood of each item of the nodes, (m,)."""
        with np.errstate(divide="ignore"):
            total = self.cumulative_hazard(nodes.value)
            result = -total
            exact = nodes.value[: nodes.exact]
            inside = np.maximum(exact, self.start)
            result[: nodes.exact] += np.log(self.hazard(inside))
            first = nodes.exact + nodes.censored
            cell = self.cumulative_hazard(nodes.upper) - total[first:]
            result[first:] += values_of_array(log1mexp(np.maximum(cell, 1e-300)))
        if nodes.entry is not None:
            result = result + self.cumulative_hazard(nodes.entry)
        return result

    def pieces(self) -> list[tuple[float, float, float]]:
        """Return the size at which each piece begins, f there, and p of f ~ x^p along it.

        Where u = x, p is the slope of log f instead.
        """
        edges, _, slopes, _ = self._pieces(float(self.coordinate(np.array(self.start))))
        sizes = np.exp(edges) - self.shift if self.logarithmic else edges
        growth = 1.0 / self.hazard(sizes)
        powers = 1.0 - slopes if self.logarithmic else -slopes
        return list(zip(sizes.tolist(), growth.tolist(), powers.tolist(), strict=True))

    def equation(self) -> Equation:
        """Return dx/dt = 1/h(x) as an equation, one hinge a knot."""
        from graphtide.equation import Equation
        from graphtide.equation.equation import Parameter

        place = "x" if not self.logarithmic else "log(x + 1)" if self.shift else "log(x)"
        front = "" if not self.logarithmic else "(x + 1)*" if self.shift else "x*"
        begin = float(self.coordinate(np.array(self.start)))
        errors = np.sqrt(np.maximum(np.diag(self.covariance), 0.0))
        # Of log(f/x), so that growth is x^(1 + slope) up to the first knot, and bends from there.
        names = ["level", "slope", *(f"bend{k + 1}" for k in range(len(self.knots)))]
        constants = {
            name: Parameter(-float(value), float(error))
            for name, value, error in zip(names, self.coefficients, errors, strict=True)
        }
        constants["begin"] = Parameter(begin)
        terms = f"level + slope*({place} - begin)"
        for k, knot in enumerate(self.knots):
            constants[f"knot{k + 1}"] = Parameter(float(knot))
            terms += f" + bend{k + 1}*maximum({place} - knot{k + 1}, 0)"
        return Equation.parse(f"dx/dt = {front}exp({terms})", parameters=constants)

    def _stretch(self, x: np.ndarray) -> np.ndarray | float:
        return np.asarray(x) + self.shift if self.logarithmic else 1.0

    def _basis(self, u: np.ndarray) -> np.ndarray:
        begin = float(self.coordinate(np.array(self.start)))
        return _basis(np.asarray(u), begin, self.knots)

    def _pieces(self, begin: float) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return edges of pieces, lambda there, slopes of log lambda, and H reached there."""
        order = np.argsort(self.knots)
        edges = np.concatenate([[begin], self.knots[order]])
        slopes = self.coefficients[1] + np.concatenate(
            [[0.0], np.cumsum(self.coefficients[2:][order])]
        )
        rates = np.exp(self.log_rate(edges))
        widths = np.diff(edges)
        grown = rates[:-1] * widths * values_of_array(expm1_over(slopes[:-1] * widths))
        return edges, rates, slopes, np.concatenate([[0.0], np.cumsum(grown)])


def fit_free_curve(nodes: Nodes, start: float, *, logarithmic: bool, shift: float) -> FreeCurve:
    """Return the free curve of some nodes.

    Args:
        nodes: weighted items.
        start: where growth is seen to begin.
        logarithmic: take u = log(x + shift), for values of one sign.
        shift: 1 for counts that begin at 0.

    Raises:
        ComputationError: the Newton iteration failed.
    """
    grid = risk_grid(
        nodes, start, lambda x: _coordinate(np.asarray(x), logarithmic, shift), logarithmic
    )
    begin = float(grid.edges[0])
    candidates = _places(grid)
    hinges = np.maximum(grid.points[:, None] - candidates, 0.0)  # (points, candidates)
    basis = _basis(grid.points, begin, np.empty(0))
    coefficients = np.array([grid.mean_log_rate(), 0.0])
    chosen: list[int] = []
    threshold = np.log(max(nodes.size, 2.0))
    # Heaps of favourite numbers (5, 10, 50) look like bends; knots so close would follow each.
    nearest = _NEAREST * float(np.ptp(grid.edges))
    while True:
        coefficients, information = _newton(grid, basis, coefficients)
        if len(chosen) >= _MOST_KNOTS:
            break
        rows, weights, residual = grid.rows(basis @ coefficients)
        own = rows(basis)
        others = rows(hinges)
        score = residual @ others
        cross = own.T @ (weights[:, None] * others)
        with np.errstate(all="ignore"):
            spread = weights @ others**2 - np.einsum(
                "ic,ic->c", cross, np.linalg.solve(information, cross)
            )
            statistic = np.where(spread > 1e-6 * (weights @ others**2), score**2 / spread, 0.0)
        for knot in chosen:
            statistic[np.abs(candidates - candidates[knot]) < nearest] = 0.0
        best = int(np.argmax(statistic))
        if not statistic[best] > threshold:
            break
        chosen.append(best)
        basis = np.concatenate([basis, hinges[:, best : best + 1]], axis=1)
        coefficients = np.append(coefficients, 0.0)
    covariance = np.linalg.inv(information)
    return FreeCurve(
        coefficients, covariance, candidates[chosen], logarithmic, shift, start, nodes.size
    )


def _newton(
    grid: RiskGrid, basis: np.ndarray, coefficients: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Climb to the maximum by Fisher scoring with halved steps; return it and the information."""
    value = grid.log_likelihood(basis @ coefficients)
    information = np.eye(len(coefficients))
    for _ in range(_MOST_STEPS):
        rows, weights, residual = grid.rows(basis @ coefficients)
        own = rows(basis)
        score = residual @ own
        information = own.T @ (weights[:, None] * own)
        information += 1e-9 * np.diag(np.maximum(np.diag(information), 1e-12))
        step = np.linalg.solve(information, score)
        gain = float(score @ step)
        if gain < 1e-8:
            return coefficients, information
        for halving in range(40):
            trial = coefficients + step * 0.5**halving
            new = grid.log_likelihood(basis @ trial)
            if np.isfinite(new) and new >= value - 1e-10 * abs(value):
                break
        else:
            raise ComputationError("the free curve could not be fitted: no step raises its value")
        coefficients, value = trial, new
    return coefficients, information


def _places(grid: RiskGrid) -> np.ndarray:
    """Return edges of the grid where a knot may stand: spread over the events, away from the ends.

    A knot needs some events on either side of it.
    """
    events = np.cumsum(grid.events)
    enough = min(10.0, 0.1 * events[-1])
    inner = grid.edges[1:-1]
    free = (events[:-1] >= enough) & (events[-1] - events[:-1] >= enough)
    inner = inner[free]
    if len(inner) <= _CANDIDATES:
        return inner
    passed = events[:-1][free]
    half = _CANDIDATES // 2
    by_share = np.searchsorted(passed, np.linspace(passed[0], passed[-1], half))
    by_place = np.searchsorted(inner, np.linspace(inner[0], inner[-1], half))
    return inner[np.unique(np.concatenate([by_share, by_place]).clip(0, len(inner) - 1))]


def _basis(u: np.ndarray, begin: float, knots: np.ndarray) -> np.ndarray:
    flat = np.asarray(u, dtype=np.float64)[..., None]
    return np.concatenate(
        [np.ones_like(flat), flat - begin, np.maximum(flat - knots, 0.0)], axis=-1
    )


def _coordinate(x: np.ndarray, logarithmic: bool, shift: float) -> np.ndarray:
    if not logarithmic:
        return np.asarray(x, dtype=np.float64)
    with np.errstate(divide="ignore"):
        return np.log(np.asarray(x, dtype=np.float64) + shift)

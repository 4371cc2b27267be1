"""Units at risk on a fine grid: what the likelihood of a free curve is summed over.

Between two edges of the grid a unit that is still growing adds the integral of lambda to its
cumulative hazard. Exact events enter at their mean place (log lambda is linear there); exposures by
two-point Gauss quadrature for the number at risk r(u), from its moments up to order 3, so that sums
over units are exact for cubic lambda; cells of tied values enter as a whole.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.distributions.nodes import Nodes

__all__ = ["RiskGrid", "risk_grid"]

_EDGES_BY_PLACE = 160
_EDGES_BY_SHARE = 160
_PLACES, _WEIGHTS = np.polynomial.legendre.leggauss(10)


@dataclass(frozen=True, slots=True)
class RiskGrid:
    """A grid of B intervals with events and exposures.

    Attributes:
        edges: (B + 1,) in the coordinate u.
        events: (B,) all events in each interval.
        points: (P,) first the mean places of the exact events of E intervals, then G quadrature
            points for each interval.
        exact: (E,) number of exact events at the first points.
        exposure: (B, G) quadrature weights for the number at risk, 0 in intervals that are cells.
        cell: (C,) numbers of the intervals that are cells of tied values.
        cell_events: (C,) events in them.
        cell_survivors: (C,) units that pass them.
        quadrature: (C, G) quadrature weights of the cells.
    """

    edges: np.ndarray
    events: np.ndarray
    points: np.ndarray
    exact: np.ndarray
    exposure: np.ndarray
    cell: np.ndarray
    cell_events: np.ndarray
    cell_survivors: np.ndarray
    quadrature: np.ndarray

    def mean_log_rate(self) -> float:
        """Return the log of the constant lambda that fits best, about."""
        at_risk = (
            self.exposure.sum()
            + (self.quadrature.sum(axis=1) * (self.cell_survivors + 0.5 * self.cell_events)).sum()
        )
        return float(np.log(self.events.sum() / at_risk))

    def log_likelihood(self, log_rate: np.ndarray) -> float:
        """Return log L from log lambda at the points."""
        first = len(self.exact)
        with np.errstate(over="ignore", invalid="ignore"):
            rate = np.exp(log_rate[first:]).reshape(self.exposure.shape)
            value = float(self.exact @ log_rate[:first] - (self.exposure * rate).sum())
            if len(self.cell):
                passed = (self.quadrature * rate[self.cell]).sum(axis=1)
                value += float(
                    self.cell_events @ np.log(-np.expm1(-np.maximum(passed, 1e-300)))
                    - self.cell_survivors @ passed
                )
        return value

    def rows(
        self, log_rate: np.ndarray
    ) -> tuple[Callable[[np.ndarray], np.ndarray], np.ndarray, np.ndarray]:
        """Return how columns at points become rows, and each row's weight and residual.

        The score of coefficients is residual @ rows, their information rows' diag(weights) rows.
        """
        first = len(self.exact)
        rate = np.exp(log_rate[first:]).reshape(self.exposure.shape)
        held = self.exposure * rate
        cells = self.quadrature * rate[self.cell]
        passed = cells.sum(axis=1)
        share = cells / np.maximum(passed, 1e-300)[:, None]
        growth = np.expm1(np.minimum(passed, 500.0))
        odds = passed / np.maximum(growth, 1e-300)
        residual = self.cell_events * odds - self.cell_survivors * passed
        units = self.cell_events + self.cell_survivors
        weight = units * passed * odds
        shape = self.exposure.shape

        def gathered(columns: np.ndarray) -> np.ndarray:
            inner = columns[first:]
            averaged = np.einsum(
                "cg,cgk->ck", share, inner.reshape(*shape, -1)[self.cell], optimize=False
            )
            return np.concatenate([columns, averaged])

        return (
            gathered,
            np.concatenate([np.zeros(first), held.ravel(), weight]),
            np.concatenate([self.exact, -held.ravel(), residual]),
        )


def risk_grid(
    nodes: Nodes,
    start: float,
    coordinate: Callable[[np.ndarray | float], np.ndarray],
    logarithmic: bool,
) -> RiskGrid:
    """Gather nodes into a grid that begins at the start of growth.

    Args:
        nodes: weighted items.
        start: where growth is seen to begin.
        coordinate: u from x, increasing.
        logarithmic: whether u may be very low near the start, where units are few.
    """
    first_cell = nodes.exact + nodes.censored
    begin = float(coordinate(start))
    place = np.maximum(coordinate(nodes.value), begin)
    upper = coordinate(nodes.upper)
    tied = np.unique(np.concatenate([place[first_cell:], upper]))
    edges = _edges(place, nodes.weight, upper, tied, begin)
    count = len(edges) - 1
    exact_at = np.clip(np.searchsorted(edges, place[: nodes.exact], side="right") - 1, 0, count - 1)
    weight = nodes.weight[: nodes.exact]
    exact = np.bincount(exact_at, weight, count)
    moment = np.bincount(exact_at, weight * place[: nodes.exact], count)
    with np.errstate(invalid="ignore", divide="ignore"):
        middle = moment / exact
    lost_at = np.clip(
        np.searchsorted(edges, place[nodes.exact : first_cell], side="right") - 1, 0, count - 1
    )
    lost = np.bincount(lost_at, nodes.weight[nodes.exact : first_cell], count)
    cell_at = np.searchsorted(edges, place[first_cell:] + 1e-12, side="right") - 1
    cell_events = np.bincount(cell_at, nodes.weight[first_cell:], count)
    leaving = exact + lost + cell_events
    at_left = leaving[::-1].cumsum()[::-1]
    where = np.full(0, -1)
    entered = np.empty(0)
    own_entries = nodes.entry is not None and len(nodes.entry) > 1
    if nodes.entry is not None and own_entries:
        entered = np.maximum(coordinate(nodes.entry), begin)
        where = np.clip(np.searchsorted(edges, entered, side="left") - 1, -1, count - 1)
        arriving = np.bincount(where[where >= 0], nodes.weight[where >= 0], count)
        late = arriving[::-1].cumsum()[::-1]  # not yet seen at each left edge
        at_left = np.maximum(at_left - late, 0.0)
    at_right = np.append(at_left[1:], 0.0)
    width = np.diff(edges)
    cell = np.flatnonzero(cell_events > 0.0)
    whole = 0.5 * (edges[1:] + edges[:-1])[:, None] + 0.5 * width[:, None] * _PLACES
    quadrature = 0.5 * width[:, None] * _WEIGHTS
    # Moments of the number at risk about the left edge: those who pass, and those who leave inside.
    leavers = np.concatenate([exact_at, lost_at])
    off = place[:first_cell] - edges[leavers]
    powers = np.arange(1, 5)
    moments = np.stack(
        [
            at_right * width**k / k
            + np.bincount(leavers, nodes.weight[:first_cell] * off**k / k, count)
            for k in powers
        ]
    )
    if own_entries:
        inside = where >= 0
        off = entered[inside] - edges[where[inside]]
        absent = [
            np.bincount(where[inside], nodes.weight[inside] * off**k / k, count) for k in powers
        ]
        moments = moments - np.stack(absent)
    points, exposure = _gauss(moments, edges, width, len(_PLACES))
    points[cell], exposure[cell] = whole[cell], 0.0
    held = exact > 0.0
    assert not logarithmic or np.isfinite(begin)  # zero has a shift
    return RiskGrid(
        edges,
        exact + cell_events,
        np.concatenate([middle[held], points.ravel()]),
        exact[held],
        exposure,
        cell,
        cell_events[cell],
        at_right[cell],
        quadrature[cell],
    )


def _gauss(
    moments: np.ndarray, edges: np.ndarray, width: np.ndarray, columns: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return two-point quadratures (B, columns) with given moments (4, B) about the left edges."""
    total = np.maximum(moments[0], 0.0)
    safe = np.where(total > 0.0, total, 1.0)
    mean, second, third = moments[1:] / safe
    variance = np.maximum(second - mean**2, 1e-12 * width**2)
    skew = third - 3.0 * mean * second + 2.0 * mean**3
    tilt = skew / variance
    root = np.sqrt(tilt**2 + 4.0 * variance)
    right, left = 0.5 * (tilt + root), 0.5 * (tilt - root)
    share = -left / root
    points = np.zeros((len(width), columns))
    exposure = np.zeros((len(width), columns))
    points[:] = (edges[:-1] + 0.5 * width)[:, None]
    points[:, 0] = edges[:-1] + np.clip(mean + right, 0.0, width)
    points[:, 1] = edges[:-1] + np.clip(mean + left, 0.0, width)
    exposure[:, 0], exposure[:, 1] = total * share, total * (1.0 - share)
    return points, exposure


def _edges(
    place: np.ndarray, weight: np.ndarray, upper: np.ndarray, tied: np.ndarray, begin: float
) -> np.ndarray:
    """Return edges: the ends of cells, and beyond them a mixture of even steps and even shares."""
    last = float(max(place.max(), upper.max(initial=-np.inf)))
    order = np.argsort(place, kind="stable")
    total = np.cumsum(weight[order])
    shares = np.linspace(0.0, total[-1], _EDGES_BY_SHARE + 1)[1:-1]
    by_share = place[order][np.searchsorted(total, shares)]
    even = np.linspace(begin, last, _EDGES_BY_PLACE + 1)
    mixed = np.concatenate([even, by_share])
    if len(tied):
        # Inside the range of tied values only the ends of cells may cut.
        after = tied[-1]
        mixed = np.concatenate([mixed[(mixed > after) | (mixed <= begin)], tied])
    edges = np.unique(np.concatenate([[begin], mixed, [last]]))
    nearest = 1e-9 * max(1.0, float(np.ptp(edges)))
    kept = np.concatenate([[True], np.diff(edges) > nearest])
    edges = edges[kept]
    edges[-1] = max(edges[-1], last)
    return edges

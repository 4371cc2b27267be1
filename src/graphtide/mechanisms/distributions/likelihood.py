"""Maximum likelihood with exact derivatives, one likelihood for all kinds of rows.

log L = sum over exact rows of log h(x) - H(x), over censored rows of -H(x), over cells [a, b) of
log(S(a) - S(b)) = -H(a) + log(1 - e^-(H(b) - H(a))), and + H(entry) for each truncated row.
Newton's method in free variables with halved steps; where the Hessian is not negative definite its
eigenvalues are turned. Standard errors come from the observed information -d2 log L.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.distributions.family import Family, Summary, values_of
from graphtide.mechanisms.distributions.jet import Jet, Value, log1mexp
from graphtide.mechanisms.distributions.nodes import Nodes
from graphtide.mechanisms.distributions.sample import Sample

__all__ = ["Fit", "fit_family", "log_likelihood", "pointwise", "summarise"]

_MOST_STEPS = 60
_HALVINGS = 30
_CLOSE = 1e-8  # nats still to gain at which a fit has converged: 1/7000 of a standard error
_STALLED = 1e-6  # nats a step; four such steps lead along a limit, not to a maximum
_FLAT = 1e-7  # eigenvalue of the scaled information below which a direction is not determined


@dataclass(frozen=True, slots=True)
class Fit:
    """A family at its maximum of the likelihood.

    Attributes:
        family: the family.
        free: (P,) free variables.
        values: (P,) parameters.
        standard_errors: (P,); NaN where the data do not determine a parameter.
        covariance: (P, P) of the parameters.
        start: where growth is seen to begin.
        log_likelihood: at the maximum, in nats.
        size: number of units.
        converged: whether a maximum was reached inside the range of the parameters.
        jumps: whether a parameter is a jump of the hazard, where the likelihood has no derivative.
    """

    family: Family
    free: np.ndarray
    values: np.ndarray
    standard_errors: np.ndarray
    covariance: np.ndarray
    start: float
    log_likelihood: float
    size: float
    converged: bool
    jumps: bool = False

    def cumulative_hazard(self, x: np.ndarray) -> np.ndarray:
        """Return H(x): the time at which the law passes x."""
        return self.family.cumulative_hazard(x, self.values.tolist(), self.start)

    def hazard(self, x: np.ndarray) -> np.ndarray:
        """Return h(x); the mechanism is 1/h."""
        return self.family.hazard(x, self.values.tolist(), self.start)

    def trajectory(self, ages: np.ndarray) -> np.ndarray:
        """Return x(t)."""
        return self.family.trajectory(ages, self.values.tolist(), self.start)


def summarise(sample: Sample) -> Summary:
    """Return what first guesses are made from."""
    middle = sample.middle
    weights = sample.weights
    shares = np.array([0.02, 0.1, 0.25, 0.3, 0.5, 0.6, 0.75, 0.9, 0.98])
    mean = float(np.average(middle, weights=weights))
    scale = max(float(np.abs(middle).max()), 1e-300)  # squares of huge values would overflow
    spread = np.average(((middle - mean) / scale) ** 2, weights=weights)
    deviation = scale * float(np.sqrt(spread))
    if middle[0] > 0.0:
        logs = np.log(middle)
        log_mean = float(np.average(logs, weights=weights))
        log_deviation = float(np.sqrt(np.average((logs - log_mean) ** 2, weights=weights)))
    else:
        log_mean, log_deviation = 0.0, 1.0
    start = sample.start
    excess = log_mean - np.log(start) if start > 0.0 and middle[0] > 0.0 else 1.0
    if weights is None:
        quantiles = middle[np.minimum((shares * len(middle)).astype(int), len(middle) - 1)]
    else:
        total = np.cumsum(weights)
        quantiles = middle[np.searchsorted(total, shares * total[-1])]
    return Summary(
        start, mean, deviation, log_mean, max(log_deviation, 1e-9), max(float(excess), 1e-9),
        quantiles, float(middle[-1]), shares,
    )  # fmt: skip


def log_likelihood(
    family: Family, free: np.ndarray, nodes: Nodes, start: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return log L with its gradient (P,) and Hessian (P, P) by the free variables."""
    with np.errstate(all="ignore"):
        items = _items(family, family.jets(free), nodes, start)
        assert isinstance(items, list)
        value, gradient, hessian = 0.0, np.zeros(len(free)), np.zeros((len(free), len(free)))
        for term, weight in items:
            assert isinstance(term, Jet)  # parameters were jets
            part = term.total(weight)
            value, gradient, hessian = value + part[0], gradient + part[1], hessian + part[2]
    return value, gradient, hessian


def pointwise(family: Family, values: Sequence[float], nodes: Nodes, start: float) -> np.ndarray:
    """Return the log-likelihood of each item of the nodes, (m,), without its weight."""
    with np.errstate(all="ignore"):
        (exact, _), (total, _), (cell, _), (entry, _) = _items(family, list(values), nodes, start)
        result = -values_of(total, nodes.value)
        result = result * 1.0
        result[: nodes.exact] += values_of(exact, nodes.value[: nodes.exact])
        result[nodes.exact + nodes.censored :] += values_of(cell, nodes.upper)
        if nodes.entry is not None:
            result = result + np.broadcast_to(values_of(entry, nodes.entry), result.shape)
    return result


def _items(
    family: Family, p: Sequence[Value], nodes: Nodes, start: float
) -> list[tuple[Value, np.ndarray]]:
    """Return the four parts of the likelihood with their weights."""
    count = len(nodes.value)
    parts = [nodes.value, nodes.upper] + ([] if nodes.entry is None else [nodes.entry])
    points = np.concatenate(parts)
    if family.support == "start":
        points = np.maximum(points, start)
    if family.largest is not None:
        end = family.largest([float(np.ravel(_number(v))[0]) for v in p])
        if points.max(initial=-np.inf) >= end:
            points = np.where(points >= end, np.nan, points)
    total = family.cumulative(points, p, start)
    total = total if isinstance(total, Jet) else values_of(total, points)
    below, above = total[:count], total[count : count + len(nodes.upper)]
    first_cell = nodes.exact + nodes.censored
    exact = family.log_hazard(points[: nodes.exact], p, start)
    cells = log1mexp(above - below[first_cell:])
    weight = nodes.weight
    items: list[tuple[Value, np.ndarray]] = [
        (exact, weight[: nodes.exact]),
        (below, -weight),
        (cells, weight[first_cell:]),
    ]
    if nodes.entry is None:
        items.append((0.0 * below, np.zeros(count)))
    else:
        weight_of_entry = weight if len(nodes.entry) > 1 else np.array([weight.sum()])
        items.append((total[count + len(nodes.upper) :], weight_of_entry))
    return items


def _number(value: Value) -> np.ndarray | float:
    return value.value if isinstance(value, Jet) else value


def fit_family(
    family: Family,
    nodes: Nodes,
    start: float,
    guesses: Sequence[Sequence[float]],
    *,
    steps: int = _MOST_STEPS,
) -> Fit | None:
    """Return the family at its maximum of the likelihood, from the best of several first guesses.

    None where no guess has a finite likelihood: the family cannot hold these data.
    """
    best: tuple[float, np.ndarray, bool, np.ndarray] | None = None
    for guess in guesses:
        pairs = zip(family.parameters, guess, strict=True)
        with np.errstate(all="ignore"):
            free = np.array([parameter.to_free(float(value)) for parameter, value in pairs])
        if not np.isfinite(free).all():
            continue
        found = _climbed(family, free, nodes, start, steps)
        if found is not None and (best is None or found[0] > best[0] + 1e-9 * nodes.size):
            best = found
    if best is None:
        return None
    value, free, converged, hessian = best
    covariance = _covariance(family, free, hessian)
    with np.errstate(invalid="ignore"):
        errors = np.sqrt(np.diag(covariance))
    return Fit(
        family, free, family.natural(free), errors, covariance, start, value, nodes.size, converged
    )


def _climbed(
    family: Family, free: np.ndarray, nodes: Nodes, start: float, steps: int
) -> tuple[float, np.ndarray, bool, np.ndarray] | None:
    """Climb by Newton steps; return the value, the place, whether it is a maximum, the Hessian."""
    state = log_likelihood(family, free, nodes, start)
    if not _finite(state):
        return None
    stalled = 0
    for _ in range(steps):
        value, gradient, hessian = state
        scale, vectors = np.linalg.eigh(-hessian)
        floor = 1e-8 * max(float(np.abs(scale).max()), 1e-12 * nodes.size)
        turned = np.maximum(np.abs(scale), floor)
        step = vectors @ ((vectors.T @ gradient) / turned)
        largest = float(np.abs(step).max(initial=0.0))
        step *= min(1.0, 3.0 / max(largest, 1e-300)) if largest > 3.0 else 1.0
        gain = float(gradient @ step)
        if gain <= _CLOSE and bool((scale > 0.0).all()):
            return value, free, True, hessian
        for halving in range(_HALVINGS):
            trial = free + step * 0.5**halving
            new = log_likelihood(family, trial, nodes, start)
            if _finite(new) and new[0] >= value:
                break
        else:
            return value, free, gain < 1e-5, hessian
        moved = new[0] - value
        free, state = trial, new
        stalled = stalled + 1 if moved < _STALLED else 0
        if stalled >= 4:
            return state[0], free, False, state[2]
        if moved <= 1e-13 * abs(value) and gain < 1e-6:
            return state[0], free, True, state[2]
    return state[0], free, False, state[2]


def _finite(state: tuple[float, np.ndarray, np.ndarray]) -> bool:
    return bool(
        np.isfinite(state[0]) and np.isfinite(state[1]).all() and np.isfinite(state[2]).all()
    )


def _covariance(family: Family, free: np.ndarray, hessian: np.ndarray) -> np.ndarray:
    """Return the inverse observed information of the parameters; NaN where it is singular."""
    count = len(free)
    slopes = np.array(
        [p.from_free(float(v))[1] for p, v in zip(family.parameters, free, strict=True)]
    )
    scale = np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1e-300))
    scaled = -hessian / np.outer(scale, scale)
    if not np.isfinite(scaled).all() or np.linalg.eigvalsh(scaled)[0] < _FLAT:
        return np.full((count, count), np.nan)
    inverse = np.linalg.inv(scaled) / np.outer(scale, scale)
    return inverse * np.outer(slopes, slopes)

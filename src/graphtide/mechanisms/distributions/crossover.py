"""The double power law, whose hazard jumps: its cross-over is a change point, not a smooth maximum.

For a given cross-over c the exponents are events over exposure of log x on either side, so the
profile likelihood is known for every c from running sums. It jumps at the data, the maximum is no
zero of a derivative, and its error shrinks as 1/n; the estimate is the mean of the profile
likelihood taken as a density (Pitman's estimator, which is best for change points: Ibragimov and
Has'minskii, Statistical Estimation, 1981, chapter V) and its standard error that density's spread.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphtide.mechanisms.distributions.family import Family
from graphtide.mechanisms.distributions.likelihood import Fit
from graphtide.mechanisms.distributions.nodes import Nodes
from graphtide.mechanisms.distributions.sample import Sample

__all__ = ["exponents_at", "fit_crossover"]

_FEWEST_EVENTS = 5
_LOOKED_AT = 4_000
_MOST_ROWS = 40_000
_DEEP = 30.0  # nats below the maximum at which a cross-over no longer counts


def fit_crossover(family: Family, sample: Sample) -> Fit | None:
    """Return the double power law of exact, censored or truncated positive values.

    None where there are too few events on either side of every cross-over.
    """
    start = sample.start
    if start <= 0.0 or len(sample.values) < 4 * _FEWEST_EVENTS:
        return None
    u = np.log(sample.values / start)
    weight = np.ones(len(u)) if sample.weights is None else sample.weights
    event = weight if sample.observed is None else weight * sample.observed
    total_events = float(event.sum())
    below = np.concatenate([[0.0], np.cumsum(event)])  # events among the first k rows
    gone = np.concatenate([[0.0], np.cumsum(weight * u)])
    count = np.concatenate([[0.0], np.cumsum(weight)])
    entry = np.zeros(1) if sample.entry is None else np.log(sample.entry / start)
    order = np.argsort(entry)
    entry_weight = np.zeros(1) if sample.entry is None else weight[order]
    entry = entry[order]
    entered = np.concatenate([[0.0], np.cumsum(entry_weight * entry)])
    entry_count = np.concatenate([[0.0], np.cumsum(entry_weight)])

    def profile(place: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log L (up to a constant) and both exponents for cross-overs with rows below."""
        passed = np.searchsorted(entry, place)
        early = entered[passed] + (entry_count[-1] - entry_count[passed]) * place
        reached = gone[rows] + (count[-1] - count[rows]) * place
        low_time = reached - early
        high_time = gone[-1] - entered[-1] - low_time
        low, high = below[rows], total_events - below[rows]
        with np.errstate(all="ignore"):
            value = low * np.log(low / low_time) + high * np.log(high / high_time)
            enough = (low >= _FEWEST_EVENTS) & (high >= _FEWEST_EVENTS)
            value = np.where(enough & np.isfinite(value), value, -np.inf)
            return value, low / low_time, high / high_time

    def best_of(rows: np.ndarray) -> np.ndarray:
        """Return the larger log L just after the value before each row, and at the row's own."""
        return np.maximum(profile(u[rows], rows)[0], profile(u[rows - 1], rows)[0])

    rows = np.arange(1, len(u))
    if len(rows) > _LOOKED_AT:
        coarse = rows[:: len(rows) // _LOOKED_AT]
        value = best_of(coarse)
        kept = np.flatnonzero(value > value.max() - _DEEP)
        if not np.isfinite(value.max()) or not len(kept):
            return None
        low = int(coarse[max(int(kept[0]) - 1, 0)])
        high = int(coarse[min(int(kept[-1]) + 1, len(coarse) - 1)])
        rows = np.arange(low, high + 1)
        if len(rows) > _MOST_ROWS:  # a flat profile, which needs no more than a coarse look
            rows = np.unique(np.linspace(low, high, _LOOKED_AT).astype(np.int64))
    value_of_rows = best_of(rows)
    top = float(value_of_rows.max(initial=-np.inf))
    if not np.isfinite(top):
        return None
    near = rows[value_of_rows > top - _DEEP]
    along = np.linspace(0.0, 1.0, 9)
    place = u[near - 1][:, None] + (u[near] - u[near - 1])[:, None] * along
    value = profile(place.ravel(), np.repeat(near, len(along)))[0].reshape(place.shape)
    density = np.exp(value - value.max())
    # Each row stands for the stretch up to the row looked at before it.
    stretch = np.diff(u[rows], prepend=u[rows[0] - 1])[value_of_rows > top - _DEEP]
    step = stretch[:, None] / (len(along) - 1)
    ends = np.full(len(along), 1.0)
    ends[[0, -1]] = 0.5
    mass = density * step * ends
    whole = float(mass.sum())
    if not whole > 0.0:
        return None
    mean = float((mass * place).sum() / whole)
    spread = float(np.sqrt(max((mass * (place - mean) ** 2).sum() / whole, 0.0)))
    here = np.array([np.searchsorted(u, mean)])
    log_value, lower, upper = (float(part[0]) for part in profile(np.array([mean]), here))
    crossover = float(start * np.exp(mean))
    values = np.array([lower, upper, crossover])
    low = float(below[here[0]])
    errors = np.array(
        [lower / np.sqrt(low), upper / np.sqrt(total_events - low), crossover * spread]
    )
    constant = -total_events - float((event * np.log(sample.values)).sum())
    free = np.array([p.to_free(float(v)) for p, v in zip(family.parameters, values, strict=True)])
    return Fit(
        family, free, values, errors, np.diag(errors**2), start, log_value + constant,
        sample.size, True, True,
    )  # fmt: skip


def exponents_at(fit: Fit, nodes: Nodes) -> Fit | None:
    """Return the double power law of some nodes with the cross-over of a fit."""
    start, crossover = fit.start, float(fit.values[2])
    logs = np.log(np.maximum(nodes.value, start) / start)
    cut = np.log(crossover / start)
    low_time = float(nodes.weight @ np.minimum(logs, cut))
    high_time = float(nodes.weight @ np.maximum(logs - cut, 0.0))
    if nodes.entry is not None:
        entry = np.log(np.maximum(nodes.entry, start) / start)
        weight = nodes.weight if len(entry) > 1 else np.array([nodes.size])
        low_time -= float(weight @ np.minimum(entry, cut))
        high_time -= float(weight @ np.maximum(entry - cut, 0.0))
    above = nodes.value[: nodes.exact] >= crossover
    low = float(nodes.weight[: nodes.exact][~above].sum())
    high = float(nodes.weight[: nodes.exact][above].sum())
    if min(low, high, low_time, high_time) <= 0.0:
        return None
    return replace(fit, values=np.array([low / low_time, high / high_time, crossover]))

"""How far a law is from the data: Kolmogorov-Smirnov, Anderson-Darling, and how far chance goes.

The data's distribution function is the Kaplan-Meier estimate, which without censoring and
truncation is the empirical one. Whole and rounded values are compared at the ends of their cells,
where a law and the data say the same thing. Cox-Snell residuals H(x) follow Exp(1) under the law;
their Kolmogorov-Smirnov distance is that of the data.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.distributions.likelihood import Fit, fit_family
from graphtide.mechanisms.distributions.nodes import Nodes
from graphtide.mechanisms.distributions.sample import Sample

__all__ = [
    "Bootstrap",
    "Empirical",
    "anderson_darling",
    "kolmogorov_smirnov",
    "parametric_bootstrap",
]

Cumulative = Callable[[np.ndarray], np.ndarray]

_FIRST_LOOK = 2_048
_SPLIT = 16
_CELLS = 256


@dataclass(frozen=True, slots=True)
class Empirical:
    """Steps of the data's own distribution function.

    Attributes:
        lower: (K,) places before each step: distinct values, or lower ends of cells.
        upper: (K,) places after it: the same values, or upper ends of cells.
        before: (K,) share of units below each step.
        after: (K,) share of units up to and with it.
        size: number of units.
        truncation: the law is judged among values above it.
        at_risk: (K,) units at risk at each step.
        events: (K,) units that end there.
    """

    lower: np.ndarray
    upper: np.ndarray
    before: np.ndarray
    after: np.ndarray
    size: float
    truncation: float | None
    at_risk: np.ndarray
    events: np.ndarray

    @staticmethod
    def of(sample: Sample) -> Empirical:
        """Return the steps of a sample."""
        values = sample.values
        weight = np.ones(len(values)) if sample.weights is None else sample.weights
        first = np.flatnonzero(np.concatenate([[True], np.diff(values) > 0.0]))
        event = weight if sample.observed is None else weight * sample.observed
        events = np.add.reduceat(event, first)
        leaving = np.add.reduceat(weight, first)
        at_risk = leaving[::-1].cumsum()[::-1]
        distinct = values[first]
        if sample.entry is not None:
            order = np.argsort(sample.entry)
            late = np.concatenate([[0.0], np.cumsum(weight[order])])
            seen = np.searchsorted(sample.entry[order], distinct, side="left")
            at_risk = at_risk - (late[-1] - late[seen])
        if sample.observed is None and sample.entry is None:
            after = np.cumsum(events) / events.sum()
            before = np.concatenate([[0.0], after[:-1]])
        else:
            with np.errstate(divide="ignore", invalid="ignore"):
                kept = np.where(at_risk > 0.0, 1.0 - events / at_risk, 1.0)
            survival = np.cumprod(np.clip(kept, 0.0, 1.0))
            after, before = 1.0 - survival, 1.0 - np.concatenate([[1.0], survival[:-1]])
            held = events > 0.0
            distinct, before, after = distinct[held], before[held], after[held]
            at_risk, events = at_risk[held], events[held]
        truncation = sample.truncation
        if sample.entry is not None:
            truncation = float(sample.entry.min())
        return Empirical(
            sample.lower(distinct),
            sample.upper(distinct),
            before,
            after,
            sample.size,
            truncation,
            at_risk,
            events,
        )

    def chance(self, cumulative: Cumulative) -> Cumulative:
        """Return F(x) = 1 - e^-(H(x) - H(truncation)) of a cumulative hazard H."""
        base = 0.0
        if self.truncation is not None:
            base = float(cumulative(np.array([self.truncation]))[0])
        return lambda x: -np.expm1(-np.maximum(cumulative(x) - base, 0.0))


def kolmogorov_smirnov(empirical: Empirical, cumulative: Cumulative) -> float:
    """Return the largest distance between a law's and the data's distribution functions.

    Both functions increase, so between two places that were looked at the distance is bounded;
    only stretches whose bound exceeds the largest distance found are looked into. The result is the
    exact supremum.
    """
    chance = empirical.chance(cumulative)
    count = len(empirical.lower)

    def distances(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        low, high = chance(empirical.lower[rows]), chance(empirical.upper[rows])
        gap = np.maximum(np.abs(low - empirical.before[rows]), np.abs(high - empirical.after[rows]))
        return gap, low, high

    rows = np.unique(np.linspace(0, count - 1, min(count, _FIRST_LOOK)).astype(np.int64))
    gap, low, high = distances(rows)
    largest = float(np.max(gap))
    if len(rows) == count:
        return largest
    while True:
        above = high[1:] - empirical.after[rows[:-1]]
        under = empirical.before[rows[1:]] - low[:-1]
        open_ = (np.maximum(above, under) > largest) & (np.diff(rows) > 1)
        if not open_.any():
            return largest
        first, last = rows[:-1][open_], rows[1:][open_]
        inner = first + (np.arange(1, _SPLIT)[:, None] * (last - first)) // _SPLIT
        rows = np.unique(np.concatenate([first, last, inner.ravel()]))
        gap, low, high = distances(rows)
        largest = max(largest, float(np.max(gap)))


def anderson_darling(empirical: Empirical, cumulative: Cumulative) -> float:
    """Return n times the integral of (F_n - F)^2/(F (1 - F)) dF.

    Exact values: the integral of c^2/F + (1 - c)^2/(1 - F) - 1 over each stretch where F_n = c.
    Cells: the sum over cells (Choulakian, Lockhart and Stephens, Canadian Journal of Statistics 22,
    1994).
    """
    chance = empirical.chance(cumulative)
    tiny = 1e-300
    if empirical.upper[0] > empirical.lower[0]:
        low, high = chance(empirical.lower), chance(empirical.upper)
        spread = np.maximum(high * (1.0 - high), tiny)
        inside = (high < 1.0) & (high > 0.0)
        part = np.where(inside, (empirical.after - high) ** 2 / spread * (high - low), 0.0)
        return float(empirical.size * part.sum())
    places = chance(empirical.upper)
    edges = np.concatenate([[0.0], places, [1.0]])
    held = np.concatenate([[0.0], empirical.after])
    left, right = edges[:-1], edges[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        rising = np.where(held > 0.0, held**2 * np.log(right / np.maximum(left, tiny)), 0.0)
        falling = np.where(
            held < 1.0,
            (1.0 - held) ** 2 * np.log((1.0 - left) / np.maximum(1.0 - right, tiny)),
            0.0,
        )
    return float(empirical.size * (rising + falling - (right - left)).sum())


@dataclass(frozen=True, slots=True)
class Bootstrap:
    """What samples of a fitted law itself look like.

    Attributes:
        ks, anderson_darling: p-values, (1 + samples at least as far)/(1 + samples).
        standard_errors: (P,) spread of the parameters over the samples.
    """

    ks: float
    anderson_darling: float
    standard_errors: np.ndarray


def parametric_bootstrap(
    fit: Fit, sample: Sample, *, repetitions: int, seed: int
) -> Bootstrap | None:
    """Draw samples of a fitted law, fit it to each, and compare their distances with the data's.

    The data are counted in up to 256 cells of about equal probability; counts of the law's own
    samples are drawn, the law is fitted again to each, and both the Kolmogorov-Smirnov and the
    Anderson-Darling distance at the ends of the cells are compared.

    None where fewer than two samples are asked for, rows are censored or truncated, or a refit
    fails.
    """
    if repetitions < 2 or sample.observed is not None or sample.entry is not None:
        return None
    edges, counts = _cells(sample)
    base = 0.0
    if sample.truncation is not None:
        base = float(fit.cumulative_hazard(np.array([sample.truncation]))[0])
    size = float(counts.sum())
    observed = _distances(fit, edges, counts, sample)
    if observed is None:
        return None
    reached = np.maximum(fit.cumulative_hazard(edges) - base, 0.0)
    share = -np.diff(np.exp(-reached), append=0.0)
    share[0] += -np.expm1(-reached[0])
    share = np.maximum(share, 0.0)
    share /= share.sum()
    generator = np.random.default_rng((seed, 12))
    farther = np.zeros(2)
    values = []
    for _ in range(repetitions):
        drawn = generator.multinomial(round(size), share).astype(np.float64)
        again = _distances(fit, edges, drawn, sample)
        if again is None:
            return None
        farther += np.array(again[:2]) >= np.array(observed[:2])
        values.append(again[2])
    ks, squared = (1.0 + farther) / (1.0 + repetitions)
    return Bootstrap(float(ks), float(squared), np.std(np.array(values), axis=0, ddof=1))


def _cells(sample: Sample) -> tuple[np.ndarray, np.ndarray]:
    """Return lower ends of cells (the last is open above) and the units in each."""
    weight = np.ones(len(sample.values)) if sample.weights is None else sample.weights
    lower = sample.lower(sample.values)
    total = np.cumsum(weight)
    cuts = np.searchsorted(total, np.linspace(0.0, total[-1], _CELLS + 1)[1:-1])
    edges = np.unique(np.concatenate([[lower[0]], lower[np.minimum(cuts, len(lower) - 1)]]))
    counts = np.bincount(np.searchsorted(edges, lower, side="right") - 1, weight, len(edges))
    return edges, counts


def _distances(
    fit: Fit, edges: np.ndarray, counts: np.ndarray, sample: Sample
) -> tuple[float, float, np.ndarray] | None:
    """Fit the law to counts in cells; return both distances at their ends, and the parameters."""
    held = counts > 0.0
    upper = np.append(edges[1:], np.inf)
    closed = held & np.isfinite(upper)
    last = float(counts[-1])
    nodes = Nodes(
        np.concatenate([edges[-1:], edges[closed]]) if last else edges[closed],
        upper[closed],
        np.concatenate([[last], counts[closed]]) if last else counts[closed],
        0,
        1 if last else 0,
        None if sample.truncation is None else np.array([sample.truncation]),
    )
    again = fit_family(fit.family, nodes, fit.start, [fit.values.tolist()], steps=12)
    if again is None:
        return None
    base = 0.0
    if sample.truncation is not None:
        base = float(again.cumulative_hazard(np.array([sample.truncation]))[0])
    law = -np.expm1(-np.maximum(again.cumulative_hazard(edges[1:]) - base, 0.0))
    data = np.cumsum(counts)[:-1] / counts.sum()
    gap = np.abs(law - data)
    inside = (law > 0.0) & (law < 1.0)
    share = np.diff(law, prepend=0.0)
    spread = np.where(inside, law * (1.0 - law), 1.0)
    squared = float(counts.sum() * (np.where(inside, gap**2 / spread, 0.0) * share).sum())
    return float(gap.max(initial=0.0)), squared, again.values

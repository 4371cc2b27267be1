"""Where a power law begins: x_min by the smallest Kolmogorov-Smirnov distance, fast.

For each candidate x_min the exponent of the tail is a sum over the tail, and sums over all tails
are suffix sums of log x: the whole scan reads the data once. Candidates are first judged on a
histogram of at most 4,000 bins, then the neighbourhoods of the best on the values themselves.
Counts have the exact discrete likelihood with Hurwitz' zeta function, at every x_min.

Reference:
    Clauset, Shalizi and Newman, Power-law distributions in empirical data, SIAM Review 51, 2009,
    equations 3.1, 3.5 and 3.9.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import zeta

from graphtide.mechanisms.distributions.sample import Sample

__all__ = ["PowerLawTail", "power_law_tail"]

_CANDIDATES = 300
_REFINED = 200
_PLACES = 1_500
_FEWEST = 10
_EXACT_ZETA_BELOW = 20.0
_EXPONENTS = (1.001, 12.0)


@dataclass(frozen=True, slots=True)
class PowerLawTail:
    """A density x^-alpha above x_min.

    Attributes:
        x_min: where the tail begins.
        exponent: alpha of the density; the hazard is (alpha - 1)/x.
        ks: distance between tail and law.
        x_min_error, exponent_error: spread over bootstrap samples; NaN where none were drawn.
        rows: number of units in the tail.
        share: of the units.
        mass: share of the sum of all values.
    """

    x_min: float
    exponent: float
    ks: float
    x_min_error: float
    exponent_error: float
    rows: float
    share: float
    mass: float


@dataclass(frozen=True, slots=True)
class _Counted:
    """Distinct places in increasing order, with the units at each and their mean logarithm."""

    place: np.ndarray
    weight: np.ndarray
    log_mean: np.ndarray


def power_law_tail(sample: Sample, *, repetitions: int = 20, seed: int = 0) -> PowerLawTail | None:
    """Return the power-law tail of a sample of positive values.

    Censored rows are taken at their values. None where fewer than ten distinct values are positive.

    Args:
        sample: the cross-section.
        repetitions: bootstrap samples from which the errors of x_min and exponent are taken.
        seed: of the bootstrap.
    """
    values = sample.values
    positive = values > 0.0
    weight = np.ones(len(values)) if sample.weights is None else sample.weights
    values, weight = values[positive], weight[positive]
    if len(values) < _FEWEST or np.count_nonzero(np.diff(values)) < _FEWEST:
        return None
    first = np.flatnonzero(np.concatenate([[True], np.diff(values) > 0.0]))
    full = _Counted(values[first], np.add.reduceat(weight, first), np.log(values[first]))
    # Large whole numbers are continuous for every purpose; the sums of zeta would only cost more.
    discrete = sample.whole and float(np.median(values)) < 1000.0
    coarse = _histogram(full) if len(full.place) > 4_000 else full
    rough = _scan(coarse, _spread_candidates(coarse), discrete)
    near = _neighbours(full, rough[0])
    x_min, exponent, distance = _scan(full, near, discrete)
    drawn = []
    generator = np.random.default_rng((seed, 13))
    total = coarse.weight.sum()
    for _ in range(repetitions):
        again = generator.multinomial(round(float(total)), coarse.weight / total)
        held = again > 0
        part = _Counted(coarse.place[held], again[held] * 1.0, coarse.log_mean[held])
        drawn.append(_scan(part, _spread_candidates(part, 100), discrete)[:2])
    spread = np.std(np.array(drawn), axis=0, ddof=1) if repetitions > 1 else np.full(2, np.nan)
    tail = values >= x_min
    rows = float(weight[tail].sum())
    return PowerLawTail(
        x_min,
        exponent,
        distance,
        float(spread[0]),
        float(spread[1]),
        rows,
        rows / sample.size,
        float((weight * values)[tail].sum() / (weight * values).sum()),
    )


def _histogram(full: _Counted) -> _Counted:
    """Gather distinct values into runs of about equal width in log x, each named by its lowest."""
    logs = full.log_mean
    number = np.floor((logs - logs[0]) / max(np.ptp(logs) / 4_000, 1e-12)).astype(np.int64)
    first = np.flatnonzero(np.diff(number, prepend=-1))
    weight = np.add.reduceat(full.weight, first)
    return _Counted(
        full.place[first], weight, np.add.reduceat(full.weight * full.log_mean, first) / weight
    )


def _spread_candidates(counted: _Counted, number: int = _CANDIDATES) -> np.ndarray:
    """Return rows that may be x_min, evenly spread in the logarithm of the tail's size."""
    remaining = counted.weight[::-1].cumsum()[::-1]
    most = int(np.count_nonzero(remaining >= _FEWEST))
    last = max(min(most, len(counted.place) - 2), 1)
    if last <= number:
        return np.arange(last)
    wanted = np.exp(np.linspace(np.log(remaining[0]), np.log(remaining[last - 1]), number))
    rows = np.searchsorted(-remaining[:last], -wanted)
    return np.unique(np.minimum(rows, last - 1))


def _neighbours(full: _Counted, place: float) -> np.ndarray:
    """Return rows about the best place of the coarse scan."""
    remaining = full.weight[::-1].cumsum()[::-1]
    last = max(min(int(np.count_nonzero(remaining >= _FEWEST)), len(full.place) - 2), 1)
    centre = int(np.clip(np.searchsorted(full.place, place), 0, last - 1))
    reach = max(_REFINED // 2, int(0.02 * (len(full.place) - centre)))
    rows = np.arange(max(0, centre - reach), min(last, centre + reach + 1))
    if len(rows) > _REFINED:
        rows = rows[np.unique(np.linspace(0, len(rows) - 1, _REFINED).astype(int))]
    return np.union1d(rows, [centre])


def _scan(counted: _Counted, rows: np.ndarray, discrete: bool) -> tuple[float, float, float]:
    """Return x_min, exponent and distance of the best of some candidates."""
    remaining = counted.weight[::-1].cumsum()[::-1]
    log_sums = (counted.weight * counted.log_mean)[::-1].cumsum()[::-1]
    tail, place = remaining[rows], counted.place[rows]
    if discrete:
        exponent = _discrete_exponents(log_sums[rows] / tail, place)
    else:
        mean = np.maximum(log_sums[rows] / tail - np.log(place), 1e-12)
        exponent = np.clip(1.0 + 1.0 / mean, *_EXPONENTS)
    passed = np.append(remaining, 0.0)
    best = (np.inf, 0)
    for k, row in enumerate(rows):
        count = len(counted.place) - row
        looked = np.arange(count)
        if count > _PLACES:
            looked = np.unique(np.linspace(0, count - 1, _PLACES).astype(np.int64))
        at = counted.place[row + looked]
        above = passed[row + looked] / tail[k]
        after = passed[row + looked + 1] / tail[k]
        if discrete:
            law = _zeta(exponent[k], at + 1.0) / _zeta(exponent[k], place[k : k + 1])
            distance = float(np.abs(law - after).max())
        else:
            law = (at / place[k]) ** (1.0 - exponent[k])
            distance = float(np.maximum(np.abs(law - above), np.abs(law - after)).max())
        if distance < best[0]:
            best = (distance, k)
    distance, k = best
    return float(place[k]), float(exponent[k]), distance


def _discrete_exponents(log_mean: np.ndarray, place: np.ndarray) -> np.ndarray:
    """Maximise -alpha mean(log x) - log zeta(alpha, x_min) for each x_min by bisection."""
    low, high = np.full(len(place), _EXPONENTS[0]), np.full(len(place), _EXPONENTS[1])
    step = 1e-5
    for _ in range(40):
        middle = 0.5 * (low + high)
        slope = (np.log(_zeta(middle + step, place)) - np.log(_zeta(middle - step, place))) / (
            2.0 * step
        )
        rising = -slope > log_mean
        low, high = np.where(rising, middle, low), np.where(rising, high, middle)
    return 0.5 * (low + high)


def _zeta(exponent: np.ndarray | float, place: np.ndarray) -> np.ndarray:
    """Return Hurwitz' zeta(exponent, place); Euler and Maclaurin's sum from 20 on."""
    power = np.broadcast_to(np.asarray(exponent, dtype=np.float64), place.shape)
    small = place < _EXACT_ZETA_BELOW
    q = np.where(small, _EXACT_ZETA_BELOW, place)
    head = q ** (1.0 - power) / (power - 1.0) + 0.5 * q**-power
    rest = power * q ** (-power - 1.0) / 12.0
    rest -= power * (power + 1.0) * (power + 2.0) * q ** (-power - 3.0) / 720.0
    result = head + rest
    if small.any():
        result[small] = zeta(power[small], place[small])
    return result

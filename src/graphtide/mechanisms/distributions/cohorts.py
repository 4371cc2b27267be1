"""The law of growth from dated cross-sections of one cohort, absolute clock included.

Units that all follow dx/dt = f(x) keep their order, so quantiles are carried along:
dQ(u, t)/dt = f(Q(u, t)). For dates t_1 < ... < t_m the differences between the quantiles seen and
the quantiles carried from the date before, times the density there, are differences of Brownian
bridges: covariance kron(T, min(u, v) - u v) with T tridiagonal (1/n_k + 1/n_(k+1) on its diagonal,
-1/n_(k+1) beside it). Generalised least squares in that metric gives the rates with standard
errors; laws are compared by their sum of squares plus log(number of residuals) a parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import least_squares
from scipy.special import chdtrc

from graphtide.errors import ComputationError, InputError
from graphtide.mechanisms.distributions.free_curve import fit_free_curve
from graphtide.mechanisms.distributions.jet import expm1_over, values_of_array
from graphtide.mechanisms.distributions.nodes import Compressed
from graphtide.mechanisms.distributions.sample import Sample

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["COHORT_LAWS", "CohortLaw", "CohortResult", "fit_cohorts", "sample_quantiles"]

_MOST_QUANTILES = 24
_UNITS_A_QUANTILE = 12


@dataclass(frozen=True, slots=True)
class CohortLaw:
    """A law dx/dt = f(x) whose solution is known in closed form.

    Attributes:
        name: short name.
        parameters: names of the parameters.
        law: text of the equation.
        mechanism: the growth in plain words.
        flow: x after a time from x before it, the time and the parameters.
        guesses: first parameters from the typical size and the typical rate of relative growth.
        positive: whether it needs positive sizes.
    """

    name: str
    parameters: tuple[str, ...]
    law: str
    mechanism: str
    flow: Callable[[np.ndarray, float, Sequence[float]], np.ndarray]
    guesses: Callable[[float, float, float], list[tuple[float, ...]]]
    positive: bool = True


@dataclass(frozen=True, slots=True)
class CohortResult:
    """A law fitted to dated cross-sections.

    Attributes:
        law: the law.
        values, standard_errors: (P,) of its parameters.
        misfit: sum of squared whitened residuals.
        degrees: residuals less parameters.
        p_value: chance of a larger misfit if the law holds.
        ks: largest distance between the cross-section carried to each later date and the one seen.
        criterion: misfit plus log(residuals) a parameter.
    """

    law: CohortLaw
    values: np.ndarray
    standard_errors: np.ndarray
    misfit: float
    degrees: int
    p_value: float
    ks: float
    criterion: float

    def growth(self, size: np.ndarray) -> np.ndarray:
        """Return f at sizes: the slope of the flow at time 0."""
        step = 1e-5 / max(float(np.abs(self.values).max()), 1e-12)
        later, earlier = (self.law.flow(size, t, self.values.tolist()) for t in (step, -step))
        return (later - earlier) / (2.0 * step)

    def equation(self) -> Equation:
        """Return the law as an equation with values and standard errors."""
        from graphtide.equation import Equation
        from graphtide.equation.equation import Parameter

        pairs = zip(self.law.parameters, self.values, self.standard_errors, strict=True)
        constants = {
            name: Parameter(float(v), float(e) if np.isfinite(e) else None) for name, v, e in pairs
        }
        return Equation.parse(self.law.law, parameters=constants)


def _power_flow(x: np.ndarray, time: float, p: Sequence[float]) -> np.ndarray:
    # (x^q + c q t)^(1/q), q = 1 - p, as x times an exponential that is smooth at q = 0.
    rest = 1.0 - p[1]
    inner = p[0] * time * np.exp(-rest * np.log(x))
    along = rest * inner
    logarithm = np.where(
        along > -1.0, inner * values_of_array(_log1p_over(np.maximum(along, -0.999999))), -np.inf
    )
    return x * np.exp(logarithm)


def _log1p_over(y: np.ndarray) -> np.ndarray:
    from graphtide.mechanisms.distributions.jet import log1p_over

    return values_of_array(log1p_over(y))


def _affine_flow(x: np.ndarray, time: float, p: Sequence[float]) -> np.ndarray:
    grown = time * values_of_array(expm1_over(np.array([p[1] * time])))
    return x * np.exp(p[1] * time) + p[0] * grown


def _logistic_flow(x: np.ndarray, time: float, p: Sequence[float]) -> np.ndarray:
    decay = np.exp(-p[0] * time)
    return x / (decay + x / p[1] * (1.0 - decay))


def _gompertz_flow(x: np.ndarray, time: float, p: Sequence[float]) -> np.ndarray:
    return p[1] * np.exp((np.log(x) - np.log(p[1])) * np.exp(-p[0] * time))


COHORT_LAWS: tuple[CohortLaw, ...] = (
    CohortLaw(
        "constant",
        ("rate",),
        "dx/dt = rate",
        "growth by the same amount in each unit of time, whatever the size",
        lambda x, time, p: x + p[0] * time,
        lambda size, rate, _high: [(rate * size,)],
        positive=False,
    ),
    CohortLaw(
        "proportional",
        ("rate",),
        "dx/dt = rate*x",
        "growth in proportion to size",
        lambda x, time, p: x * np.exp(p[0] * time),
        lambda _size, rate, _high: [(rate,)],
    ),
    CohortLaw(
        "affine",
        ("rate", "share"),
        "dx/dt = rate + share*x",
        "a constant growth plus growth in proportion to size",
        _affine_flow,
        lambda size, rate, _high: [(0.5 * rate * size, 0.5 * rate), (2 * rate * size, -rate)],
        positive=False,
    ),
    CohortLaw(
        "power",
        ("rate", "exponent"),
        "dx/dt = rate*x^exponent",
        "growth as a power of the size",
        _power_flow,
        lambda size, rate, _high: [(rate * size**q, 1.0 - q) for q in (0.5, 1.0, -0.3)],
    ),
    CohortLaw(
        "logistic",
        ("rate", "capacity"),
        "dx/dt = rate*x*(1 - x/capacity)",
        "growth in proportion to size while small, slowing towards a largest size",
        _logistic_flow,
        lambda _size, rate, high: [(2.0 * rate, 2.0 * high), (rate, 10.0 * high)],
    ),
    CohortLaw(
        "gompertz",
        ("rate", "capacity"),
        "dx/dt = rate*x*log(capacity/x)",
        "growth in proportion to size and to the logarithm of the room left",
        _gompertz_flow,
        lambda _size, rate, high: [(rate, 3.0 * high), (0.3 * rate, 20.0 * high)],
    ),
)
"""Laws that dated cross-sections are compared with, simplest first."""


def fit_cohorts(dates: Sequence[float], samples: Sequence[Sample]) -> list[CohortResult]:
    """Return the laws that carry the cross-sections into each other, best first.

    Args:
        dates: at least two increasing times.
        samples: a cross-section of the same cohort at each.

    Raises:
        InputError: fewer than two dates, or rows that are censored or truncated.
        ComputationError: no law could be fitted.
    """
    if len(dates) < 2:
        raise InputError("one date only; the absolute clock needs cross-sections of two dates")
    if any(s.observed is not None or s.entry is not None for s in samples):
        raise InputError("dated cross-sections take neither censored nor truncated rows")
    sizes = np.array([sample.size for sample in samples])
    count = int(np.clip(sizes.min() / _UNITS_A_QUANTILE, 3, _MOST_QUANTILES))
    shares = (np.arange(count) + 0.5) / count
    quantiles = np.stack([sample_quantiles(sample, shares) for sample in samples])  # (m, U)
    density = np.stack([_density(sample, shares) for sample in samples])
    bridge = np.minimum(shares[:, None], shares) - np.outer(shares, shares)
    inverse = 1.0 / sizes
    pairs = np.diag(inverse[:-1] + inverse[1:])
    pairs -= np.diag(inverse[1:-1], 1) + np.diag(inverse[1:-1], -1)
    whiten = np.linalg.inv(np.linalg.cholesky(np.kron(pairs, bridge)))
    gaps = np.diff(np.asarray(dates, dtype=np.float64))
    positive = all(sample.values[0] > 0.0 for sample in samples)
    found = []
    for law in COHORT_LAWS:
        if law.positive and not positive:
            continue
        result = _fitted(law, quantiles, density, gaps, whiten, samples)
        if result is not None:
            found.append(result)
    if not found:
        raise ComputationError("no law of growth carries the cross-sections into each other")
    return sorted(found, key=lambda result: result.criterion)


def _fitted(
    law: CohortLaw,
    quantiles: np.ndarray,
    density: np.ndarray,
    gaps: np.ndarray,
    whiten: np.ndarray,
    samples: Sequence[Sample],
) -> CohortResult | None:
    def residuals(p: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            carried = np.stack(
                [law.flow(q, gap, p.tolist()) for q, gap in zip(quantiles, gaps, strict=False)]
            )
            off = whiten @ ((quantiles[1:] - carried) * density[1:]).ravel()
        return np.clip(np.nan_to_num(off, nan=1e6, posinf=1e6, neginf=-1e6), -1e6, 1e6)

    middle = quantiles[:, quantiles.shape[1] // 2]
    size = float(np.abs(middle).mean()) or 1.0
    pace = float(middle[-1] - middle[0]) / float(gaps.sum())
    rate = pace / size
    if law.positive:
        rate = float(np.log(middle[-1] / middle[0])) / float(gaps.sum())
    rate = rate if abs(rate) > 1e-12 else 1e-6 / float(gaps.sum())
    best = None
    for guess in law.guesses(size, rate, float(quantiles.max())):
        solution = least_squares(residuals, guess, x_scale=np.maximum(np.abs(guess), 1e-12))
        if best is None or solution.cost < best.cost:
            best = solution
    if best is None or not np.isfinite(best.cost) or 2.0 * best.cost > 1e9:
        return None
    jacobian = np.asarray(best.jac)  # dense, as least_squares differentiates by itself
    information = jacobian.T @ jacobian
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information / np.outer(scale, scale)
    errors = np.full(len(best.x), np.nan)
    if np.linalg.eigvalsh(scaled)[0] > 1e-9:
        errors = np.sqrt(np.diag(np.linalg.inv(scaled))) / scale
    misfit = 2.0 * float(best.cost)
    degrees = len(best.fun) - len(best.x)
    distance = max(
        _two_sample(law.flow(first.values, float(gap), best.x.tolist()), second.values)
        for first, second, gap in zip(samples, samples[1:], gaps, strict=False)
    )
    return CohortResult(
        law, best.x, errors, misfit, degrees, float(chdtrc(degrees, misfit)), distance,
        misfit + float(np.log(len(best.fun))) * len(best.x),
    )  # fmt: skip


def sample_quantiles(sample: Sample, shares: np.ndarray) -> np.ndarray:
    """Return interpolated order statistics, of rounded values the middle of cells."""
    if sample.weights is None:
        return np.quantile(sample.middle, shares)
    total = (np.cumsum(sample.weights) - 0.5 * sample.weights) / sample.weights.sum()
    return np.interp(shares, total, sample.values)


def _density(sample: Sample, shares: np.ndarray) -> np.ndarray:
    """Return the density of the free curve at its own quantiles, not at the noisy ones seen.

    A density at the quantile that was seen errs together with it, which would bias the rates.
    """
    shift = 1.0 if sample.whole and sample.values[0] == 0.0 else 0.0
    curve = fit_free_curve(
        Compressed(sample).nodes(), sample.start, logarithmic=sample.positive, shift=shift
    )
    places = curve.trajectory(-np.log1p(-shares))
    return curve.hazard(places) * (1.0 - shares)


def _two_sample(first: np.ndarray, second: np.ndarray) -> float:
    """Return the Kolmogorov-Smirnov distance of two samples."""
    one, two = np.sort(first), np.sort(second)
    places = np.concatenate([one, two])
    low = np.searchsorted(one, places, side="right") / len(one)
    high = np.searchsorted(two, places, side="right") / len(two)
    return float(np.abs(low - high).max())

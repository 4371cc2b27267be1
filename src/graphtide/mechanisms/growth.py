"""From a growth curve to its law: six laws fitted, compared by a tail held out, and continued.

Least squares on log n (growth acts by shares). Each law is fitted to the first 70 % of the readings
and judged by its relative error on the rest; the best, fitted to all, gives the forecast. What the
curve does not determine, such as a saturation far beyond its end, is said and not guessed.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from graphtide.equation import Equation, Parameter
from graphtide.errors import ComputationError, InputError
from graphtide.mechanisms.growth_changes import change_points
from graphtide.mechanisms.growth_curve import GrowthCurve
from graphtide.mechanisms.growth_fit import GrowthFit, fit_law
from graphtide.mechanisms.growth_laws import GROWTH_LAWS, Span
from graphtide.mechanisms.growth_links import densification, fit_links
from graphtide.mechanisms.growth_result import Forecast, GrowthResult, LawResult, growth_notes

__all__ = ["explain_growth", "growth_equation", "held_out_count", "held_out_error"]

HELD_OUT = 0.3
"""Share of the readings, the last ones, by which laws are compared."""
_TIE = 1.1
"""Laws whose held-out error is below this times the least are told apart by their whole fit."""


def explain_growth(
    curve: GrowthCurve,
    *,
    horizon: int = 20,
    origin: float | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> GrowthResult:
    """Return the laws behind a growth curve, compared and continued.

    Args:
        curve: the curve.
        horizon: number of forecast times, a median step of the curve apart.
        origin: when growth began (the power law and NetTide count time from it); None for one
            median step before the first time.
        progress: called with a share and a text.

    Raises:
        InputError: the origin is not before the first time, or the horizon is not positive.
        ComputationError: no law could be fitted.

    Example:
        >>> import numpy as np
        >>> times = np.arange(1.0, 31.0)
        >>> result = explain_growth(GrowthCurve(times, 3.0 * np.exp(0.2 * times)))
        >>> result.best.fit.law.name, round(result.best.fit.parameters["r"], 6)
        ('exponential', 0.2)
    """
    began = time.perf_counter()
    tell = progress or (lambda _share, _text: None)
    if horizon < 1:
        raise InputError(f"the horizon is {horizon}; at least 1 was expected")
    curve = curve.thinned()
    times, log_size = curve.times, np.log(curve.sizes)
    step = float(np.median(np.diff(times)))
    start = times[0] - step if origin is None else origin
    if not start < times[0]:
        raise InputError(f"the origin {start:g} is not before the first time {times[0]:g}")
    span = Span(float(times[0]), float(times[-1]), float(start))
    results = []
    for k, name in enumerate(GROWTH_LAWS):
        tell(0.1 + 0.6 * k / len(GROWTH_LAWS), f"fitting: {name}")
        result = _judged(name, times, log_size, span)
        if result is not None:
            results.append(result)
    if not results:
        raise ComputationError("no law of growth could be fitted to the curve")
    laws = _ranked(results)
    best = laws[0]
    tell(0.75, "looking for change points")
    changes = change_points(best.fit.law, times, log_size, span.origin)
    links = slope = None
    if curve.links is not None:
        tell(0.9, "fitting the links")
        slope = densification(curve.sizes, curve.links)
        nettide = next((law for law in laws if law.fit.law.name == "NetTide"), None)
        links = None if nettide is None else fit_links(times, curve.links, nettide.fit)
    ahead = times[-1] + step * np.arange(1, horizon + 1)
    low, high = best.fit.band(ahead)
    further = None if links is None else links.links(ahead)
    return GrowthResult(
        curve,
        tuple(laws),
        _plain_errors(times, curve.sizes),
        growth_equation(best.fit),
        Forecast(ahead, best.fit.size(ahead), low, high, further),
        tuple(changes),
        slope,
        links,
        tuple(growth_notes(laws, changes, slope, _plain_errors(times, curve.sizes))),
        time.perf_counter() - began,
    )


def growth_equation(fit: GrowthFit) -> Equation:
    """Return a fitted law as an equation of the size x; its start is n0 at the first time."""
    errors = fit.standard_errors
    values = {
        name: Parameter(value, errors[name] if np.isfinite(errors[name]) else None)
        for name, value in fit.parameters.items()
        if name != "n0"
    }
    if "(t - s)" in fit.law.text:
        values["s"] = Parameter(fit.span.origin)
    return Equation.parse(fit.law.text, parameters=values)


def held_out_count(count: int) -> int:
    """Return how many of the readings, the first ones, a law is fitted to before it is judged."""
    return int(np.ceil((1.0 - HELD_OUT) * count))


def held_out_error(
    name: str, times: np.ndarray, log_size: np.ndarray, origin: float
) -> float | None:
    """Return the mean relative error on the tail of a law fitted to the rest; None if it fails."""
    known = held_out_count(len(times))
    span = Span(float(times[0]), float(times[known - 1]), origin)
    try:
        fit = fit_law(GROWTH_LAWS[name], times[:known], log_size[:known], span)
    except ComputationError:
        return None
    return float(np.mean(np.abs(fit.size(times[known:]) / np.exp(log_size[known:]) - 1.0)))


def _judged(name: str, times: np.ndarray, log_size: np.ndarray, span: Span) -> LawResult | None:
    error = held_out_error(name, times, log_size, span.origin)
    if error is None:
        return None
    try:
        fit = fit_law(GROWTH_LAWS[name], times, log_size, span)
    except ComputationError:
        return None
    names = fit.law.parameters
    return LawResult(fit, error, {name: fit.interval(name, times, log_size) for name in names})


def _ranked(results: list[LawResult]) -> list[LawResult]:
    """Return laws by held-out error; of the nearly best, Schwarz's criterion on all chooses."""
    ordered = sorted(results, key=lambda result: result.held_out_error)
    near = [r for r in ordered if r.held_out_error <= _TIE * ordered[0].held_out_error + 1e-3]
    count = max(result.fit.effective_count for result in near)

    def criterion(result: LawResult) -> float:
        scatter = float(np.mean(result.fit.residuals**2))
        return count * np.log(max(scatter, 1e-8)) + len(result.fit.internal) * np.log(count)

    first = min(near, key=criterion)
    return [first, *(result for result in ordered if result is not first)]


def _plain_errors(times: np.ndarray, sizes: np.ndarray) -> dict[str, float]:
    """Return the held-out error of the last value, and of the last trend of log n."""
    known = held_out_count(len(times))
    tail = sizes[known:]
    recent = max(2, known // 5)
    slope = np.log(sizes[known - 1] / sizes[known - recent])
    slope /= times[known - 1] - times[known - recent]
    trend = sizes[known - 1] * np.exp(slope * (times[known:] - times[known - 1]))
    return {
        "last value": float(np.mean(np.abs(sizes[known - 1] / tail - 1.0))),
        "last trend": float(np.mean(np.abs(trend / tail - 1.0))),
    }

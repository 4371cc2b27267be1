"""Smoothing of noisy node series: Whittaker's penalised least squares with an automatic weight.

For each node and variable, x minimises sum_k w_k (y_k - x_k)^2 + lambda |D x|^2, where D takes
third divided differences, so that irregular times are no matter, and w_k is 0 where a reading is
missing (Whittaker 1923; Eilers, Anal. Chem. 75, 2003). One lambda for each variable minimises the
generalised cross-validation score pooled over nodes (Craven and Wahba, Numer. Math. 31, 1979):
GCV = (RSS / n) / (1 - tr(S) / T)^2, with the traces from one eigendecomposition of D'D.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from graphtide.errors import InputError

__all__ = ["Smoothed", "smooth"]

ORDER = 3
"""Order of the differences: the smoother leaves quadratic motion as it is."""


@dataclass(frozen=True, slots=True)
class Smoothed:
    """Smoothed states at the observed times, with the noise that was taken off.

    Attributes:
        times: shape (T,).
        states: shape (T, N, D); nodes without any reading are NaN.
        noise_sd: shape (D,), standard deviation of the noise of one reading.
        degrees_of_freedom: shape (D,), trace of the smoother: how many numbers a series holds.
    """

    times: np.ndarray
    states: np.ndarray
    noise_sd: np.ndarray
    degrees_of_freedom: np.ndarray

    def evaluate(self, times: np.ndarray, derivative: int = 0) -> np.ndarray:
        """Return states (or a time derivative) at any times in range, shape (len(times), N, D)."""
        from scipy.interpolate import CubicSpline

        flat = self.states.reshape(len(self.times), -1)
        known = ~np.isnan(flat).any(axis=0)
        values = np.full((len(times), flat.shape[1]), np.nan)
        values[:, known] = CubicSpline(self.times, flat[:, known])(times, derivative)
        return values.reshape(len(times), *self.states.shape[1:])


def smooth(times: np.ndarray, states: np.ndarray) -> Smoothed:
    """Smooth node series; the weight of the penalty is chosen from the data.

    Args:
        times: shape (T,), increasing.
        states: shape (T, N, D), NaN where a reading is missing.

    Cost: one eigendecomposition of a (T, T) matrix, then products with it.

    Raises:
        InputError: there are fewer than 8 times, or no node has 8 readings.
    """
    if len(times) < 8:
        raise InputError(f"{len(times)} times are too few to smooth; at least 8 are needed")
    penalty, eigenvalues, modes = _modes(np.asarray(times, dtype=float).tobytes())
    result = np.full(states.shape, np.nan)
    noise_sd, freedom = np.zeros(states.shape[2]), np.zeros(states.shape[2])
    for d in range(states.shape[2]):
        series = states[:, :, d]
        usable = (~np.isnan(series)).sum(axis=0) >= 8
        if not usable.any():
            raise InputError("no node has 8 readings or more, the least that smoothing needs")
        smoothed, noise_sd[d], freedom[d] = _smooth_variable(
            series[:, usable], times, penalty, eigenvalues, modes
        )
        result[:, usable, d] = smoothed
    return Smoothed(np.asarray(times), result, noise_sd, freedom)


@lru_cache(maxsize=4)
def _modes(times: bytes) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return D'D for these times, its eigenvalues and its modes; repetitions share them."""
    penalty = _penalty(np.frombuffer(times))
    eigenvalues, modes = np.linalg.eigh(penalty)
    # D annihilates quadratics exactly; round-off must not turn these modes stiff.
    eigenvalues[:ORDER] = 0.0
    return penalty, eigenvalues, modes


def _penalty(times: np.ndarray) -> np.ndarray:
    """Return D'D for third divided differences, shape (T, T), scaled to a mean step of one."""
    scaled = (times - times[0]) * (len(times) - 1) / (times[-1] - times[0])
    difference = np.eye(len(times))
    for order in range(1, ORDER + 1):
        span = (scaled[order:] - scaled[:-order]) / order
        difference = np.diff(difference, axis=0) / span[:, None]
    return difference.T @ difference


def _smooth_variable(
    series: np.ndarray,
    times: np.ndarray,
    penalty: np.ndarray,
    eigenvalues: np.ndarray,
    modes: np.ndarray,
) -> tuple[np.ndarray, float, float]:
    """Smooth the series (T, N) of one variable; return them, the noise and the trace."""
    observed = ~np.isnan(series)
    complete = bool(observed.all())
    filled = series if complete else _interpolated(times, series, observed)
    weight, shrink, smoothed = _in_modes(filled, eigenvalues, modes)
    if not complete:
        for _ in range(3):  # readings that are missing follow the smooth curve
            filled = np.where(observed, series, smoothed)
            weight, shrink, smoothed = _in_modes(filled, eigenvalues, modes)
        smoothed = _with_gaps(series, observed, weight, penalty)
    freedom = float(shrink.sum())
    residual = np.where(observed, series - smoothed, 0.0)
    share_left = 1.0 - freedom / len(series)
    readings = observed.sum()
    noise = np.sqrt((residual**2).sum() / max(readings * share_left, 1.0))
    return smoothed, float(noise), freedom


def _in_modes(
    series: np.ndarray, eigenvalues: np.ndarray, modes: np.ndarray
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the best weight, how much of each mode stays, and the smoothed series."""
    coefficients = modes.T @ series
    weight = _best_weight(coefficients, eigenvalues)
    shrink = 1.0 / (1.0 + weight * eigenvalues)
    return weight, shrink, modes @ (shrink[:, None] * coefficients)


def _best_weight(coefficients: np.ndarray, eigenvalues: np.ndarray) -> float:
    """Return the lambda with the least score, for coefficients (T, N) in the eigenbasis."""
    from scipy.optimize import minimize_scalar

    power = (coefficients**2).sum(axis=1)
    count = len(eigenvalues)

    def score(log_weight: float) -> float:
        left = 1.0 - 1.0 / (1.0 + np.exp(log_weight) * eigenvalues)
        return float(np.log((left**2 * power).sum() + 1e-300) - 2 * np.log(left.sum() / count))

    grid = np.linspace(np.log(1e-8), np.log(1e10), 60)
    scores = [score(value) for value in grid]
    k = int(np.argmin(scores))
    low, high = grid[max(k - 1, 0)], grid[min(k + 1, len(grid) - 1)]
    found = minimize_scalar(score, bounds=(low, high), method="bounded")
    return float(np.exp(found.x if found.fun <= scores[k] else grid[k]))


def _interpolated(times: np.ndarray, series: np.ndarray, observed: np.ndarray) -> np.ndarray:
    filled = series.copy()
    for i in np.flatnonzero(~observed.all(axis=0)):
        known = observed[:, i]
        filled[~known, i] = np.interp(times[~known], times[known], series[known, i])
    return filled


def _with_gaps(
    series: np.ndarray, observed: np.ndarray, weight: float, penalty: np.ndarray
) -> np.ndarray:
    """Solve (W + lambda D'D) x = W y; nodes with the same gaps share one banded factorisation."""
    from scipy.linalg import solveh_banded

    count = len(series)
    band = np.zeros((ORDER + 1, count))
    for offset in range(ORDER + 1):
        band[ORDER - offset, offset:] = weight * np.diagonal(penalty, offset)
    smoothed = np.empty_like(series)
    patterns, group = np.unique(observed, axis=1, return_inverse=True)
    for number in range(patterns.shape[1]):
        members = np.flatnonzero(group == number)
        pattern = patterns[:, number].astype(float)
        system = band.copy()
        system[ORDER] += pattern
        right = np.where(observed[:, members], series[:, members], 0.0)
        smoothed[:, members] = solveh_banded(system, right)
    return smoothed

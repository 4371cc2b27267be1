"""What happens between two readings: x(t_k+1) - x(t_k) = integral of the right-hand side.

The integral needs the states between readings. At first they come from an interpolant of the data
(Fritsch and Carlson, 1980: monotone cubic, no overshoot); once a field f(x; c) is known, from its
own solution y through each interval, started from the reading at the left end and bent to meet the
one at the right end. The bend grows along the interval as a disturbance of the node would,
b' = 1 + (df_i/dx_i) b, so that what the repetition of path and regression converges to has no
interpolation error, and it converges fast: for a field that can be represented the defects at the
right ends vanish.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["Paths", "filled", "interpolant_paths", "model_paths", "sharpness", "step_paths"]

STEP_COUNTS = np.array([4, 8, 16, 32, 64])
GAUSS_POINTS = 4


@dataclass(frozen=True, slots=True, eq=False)
class Paths:
    """States at quadrature points inside some of the intervals.

    Args:
        intervals: shape (K,), int64: which intervals these are.
        states: shape (K, Q, N, D).
        weights: shape (K, Q): quadrature weights, in units of time.
        correction: shape (K, N, D): added to the increments before the regression.
    """

    intervals: np.ndarray
    states: np.ndarray
    weights: np.ndarray
    correction: np.ndarray

    def usable(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """Return which intervals stay within half a range of [low, high] (D,), shape (K,)."""
        slack = 0.5 * (high - low)
        with np.errstate(invalid="ignore"):
            inside = (self.states >= low - slack) & (self.states <= high + slack)
        finite = np.isfinite(self.correction).all(axis=(1, 2))
        return np.asarray(inside.all(axis=(1, 2, 3)) & finite)


def filled(times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return states (T, N, D) with each missing reading (NaN) interpolated in time.

    Before a node's first and after its last reading the nearest one is repeated. A node without
    any reading stays NaN.
    """
    result = np.array(states)
    for i, d in zip(*np.nonzero(np.isnan(states).any(axis=0)), strict=True):
        known = np.flatnonzero(~np.isnan(states[:, i, d]))
        if known.size:
            result[:, i, d] = np.interp(times, times[known], states[known, i, d])
    return result


def interpolant_paths(times: np.ndarray, states: np.ndarray) -> list[Paths]:
    """Return the monotone cubic interpolant of states (T, N, D) at Gauss points."""
    from scipy.interpolate import PchipInterpolator

    point, weight = np.polynomial.legendre.leggauss(GAUSS_POINTS)
    length = np.diff(times)[:, None]
    where = times[:-1, None] + length * (point + 1) / 2
    between = PchipInterpolator(times, states)(where)  # (K, Q, N, D)
    nothing = np.zeros((len(length), *states.shape[1:]))
    return [Paths(np.arange(len(length)), between, length * weight / 2, nothing)]


def sharpness(times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return how little each interval is resolved, shape (K,): 0 for straight lines, in ranges.

    The larger of the interpolant's bend away from the chord and a seventh of the largest change,
    both as shares of the variable's range.
    """
    paths = interpolant_paths(times, states)[0].states
    point = (np.polynomial.legendre.leggauss(GAUSS_POINTS)[0] + 1) / 2
    change = np.diff(states, axis=0)
    chord = states[:-1, None] + point[None, :, None, None] * change[:, None]
    span = np.ptp(states, axis=(0, 1)) + 1e-300
    bend = (np.abs(paths - chord) / span).max(axis=(1, 2, 3))
    return np.maximum(bend, (np.abs(change) / span).max(axis=(1, 2)) / 8.0)


def model_paths(
    times: np.ndarray,
    states: np.ndarray,
    field: Callable[[np.ndarray], np.ndarray],
    own_rate: Callable[[np.ndarray], np.ndarray],
) -> list[Paths]:
    """Return the paths of a field through every interval, for the next regression.

    Classical Runge-Kutta steps, all intervals with one number of steps side by side, and Simpson's
    rule over them. An interval gets 2.5 steps for each time constant of its fastest node (fewer
    where nothing moves any more), at most 64.

    Args:
        times: shape (T,).
        states: shape (T, N, D), no missing reading.
        field: maps states (..., N, D) to their rates of change.
        own_rate: maps states (..., N, D) to df_i/dx_i, the mean over variables, shape (..., N).
    """
    length = np.diff(times)
    span = np.ptp(states, axis=(0, 1)) + 1e-300
    moving = (np.abs(np.diff(states, axis=0)) / span).max(axis=(1, 2)) > 1e-5
    rate = own_rate(states)  # (T, N)
    fastest = np.maximum(np.abs(rate[:-1]), np.abs(rate[1:])).max(axis=1)
    wanted = fastest * length / np.where(moving, 0.4, 1.5)
    group = np.minimum(np.searchsorted(STEP_COUNTS, wanted), len(STEP_COUNTS) - 1)
    result = []
    with np.errstate(over="ignore", invalid="ignore"):
        for steps in np.unique(STEP_COUNTS[group]):
            chosen = np.flatnonzero(STEP_COUNTS[group] == steps)
            path, slopes = _integrate(field, states[chosen], length[chosen], int(steps))
            simpson = np.ones(steps + 1)
            simpson[1:-1:2], simpson[2:-1:2] = 4.0, 2.0
            weights = (length[chosen] / steps)[:, None] * simpson / 3.0  # (K, Q)
            share = np.linspace(0.0, 1.0, steps + 1)
            if steps > STEP_COUNTS[1]:
                rates = own_rate(path)  # (K, Q, N)
            else:
                ends = rate[chosen][:, None], rate[chosen + 1][:, None]
                rates = ends[0] + share[:, None] * (ends[1] - ends[0])
            defect = states[chosen + 1] - path[:, -1]
            along = np.einsum("ks,ksnd->knd", weights, slopes)
            correction = along - (path[:, -1] - states[chosen])
            bend = _bend(rates, length[chosen] / steps)
            path = path + bend[..., None] * defect[:, None]
            result.append(Paths(chosen, path, weights, correction))
    return result


def step_paths(
    sizes: np.ndarray, path: np.ndarray, field: Callable[[np.ndarray], np.ndarray]
) -> Paths:
    """Return the paths of a field through the steps of a roll-out of its own, for Simpson's rule.

    Args:
        sizes: shape (K,), lengths of the steps.
        path: shape (K + 1, 2, N, D), states and slopes at their ends.
        field: maps states (..., N, D) to their rates of change.
    """
    size = sizes[:, None, None]
    left, right = path[:-1, 0], path[1:, 0]
    middle = (left + right) / 2 + size / 8 * (path[:-1, 1] - path[1:, 1])
    states = np.stack([left, middle, right], axis=1)  # (K, 3, N, D)
    weights = sizes[:, None] * np.array([1.0, 4.0, 1.0]) / 6.0
    slopes = np.stack([path[:-1, 1], field(middle), path[1:, 1]], axis=1)
    along = np.einsum("kq,kqnd->knd", weights, slopes)
    return Paths(np.arange(len(sizes)), states, weights, along - (right - left))


def _integrate(
    field: Callable[[np.ndarray], np.ndarray], start: np.ndarray, length: np.ndarray, steps: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the path and the field along it, each (K, steps + 1, N, D)."""
    size = (length / steps)[:, None, None]
    state, path, slopes = start, [start], []
    for _ in range(steps):
        k1 = field(state)
        k2 = field(state + size / 2 * k1)
        k3 = field(state + size / 2 * k2)
        k4 = field(state + size * k3)
        state = state + size / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
        path.append(state)
        slopes.append(k1)
    slopes.append(field(state))
    return np.stack(path, axis=1), np.stack(slopes, axis=1)


def _bend(rates: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return b with b' = 1 + rate b, b = 0 at the left end, scaled to 1 at the right end."""
    turns = np.clip(0.5 * (rates[:, 1:] + rates[:, :-1]) * size[:, None, None], -50.0, 5.0)
    gain = np.where(np.abs(turns) > 1e-8, np.expm1(turns) / np.where(turns, turns, 1.0), 1.0)
    result = np.zeros_like(rates)
    for place in range(turns.shape[1]):
        result[:, place + 1] = result[:, place] * np.exp(turns[:, place]) + gain[:, place]
    return result / result[:, -1:]

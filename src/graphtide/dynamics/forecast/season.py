"""What other cycles did: the seasonal mean, and the mean of the cycles that were most alike.

With P readings a cycle (a day, a week), time t has the counterparts t + m P of the other cycles m.
Smoothed over a few neighbouring times, y(t) say, they give for a window at i

    seasonal mean    s(i + j) = mean over m of y(i + j + m P)
    alike cycles     a(i + j) = sum_m w_m y(i + j + m P),
                     w_m ~ exp(-d_m / (b mean d)),   d_m = mean |y - x|^2 over nodes and history

so that a Saturday morning draws on days that began like it. Only readings before `stop` serve as
counterparts, and a cycle is never its own counterpart: where it is learned from, a window sees of
its targets no more than where it is tested.

Nearest neighbours in time for forecasts: Lorenz, Journal of the Atmospheric Sciences 26 (1969)
(analogues); the weights are those of Nadaraya's and Watson's kernel regression (1964).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphtide.dynamics.forecast.windows import Windows

__all__ = ["Season"]

_BANDWIDTH = 0.25
"""b: width of the kernel in units of the mean distance of the cycles that are weighed."""
_MOST_ALIKE = 16
"""Cycles that are weighed: those with the smallest distances."""


@dataclass(frozen=True, slots=True, eq=False)
class Season:
    """Counterparts of windows in other cycles, read from the times before `stop`.

    Args:
        shifts: (M,) distances to the counterparts, multiples of the period, zero not among them.
        smooth: (stop, N, D) smoothed readings.
        distance: (T + 1, M) mean squared distance of the histories of window i and its counterpart,
            infinite where there is no counterpart.
        plain: (D,) what is said where no counterpart exists.
    """

    shifts: np.ndarray
    smooth: np.ndarray
    distance: np.ndarray
    plain: np.ndarray

    @staticmethod
    def of(windows: Windows, stop: int) -> Season | None:
        """Return the season as it is known at time `stop`; None without a whole other cycle.

        Args:
            windows: with a period.
            stop: number of the first time that must not be looked at.
        """
        period, history, horizon = windows.period, windows.history, windows.horizon
        if period is None or stop < period + history + horizon:
            return None
        count = len(windows.times)
        cycles = -(-count // period)
        shifts = np.array([m * period for m in range(-cycles, cycles + 1) if m])
        smooth = _smoothed(windows.filled[:stop], min(2, period // 100))
        scale = windows.deviation
        distance = np.full((count + 1, len(shifts)), np.inf)
        for k, shift in enumerate(shifts):
            # Squared differences of each time and its counterpart, then means over histories.
            first, last = max(0, -shift), min(count, stop - shift)
            if last - first < history:
                continue
            apart = (smooth[first + shift : last + shift] - windows.filled[first:last]) / scale
            sums = np.concatenate([[0.0], np.cumsum(np.square(apart).mean(axis=(1, 2)))])
            window = np.arange(first + history, last + 1)
            window = window[window + shift + horizon <= stop]
            ends = window - first
            distance[window, k] = (sums[ends] - sums[ends - history]) / history
        return Season(shifts, smooth, distance, windows.mean)

    def mean(self, windows: np.ndarray, horizon: int) -> np.ndarray:
        """Return the seasonal mean for windows, (B, h, N, D)."""
        there = np.isfinite(self.distance[windows])  # (B, M)
        total = there.sum(axis=1)
        result = np.zeros((len(windows), horizon, *self.smooth.shape[1:]))
        for k, shift in enumerate(self.shifts):
            used = np.flatnonzero(there[:, k])
            result[used] += self.smooth[windows[used, None] + shift + np.arange(horizon)]
        result /= np.maximum(total, 1)[:, None, None, None]
        result[total == 0] = self.plain
        return result

    def alike(self, windows: np.ndarray, horizon: int, *, history: int = 0) -> np.ndarray:
        """Return the mean of the cycles alike for windows, (B, k + h, N, D).

        Args:
            windows: (B,) numbers of first targets.
            horizon: h, times from the first target on.
            history: k, times before it that are said too, at most the windows' own history.
        """
        distance = self.distance[windows]  # (B, M)
        count = min(_MOST_ALIKE, distance.shape[1])
        best = np.argpartition(distance, count - 1, axis=1)[:, :count]
        near = np.take_along_axis(distance, best, axis=1)
        there = np.isfinite(near)
        finite = np.where(there, near, 0.0)
        width = _BANDWIDTH * finite.sum(axis=1) / np.maximum(there.sum(axis=1), 1)
        lowest = np.where(there.any(axis=1), near.min(axis=1), 0.0)
        size = np.divide(
            finite - lowest[:, None], width[:, None], out=np.zeros_like(finite),
            where=width[:, None] > 0,
        )  # fmt: skip
        weight = np.where(there, np.exp(-size), 0.0)
        total = weight.sum(axis=1)
        weight /= np.where(total > 0, total, 1.0)[:, None]
        span = np.arange(-history, horizon)
        result = np.zeros((len(windows), len(span), *self.smooth.shape[1:]))
        for k in range(count):
            start = np.where(there[:, k], windows + self.shifts[best[:, k]], history)
            counterpart = self.smooth[start[:, None] + span]
            result += weight[:, k, None, None, None] * counterpart
        result[total == 0] = self.plain
        return result


def _smoothed(values: np.ndarray, reach: int) -> np.ndarray:
    """Return running means over `reach` times to both sides (fewer at the ends)."""
    if reach == 0:
        return values.copy()
    count = len(values)
    sums = np.concatenate([np.zeros((1, *values.shape[1:])), np.cumsum(values, axis=0)])
    low = np.maximum(np.arange(count) - reach, 0)
    high = np.minimum(np.arange(count) + reach + 1, count)
    return (sums[high] - sums[low]) / (high - low)[:, None, None]

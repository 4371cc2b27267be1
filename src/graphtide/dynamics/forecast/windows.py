"""Windows over regular times: k readings of history, h readings to forecast, and which may be seen.

Window i has the history x(i-k..i-1) and the targets x(i..i+h-1). With the split at time s and
validation from v < s on:

    train        targets wholly before v
    validation   targets wholly within [v, s)
    test         targets wholly after the split, from s on (their history may reach back before it)

Missing readings are filled for models that need numbers: by the node's last reading before, else by
the node's mean over the training part, else by the mean of all; nothing is taken from later times.
Errors count only what was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from graphtide.errors import InputError
from graphtide.trajectory import Trajectory

__all__ = ["Part", "Windows", "batches", "make_windows", "phases", "regular_times"]

Part = Literal["train", "validation", "whole_train", "test"]

_VALIDATION_SHARE = 0.2


@dataclass(frozen=True, slots=True, eq=False)
class Windows:
    """Readings on a regular grid of times, and the windows over them; arrays are read-only.

    Args:
        times: (T,) float64, equidistant.
        readings: (T, N, D) float64, NaN where missing.
        filled: (T, N, D), without gaps (see the header).
        history: k, readings that a forecast sees.
        horizon: h, readings that it says.
        validation_start: v, number of a time.
        split: s, number of a time.
        period: readings after which the season comes back (a day, a week); None for no season.
        mean: (D,) of the training part.
        deviation: (D,) of the training part, positive.
    """

    times: np.ndarray
    readings: np.ndarray
    filled: np.ndarray
    history: int
    horizon: int
    validation_start: int
    split: int
    period: int | None
    mean: np.ndarray
    deviation: np.ndarray

    @property
    def mask(self) -> np.ndarray:
        """Which readings were made, (T, N, D) bool."""
        return ~np.isnan(self.readings)

    @property
    def node_count(self) -> int:
        """Number of nodes N."""
        return self.readings.shape[1]

    def times_after(self, count: int) -> np.ndarray:
        """Return the times of as many readings after the last one, (count,)."""
        return self.times[-1] + (self.times[1] - self.times[0]) * np.arange(1, count + 1)

    def part(self, name: Part) -> np.ndarray:
        """Return the windows of a part by the number of their first target, int64, in order.

        "whole_train" is all whose targets lie before the split: training and validation, and the
        windows between them.
        """
        start, stop = {
            "train": (0, self.validation_start),
            "validation": (self.validation_start, self.split),
            "whole_train": (0, self.split),
            "test": (self.split, len(self.times)),
        }[name]
        return np.arange(max(start, self.history), stop - self.horizon + 1)

    def extended(self, times: np.ndarray, readings: np.ndarray) -> Windows:
        """Return windows over a longer record; parts and scales stay those of this one.

        Args:
            times: (T',) float64, equidistant by the same step, from the same first time on.
            readings: (T', N, D) float64, NaN where missing.
        """
        filled = _fill(readings, self.readings[: self.split], self.mean)
        return replace(self, times=times, readings=readings, filled=filled)

    def histories(self, windows: np.ndarray) -> np.ndarray:
        """Return the filled histories of windows, (B, k, N, D)."""
        return self.filled[windows[:, None] + np.arange(-self.history, 0)]

    def targets(self, windows: np.ndarray) -> np.ndarray:
        """Return the readings to forecast, (B, h, N, D), NaN where missing."""
        return self.readings[windows[:, None] + np.arange(self.horizon)]


def make_windows(
    trajectory: Trajectory,
    *,
    history: int,
    horizon: int,
    split: float = 0.8,
    period: int | None = None,
    missing: float | None = None,
) -> Windows:
    """Return the windows over a trajectory.

    Args:
        trajectory: readings at regular times; rows of times that are absent count as missing.
        history: k >= 1.
        horizon: h >= 1.
        split: share of the times before the split, within (0, 1); a last fifth of it validates.
        period: see `Windows`.
        missing: a number that stands for a missing reading (0 in many traffic tables).

    Raises:
        InputError: times are not regular, there are too few of them for the history and the
            horizon, a number is out of its range, or the training part holds no reading.
    """
    for name, value in (("history", history), ("horizon", horizon)):
        if value < 1:
            raise InputError(f"{name} must be at least 1 reading; it is {value}")
    if not 0 < split < 1:
        raise InputError(f"split must lie between 0 and 1; it is {split:g}")
    times, readings = regular_times(trajectory.times, trajectory.states)
    if missing is not None:
        readings = np.where(readings == missing, np.nan, readings)
    if period is not None and not period >= 2:
        raise InputError(f"period must be at least 2 readings; it is {period}")
    count = len(times)
    edge = round(split * count)
    _check_length(count, edge, history, horizon)
    # A last fifth validates; where training would have no window left, as much as leaves it one.
    span = max(round(_VALIDATION_SHARE * edge), horizon)
    start = max(edge - span, history + horizon)
    known = readings[:edge]
    if np.isnan(known).all():
        raise InputError(f"all readings before the split (the first {edge} times) are missing")
    mean = np.array([_mean(known[..., d]) for d in range(readings.shape[2])])
    deviation = np.array([_deviation(known[..., d]) for d in range(readings.shape[2])])
    windows = Windows(
        times, readings, _fill(readings, known, mean), history, horizon, start, edge, period, mean,
        deviation,
    )  # fmt: skip
    for array in (windows.readings, windows.filled, windows.times):
        array.flags.writeable = False
    test = windows.targets(windows.part("test"))
    if np.isnan(test).all():
        raise InputError(f"all readings after the split (time {times[edge]:g}) are missing")
    return windows


def regular_times(times: np.ndarray, states: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return equidistant times and their states; rows that are absent between become NaN.

    Raises:
        InputError: there are fewer than two times, or a step is no multiple of the usual one.
    """
    if len(times) < 2:
        raise InputError(f"a forecast needs regular times; there is only {len(times)}")
    steps = np.diff(times)
    usual = float(np.median(steps))
    multiples = np.round(steps / usual)
    wrong = np.flatnonzero((np.abs(steps - multiples * usual) > 1e-3 * usual) | (multiples < 1))
    if wrong.size or multiples.sum() > 20 * len(times):
        k = int(wrong[0]) if wrong.size else int(np.argmax(steps))
        raise InputError(
            f"times are not regular: time {times[k + 1]:g} follows {times[k]:g}, a step of "
            f"{steps[k]:g} where the usual one is {usual:g}; bring the readings to equal steps"
        )
    places = np.concatenate([[0], np.cumsum(multiples)]).astype(np.int64)
    full = np.full((int(places[-1]) + 1, *states.shape[1:]), np.nan)
    full[places] = states
    return times[0] + np.arange(len(full)) * (times[-1] - times[0]) / places[-1], full


def batches(windows: np.ndarray, size: int) -> Iterator[np.ndarray]:
    """Yield windows in runs of at most `size`."""
    for start in range(0, len(windows), size):
        yield windows[start : start + size]


def phases(windows: Windows, numbers: np.ndarray | Sequence[int]) -> np.ndarray:
    """Return where in its period each time stands, within [0, 1), float64; zeros without one."""
    numbers = np.asarray(numbers)
    if windows.period is None:
        return np.zeros(numbers.shape)
    return (numbers % windows.period) / windows.period


def _check_length(count: int, edge: int, history: int, horizon: int) -> None:
    needed = history + 2 * horizon
    if edge < needed:
        raise InputError(
            f"{edge} of {count} times lie before the split; a history of {history} and a horizon "
            f"of {horizon} need at least {needed}"
        )
    if count - edge < horizon:
        raise InputError(
            f"{count - edge} of {count} times lie after the split; a horizon of {horizon} does not "
            "fit into them"
        )


def _fill(readings: np.ndarray, known: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return readings without gaps: the last one before, else a mean of the training part."""
    there = ~np.isnan(known)
    counts = there.sum(axis=0)
    sums = np.where(there, known, 0.0).sum(axis=0)
    own = np.where(counts > 0, sums / np.maximum(counts, 1), mean)  # (N, D)
    number = np.arange(len(readings))[:, None, None]
    last = np.maximum.accumulate(np.where(np.isnan(readings), -1, number), axis=0)
    carried = np.take_along_axis(readings, np.maximum(last, 0), axis=0)
    return np.where(last >= 0, carried, own)


def _mean(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    return float(there.mean()) if there.size else 0.0


def _deviation(values: np.ndarray) -> float:
    there = values[~np.isnan(values)]
    size = float(there.std()) if there.size else 0.0
    return size if size > 0 else 1.0

"""Times kept from learning, and the plain forecasts that a learned field must beat.

Relative error = mean |predicted - observed| / mean |observed| over the readings concerned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from graphtide.errors import InputError

__all__ = [
    "Holdout",
    "Role",
    "kept_readings",
    "last_value",
    "linear_interpolation",
    "linear_trend",
    "relative_error",
]

Role = Literal["train", "interpolate", "extrapolate"]
MINIMUM_TRAINING_TIMES = 4


@dataclass(frozen=True, slots=True)
class Holdout:
    """How many times are kept from learning.

    Args:
        interpolate: share of the times before the last ones, drawn at random (never the first nor
            the last of them); a number of 1 or more counts times.
        extrapolate: share of the times at the end; a number of 1 or more counts times.
    """

    interpolate: float = 0.2
    extrapolate: float = 0.2

    def roles(self, count: int, *, seed: int = 0) -> np.ndarray:
        """Return the role of each of ``count`` times, shape (count,), of `Role`.

        Raises:
            InputError: a share is negative or not finite, or fewer than 4 times would be left.
        """
        last = _counted("extrapolate", self.extrapolate, count)
        inner = _counted("interpolate", self.interpolate, count - last)
        if count - last - inner < MINIMUM_TRAINING_TIMES:
            raise InputError(
                f"of {count} times {last} would be kept for extrapolation and {inner} for "
                f"interpolation; at least {MINIMUM_TRAINING_TIMES} must be left to learn from"
            )
        roles = np.full(count, "train", dtype="<U11")
        roles[count - last :] = "extrapolate"
        generator = np.random.default_rng(seed)
        roles[1 + generator.permutation(count - last - 2)[:inner]] = "interpolate"
        return roles


def kept_readings(states: np.ndarray, roles: np.ndarray) -> np.ndarray:
    """Return the readings at the times kept from learning, NaN elsewhere; all if none was kept.

    Args:
        states: shape (T, N, D).
        roles: role of each time, shape (T,).
    """
    learned = np.asarray(roles) == "train"
    return states if learned.all() else np.where(learned[:, None, None], np.nan, states)


def relative_error(predicted: np.ndarray, observed: np.ndarray) -> float:
    """Return mean |predicted - observed| / mean |observed| over the readings; NaN if none."""
    known = ~np.isnan(observed) & ~np.isnan(predicted)
    if not known.any():
        return float("nan")
    size = np.abs(observed[known]).mean()
    return float(np.abs(predicted - observed)[known].mean() / size) if size else float("nan")


def last_value(times: np.ndarray, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return each series' last reading at all ``wanted`` times, shape (len(wanted), N, D)."""
    del times
    rows = np.arange(len(states))[:, None, None]
    latest = np.where(np.isnan(states), -1, rows).max(axis=0)
    value = np.take_along_axis(states, np.maximum(latest, 0)[None], axis=0)
    return np.repeat(value, len(wanted), axis=0)


def linear_interpolation(times: np.ndarray, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return each series joined by straight lines between readings, at ``wanted`` times."""
    result = np.full((len(wanted), *states.shape[1:]), np.nan)
    for i in range(states.shape[1]):
        for d in range(states.shape[2]):
            known = ~np.isnan(states[:, i, d])
            if known.any():
                result[:, i, d] = np.interp(wanted, times[known], states[known, i, d])
    return result


def linear_trend(times: np.ndarray, states: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Return each series' least-squares line over all its readings, at ``wanted`` times."""
    result = np.full((len(wanted), *states.shape[1:]), np.nan)
    for i in range(states.shape[1]):
        for d in range(states.shape[2]):
            known = ~np.isnan(states[:, i, d])
            if known.sum() >= 2:
                slope, level = np.polyfit(times[known], states[known, i, d], 1)
                result[:, i, d] = level + slope * wanted
    return result


def _counted(name: str, share: float, count: int) -> int:
    if not np.isfinite(share) or share < 0:
        raise InputError(f"holdout {name}={share:g}: a share or a number of times was expected")
    number = round(share * count) if share < 1 else round(share)
    if share >= 1 and number != share:
        raise InputError(f"holdout {name}={share:g}: a whole number of times was expected")
    return number

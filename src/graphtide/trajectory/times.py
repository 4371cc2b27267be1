"""Times of states: checked where they enter."""

from __future__ import annotations

import numpy as np

from graphtide.errors import InputError

__all__ = ["checked_times"]


def checked_times(times: np.ndarray) -> np.ndarray:
    """Return times as an own array (T,), float64.

    Raises:
        InputError: a time is not finite, there is none, or they do not increase.
    """
    when = np.array(times, dtype=np.float64)
    if when.ndim != 1 or not when.size or not np.isfinite(when).all():
        raise InputError("times must be a row of finite numbers")
    back = np.flatnonzero(np.diff(when) <= 0)
    if back.size:
        k = int(back[0])
        raise InputError(f"times must increase, but {when[k + 1]:g} follows {when[k]:g}")
    return when

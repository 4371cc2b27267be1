"""Change points of growth: times at which one law gives way to the same law with other numbers.

Binary segmentation: the time whose split lowers the residual most is a change point where that is
worth its parameters by twice Schwarz's criterion, with readings counted as independent ones
(:mod:`graphtide.mechanisms.growth_fit`); then each part is searched again.
"""

from __future__ import annotations

import numpy as np

from graphtide.errors import ComputationError
from graphtide.mechanisms.growth_fit import fit_law
from graphtide.mechanisms.growth_laws import GrowthLaw, Span

__all__ = ["change_points"]

_CANDIDATES = 16
_MOST = 3


def change_points(
    law: GrowthLaw, times: np.ndarray, log_size: np.ndarray, origin: float
) -> list[float]:
    """Return the times, at most three, at which the numbers of a law change, in order.

    Args:
        law: the law, the same before and after.
        times: (T,) increasing.
        log_size: (T,) logarithms of sizes.
        origin: when growth began.
    """
    found: list[float] = []
    parts = [(0, len(times))]
    while parts and len(found) < _MOST:
        first, last = parts.pop(0)
        place = _split(law, times[first:last], log_size[first:last], origin)
        if place is None:
            continue
        found.append(float(times[first + place]))
        parts += [(first, first + place), (first + place, last)]
    return sorted(found)


def _split(law: GrowthLaw, times: np.ndarray, log_size: np.ndarray, origin: float) -> int | None:
    """Return the index at which the second part begins, or None."""
    least = max(6, len(law.parameters) + 3)
    if len(times) < 2 * least:
        return None
    whole = _fit(law, times, log_size, origin)
    if whole is None:
        return None
    best, place, count = np.inf, 0, 1.0
    for middle in np.unique(np.linspace(least, len(times) - least, _CANDIDATES).astype(int)):
        left = _fit(law, times[:middle], log_size[:middle], origin)
        right = _fit(law, times[middle:], log_size[middle:], origin)
        if left is None or right is None:
            continue
        cost = left[0] + right[0]
        if cost < best:
            best, place, count = cost, int(middle), left[1] + right[1]
    if not np.isfinite(best):
        return None
    gain = count * np.log(max(whole[0], 1e-300) / max(best, 1e-300))
    price = 2.0 * (len(law.parameters) + 1) * np.log(max(count, 3.0))
    negligible = whole[0] / len(times) < 1e-8  # the law holds to a hundredth of a per cent
    return place if gain > price and not negligible else None


def _fit(
    law: GrowthLaw, times: np.ndarray, log_size: np.ndarray, origin: float
) -> tuple[float, float] | None:
    """Return residual sum of squares and effective count, or None where no fit is found."""
    span = Span(float(times[0]), float(times[-1]), origin)
    try:
        fit = fit_law(law, times, log_size, span)
    except ComputationError:
        return None
    return float(fit.residuals @ fit.residuals), fit.effective_count

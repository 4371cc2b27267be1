"""Intervals of what is read off a learned field, from the members of its ensemble.

With the values v_1..v_M of the members about the field's own v, the interval is v +- t s, s their
standard deviation and t the quantile of Student's distribution with M - 1 degrees of freedom.
"""

from __future__ import annotations

import numpy as np

from graphtide.dynamics.analysis.fixed_points import FixedPoint, distance, newton
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.spectrum import leading_eigenvalues
from graphtide.errors import ComputationError

__all__ = ["half_width", "leading_half_widths"]


def half_width(values: np.ndarray, level: float = 0.9) -> np.ndarray:
    """Return half the width of the interval of values (M, ...), not-a-number for fewer than two."""
    from scipy.stats import t

    if len(values) < 2:
        return np.full(np.shape(values)[1:], np.nan)
    return t.ppf(0.5 + 0.5 * level, len(values) - 1) * np.std(values, axis=0, ddof=1)


def leading_half_widths(law: Law, point: FixedPoint, count: int, level: float = 0.9) -> np.ndarray:
    """Return half the widths of the intervals of the real parts of the leading eigenvalues.

    Each member's own fixed point is sought from that of the field; members without one near are
    left out, and where more than half are, the widths are infinite.

    Args:
        law: with members.
        point: a fixed point of the law.
        count: how many eigenvalues.
        level: of the intervals.
    """
    found = []
    for member in law.members:
        place = newton(member, point.states, tolerance=1e-9)
        if place is None or distance(law, place[0], point.states) > 0.3:
            continue
        try:
            jacobian = member.jacobian(place[0])
            values = leading_eigenvalues(jacobian, max(count, 2), block=law.shape[1]).values
        except ComputationError:
            continue
        found.append(values.real[:count])
    if 2 * len(found) < len(law.members):
        return np.full(count, np.inf)
    return half_width(np.array(found), level)

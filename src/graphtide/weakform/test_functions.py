"""Test functions of the weak form: smooth bumps on windows of several widths.

For a bump phi that vanishes at both ends of its window, partial integration turns dx/dt = f into
- integral phi'(t) x(t) dt = integral phi(t) f(x(t)) dt, so that no derivative of data is taken
(Messenger and Bortz, Multiscale Model. Simul. 19, 2021). The bump is (1 - s^2)^8 on s in [-1, 1]:
the trapezoid rule on an even grid is then exact to high order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

__all__ = ["TestFunctions", "bumps"]

POWER = 8
HALF_WIDTHS = (0.055, 0.135, 0.3)
"""Half-widths of the windows as shares of the series: short ones see fast motion, wide ones average
noise."""
OVERLAP = 3
"""How many windows of each width cover a moment."""


@dataclass(frozen=True, slots=True)
class TestFunctions:
    """Quadrature weights of W bumps on an even grid of M times.

    Attributes:
        times: the grid, shape (M,).
        value: shape (W, M): value @ f(grid) is the integral of each bump times f.
        derivative: shape (W, M): the same with the bump's time derivative.
    """

    __test__ = False  # not a class of tests

    times: np.ndarray
    value: np.ndarray
    derivative: np.ndarray


def bumps(start: float, stop: float, count: int) -> TestFunctions:
    """Return bumps of three widths that cover [start, stop], on an even grid of ``count`` times.

    Each bump is scaled to a unit sum of squares, so that windows of all widths carry noise of the
    same size.
    """
    times = np.linspace(start, stop, count)
    step = (stop - start) / (count - 1)
    values, derivatives = [], []
    for share in HALF_WIDTHS:
        # A window needs a few grid points inside, else the rule is not exact.
        half = max(share * (stop - start), 4.0 * step)
        windows = max(int(np.ceil(OVERLAP * (stop - start) / (2 * half))), 2)
        centres = np.linspace(start + half, stop - half, windows)
        s = (times - centres[:, None]) / half
        inside = np.clip(1.0 - s**2, 0.0, None)
        scale = 1.0 / np.sqrt((inside ** (2 * POWER)).sum(axis=1, keepdims=True) * step)
        values.append(step * scale * inside**POWER)
        slope = -2.0 * POWER * s / half * inside ** (POWER - 1)
        derivatives.append(step * scale * np.where(inside > 0, slope, 0.0))
    return TestFunctions(times, np.concatenate(values), np.concatenate(derivatives))

"""Cubic Hermite interpolation of one step.

    x(t + s h) = (1 - s)^2 (1 + 2 s) x_0 + s^2 (3 - 2 s) x_1
               + s (1 - s)^2 h x'_0 - s^2 (1 - s) h x'_1

Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.6 (6.7). The
local error is of order 4, so it keeps the order of methods up to 4.
"""

from torch import Tensor

__all__ = ["cubic_hermite"]


def cubic_hermite(
    share: float, size: float, start: Tensor, end: Tensor, first: Tensor, last: Tensor
) -> Tensor:
    """Return the cubic through `start` and `end` with slopes `first` and `last`.

    Args:
        share: place inside the step, 0 at its start and 1 at its end.
        size: length of the step; negative backwards in time.
        start: state at the start, any shape.
        end: state at the end, the same shape.
        first: derivative at the start, the same shape.
        last: derivative at the end, the same shape.
    """
    rest = 1.0 - share
    return (
        start * (rest * rest * (1.0 + 2.0 * share))
        + end * (share * share * (3.0 - 2.0 * share))
        + first * (share * rest * rest * size)
        - last * (share * share * rest * size)
    )

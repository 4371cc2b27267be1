"""Learning rates through a training: factors of the step's number, so nothing need be stored.

    cosine with warm-up   f(s) = s / w  for s < w,  then  f = e + (1 - e) (1 + cos(pi p)) / 2,
                          p = (s - w) / (S - w)

with S steps in all, w of warm-up and the last factor e. Source: Loshchilov, Hutter, SGDR:
Stochastic gradient descent with warm restarts, ICLR 2017, equation (5), without restarts.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from graphtide.errors import InputError

__all__ = ["Schedule", "constant", "cosine"]

Schedule: TypeAlias = Callable[[int], float]
"""Maps the number of a step (from 0) to the factor of the optimiser's learning rate."""


def constant(step: int) -> float:
    """Return 1 at every step."""
    del step
    return 1.0


def cosine(steps: int, *, warmup: int = 0, last: float = 0.0) -> Schedule:
    """Return a factor that rises to 1 over the warm-up and falls along a cosine to ``last``.

    Args:
        steps: number of steps in all; later ones keep ``last``.
        warmup: number of steps of the linear rise.
        last: factor at the end.

    Raises:
        InputError: there are not more steps than the warm-up takes.
    """
    if not 0 <= warmup < steps:
        raise InputError(f"a warm-up of {warmup} steps does not fit into {steps}")

    def factor(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        share = min(1.0, (step - warmup) / (steps - warmup))
        return last + (1.0 - last) * 0.5 * (1.0 + math.cos(math.pi * share))

    return factor

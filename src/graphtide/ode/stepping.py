"""The words that every integration method shares: a trial step, and what makes one.

A method maps (rhs, t, y, h) to a `Step` with y at t + h. The loop that chooses h, accepts or
rejects, and writes the output belongs to `graphtide.ode.integrate`; a method knows nothing of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

__all__ = ["Method", "RightHandSide", "Step", "clock"]

RightHandSide = Callable[[Tensor, Tensor], Tensor]
"""Maps a time (0-dim float64) and a state of any shape to d(state)/dt of the same shape."""


@dataclass(frozen=True, slots=True)
class Step:
    """What one trial step returns.

    Args:
        state: the state at the end of the step.
        error: estimate of the local error, shaped like the state; None for methods without one. A
            non-finite entry makes the loop reject the step and take a smaller one.
        derivative: the right-hand side at the end where the method knows it, to begin the next
            step.
        interpolate: maps a share in [0, 1] of the step to the state there; None where the method
            has no dense output. It need only hold until the next step is taken.
        evaluations: evaluations of the right-hand side that the step took.
    """

    state: Tensor
    error: Tensor | None
    derivative: Tensor | None
    interpolate: Callable[[float], Tensor] | None
    evaluations: int


class Method(Protocol):
    """One way to take a step; an instance belongs to one solve and may remember what it saw."""

    @property
    def name(self) -> str:
        """Name in the table of methods."""
        ...

    @property
    def order(self) -> int:
        """Order p of convergence: the global error falls as h^p."""
        ...

    @property
    def error_order(self) -> int:
        """Order q of the embedded solution: the error estimate of a step falls as h^(q+1)."""
        ...

    @property
    def adaptive(self) -> bool:
        """Whether steps carry an error estimate, so that their size can be controlled."""
        ...

    def step(
        self, rhs: RightHandSide, time: float, state: Tensor, derivative: Tensor | None, size: float
    ) -> Step:
        """Take one trial step of `size` (negative: backward in time) from `state` at `time`.

        `derivative` is the right-hand side at the start where the caller knows it.
        """
        ...


def clock(time: float, state: Tensor) -> Tensor:
    """Return `time` as a 0-dim float64 tensor on the state's device."""
    return torch.tensor(time, dtype=torch.float64, device=state.device)

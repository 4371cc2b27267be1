"""Step size control: the measure of an error, the PI controller, the first step.

    norm = sqrt(mean((error / (absolute + relative * max(|y_old|, |y_new|)))^2)),   accepted if <= 1
    h_new = h * clamp(0.9 norm^(-0.7/k) norm_last^(0.4/k), 0.2, 10),   k = order of the error
    estimate + 1

Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.4; the
controller of Gustafsson, ACM Transactions on Mathematical Software 17 (1991), with the exponents
of Hairer, Wanner, Solving Ordinary Differential Equations II (1996), IV.2.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from graphtide.ode.stepping import RightHandSide, clock

__all__ = ["Control", "StepController", "error_norm", "first_step"]

_SAFETY = 0.9
_LEAST_FACTOR = 0.2
_GREATEST_FACTOR = 10.0


@dataclass(frozen=True, slots=True)
class Control:
    """How the size of steps is chosen.

    Args:
        relative_tolerance: share of the state that a step's error may reach.
        absolute_tolerance: error that is always allowed, in the unit of the state.
        maximum_steps: most trial steps of one solve.
        step: fixed size of the steps; None lets the error choose.
        measured: measure the error of this many leading entries only; None measures all.
    """

    relative_tolerance: float
    absolute_tolerance: float
    maximum_steps: int
    step: float | None = None
    measured: int | None = None


class StepController:
    """The PI controller: remembers the last accepted error."""

    def __init__(self, error_order: int) -> None:
        self._exponent = 0.7 / (error_order + 1)
        self._memory = 0.4 / (error_order + 1)
        self._plain = 1.0 / (error_order + 1)
        self._last = 1.0
        self._rejected = False

    def accept(self, norm: float) -> float:
        """Return the factor for the next step after an accepted error."""
        norm = max(norm, 1e-10)
        factor = _SAFETY * norm**-self._exponent * self._last**self._memory
        self._last = max(norm, 1e-4)
        greatest = 1.0 if self._rejected else _GREATEST_FACTOR
        self._rejected = False
        return min(greatest, max(_LEAST_FACTOR, factor))

    def reject(self, norm: float) -> float:
        """Return the factor for another trial after a rejected error (it may be infinite)."""
        self._rejected = True
        if not math.isfinite(norm):
            return _LEAST_FACTOR
        return max(_LEAST_FACTOR, min(0.9, _SAFETY * norm**-self._plain))


@torch.no_grad()
def error_norm(error: Tensor, before: Tensor, after: Tensor, control: Control) -> float:
    """Return the weighted root mean square of an error; reads one number from the device."""
    if control.measured is not None:
        error, before, after = (x.reshape(-1)[: control.measured] for x in (error, before, after))
    scale = torch.maximum(before.abs(), after.abs())
    scale.mul_(control.relative_tolerance).add_(control.absolute_tolerance)
    return float(torch.linalg.vector_norm(error.detach() / scale)) / math.sqrt(error.numel())


@torch.no_grad()
def first_step(
    rhs: RightHandSide,
    time: float,
    state: Tensor,
    derivative: Tensor,
    span: float,
    order: int,
    control: Control,
) -> float:
    """Return a first step with the sign of `span` and at most its length; one evaluation.

    Source: Hairer, Norsett, Wanner (1993), II.4, algorithm after (4.14).
    """
    zero = torch.zeros_like(state)
    size_state = error_norm(state, state, zero, control)
    size_slope = error_norm(derivative, state, zero, control)
    if not math.isfinite(size_slope):
        return math.copysign(min(1e-6, abs(span)), span)
    small = size_state < 1e-5 or size_slope < 1e-5
    guess = min(1e-6 if small else 0.01 * size_state / size_slope, abs(span))
    probe = torch.add(state, derivative, alpha=math.copysign(guess, span))
    slope = rhs(clock(time + math.copysign(guess, span), state), probe)
    size_curve = error_norm(slope - derivative, state, zero, control) / guess
    largest = max(size_slope, size_curve)
    if not math.isfinite(largest):
        return math.copysign(guess, span)
    better = max(1e-6, guess * 1e-3)
    if largest > 1e-15:
        better = (0.01 / largest) ** (1.0 / (order + 1))
    return math.copysign(min(100.0 * guess, better, abs(span)), span)

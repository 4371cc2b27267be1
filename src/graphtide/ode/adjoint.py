"""The continuous adjoint: the gradient of an integration as another integration, backwards in time.

    da/dt = -(df/dy)^T a,   dL/dp = integral of (df/dp)^T a dt,   y again from dy/dt = f

Memory does not grow with the steps, but the gradient is only as exact as the tolerances of both
solves, and y is integrated backwards, which is ill-posed for strongly dissipative systems; it is
reset at every output time. The error of the parameter integral does not limit the steps (Kidger,
Chen, Lyons, ICML 2021), and cotangents are scaled to order one, so that the absolute tolerance has
a meaning for them.

Source: Chen, Rubanova, Bettencourt, Duvenaud, Neural Ordinary Differential Equations, NeurIPS 2018,
appendix B.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode.control import Control
from graphtide.ode.integrate import integrate
from graphtide.ode.stepping import Method, RightHandSide

__all__ = ["attach_adjoint"]


def attach_adjoint(
    make: Callable[[], Method],
    rhs: RightHandSide,
    start: Tensor,
    states: Tensor,
    times: Sequence[float],
    control: Control,
    watched: Sequence[Tensor],
) -> Tensor:
    """Return `states` (T, ...) as a function of `start` and of `watched`.

    Args:
        make: makes a fresh instance of the method for each backward solve.
        rhs: the right-hand side.
        start: the state at `times[0]`.
        states: the outputs of the solve, without gradient.
        times: the output times.
        control: tolerances, or the fixed step, also of the backward solve.
        watched: tensors whose gradient is wanted.
    """
    result: Tensor = _Adjoint.apply((make, rhs, tuple(times), control), states, start, *watched)
    return result


class _Adjoint(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, problem: Any, states: Tensor, start: Tensor, *watched: Tensor) -> Tensor:
        del start
        ctx.problem = problem
        result = states.clone()
        ctx.save_for_backward(result, *watched)
        return result

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "gradient='adjoint' has no gradient of the gradient; 'direct' and 'checkpointed' do"
            )
        make, rhs, times, control = ctx.problem
        states, *watched = ctx.saved_tensors
        shape, count = states.shape[1:], states[0].numel()
        cotangent = cotangents[0].reshape(len(times), -1)
        scale = cotangent.abs().max()
        scale = torch.where(scale > 0, scale, 1.0)
        cotangent = cotangent / scale

        def augmented(time: Tensor, joint: Tensor) -> Tensor:
            with torch.enable_grad():
                state = joint[:count].detach().view(shape).requires_grad_()
                value = rhs(time, state)
            parts = [torch.zeros_like(state), *map(torch.zeros_like, watched)]
            if value.requires_grad:
                given = -joint[count : 2 * count].view(shape)
                grown = torch.autograd.grad(value, [state, *watched], given, allow_unused=True)
                parts = [
                    zero if part is None else part for zero, part in zip(parts, grown, strict=True)
                ]
            flat = [value.detach(), *parts]
            return torch.cat([part.reshape(-1).to(joint.dtype) for part in flat])

        total = sum(tensor.numel() for tensor in watched)
        moved = torch.cat([cotangent[-1], cotangent.new_zeros(total)])
        for index in range(len(times) - 1, 0, -1):
            joint = torch.cat([states[index].reshape(-1), moved])
            path = integrate(
                make(),
                augmented,
                joint,
                (times[index], times[index - 1]),
                replace(control, measured=2 * count),
            )
            moved = path.states[-1][count:]
            moved[:count] += cotangent[index - 1]
        moved = moved * scale
        sizes = [tensor.numel() for tensor in watched]
        grown = moved[count:].split(sizes) if watched else ()
        pulled = [
            part.view(tensor.shape).to(tensor.dtype)
            for part, tensor in zip(grown, watched, strict=True)
        ]
        return None, None, moved[:count].view(shape), *pulled

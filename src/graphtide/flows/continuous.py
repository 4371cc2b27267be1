"""Continuous flow: depth is time, and the log-determinant is an integral along the path.

    dx/dt = f(t, x, c),   d(log |det|)/dt = tr df/dx,   z = x(t_1)

The trace is exact where the dimension allows, otherwise Hutchinson's unbiased estimate e^T J e with
one e of independent signs a solve. Paths can be kept straight by two costs, integrals of |f|^2
(kinetic energy) and of the squared Frobenius norm of J.

Sources: Chen, Rubanova, Bettencourt, Duvenaud, Neural Ordinary Differential Equations, NeurIPS
2018, theorem 1; FFJORD, Grathwohl et al., ICLR 2019, equation (8); Finlay, Jacobsen, Nurbekyan,
Oberman, How to Train Your Neural ODE, ICML 2020, equations (9-10).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection
from graphtide.flows.fields import BoundField, MultilayerField, bind
from graphtide.ode.solve import METHODS, Gradient, solve

__all__ = ["ContinuousFlow", "RegularisedPath", "Trace"]

Trace = Literal["auto", "exact", "hutchinson"]

# The share of a log-determinant's error that counts in the step control beside the errors of the
# coordinates: an error of 1e-4 in log p is far below the noise of any likelihood.
_LOG_DET_SHARE = 1e-2


@dataclass(frozen=True, slots=True)
class RegularisedPath:
    """What a path leaves behind.

    Args:
        z: where it ends (..., D).
        log_abs_det: (...).
        kinetic_energy: integral of |f|^2 along the path (...).
        jacobian_norm: integral of the squared Frobenius norm of J (...); exact or estimated like
            the trace.
    """

    z: Tensor
    log_abs_det: Tensor
    kinetic_energy: Tensor
    jacobian_norm: Tensor


class ContinuousFlow(Bijection):
    """Flow along a velocity field from the first to the last time of an interval.

    The inverse is the same solve backwards in time: it is as exact as the tolerances.

    Args:
        field: a module that maps time (0-dim float64), x (B, D) and condition (B, C) or None to
            velocities (B, D), each row for itself; `MultilayerField` has fast derivatives. None
            makes one of the default widths.
        dimension: D.
        condition_dimension: C.
        interval: first and last time.
        trace: "exact", "hutchinson", or "auto" for the exact one where the dimension allows.
        method: explicit method of `graphtide.ode.solve.METHODS`.
        relative_tolerance: of the solve; ten times the absolute one is usual in training.
        absolute_tolerance: of the solve, in the unit of x.
        step: fixed size of steps, for methods without an error estimate.
        gradient: "direct" (exact for the steps taken), "checkpointed" or "adjoint" (constant
            memory).
        generator: of the signs of Hutchinson's estimate; None draws from torch's own.

    Raises:
        InputError: a choice is unknown, or does not fit.
    """

    def __init__(
        self,
        field: nn.Module | None,
        dimension: int,
        *,
        condition_dimension: int = 0,
        interval: tuple[float, float] = (0.0, 1.0),
        trace: Trace = "auto",
        method: str = "dormand_prince5",
        relative_tolerance: float = 1e-5,
        absolute_tolerance: float = 1e-6,
        step: float | None = None,
        gradient: Gradient = "direct",
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__(dimension, condition_dimension)
        if trace not in get_args(Trace):
            raise InputError(f"trace {trace!r} is unknown; known are {', '.join(get_args(Trace))}")
        if method not in METHODS:
            raise InputError(
                f"method {method!r} is unknown; known are {', '.join(sorted(METHODS))}"
            )
        if gradient == "reversible":
            raise InputError("gradient='reversible' is for HamiltonianFlow; 'adjoint' serves here")
        if interval[0] == interval[1]:
            raise InputError(f"the interval {interval} must have a length")
        self.field = MultilayerField(dimension, condition_dimension) if field is None else field
        self.interval, self.trace, self.method, self.step = interval, trace, method, step
        self.relative_tolerance, self.absolute_tolerance = relative_tolerance, absolute_tolerance
        self.gradient: Gradient = gradient
        self.generator = generator

    def _forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._flow(x, condition, self.interval)

    def _inverse(self, z: Tensor, condition: Tensor | None) -> Tensor:
        bound = bind(self.field, _flat(condition))
        start = z.reshape(-1, self.dimension)
        return self._solve(bound.velocity, bound, start, self.interval[::-1])[-1].view(z.shape)

    def _inverse_with_log_det(self, z: Tensor, condition: Tensor | None) -> tuple[Tensor, Tensor]:
        return self._flow(z, condition, self.interval[::-1])

    def path(self, x: Tensor, times: ArrayLike, condition: Tensor | None = None) -> Tensor:
        """Return the points at T `times` (T, ..., D); the first time is that of `x`.

        Raises:
            InputError: a shape does not fit, or the times do not increase or decrease strictly.
        """
        bound = bind(self.field, _flat(self._checked(x, condition)))
        states = self._solve(bound.velocity, bound, x.reshape(-1, self.dimension), times)
        return states.view(-1, *x.shape)

    def regularised(self, x: Tensor, condition: Tensor | None = None) -> RegularisedPath:
        """Return the end of the path of x (..., D) with its costs, for a penalty in training.

        The exact trace costs a whole Jacobian here. Costs are integrated beside the state and
        take part in the step control like the log-determinant.

        Raises:
            InputError: a shape does not fit.
        """
        bound = bind(self.field, _flat(self._checked(x, condition)))
        start = x.reshape(-1, self.dimension)
        size, exact = self.dimension, self._is_exact(bound)
        noise = None if exact else self._signs(start)

        def rates(time: Tensor, state: Tensor) -> Tensor:
            at = state[:, :size]
            if noise is None:
                velocity, jacobian = bound.jacobian(time, at)
                trace = jacobian.diagonal(dim1=1, dim2=2).sum(-1)
                norm = jacobian.square().sum((1, 2))
            else:
                velocity, product = bound.product(time, at, noise)
                trace, norm = (product * noise).sum(-1), product.square().sum(-1)
            costs = torch.stack([trace, velocity.square().sum(-1), norm], dim=-1)
            return torch.cat([velocity, _LOG_DET_SHARE * costs], dim=-1)

        joint = torch.cat([start, start.new_zeros(len(start), 3)], dim=-1)
        end = self._solve(rates, bound, joint, self.interval)[-1]
        costs = (end[:, size:] / _LOG_DET_SHARE).unbind(-1)
        batch = x.shape[:-1]
        return RegularisedPath(
            end[:, :size].reshape(x.shape), *(cost.reshape(batch) for cost in costs)
        )

    def _flow(
        self, x: Tensor, condition: Tensor | None, interval: tuple[float, ...]
    ) -> tuple[Tensor, Tensor]:
        bound = bind(self.field, _flat(condition))
        start = x.reshape(-1, self.dimension)
        size = self.dimension
        noise = None if self._is_exact(bound) else self._signs(start)

        def rates(time: Tensor, state: Tensor) -> Tensor:
            at = state[:, :size]
            if noise is None:
                velocity, trace = bound.divergence(time, at)
            else:
                velocity, product = bound.product(time, at, noise)
                trace = (product * noise).sum(-1)
            return torch.cat([velocity, _LOG_DET_SHARE * trace[:, None]], dim=-1)

        joint = torch.cat([start, start.new_zeros(len(start), 1)], dim=-1)
        end = self._solve(rates, bound, joint, interval)[-1]
        log_det = end[:, size] / _LOG_DET_SHARE
        return end[:, :size].reshape(x.shape), log_det.reshape(x.shape[:-1])

    def _solve(
        self,
        rhs: Callable[[Tensor, Tensor], Tensor],
        bound: BoundField,
        start: Tensor,
        times: ArrayLike,
    ) -> Tensor:
        if not start.numel():
            raise InputError("at least one point is wanted; the batch is empty")
        return solve(
            rhs,
            start,
            times,
            method=self.method,
            relative_tolerance=self.relative_tolerance,
            absolute_tolerance=self.absolute_tolerance,
            step=self.step,
            gradient=self.gradient,
            parameters=[tensor for tensor in bound.tensors if tensor.requires_grad],
        ).states

    def _is_exact(self, bound: BoundField) -> bool:
        if self.trace == "auto":
            return self.dimension <= bound.exact_dimension
        return self.trace == "exact"

    def _signs(self, like: Tensor) -> Tensor:
        """Return independent signs, each of -1 and 1 with probability one half."""
        drawn = torch.randint(0, 2, like.shape, generator=self.generator, device=like.device)
        return (2 * drawn - 1).to(like.dtype)


def _flat(condition: Tensor | None) -> Tensor | None:
    return None if condition is None else condition.reshape(-1, condition.shape[-1])

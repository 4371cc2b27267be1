"""One module for every depth: residual block, refined residual network, neural ODE.

    dh/dt = f(t, h),   h(a) = what goes in,   h(b) = what comes out

One Euler step over an interval of length one is the residual block h + f(h). More steps, or a
method of higher order, refine the same weights; a method that controls its error is the neural ODE
(Chen, Rubanova, Bettencourt, Duvenaud, NeurIPS 2018). A trained residual network becomes such a
module by `as_continuous`, and the module becomes a residual network by `Depth.as_residual`; what
either costs is measured against the step by `refine` (first-order in the step for Euler: Hairer,
Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.3).
"""

import copy
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.nn.residual import (
    Piece,
    ResidualNetwork,
    ScheduleKind,
    WeightSchedule,
    checked_interval,
)
from graphtide.ode.methods import make_method
from graphtide.ode.solve import Gradient, Solution, solve
from graphtide.ode.symplectic import SeparableSystem

__all__ = ["Depth", "DepthTrajectory", "Refinement", "as_continuous", "refine"]


@dataclass(frozen=True, slots=True)
class DepthTrajectory:
    """States on their way through depth.

    Args:
        times: depths, (T,) float64.
        states: states there, (T, ...), without gradient.
        evaluations: evaluations of the field over the whole interval.
    """

    times: Tensor
    states: Tensor
    evaluations: int


class Depth(nn.Module):
    """Carry a state through depth: h(b) from h(a) for dh/dt = f(t, h).

    Args:
        field: f(t, h, ...), a module that maps a time (0-dim float64), a state and what is bound
            to it to a tensor of the state's shape; a `WeightSchedule`, whose pieces are solved one
            by one; or a `SeparableSystem` for the symplectic methods.
        interval: depths (a, b) of the state that goes in and of the one that comes out.
        steps: number of equal steps over the interval; a multiple of the number of pieces of a
            schedule. None: one step a piece for methods without an error estimate, and as many as
            the tolerances ask for others.
        method: a name of `graphtide.ode.solve.METHODS`, or "auto".
        relative_tolerance: share of the state that the error of a step may reach.
        absolute_tolerance: error that is always allowed.
        gradient: "direct", "checkpointed", "adjoint" or "reversible", see `graphtide.ode.solve`.

    Raises:
        InputError: the interval does not increase, there are fewer steps than one, steps would
            straddle the pieces of a schedule, or the method or the gradient is unknown.

    Example:
        >>> import torch
        >>> from graphtide.nn.residual import Autonomous
        >>> layer = Autonomous(torch.nn.Linear(2, 2).double())
        >>> h = torch.ones(3, 2, dtype=torch.float64)
        >>> block = Depth(layer, (0.0, 1.0), steps=1, method="euler")
        >>> bool(torch.allclose(block(h), h + layer.layer(h)))
        True
    """

    def __init__(
        self,
        field: nn.Module | SeparableSystem,
        interval: tuple[float, float] = (0.0, 1.0),
        steps: int | None = None,
        method: str = "euler",
        *,
        relative_tolerance: float = 1e-6,
        absolute_tolerance: float = 1e-8,
        gradient: Gradient = "direct",
    ) -> None:
        super().__init__()
        self.interval = checked_interval(interval)
        if isinstance(field, WeightSchedule) and field.interval != self.interval:
            raise InputError(
                f"the schedule is over {field.interval}, the depth over {self.interval}; both "
                "must be the same"
            )
        self.field = field
        if isinstance(field, SeparableSystem):  # so that their parameters are this module's
            parts = (field.velocity, field.force)
            self.parts = nn.ModuleList(part for part in parts if isinstance(part, nn.Module))
        elif not isinstance(field, nn.Module):
            raise InputError(
                f"the field must be a torch module or a SeparableSystem; it is a "
                f"{type(field).__name__}"
            )
        if method != "auto":
            make_method(method, relative_tolerance, absolute_tolerance)  # it refuses unknown names
        if gradient not in ("direct", "checkpointed", "adjoint", "reversible"):
            raise InputError(f"gradient {gradient!r} is unknown")
        pieces = len(self.pieces())
        if steps is not None and (not isinstance(steps, int) or steps < 1):
            raise InputError(f"steps must be a whole number of at least 1; it is {steps!r}")
        if steps is not None and steps % pieces:
            raise InputError(
                f"{steps} steps would straddle the {pieces} pieces of the weight schedule; take a "
                f"multiple of {pieces}"
            )
        self.steps, self.method = steps, method
        self.gradient: Gradient = gradient
        self.relative_tolerance = relative_tolerance
        self.absolute_tolerance = absolute_tolerance

    def pieces(self) -> list[Piece]:
        """Return the stretches of the interval on which the field is smooth."""
        if isinstance(self.field, WeightSchedule):
            return self.field.pieces()
        return [Piece(*self.interval, self.field, tuple(self.field.parameters()))]

    def forward(self, state: Tensor, *context: object) -> Tensor:
        """Return the state at the end of the interval, shaped like `state`.

        Args:
            state: the state at its start, any shape, floating point.
            *context: what the field takes after time and state, such as a graph; gradients flow
                to tensors among it.

        Raises:
            InputError: the field gives another shape than the state's.
            ComputationError: the solve failed.
        """
        for piece in self.pieces():
            state = self._solve(piece, state, context).states[-1]
        return state

    @torch.no_grad()
    def trajectory(
        self, state: Tensor, times: ArrayLike | Tensor, *context: object
    ) -> DepthTrajectory:
        """Return the states at depths within the interval; the steps are those of `forward`.

        Between the ends of steps the states are those of the method's dense output.

        Raises:
            InputError: the times do not increase, or leave the interval.
        """
        wanted = _checked_times(times, self.interval)
        states: list[Tensor] = []
        evaluations = 0
        pieces = self.pieces()
        for index, piece in enumerate(pieces):
            solution = self._solve(piece, state, context, dense=True)
            evaluations += solution.statistics.evaluations
            last = index == len(pieces) - 1
            assert solution.interpolant is not None  # dense output was asked for
            for time in wanted[len(states) :]:
                if time >= piece.stop and not last:
                    break
                states.append(solution.interpolant(min(time, piece.stop)))
            state = solution.states[-1]
        reached = torch.tensor(wanted, dtype=torch.float64, device=state.device)
        return DepthTrajectory(reached, torch.stack(states), evaluations)

    def refined(
        self,
        *,
        steps: int | None = None,
        method: str | None = None,
        relative_tolerance: float | None = None,
        absolute_tolerance: float | None = None,
    ) -> "Depth":
        """Return the same field with the same weights under another numerical method.

        Args:
            steps: as for the class.
            method: another method; the same where not given.
            relative_tolerance: another tolerance; the same where not given.
            absolute_tolerance: another tolerance; the same where not given.
        """
        relative, absolute = self.relative_tolerance, self.absolute_tolerance
        return Depth(
            self.field,
            self.interval,
            steps,
            self.method if method is None else method,
            relative_tolerance=relative if relative_tolerance is None else relative_tolerance,
            absolute_tolerance=absolute if absolute_tolerance is None else absolute_tolerance,
            gradient=self.gradient,
        )

    def as_residual(self, steps: int) -> ResidualNetwork:
        """Return the residual network of `steps` Euler steps, each block with its own weights.

        The weights of a block are those of the field at the start of its step. With as many steps
        as a schedule has pieces this undoes `as_continuous` exactly. With fewer, a step spans
        several pieces and sees only the first of them.

        Raises:
            InputError: there are fewer steps than one, or the field is a `SeparableSystem`.
        """
        if not isinstance(steps, int) or steps < 1:
            raise InputError(f"steps must be a whole number of at least 1; it is {steps!r}")
        field = self.field
        if isinstance(field, SeparableSystem):
            raise InputError("a SeparableSystem has no residual network; its steps are shears")
        start, stop = self.interval
        if isinstance(field, WeightSchedule):
            times = [start + (stop - start) * index / steps for index in range(steps)]
            blocks = [field.block_at(time) for time in times]
        else:
            blocks = [copy.deepcopy(field) for _ in range(steps)]
        return ResidualNetwork(blocks, self.interval)

    def _solve(
        self, piece: Piece, state: Tensor, context: tuple[object, ...], *, dense: bool = False
    ) -> Solution:
        field = piece.field
        if isinstance(field, SeparableSystem):
            if context:
                raise InputError("a SeparableSystem takes a time and a state, and nothing else")
            rhs = field
        elif context:

            def rhs(time: Tensor, state: Tensor) -> Tensor:
                return field(time, state, *context)
        else:
            rhs = field
        step = None
        if self.steps is not None:
            step = (piece.stop - piece.start) / (self.steps // len(self.pieces()))
        bound = [part for part in context if isinstance(part, Tensor) and part.requires_grad]
        return solve(
            rhs,
            state,
            [piece.start, piece.stop],
            method=self.method,
            step=step,
            relative_tolerance=self.relative_tolerance,
            absolute_tolerance=self.absolute_tolerance,
            gradient="direct" if dense else self.gradient,
            parameters=(*piece.weights, *bound),
            dense=dense,
        )


def as_continuous(
    network: ResidualNetwork,
    schedule: ScheduleKind = "constant",
    *,
    steps: int | None = None,
    method: str = "dormand_prince5",
    relative_tolerance: float = 1e-6,
    absolute_tolerance: float = 1e-8,
    gradient: Gradient = "direct",
) -> Depth:
    """Read a residual network as a differential net with the very same weights.

    Args:
        network: L blocks alike in structure.
        schedule: how weights pass from block to block, see `WeightSchedule`.
        steps: as for `Depth`; L with method="euler" give the residual network itself.
        method: as for `Depth`.
        relative_tolerance: as for `Depth`.
        absolute_tolerance: as for `Depth`.
        gradient: as for `Depth`.

    Raises:
        InputError: blocks differ in more than the values of their parameters, or as for `Depth`.
    """
    return Depth(
        WeightSchedule(network.blocks, network.interval, schedule),
        network.interval,
        steps,
        method,
        relative_tolerance=relative_tolerance,
        absolute_tolerance=absolute_tolerance,
        gradient=gradient,
    )


@dataclass(frozen=True, slots=True)
class Refinement:
    """How the output of a depth approaches its limit as the step goes to zero.

    Args:
        method: the numerical method.
        steps: numbers of steps over the interval.
        sizes: their sizes, in the unit of depth.
        differences: root mean square of (output - limit) over that of the limit, one a row.
        order: slope of log difference against log size by least squares, over the differences
            above round-off (1000 units in the last place); not a number with fewer than two.
    """

    method: str
    steps: tuple[int, ...]
    sizes: tuple[float, ...]
    differences: tuple[float, ...]
    order: float


@torch.no_grad()
def refine(
    depth: Depth, state: Tensor, *context: object, steps: Sequence[int], method: str = "euler"
) -> Refinement:
    """Report how far outputs with finite steps are from the limit of no step at all.

    The limit is taken by Dormand and Prince's method of order 8 at a tolerance of 100 units in the
    last place of the state's dtype: float64 is advised.

    Args:
        depth: the field and its interval; its own steps and method play no part.
        state: what goes in.
        *context: what the field takes after time and state.
        steps: numbers of steps, such as (32, 64, 128).
        method: method of the finite steps.

    Raises:
        InputError: as for `Depth`.
    """
    epsilon = torch.finfo(state.dtype).eps
    limit = depth.refined(
        method="dormand_prince8",
        relative_tolerance=100.0 * epsilon,
        absolute_tolerance=100.0 * epsilon,
    )(state, *context)
    scale = float(limit.square().mean().sqrt())
    differences = []
    for count in steps:
        output = depth.refined(steps=count, method=method)(state, *context)
        differences.append(float((output - limit).square().mean().sqrt()) / scale)
    length = depth.interval[1] - depth.interval[0]
    sizes = tuple(length / count for count in steps)
    usable = [
        (math.log(size), math.log(difference))
        for size, difference in zip(sizes, differences, strict=True)
        if difference > 1000.0 * epsilon
    ]
    order = math.nan
    if len(usable) > 1:
        order = float(np.polyfit(*np.array(usable).T, deg=1)[0])
    return Refinement(method, tuple(steps), sizes, tuple(differences), order)


def _checked_times(times: ArrayLike | Tensor, interval: tuple[float, float]) -> list[float]:
    values = np.atleast_1d(np.asarray(times, dtype=np.float64)).tolist()
    for index, (before, after) in enumerate(itertools.pairwise(values), start=1):
        if not before < after:
            raise InputError(f"times must increase; entry {index}, {after:g}, follows {before:g}")
    start, stop = interval
    if not (values and start <= values[0] and values[-1] <= stop):
        raise InputError(f"times must lie within the interval from {start:g} to {stop:g}")
    return values

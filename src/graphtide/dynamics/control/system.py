"""A system that can be steered, and its roll-out under inputs.

dx/dt = f(t, x, u), where the inputs u(t) of M actuators are constant on each of K intervals. The
common case is additive, dx_i/dt = f_i(t, x) + u_m at the driver nodes i = i_m. Each interval is
solved by :func:`graphtide.ode.solve`, so gradients reach the inputs through the solver's own steps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode.solve import solve

if TYPE_CHECKING:
    from graphtide.vector_field import RightHandSide

__all__ = ["ControlledField", "Solver", "additive", "energy_of", "free_motion", "roll_out"]

ControlledField: TypeAlias = "Callable[[Tensor, Tensor, Tensor], Tensor]"
"""(time, states (N, D), inputs (M,)) -> d(states)/dt, shape (N, D)."""


@dataclass(frozen=True, slots=True)
class Solver:
    """How the intervals are integrated.

    Attributes:
        method: a name of `ode.METHODS`.
        step: fixed size of steps, in the unit of time; None lets an adaptive method choose.
        relative_tolerance: of the local error.
        absolute_tolerance: of the local error, in the unit of the states.
    """

    method: str = "dormand_prince5"
    step: float | None = None
    relative_tolerance: float = 1e-6
    absolute_tolerance: float = 1e-8


def additive(rhs: RightHandSide, drivers: np.ndarray, *, variable: int = 0) -> ControlledField:
    """Return f(t, x) + B u: each input is added to d/dt of one variable of one driver node.

    Args:
        rhs: the free system on its graph.
        drivers: numbers of the M driver nodes.
        variable: which of the D variables the inputs act on.
    """
    nodes = torch.as_tensor(np.asarray(drivers, dtype=np.int64))

    def driven(time: Tensor, states: Tensor, inputs: Tensor) -> Tensor:
        change = rhs(time, states)
        place = nodes.to(change.device) * change.shape[-1] + variable
        added = change.new_zeros(change.numel()).index_add(0, place, inputs.to(change.dtype))
        return change + added.view_as(change)

    return driven


def roll_out(
    field: ControlledField,
    start: Tensor,
    inputs: Tensor,
    times: np.ndarray,
    solver: Solver | None = None,
) -> Tensor:
    """Return the states at the ends of all intervals, shape (K + 1, N, D), the start first.

    Args:
        field: the steered system.
        start: shape (N, D).
        inputs: shape (K, M), constant on each interval; may require a gradient.
        times: (K + 1,) ends of the intervals, increasing.
        solver: how to integrate.

    Raises:
        InputError: shapes do not fit.
        ComputationError: the integration failed.
    """
    solver = solver or Solver()
    if len(times) != inputs.shape[0] + 1:
        raise InputError(
            f"{inputs.shape[0]} intervals of inputs need {inputs.shape[0] + 1} times; "
            f"there are {len(times)}"
        )
    states = [start]
    for k in range(inputs.shape[0]):
        values = inputs[k]

        def rhs(time: Tensor, state: Tensor, values: Tensor = values) -> Tensor:
            return field(time, state, values)

        solution = solve(
            rhs,
            states[-1],
            times[k : k + 2],
            method=solver.method,
            step=solver.step,
            relative_tolerance=solver.relative_tolerance,
            absolute_tolerance=solver.absolute_tolerance,
            parameters=(values,),
        )
        states.append(solution.states[-1])
    return torch.stack(states)


def free_motion(
    rhs: RightHandSide, start: np.ndarray, times: np.ndarray, solver: Solver | None = None
) -> np.ndarray:
    """Return the states (T, N, D) of the system that is left alone."""
    solver = solver or Solver()
    with torch.no_grad():
        solution = solve(
            rhs,
            torch.as_tensor(start, dtype=torch.float64),
            times,
            method=solver.method,
            step=solver.step,
            relative_tolerance=solver.relative_tolerance,
            absolute_tolerance=solver.absolute_tolerance,
        )
    return solution.states.numpy()


def energy_of(inputs: np.ndarray, times: np.ndarray) -> float:
    """Return the energy: the integral over time of the sum of u_m(t)^2."""
    return float((np.square(inputs).sum(axis=1) * np.diff(times)).sum())

"""Driver nodes for a nonlinear system: those through which the target draws nearer fastest.

Along a trajectory under the inputs so far, the adjoint lambda_i(t) is the gradient of the distance
to the target by an input at node i at time t: d lambda/dt = -J' lambda backwards from the end, as
the gradient through the solver gives it. Node i is worth integral lambda_i(t)^2 dt, the fall of the
distance per energy spent there; for a linear system this is the Gramian's rule. Nodes are taken in
a few rounds, the inputs of those taken planned in between, so that later nodes do what earlier ones
cannot.

Reference:
    Mallat & Zhang, IEEE Trans. Signal Processing 41 (1993) 3397: matching pursuit, the same greed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from graphtide.dynamics.control.optimal import Bounds, steer
from graphtide.dynamics.control.system import Solver, additive, roll_out
from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.vector_field import RightHandSide

__all__ = ["adjoint_drivers", "driver_worth"]


def driver_worth(
    rhs: RightHandSide,
    start: np.ndarray,
    target: np.ndarray,
    times: np.ndarray,
    *,
    drivers: np.ndarray | None = None,
    inputs: np.ndarray | None = None,
    bounds: Bounds | None = None,
    variable: int = 0,
    solver: Solver | None = None,
) -> np.ndarray:
    """Return integral lambda_i(t)^2 dt of each node, shape (N,), not negative.

    Args:
        rhs: the free system on its graph.
        start: (N, D).
        target: (N, D), NaN where anything may be.
        times: (K + 1,).
        drivers: nodes that are driven already, (M,).
        inputs: their inputs, (K, M).
        bounds: of inputs; moments at which only an input beyond them would help do not count.
        variable: which variable inputs act on.
        solver: how to integrate.
    """
    nodes, count = len(start), len(times) - 1
    every = np.zeros((count, nodes))
    if drivers is not None and inputs is not None:
        every[:, drivers] = inputs
    given = torch.tensor(every, requires_grad=True)
    field = additive(rhs, np.arange(nodes), variable=variable)
    begun = torch.as_tensor(np.asarray(start, dtype=np.float64))
    known = torch.as_tensor(np.isfinite(target))
    goal = torch.as_tensor(np.nan_to_num(target))
    end = roll_out(field, begun, given, times, solver)[-1]
    off = (end - goal)[known].square().sum() / 2
    (slope,) = torch.autograd.grad(off, given)
    widths = np.diff(times)[:, None]
    adjoint = slope.numpy() / widths  # the gradient of an interval is the adjoint's integral
    limits = bounds or Bounds()
    wanted = np.where(adjoint < 0.0, every < limits.high, every > limits.low)
    return (np.square(adjoint) * wanted * widths).sum(axis=0)


def adjoint_drivers(
    rhs: RightHandSide,
    start: np.ndarray,
    target: np.ndarray,
    times: np.ndarray,
    count: int,
    *,
    bounds: Bounds | None = None,
    variable: int = 0,
    rounds: int = 3,
    iterations: int = 10,
    solver: Solver | None = None,
) -> np.ndarray:
    """Return numbers of driver nodes, best first, shape (count,), int64.

    Args:
        rhs: the free system on its graph.
        start: (N, D).
        target: (N, D), NaN where anything may be.
        times: (K + 1,) ends of the intervals of constant input.
        count: how many drivers.
        bounds: of their inputs.
        variable: which variable the inputs act on.
        rounds: how often the inputs are planned again before more nodes are taken.
        iterations: of L-BFGS-B in each of these plans.
        solver: how to integrate.

    Raises:
        InputError: the count is not between 1 and N.
    """
    nodes = len(start)
    if not 1 <= count <= nodes:
        raise InputError(f"{count} drivers of {nodes} nodes; between 1 and {nodes} were expected")
    chosen = np.zeros(0, dtype=np.int64)
    inputs = np.zeros((len(times) - 1, 0))
    parts = np.unique(np.ceil(np.linspace(0, count, min(rounds, count) + 1)).astype(int))[1:]
    for wanted in parts:
        worth = driver_worth(
            rhs,
            start,
            target,
            times,
            drivers=chosen,
            inputs=inputs,
            bounds=bounds,
            variable=variable,
            solver=solver,
        )
        worth[chosen] = -1.0
        added = np.argsort(-worth, kind="stable")[: wanted - len(chosen)]
        chosen = np.concatenate([chosen, added])
        if wanted == count:
            break
        plan = steer(
            additive(rhs, chosen, variable=variable),
            start,
            target,
            times,
            len(chosen),
            bounds=bounds,
            guess=np.concatenate([inputs, np.zeros((len(inputs), len(added)))], axis=1),
            iterations=(iterations + 1) // 2,
            rounds=0,
            solver=solver,
        )
        inputs = plan.inputs
    return chosen

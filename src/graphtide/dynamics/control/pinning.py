"""Hold some nodes on a wanted trajectory and let the others follow.

Held on a feedback vertex set (and the source nodes), a network whose nodes decay by themselves
follows whatever trajectory of the free system the held nodes are given, a steady state among them:
the control of nonlinear networks that needs no more than their structure.

References:
    Mochizuki, Fiedler, Kurosawa & Saito, Journal of Theoretical Biology 335 (2013) 130.
    Zanudo, Yang & Albert, PNAS 114 (2017) 7234.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.control.system import Solver
from graphtide.errors import InputError
from graphtide.ode.solve import solve

if TYPE_CHECKING:
    from graphtide.vector_field import RightHandSide

__all__ = ["hold_nodes"]


def hold_nodes(
    rhs: RightHandSide,
    start: np.ndarray,
    target: np.ndarray,
    nodes: np.ndarray,
    times: np.ndarray,
    *,
    solver: Solver | None = None,
) -> np.ndarray:
    """Return the states (T, N, D) while some nodes are held at their target from the first time on.

    Args:
        rhs: the free system on its graph.
        start: (N, D).
        target: (N, D); only the rows of the held nodes are used.
        nodes: numbers of the nodes that are held, (M,).
        times: (T,) increasing.
        solver: how to integrate.

    Raises:
        InputError: the target of a held node is not finite.
        ComputationError: the integration failed.
    """
    solver = solver or Solver()
    held = np.asarray(nodes, dtype=np.int64)
    wanted = np.asarray(target, dtype=np.float64)
    if not np.isfinite(wanted[held]).all():
        raise InputError("a node cannot be held where its target is missing")
    begun = np.array(start, dtype=np.float64)
    begun[held] = wanted[held]
    free = torch.ones(len(begun), 1, dtype=torch.float64)
    free[torch.as_tensor(held)] = 0.0

    def pinned(time: Tensor, states: Tensor) -> Tensor:
        return rhs(time, states) * free

    with torch.no_grad():
        solution = solve(
            pinned,
            torch.as_tensor(begun),
            np.asarray(times, dtype=np.float64),
            method=solver.method,
            step=solver.step,
            relative_tolerance=solver.relative_tolerance,
            absolute_tolerance=solver.absolute_tolerance,
        )
    return solution.states.numpy()

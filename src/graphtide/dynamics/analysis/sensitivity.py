"""How much an outcome changes with each node, edge and parameter: all of them by one adjoint.

At a stable fixed point, f(x, p) = 0 and an outcome g(x): with J^T a = -dg/dx (one linear solve),

    dg/dp = <a, df/dp>,   dg/dA_ij = <a_i, df_i/dA_ij>,   dg/du_i = a_i

where u_i is a steady push on the rate of node i (the implicit function theorem). Through time, the
same from the gradient through the solver; dg/du_i is then that of the start. Source: Cao, Li,
Petzold, Serban, SIAM J. Scientific Computing 24, 2003.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.linear import factorised
from graphtide.ode.solve import solve

__all__ = ["Sensitivity", "steady_sensitivity", "timed_sensitivity"]


@dataclass(frozen=True, slots=True, eq=False)
class Sensitivity:
    """Derivatives of an outcome: the mean over nodes of the first variable.

    Args:
        outcome: its value.
        nodes: by a steady push on each rate (at rest) or by the start (through time), (N, D).
        edges: by the weight of each entry of the adjacency, row by row, shape (E,).
        parameters: by each parameter's name.
        through_time: whether the outcome is that after a time, not that at rest.
    """

    outcome: float
    nodes: np.ndarray
    edges: np.ndarray
    parameters: dict[str, float]
    through_time: bool


def steady_sensitivity(law: Law, states: np.ndarray) -> Sensitivity:
    """Return the sensitivity of the mean state at a fixed point.

    Args:
        law: the law.
        states: a fixed point without a zero eigenvalue, shape (N, D).

    Raises:
        ComputationError: the Jacobian is singular there.
    """
    from scipy.sparse import csr_array

    jacobian = law.jacobian(states)
    gradient = np.zeros(states.shape)
    gradient[:, 0] = 1.0 / len(states)
    solve_with = factorised(csr_array(jacobian.T), block=law.shape[1])
    adjoint = -solve_with(gradient.ravel()).reshape(states.shape)
    given, weights = _to_vary(law)
    rates = law.rate(torch.from_numpy(states), parameters=given, weights=weights)
    total = (rates * torch.from_numpy(adjoint)).sum()
    by_parameter, by_edge = _gradients(total, given, weights)
    return Sensitivity(float(states[:, 0].mean()), adjoint, by_edge, by_parameter, False)


def timed_sensitivity(law: Law, start: np.ndarray, span: float) -> Sensitivity:
    """Return the sensitivity of the mean state after a time.

    Args:
        law: the law.
        start: shape (N, D).
        span: the time.

    Raises:
        ComputationError: the integration failed.
    """
    given, weights = _to_vary(law)
    first = torch.tensor(start, requires_grad=True)

    def rate(time: Tensor, states: Tensor) -> Tensor:
        return law.rate(states, time, parameters=given, weights=weights)

    varied = [*given.values(), weights]
    end = solve(
        rate,
        first,
        [0.0, span],
        method="dormand_prince5",
        relative_tolerance=1e-6,
        gradient="checkpointed",
        parameters=varied,
    ).states[-1]
    outcome = end[:, 0].mean()
    by_parameter, by_edge = _gradients(outcome, given, weights, keep=True)
    (by_start,) = torch.autograd.grad(outcome, first, materialize_grads=True)
    return Sensitivity(float(outcome.detach()), by_start.numpy(), by_edge, by_parameter, True)


def _to_vary(law: Law) -> tuple[dict[str, Tensor], Tensor]:
    given = {
        name: torch.tensor(value, dtype=torch.float64, requires_grad=True)
        for name, value in law.parameters.items()
    }
    return given, torch.tensor(law.graph.adjacency.data, requires_grad=True)


def _gradients(
    total: Tensor, given: dict[str, Tensor], weights: Tensor, *, keep: bool = False
) -> tuple[dict[str, float], np.ndarray]:
    if not total.requires_grad:
        return dict.fromkeys(given, 0.0), np.zeros(len(weights))
    *by_parameter, by_edge = torch.autograd.grad(
        total, [*given.values(), weights], retain_graph=keep, materialize_grads=True
    )
    named = {name: float(value) for name, value in zip(given, by_parameter, strict=True)}
    return named, by_edge.numpy()

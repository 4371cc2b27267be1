"""Early warnings of a tipping point, and the nodes that hold a network up.

Near a fold the slowest mode of the linearised motion stops decaying: the leading eigenvalue of J
goes to 0, random shaking dies out ever more slowly, so that the variance of x_eff grows and its
readings resemble their predecessors. With white noise of unit strength on every node,
var = integral |p|^2 ds and the covariance at lag T is integral p(s) p(s + T) ds, where
dp/ds = J' p from the weights of x_eff.

What x_eff owes to an edge follows from one adjoint solve: J' y = -w gives
d x_eff / d A_ij = y_i df_i/dA_ij, and a node is worth what its outgoing edges bear together.

References:
    Scheffer et al., Nature 461 (2009) 53: early-warning signals.
    Gardiner, Handbook of Stochastic Methods, 3rd edition 2004, section 4.4.6: the covariances.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from graphtide.dynamics.analysis.law import Law

__all__ = ["Warning", "early_warning", "leading_eigenvalue", "node_worth"]

_MOMENTS = 400


@dataclass(frozen=True, slots=True)
class Warning:
    """Early-warning signs at a steady state.

    Attributes:
        eigenvalue: real part of the leading eigenvalue of J, per unit of time.
        variance: of x_eff under white noise of unit strength on every node.
        autocorrelation: of x_eff at the lag asked for.
    """

    eigenvalue: float
    variance: float
    autocorrelation: float

    @property
    def recovery_rate(self) -> float:
        """Rate at which a small disturbance dies out at last."""
        return -self.eigenvalue


def leading_eigenvalue(law: Law, state: np.ndarray) -> float:
    """Return the largest real part of an eigenvalue of J at a state (N, D)."""
    from scipy.sparse.linalg import ArpackNoConvergence, eigs

    jacobian = law.jacobian(state)
    count = jacobian.shape[0]
    if count <= 300:
        return float(np.linalg.eigvals(jacobian.toarray()).real.max())
    try:
        start = np.ones(count)
        values = eigs(jacobian, k=2, which="LR", v0=start, return_eigenvectors=False, tol=1e-6)
    except ArpackNoConvergence as error:
        values = error.eigenvalues
        if not len(values):
            return float(np.linalg.eigvals(jacobian.toarray()).real.max())
    return float(np.real(values).max())


def early_warning(law: Law, state: np.ndarray, *, lag: float, variable: int = 0) -> Warning:
    """Return the signs at a stable steady state (N, D).

    Args:
        law: the law.
        state: the steady state.
        lag: of the autocorrelation, in the unit of time.
        variable: of which x_eff is the mean.
    """
    from scipy.sparse import csc_array, csr_array, eye_array
    from scipy.sparse.linalg import splu

    eigenvalue = leading_eigenvalue(law, state)
    if eigenvalue >= 0.0:
        return Warning(eigenvalue, float("inf"), 1.0)
    graph = law.graph
    outgoing = np.asarray(graph.adjacency.sum(axis=0)).ravel()
    weights = np.zeros(state.shape)
    weights[:, variable] = outgoing / outgoing.sum() if outgoing.sum() else 1.0 / len(outgoing)
    # Sixteen time constants, in steps that divide the lag.
    step = min(lag, 16.0 / -eigenvalue / _MOMENTS)
    per_lag = max(1, round(lag / step))
    step = lag / per_lag
    count = max(_MOMENTS, 2 * per_lag)
    # Crank-Nicolson: one factorisation, and stable however stiff J is.
    transposed = law.jacobian(state).T
    identity = eye_array(transposed.shape[0])
    solver = splu(csc_array(identity - step / 2 * transposed))
    forward = csr_array(identity + step / 2 * transposed)
    rows = [weights.ravel()]
    for _ in range(count):
        rows.append(solver.solve(np.asarray(forward @ rows[-1])))
    path = np.array(rows)
    square = np.square(path).sum(axis=1)
    later = (path[:-per_lag] * path[per_lag:]).sum(axis=1)
    variance = float(np.trapezoid(square, dx=step))
    return Warning(eigenvalue, variance, float(np.trapezoid(later, dx=step)) / variance)


def node_worth(law: Law, state: np.ndarray, *, variable: int = 0) -> np.ndarray:
    """Return how much of x_eff rests on the outgoing edges of each node, to first order, (N,).

    Args:
        law: the law.
        state: a stable steady state (N, D).
        variable: of which x_eff is the mean (its weights are held fixed).
    """
    from scipy.sparse.linalg import spsolve

    graph = law.graph
    outgoing = np.asarray(graph.adjacency.sum(axis=0)).ravel()
    weights = np.zeros(state.shape)
    weights[:, variable] = outgoing / outgoing.sum() if outgoing.sum() else 1.0 / len(outgoing)
    adjoint = spsolve(law.jacobian(state).T.tocsc(), -weights.ravel()).reshape(state.shape)
    edges = torch.tensor(graph.adjacency.data, requires_grad=True)
    rates = law.rate(torch.tensor(state), weights=edges)
    (slope,) = torch.autograd.grad((rates * torch.tensor(adjoint)).sum(), edges)
    borne = slope.numpy() * graph.adjacency.data
    worth = np.zeros(graph.node_count)
    np.add.at(worth, graph.adjacency.indices, borne)
    return worth

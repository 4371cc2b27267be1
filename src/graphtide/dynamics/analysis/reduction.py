"""The one-dimensional reduction of a network's dynamics, and where its branches fold.

With the strengths s_in,i = sum_j A_ij and s_out,j = sum_i A_ij, the mean by outgoing weight
x_eff = <s_out x> / <s_out> follows dx/dt = F(x) + beta_eff G(x, x) with
beta_eff = <s_out s_in> / <s>, where the neighbours of a node resemble those of all nodes. The
reduced law is the law itself on one node with a loop of weight beta_eff, so that it exists for
learned fields as for equations.

Reference:
    Gao, Barzel & Barabasi, Nature 530 (2016) 307, equations (4) to (8).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.settling import settle
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph

__all__ = [
    "Jump",
    "beta_effective",
    "effective_state",
    "first_jump",
    "jump_of",
    "reduced_fold",
    "reduced_law",
]


def beta_effective(graph: Graph) -> float:
    """Return beta_eff = 1' A s_in / 1' A 1; 0 for a graph whose weights add up to nothing."""
    matrix = graph.adjacency
    incoming = np.asarray(matrix.sum(axis=1)).ravel()
    total = float(incoming.sum())
    return float(incoming @ np.asarray(matrix.sum(axis=0)).ravel()) / total if total else 0.0


def effective_state(graph: Graph, states: np.ndarray) -> np.ndarray:
    """Return x_eff of each variable, shape (..., D), for states (..., N, D).

    Where no weight is left it is the plain mean.
    """
    outgoing = np.asarray(graph.adjacency.sum(axis=0)).ravel()
    total = outgoing.sum()
    share = outgoing / total if total else np.full(len(outgoing), 1.0 / len(outgoing))
    return np.einsum("n,...nd->...d", share, states)


def reduced_law(law: Law, beta: float) -> Law:
    """Return the law on one node with a loop of weight beta.

    Attributes of nodes are averaged by outgoing weight.
    """
    graph = law.graph
    means = {
        name: effective_state(graph, np.asarray(value, dtype=float)[:, None])
        for name, value in graph.node_attributes.items()
        if np.asarray(value).ndim == 1 and np.issubdtype(np.asarray(value).dtype, np.number)
    }
    loop = np.zeros((2, 1), dtype=np.int64)
    one = Graph(loop, np.array([beta]), node_count=1, directed=True, node_attributes=means)
    return law.on(one)


@dataclass(frozen=True, slots=True)
class Jump:
    """Where a followed branch breaks off.

    Attributes:
        position: of the parameter, between the last two points.
        before: value of the branch on the near side.
        after: value on the far side.
    """

    position: float
    before: float
    after: float


def jump_of(
    branch: Callable[[float, np.ndarray], tuple[float, np.ndarray]],
    positions: np.ndarray,
    start: np.ndarray,
    *,
    share: float = 0.2,
    width: float = 1e-4,
) -> Jump | None:
    """Follow a branch of steady states and return where it breaks off, None where it does not.

    Args:
        branch: (position, start) -> (value, state) of the steady state reached from a start.
        positions: along which the branch is followed, in this order.
        start: state before the first position.
        share: a change by this share of the larger of two neighbouring values (and a hundredth of
            the largest met) that stays when their positions draw together is a jump.
        width: distance of these positions, relative to the span of all.
    """
    state = start
    values, states = [], []
    for position in positions:
        value, state = branch(float(position), state)
        values.append(value)
        states.append(state)
    return first_jump(branch, positions, values, states, share=share, width=width)


def first_jump(
    branch: Callable[[float, np.ndarray], tuple[float, np.ndarray]],
    positions: np.ndarray,
    values: Sequence[float],
    states: Sequence[np.ndarray],
    *,
    share: float = 0.2,
    width: float = 1e-4,
) -> Jump | None:
    """Return where a branch that was followed breaks off; arguments as for `jump_of`.

    Args:
        branch: (position, start) -> (value, state).
        positions: (K,) along which it was followed.
        values: (K,) found there.
        states: the K states.
        share: as for `jump_of`.
        width: as for `jump_of`.
    """
    span = abs(float(positions[-1] - positions[0]))
    floor = 0.01 * max(map(abs, values))

    def apart(first: float, second: float) -> bool:
        return abs(first - second) > max(share * max(abs(first), abs(second)), floor)

    # The first break that stays when looked at closely.
    for k in range(len(values) - 1):
        if not apart(values[k], values[k + 1]):
            continue
        near, far = float(positions[k]), float(positions[k + 1])
        here, there = (values[k], states[k]), values[k + 1]
        while abs(far - near) > width * span:
            middle = (near + far) / 2
            value, state = branch(middle, here[1])
            if abs(value - here[0]) < abs(value - there):
                near, here = middle, (value, state)
            else:
                far, there = middle, value
        if apart(here[0], there):
            return Jump((near + far) / 2, here[0], there)
    return None


def reduced_fold(
    law: Law, start: np.ndarray, betas: np.ndarray, *, width: float = 1e-4
) -> Jump | None:
    """Return the fold of the reduced law on a branch that is followed along beta.

    Args:
        law: the full law.
        start: state (D,) from which the branch is entered at the first beta.
        betas: values along which it is followed, at least two.
        width: precision, relative to the span of the betas.

    Raises:
        InputError: fewer than two betas.
        ComputationError: the reduced law comes to no rest.
    """
    if len(betas) < 2:
        raise InputError("a branch needs at least two values of beta to be followed")

    def branch(beta: float, state: np.ndarray) -> tuple[float, np.ndarray]:
        found = settle(reduced_law(law, beta), state)
        return float(found[0, 0]), found

    try:
        return jump_of(branch, betas, np.asarray(start, dtype=float)[None], width=width)
    except ComputationError as error:
        raise ComputationError(f"the reduced law: {error}") from None

"""Whether nodes that move alike stay alike: the master stability function.

    x_i' = F(x_i) + sum_j A_ij G(x_i, x_j),   G(s, s) = 0,   s' = F(s)

Small differences in the direction of an eigenvector of the Laplacian with eigenvalue g obey
xi' = [DF(s) - g Q(s)] xi, Q = dG/dx_j; the exponent Lambda(g) of this one small system tells for
every graph which of its directions die out (Pecora & Carroll, Physical Review Letters 80, 1998).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.spectrum import leading_eigenvalues
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph

__all__ = ["Synchronisation", "master_stability"]


@dataclass(frozen=True, slots=True, eq=False)
class Synchronisation:
    """The master stability function and where a graph lies on it.

    Args:
        argument: g, eigenvalues of the Laplacian, shape (K,).
        exponent: Lambda(g), shape (K,); at g = 0 it is the exponent of a node by itself.
        laplacian: "combinatorial" for sums over neighbours, "random_walk" for means.
        smallest: the graph's smallest eigenvalue beyond the first zero, its algebraic connectivity.
        largest: the graph's largest.
    """

    argument: np.ndarray
    exponent: np.ndarray
    laplacian: str
    smallest: float
    largest: float

    @property
    def transverse(self) -> float:
        """The largest exponent over the graph's own range of eigenvalues."""
        inside = (self.argument >= self.smallest) & (self.argument <= self.largest)
        ends = np.interp([self.smallest, self.largest], self.argument, self.exponent)
        return float(max(ends.max(), self.exponent[inside].max(initial=-np.inf)))

    @property
    def synchronises(self) -> bool:
        """Whether every difference between nodes dies out."""
        return self.transverse < 0.0


def master_stability(
    law: Law,
    start: np.ndarray,
    *,
    span: float,
    step: float,
    points: int = 24,
    progress: Callable[[float, str], None] | None = None,
) -> Synchronisation:
    """Return the master stability function of a law, over the eigenvalues of its graph.

    Args:
        law: coupled so that nodes in one state do not feel each other.
        start: state of one node on its attractor, shape (D,).
        span: time of the mean; a fifth of it goes before as a transient.
        step: of the Runge-Kutta method of order 4.
        points: how many arguments, from 0 to beyond the graph's largest eigenvalue.
        progress: told the share done.

    Raises:
        InputError: nodes in one state feel each other, nodes have attributes of their own, or the
            graph is directed, has no edge or negative weights.
        ComputationError: the state runs off.
    """
    graph = law.graph
    if graph.directed or not graph.edge_count or graph.edge_weight.min() < 0:
        raise InputError("the master stability function needs an undirected graph with edges")
    if graph.node_attributes and not _same_for_all(graph):
        raise InputError("nodes have attributes of their own, so they cannot move alike")
    pair = law.on(_pair(1.0, graph))
    mean = _couples_by_mean(law, start)
    states = torch.from_numpy(np.broadcast_to(start, (2, len(start))).copy())
    _check_blind(law, pair, states)
    kind = "random_walk" if mean else "combinatorial"
    smallest, largest = _ends(graph, kind)
    argument = np.concatenate([[0.0], np.linspace(smallest, largest, points - 2), [1.2 * largest]])
    argument = np.unique(argument)
    factor = torch.from_numpy(argument)[:, None, None]

    def product(states: Tensor, vectors: Tensor) -> tuple[Tensor, Tensor]:
        rates, own, sent = pair.jacobian_blocks(states)
        alone = own[0] + sent[0]  # DF: what both ends say about a common change
        return rates, (alone - factor * sent[0]) @ vectors

    size = len(start)
    vector = torch.from_numpy(np.random.default_rng(0).standard_normal((1, size, 1)))
    vectors = vector.repeat(len(argument), 1, 1)
    steps = int(np.ceil(1.2 * span / step))
    transient = steps - int(np.ceil(span / step))
    total = vectors.new_zeros(len(argument))
    for number in range(steps):
        states, vectors = _step(product, states, vectors, step)
        length = vectors.norm(dim=(1, 2))
        vectors = vectors / length[:, None, None]
        if number >= transient:
            total += length.log()
        if progress is not None and number % 50 == 0:
            progress(number / steps, "master stability function")
    exponent = (total / ((steps - transient) * step)).numpy()
    if not np.isfinite(exponent).all():
        raise ComputationError("the master stability function: the node by itself runs off")
    return Synchronisation(argument, exponent, kind, smallest, largest)


def _step(
    product: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, v: Tensor, step: float
) -> tuple[Tensor, Tensor]:
    a, s = product(x, v)
    b, t = product(x + 0.5 * step * a, v + 0.5 * step * s)
    c, u = product(x + 0.5 * step * b, v + 0.5 * step * t)
    d, w = product(x + step * c, v + step * u)
    sixth = step / 6.0
    return x + sixth * (a + 2 * b + 2 * c + d), v + sixth * (s + 2 * t + 2 * u + w)


def _pair(weight: float, graph: Graph) -> Graph:
    """Return two nodes joined by an edge, with the attributes of the first node."""
    return Graph(
        np.array([[0, 1], [1, 0]]),
        np.full(2, weight),
        node_attributes={k: np.stack([v[0], v[0]]) for k, v in graph.node_attributes.items()},
    )


def _same_for_all(graph: Graph) -> bool:
    return all((value == value[0]).all() for value in graph.node_attributes.values())


def _couples_by_mean(law: Law, start: np.ndarray) -> bool:
    """Return whether doubling the weight of a lone edge changes nothing."""
    states = torch.from_numpy(np.stack([start, start * 1.1 + 0.1]))
    once, twice = (law.on(_pair(w, law.graph)).rate(states).detach() for w in (1.0, 2.0))
    return bool(torch.allclose(once, twice, rtol=1e-9, atol=1e-12))


def _check_blind(law: Law, pair: Law, states: Tensor) -> None:
    """Raise unless nodes in one state do not feel each other."""
    alone = law.on(
        Graph(
            np.zeros((2, 0)),
            node_count=2,
            node_attributes={k: np.stack([v[0]] * 2) for k, v in law.graph.node_attributes.items()},
        )
    )
    for factor in (1.0, 0.7):
        there = states * factor
        joined, lone = pair.rate(there).detach(), alone.rate(there).detach()
        size = float(lone.abs().max()) + 1e-9
        if float((joined - lone).abs().max()) > 1e-3 * size:
            raise InputError(
                "nodes in one and the same state still feel their neighbours, so a common motion "
                "of all nodes does not exist on a graph of different degrees"
            )


def _ends(graph: Graph, kind: str) -> tuple[float, float]:
    """Return the second smallest and the largest eigenvalue of a Laplacian."""
    laplacian = graph.laplacian("combinatorial" if kind == "combinatorial" else "random_walk")
    top = leading_eigenvalues(laplacian, min(2, graph.node_count - 1)).values.real[0]
    low = -leading_eigenvalues((-laplacian).tocsr(), 2).values.real
    return float(max(low[1], 0.0)), float(top)

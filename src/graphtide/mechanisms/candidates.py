"""Candidate terms for dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j).

Each candidate is a text of the equation grammar beside a fast way to evaluate it on whole series.
A coupling term is a sum over r of a_r(x_i) sum_j A_ij b_r(x_j) where it separates (sparse products
only), else a function of both ends of every edge. ``sum`` terms add over neighbours; ``mean`` terms
divide by the in-degree k_i.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from scipy.sparse import csr_array

from graphtide.equation.inputs import node_attribute
from graphtide.graph import Graph

__all__ = ["Candidate", "Coupling", "Series", "States", "TermSet", "evaluate", "message"]

Series: TypeAlias = np.ndarray
"""One variable of all nodes at M times, shape (M, N)."""
States: TypeAlias = dict[str, Series]
Coupling: TypeAlias = Literal["none", "sum", "mean"]
TermSet: TypeAlias = Literal["all", "polynomial", "none"]

_FUNCTION = re.compile(r"\b(sin|cos|tan|tanh|exp|log1p|hill|sigmoid|abs)\(|/")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One term: its text and how it is evaluated.

    Attributes:
        text: the term in the equation grammar.
        complexity: number of operations (any function counts as one), by which equals are ranked.
        coupling: whether the term is a node's own, a sum or a mean over neighbours.
        own: the term of a node's own states.
        separable: pairs of functions of own and of the neighbour's states.
        pair: a function of own and of the neighbour's states that does not separate.
        inner: inner parameters, each on a scale without bounds (logarithms of positive ones).
        reads: node attributes that the term reads, and "k" for the degree.
        remake: makes the term anew from other inner parameters, and their number of digits.
    """

    text: str
    complexity: int
    coupling: Coupling = "none"
    own: Callable[[States], Series] | None = None
    separable: tuple[tuple[Callable[[States], Series], Callable[[States], Series]], ...] = ()
    pair: Callable[[States, States], Series] | None = None
    inner: tuple[float, ...] = ()
    remake: Callable[[tuple[float, ...], int | None], Candidate] | None = None
    reads: tuple[str, ...] = ()

    def moved(self, step: np.ndarray) -> Candidate:
        """Return the term with its inner parameters moved by a step of their length."""
        if self.remake is None:
            return self
        return self.remake(tuple(float(v + s) for v, s in zip(self.inner, step, strict=True)), None)

    def rounded(self) -> Candidate:
        """Return the term with inner parameters of four digits."""
        return self if self.remake is None else self.remake(self.inner, 4)

    def slopes(self) -> list[Candidate]:
        """Return the term's derivatives by its inner parameters (central differences)."""
        distance = 1e-3
        return [
            _difference(self.moved(distance * unit), self.moved(-distance * unit), 2 * distance)
            for unit in np.eye(len(self.inner))
        ]

    @property
    def polynomial(self) -> bool:
        """Whether the term has neither a function nor a quotient."""
        return not _FUNCTION.search(self.text)


def _difference(above: Candidate, below: Candidate, distance: float) -> Candidate:
    """Return (above - below) / distance of two terms of one form."""
    text = f"{above.coupling}({above.text} - {below.text})/{distance:g}"
    if above.own is not None and below.own is not None:
        high, low = above.own, below.own
        return Candidate(text, 0, own=lambda s: (high(s) - low(s)) / distance)
    if above.pair is not None and below.pair is not None:
        more, less = above.pair, below.pair
        return Candidate(
            text, 0, above.coupling, pair=lambda s, o: (more(s, o) - less(s, o)) / distance
        )
    parts = [
        *((_scaled(a, 1.0 / distance), b) for a, b in above.separable),
        *((_scaled(a, -1.0 / distance), b) for a, b in below.separable),
    ]
    return Candidate(text, 0, above.coupling, separable=tuple(parts))


def _scaled(function: Callable[[States], Series], factor: float) -> Callable[[States], Series]:
    return lambda states: factor * function(states)


def evaluate(
    candidates: Sequence[Candidate],
    states: States,
    graph: Graph,
    neighbours: States | None = None,
) -> np.ndarray:
    """Return every candidate on a series, shape (P, M, N).

    Args:
        candidates: P terms.
        states: each variable by name, shape (M, N).
        graph: the network.
        neighbours: the states that neighbours show; None for the same ones. Moving ``states`` alone
            gives derivatives with respect to a node's own state.

    Cost: one sparse product for each separable part; terms that do not separate hold M x E numbers.
    A mean is its sum divided by the degree, and is not computed anew where the sum stands before.
    """
    adjacency = graph.adjacency
    degree = graph.degree
    inverse = np.divide(1.0, degree, out=np.zeros_like(degree), where=degree != 0)
    ends = _edge_ends(adjacency)
    shape = next(iter(states.values())).shape
    fixed = _fixed_series(candidates, graph, shape)
    there = {**(states if neighbours is None else neighbours), **fixed}
    states = {**states, **fixed}
    result = np.empty((len(candidates), *shape))
    sums: dict[str, int] = {}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        for p, candidate in enumerate(candidates):
            if candidate.own is not None:
                result[p] = candidate.own(states)
                continue
            body = candidate.text.removeprefix(candidate.coupling)
            if candidate.coupling == "mean" and body in sums:
                result[p] = result[sums[body]] * inverse
                continue
            if candidate.pair is not None:
                result[p] = _edge_sum(candidate.pair, states, there, adjacency, ends)
            else:
                result[p] = sum(
                    own(states) * (adjacency @ np.broadcast_to(other(there), shape).T).T
                    for own, other in candidate.separable
                )
            if candidate.coupling == "mean":
                result[p] *= inverse
            else:
                sums[body] = p
    return result


def message(candidate: Candidate, here: States, there: States, graph: Graph, node: int) -> Series:
    """Return G(x_i, x_j) of a coupling term for one node i and every j, shape (M, N).

    Args:
        candidate: a sum or a mean over neighbours.
        here: the node's own states, repeated over N columns.
        there: the states of every node.
        graph: where node attributes stand.
        node: the number of node i.
    """
    shape = next(iter(there.values())).shape
    fixed = _fixed_series([candidate], graph, shape)
    own_fixed = {name: np.broadcast_to(v[:, [node]], shape) for name, v in fixed.items()}
    here, there = {**here, **own_fixed}, {**there, **fixed}
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        if candidate.pair is not None:
            return candidate.pair(here, there)
        total = np.zeros(shape)
        for own, other in candidate.separable:
            total += own(here) * other(there)
    return total


def _fixed_series(candidates: Sequence[Candidate], graph: Graph, shape: tuple[int, ...]) -> States:
    """Return the degree and the node attributes that terms read, at every time."""
    names = {name for candidate in candidates for name in candidate.reads}
    result = {}
    for name in sorted(names):
        values = graph.degree if name == "k" else node_attribute(graph, name)
        result[f"{name}_i"] = np.broadcast_to(values, shape)
    return result


def _edge_ends(adjacency: csr_array) -> tuple[np.ndarray, np.ndarray]:
    rows = np.repeat(np.arange(adjacency.shape[0]), np.diff(adjacency.indptr))
    return rows, adjacency.indices


def _edge_sum(
    pair: Callable[[States, States], Series],
    states: States,
    neighbours: States,
    matrix: csr_array,
    ends: tuple[np.ndarray, np.ndarray],
) -> Series:
    """Sum a function of both ends over each node's edges, some times at once."""
    rows, columns = ends
    shape = next(iter(states.values())).shape
    result = np.zeros(shape)
    if not len(rows):
        return result
    filled = np.flatnonzero(np.diff(matrix.indptr))
    chunk = max(1, 400_000 // len(rows))
    for begin in range(0, shape[0], chunk):
        part = slice(begin, begin + chunk)
        here = {name: series[part].take(rows, axis=1) for name, series in states.items()}
        there = {name: series[part].take(columns, axis=1) for name, series in neighbours.items()}
        messages = pair(here, there) * matrix.data
        result[part][:, filled] = np.add.reduceat(messages, matrix.indptr[filled], axis=1)
    return result

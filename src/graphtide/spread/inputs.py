"""What every simulation of spread needs of its network, times and start, checked once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.equation import Equation
    from graphtide.graph import Graph

__all__ = ["STATES", "checked_start", "outgoing"]

STATES = "SEIR"
"""Susceptible, exposed, infectious, recovered: states 0 to 3 of the compiled loops."""


def outgoing(graph: Graph) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return CSR rows of what leaves each node: pointers (N + 1,), targets (E,), weights (E,).

    Raises:
        InputError: a weight is negative.
    """
    matrix = graph.transpose
    negative = np.flatnonzero(matrix.data < 0.0)
    if negative.size:
        row = int(np.searchsorted(matrix.indptr, negative[0], side="right")) - 1
        target = graph.names[int(matrix.indices[negative[0]])]
        raise InputError(
            f"the edge from '{graph.names[row]}' to '{target}' has weight "
            f"{matrix.data[negative[0]]:g}; spread needs weights that are not negative"
        )
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data


def checked_start(start: np.ndarray, graph: Graph, equation: Equation) -> np.ndarray:
    """Return the probabilities of S, E, I and R of each node, shape (N, 4).

    Raises:
        InputError: the shape is wrong, a value is no probability, or those of a node do not add up
            to 1.
    """
    given = np.array(start, dtype=np.float64)
    names = equation.variables
    if given.ndim == 1 and len(names) == 1:
        given = given[:, None]
    if given.shape != (graph.node_count, len(names)):
        raise InputError(
            f"the start has shape {given.shape}; {(graph.node_count, len(names))} was expected: "
            f"a row each node, a column each of {', '.join(names)}"
        )
    wrong = np.argwhere(~((given >= 0.0) & (given <= 1.0)))
    if wrong.size:
        i, d = wrong[0]
        raise InputError(
            f"the start of node '{graph.names[i]}' has {names[d]} = {given[i, d]:g}; a probability "
            "between 0 and 1 was expected"
        )
    chance = np.zeros((graph.node_count, 4))
    if len(names) == 1:
        chance[:, 0], chance[:, 2] = 1.0 - given[:, 0], given[:, 0]
        return chance
    apart = np.flatnonzero(np.abs(given.sum(axis=1) - 1.0) > 1e-6)
    if apart.size:
        i = int(apart[0])
        raise InputError(
            f"the start of node '{graph.names[i]}' adds up to {given[i].sum():g} over "
            f"{', '.join(names)}; 1 was expected"
        )
    for d, letter in enumerate(names):
        chance[:, STATES.index(letter)] = given[:, d]
    return chance / chance.sum(axis=1, keepdims=True)

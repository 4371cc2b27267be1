"""Driver nodes by maximum matching: structural controllability of a directed network.

A linear system dx/dt = A x + B u whose matrix A has the network's edges is controllable for almost
all weights if and only if every node has its own superior: a node that is matched by no edge of a
maximum matching must be driven itself. The least number of drivers is max(N - M, 1), M the number
of matched nodes. An undirected graph counts each edge in both directions.

References:
    Liu, Slotine & Barabasi, Nature 473 (2011) 167: the minimum inputs theorem.
    Hopcroft & Karp, SIAM Journal on Computing 2 (1973) 225: the matching.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.graph import Graph

__all__ = ["matching_drivers", "maximum_matching"]


def maximum_matching(graph: Graph) -> np.ndarray:
    """Return for each node the node whose edge matches it, -1 where none does; shape (N,), int64.

    No node matches two others, and the number of matched nodes is the largest possible.

    Raises:
        InputError: the graph has no node.
    """
    from scipy.sparse.csgraph import maximum_bipartite_matching

    if graph.node_count == 0:
        raise InputError("a graph without nodes has no matching")
    pattern = graph.adjacency.copy()
    pattern.eliminate_zeros()  # an edge of weight 0 carries nothing
    return maximum_bipartite_matching(pattern, perm_type="column").astype(np.int64)


def matching_drivers(graph: Graph) -> np.ndarray:
    """Return the numbers of a smallest set of driver nodes, shape (M,), int64, increasing.

    Where the matching is perfect any one node drives; the one with the largest out-strength is
    returned. There are often several smallest sets; their size is the same.

    Raises:
        InputError: the graph has no node.
    """
    unmatched = np.flatnonzero(maximum_matching(graph) < 0)
    if unmatched.size:
        return unmatched
    return np.array([int(np.argmax(np.asarray(abs(graph.adjacency).sum(axis=0)).ravel()))])

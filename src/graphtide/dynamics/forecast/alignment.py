"""Bring readings and network together: the same nodes in the same order.

An edge list cannot name a node without edges. A few such nodes among the readings are therefore
taken as isolated; many are a sign of the wrong file.
"""

from __future__ import annotations

import logging

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["align"]

_LOGGER = logging.getLogger(__name__)
_MOST_UNKNOWN = 0.05
"""Share of the nodes of the readings that the graph may lack."""


def align(trajectory: Trajectory, graph: Graph) -> tuple[Trajectory, Graph, tuple[str, ...]]:
    """Return readings and graph over the same nodes, and the names taken as isolated.

    Raises:
        InputError: no node is shared, or more than a twentieth of the nodes of the readings are
            none of the graph's.
    """
    known = set(graph.names)
    unknown = tuple(name for name in trajectory.names if name not in known)
    if unknown and len(unknown) <= _MOST_UNKNOWN * len(trajectory.names):
        _LOGGER.info("taken as isolated: %s", ", ".join(unknown))
        graph = Graph(
            graph.edge_index,
            graph.edge_weight,
            names=(*graph.names, *unknown),
            directed=graph.directed,
        )
        return trajectory.with_graph(graph), graph, unknown
    if unknown and len(unknown) < len(trajectory.names):
        raise InputError(
            f"{len(unknown)} of {len(trajectory.names)} nodes of the readings, such as "
            f"'{unknown[0]}', are not in the graph"
        )
    return trajectory.with_graph(graph), graph, ()

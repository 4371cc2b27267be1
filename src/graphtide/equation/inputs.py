"""What an equation reads of a graph: node attributes as numbers, with clear errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError

if TYPE_CHECKING:
    from graphtide.graph import Graph

__all__ = ["node_attribute"]


def node_attribute(graph: Graph, name: str) -> np.ndarray:
    """Return a node attribute that an equation reads, shape (N,), float64.

    Raises:
        InputError: the graph has no such attribute, or it is not one finite number a node.
    """
    if name not in graph.node_attributes:
        known = ", ".join(graph.node_attributes) or "none"
        raise InputError(
            f"the equation reads the node attribute '{name}' (as {name}_i), which the graph does "
            f"not have; its attributes are: {known}"
        )
    values = np.asarray(graph.node_attributes[name])
    if values.shape != (graph.node_count,) or not np.issubdtype(values.dtype, np.number):
        raise InputError(
            f"the node attribute '{name}' is not one number a node: shape {values.shape}, "
            f"type {values.dtype}"
        )
    values = values.astype(np.float64)
    if not np.isfinite(values).all():
        node = graph.names[int(np.flatnonzero(~np.isfinite(values))[0])]
        raise InputError(f"the node attribute '{name}' of node '{node}' is not a finite number")
    return values

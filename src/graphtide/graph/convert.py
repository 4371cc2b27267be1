"""Graphs to and from NetworkX, SciPy and PyTorch Geometric.

SciPy's matrix holds A[i, j] = weight from j to i, so rows are targets; NetworkX's and PyTorch
Geometric's edges run from source to target.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.graph.graph import Graph

if TYPE_CHECKING:
    import networkx
    from torch_geometric.data import Data  # pyright: ignore[reportMissingImports]

__all__ = ["from_networkx", "from_pyg", "from_scipy", "to_networkx", "to_pyg"]


def from_networkx(graph: networkx.Graph) -> Graph:
    """Return the graph of a NetworkX graph: ``weight`` of edges (else 1), node data by name.

    Node data become attributes where every node has a number under that name. Parallel edges of a
    multigraph add up.

    Raises:
        InputError: an edge weight is not a number.
    """
    nodes = {node: i for i, node in enumerate(graph.nodes)}
    directed = graph.is_directed()
    triples = list(graph.edges(data="weight", default=1.0))
    source = np.fromiter((nodes[a] for a, _, _ in triples), np.int64, len(triples))
    target = np.fromiter((nodes[b] for _, b, _ in triples), np.int64, len(triples))
    weight = np.empty(len(triples))
    for position, (a, b, value) in enumerate(triples):
        try:
            weight[position] = float(value)
        except (TypeError, ValueError):
            raise InputError(f"edge {a} - {b}: weight '{value}' is not a number") from None
    if not directed:
        source, target, weight = both_directions(source, target, weight)
    attributes: dict[str, np.ndarray] = {}
    data = [values for _, values in graph.nodes(data=True)]
    for key in data[0] if data else ():
        column = [values.get(key) for values in data]
        if all(isinstance(value, int | float | np.number) for value in column):
            attributes[str(key)] = np.array(column, dtype=float)
    names = tuple(str(node) for node in nodes)
    return Graph(
        np.stack([source, target]),
        weight,
        names=names,
        directed=directed,
        node_attributes=attributes,
    )


def to_networkx(graph: Graph) -> networkx.Graph:
    """Return a NetworkX Graph or DiGraph; parallel stored edges add up, as in the matrix A."""
    import networkx

    result = networkx.DiGraph() if graph.directed else networkx.Graph()
    result.add_nodes_from(graph.names)
    matrix = graph.adjacency.tocoo()
    target, source = matrix.coords
    keep = slice(None) if graph.directed else source <= target
    result.add_weighted_edges_from(
        (graph.names[a], graph.names[b], float(w))
        for a, b, w in zip(source[keep], target[keep], matrix.data[keep], strict=True)
    )
    for key, value in graph.node_attributes.items():
        networkx.set_node_attributes(
            result, dict(zip(graph.names, value.tolist(), strict=True)), key
        )
    return result


def from_scipy(matrix: object, *, names: Sequence[str] | None = None) -> Graph:
    """Return the graph of a square sparse matrix; undirected where the matrix is symmetric.

    Raises:
        InputError: the matrix is not square.
    """
    from scipy.sparse import coo_array

    entries = coo_array(matrix)  # pyright: ignore[reportArgumentType, reportCallIssue]
    if entries.ndim != 2 or entries.shape[0] != entries.shape[1]:
        raise InputError(f"the matrix has shape {entries.shape}; a square one was expected")
    entries.sum_duplicates()
    difference = entries.tocsr() - entries.T.tocsr()
    target, source = entries.coords
    return Graph(
        np.stack([source, target]),
        entries.data.astype(float),
        names=None if names is None else tuple(names),  # pyright: ignore[reportArgumentType]
        node_count=entries.shape[0],
        directed=bool(np.any(difference.data)),
    )


def from_pyg(data: Data) -> Graph:
    """Return the graph of a PyTorch Geometric ``Data``; ``x``, ``y`` and ``pos`` become attributes.

    ``edge_weight`` is taken where present, else ones.
    """
    weight = getattr(data, "edge_weight", None)
    attributes = {
        key: getattr(data, key).detach().cpu().numpy()
        for key in ("x", "y", "pos")
        if getattr(data, key, None) is not None and len(getattr(data, key)) == data.num_nodes
    }
    return Graph(
        data.edge_index.detach().cpu().numpy(),
        None if weight is None else weight.detach().cpu().numpy(),  # pyright: ignore[reportArgumentType]
        node_count=int(data.num_nodes),
        directed=bool(data.is_directed()),
        node_attributes=attributes,
    )


def to_pyg(graph: Graph) -> Data:
    """Return a PyTorch Geometric ``Data`` with edge_index, edge_weight and the node attributes.

    Raises:
        InputError: PyTorch Geometric is not installed.
    """
    try:
        from torch_geometric.data import Data  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise InputError(
            "PyTorch Geometric is not installed: pip install 'graphtide[pyg]'"
        ) from None
    import torch

    data = Data(
        edge_index=torch.from_numpy(graph.edge_index.copy()),
        edge_weight=torch.from_numpy(graph.edge_weight.copy()),
        num_nodes=graph.node_count,
    )
    for key, value in graph.node_attributes.items():
        data[key] = torch.from_numpy(value.copy())
    return data


def both_directions(
    source: np.ndarray, target: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return edges with their reverse appended; self-loops stay single."""
    other = source != target
    return (
        np.concatenate([source, target[other]]),
        np.concatenate([target, source[other]]),
        np.concatenate([weight, weight[other]]),
    )

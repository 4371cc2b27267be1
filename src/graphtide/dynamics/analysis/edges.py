"""A graph seen through its edges: each edge with a sender of its own, or with a weight to vary.

A field on a graph, f_i = H(x_i, sum_j A_ij G(x_i, x_j)), is evaluated through the graph's own
operators. Two stand-ins for the graph make its derivatives cheap without a matrix of size N x N:

unfolded: each edge e = (j to i) gets a private copy y_e of node j. Then y_e touches row i alone, so
one reverse sweep a variable gives every block df_i/dx_j at once (as the derivative by y_e), and the
blocks df_i/dx_i as the derivative by x_i: the sparse Jacobian costs D sweeps, whatever the degrees.
It is the colouring of Curtis, Powell & Reid (J. Inst. Maths Applics 13, 1974) that one colour does.

weighted: the weights A_ij are a tensor, so that a sweep reaches them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
import torch
from torch import Tensor

from graphtide.graph import Graph

if TYPE_CHECKING:
    from scipy.sparse import csr_array

    from graphtide.graph import OperatorKind
    from graphtide.sparse import SparseMatrix

__all__ = ["WeightedGraph", "block_jacobian", "unfolded"]


def unfolded(graph: Graph) -> Graph:
    """Return the graph of N + E nodes in which node N + e is the sender of edge e alone.

    Edges are those of the CSR adjacency, row by row; nodes N and above receive nothing. Attributes
    of nodes are copied, in-degrees of the first N nodes stay.
    """
    adjacency = graph.adjacency
    count, sender = graph.node_count, adjacency.indices
    row = np.repeat(np.arange(count), np.diff(adjacency.indptr))
    return Graph(
        np.stack([count + np.arange(len(sender)), row]),
        adjacency.data,
        node_count=count + len(sender),
        directed=True,
        node_attributes={
            name: np.concatenate([value, value[sender]])
            for name, value in graph.node_attributes.items()
        },
    )


def block_jacobian(graph: Graph, own: np.ndarray, sent: np.ndarray) -> csr_array:
    """Return the Jacobian (N D, N D) from its blocks; row and column of (i, d) are i D + d.

    Args:
        graph: the network, E entries in its CSR adjacency.
        own: df_i/dx_i, shape (N, D, D).
        sent: df_i/dx_j through the edge from j to i, shape (E, D, D), edges row by row.
    """
    from scipy.sparse import coo_array

    adjacency = graph.adjacency
    count, variables = own.shape[:2]
    row = np.repeat(np.arange(count), np.diff(adjacency.indptr))
    rows = np.concatenate([np.arange(count), row]).astype(np.int64)
    columns = np.concatenate([np.arange(count), adjacency.indices]).astype(np.int64)
    inner = np.arange(variables)
    shape = (len(rows), variables, variables)
    place = (
        np.broadcast_to(rows[:, None, None] * variables + inner[:, None], shape).ravel(),
        np.broadcast_to(columns[:, None, None] * variables + inner[None, :], shape).ravel(),
    )
    size = count * variables
    value = np.concatenate([own, sent]).ravel()
    kept = value != 0.0
    place = (place[0][kept], place[1][kept])
    return coo_array((value[kept], place), shape=(size, size)).tocsr()


class WeightedGraph:
    """A graph whose edge weights are a tensor (E,), in the order of its CSR adjacency.

    It stands in for the graph where a field asks for its operators, its degrees and its attributes.
    """

    def __init__(self, graph: Graph, weight: Tensor) -> None:
        self._graph, self.weight = graph, weight

    def __getattr__(self, name: str) -> object:
        """Return what is the same as in the graph itself."""
        return getattr(self._graph, name)

    def operator(self, kind: OperatorKind = "adjacency", *, like: Tensor) -> SparseMatrix:
        """Return the adjacency, or the mean over neighbours, with these weights."""
        plain = self._graph.operator("adjacency", like=like)
        if kind == "adjacency":
            return plain.with_values(self.weight.to(like))
        if kind != "mean_adjacency":
            raise NotImplementedError(f"no field that is analysed uses the operator '{kind}'")
        degree = self.in_degree(like)
        inverse = torch.where(degree == 0, torch.zeros_like(degree), 1.0 / degree)
        return plain.with_values(self.weight.to(like) * inverse[plain.row])

    def in_degree(self, like: Tensor) -> Tensor:
        """Return k_i = sum_j A_ij as a tensor (N,)."""
        row = self._graph.operator("adjacency", like=like).row
        zeros = like.new_zeros(self._graph.node_count)
        return zeros.index_add(0, row, self.weight.to(like))

    def as_graph(self) -> Graph:
        """Return itself under the type that fields ask for."""
        return cast("Graph", self)

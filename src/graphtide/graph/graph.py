"""The noun Graph: nodes, weighted edges, names and attributes, immutable.

A_ij is the weight of the edge from j to i, so that (A x)_i = sum_j A_ij x_j gathers what reaches
node i, and the weighted in-degree is k_i = sum_j A_ij. With D = diag(k), the combinatorial
Laplacian is L = D - A, the symmetric one I - D^(-1/2) A D^(-1/2), the random-walk one I - D^(-1) A
(Chung, Spectral Graph Theory, 1997, chapter 1); rows of nodes without edges are zero in all three.
"""

from __future__ import annotations

import types
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from graphtide.errors import InputError

if TYPE_CHECKING:
    import networkx
    import torch
    from scipy.sparse import csr_array
    from torch_geometric.data import Data  # pyright: ignore[reportMissingImports]

    from graphtide.sparse import SparseMatrix

__all__ = ["Graph", "LaplacianKind", "OperatorKind"]

LaplacianKind: TypeAlias = Literal["combinatorial", "symmetric", "random_walk"]
OperatorKind: TypeAlias = Literal[
    "adjacency",
    "mean_adjacency",
    "laplacian",
    "symmetric_laplacian",
    "random_walk_laplacian",
]


@dataclass(frozen=True, slots=True, eq=False)
class Graph:
    """Nodes and weighted edges; every array is read-only.

    Args:
        edge_index: shape (2, E), int64; row 0 holds the source j, row 1 the target i of each edge.
            An undirected graph holds both directions of each edge (a self-loop once).
        edge_weight: shape (E,), float64; ones where not given.
        names: N different names of nodes; "0", "1", ... where not given.
        node_count: N; read off ``names`` or the largest index where not given.
        directed: whether the edges were given with a direction.
        node_attributes: arrays of N rows by name.
        batch: shape (N,), int64: the number of the graph each node came from in a disjoint union;
            None for a single graph.

    Raises:
        InputError: a shape is wrong, an index names no node, a weight is not finite, a name stands
            twice, or edges of a graph said to be undirected lack their reverse.
    """

    edge_index: np.ndarray
    edge_weight: np.ndarray = None  # pyright: ignore[reportAssignmentType]
    names: tuple[str, ...] = None  # pyright: ignore[reportAssignmentType]
    node_count: int = None  # pyright: ignore[reportAssignmentType]
    directed: bool = False
    node_attributes: Mapping[str, np.ndarray] = field(default_factory=dict)
    batch: np.ndarray | None = None
    _cache: dict[tuple[str, ...], object] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        """Check shapes and references, then make every array read-only."""
        edge_index = np.ascontiguousarray(self.edge_index, dtype=np.int64)
        if edge_index.ndim != 2 or edge_index.shape[0] != 2:
            raise InputError(f"edge_index has shape {edge_index.shape}; (2, E) was expected")
        edge_count = edge_index.shape[1]
        weight = np.ones(edge_count) if self.edge_weight is None else self.edge_weight
        weight = np.ascontiguousarray(weight, dtype=np.float64)
        if weight.shape != (edge_count,):
            raise InputError(f"edge_weight has shape {weight.shape}; ({edge_count},) was expected")
        if not np.isfinite(weight).all():
            place = int(np.flatnonzero(~np.isfinite(weight))[0])
            raise InputError(f"edge {place}: weight {weight[place]} is not a finite number")
        node_count = self.node_count
        if node_count is None:
            largest = int(edge_index.max()) + 1 if edge_count else 0
            node_count = largest if self.names is None else len(self.names)
        names = tuple(map(str, range(node_count))) if self.names is None else tuple(self.names)
        if len(names) != node_count:
            raise InputError(f"{len(names)} names were given for {node_count} nodes")
        if len(set(names)) != node_count:
            seen: set[str] = set()
            double = next(name for name in names if name in seen or seen.add(name))
            raise InputError(f"node name '{double}' stands twice")
        if edge_count and (edge_index.min() < 0 or edge_index.max() >= node_count):
            bad = ((edge_index < 0) | (edge_index >= node_count)).any(axis=0)
            place = int(np.flatnonzero(bad)[0])
            raise InputError(
                f"edge {place} joins {edge_index[0, place]} and {edge_index[1, place]}, but the "
                f"{node_count} nodes are numbered from 0"
            )
        attributes = {key: np.array(value) for key, value in dict(self.node_attributes).items()}
        for key, value in attributes.items():
            if value.shape[:1] != (node_count,):
                raise InputError(
                    f"node attribute '{key}' has shape {value.shape}; "
                    f"{node_count} rows were expected"
                )
            value.flags.writeable = False
        batch = self.batch
        if batch is not None:
            batch = np.array(batch, dtype=np.int64)
            if batch.shape != (node_count,):
                raise InputError(f"batch has shape {batch.shape}; ({node_count},) was expected")
            batch.flags.writeable = False
        for array in (edge_index, weight):
            array.flags.writeable = False
        object.__setattr__(self, "edge_index", edge_index)
        object.__setattr__(self, "edge_weight", weight)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "node_count", node_count)
        object.__setattr__(self, "node_attributes", types.MappingProxyType(attributes))
        object.__setattr__(self, "batch", batch)
        if not self.directed and not _is_symmetric(self.adjacency):
            raise InputError(
                "the edges of an undirected graph must be given in both directions with one "
                "weight; use directed=True for a graph with directions"
            )

    @property
    def edge_count(self) -> int:
        """Number of stored edges E (an undirected edge between two nodes counts twice)."""
        return self.edge_index.shape[1]

    @property
    def adjacency(self) -> csr_array:
        """A of shape (N, N), float64 CSR: A[i, j] is the weight from j to i (doubles add up)."""
        cached = self._cache.get(("adjacency",))
        if cached is None:
            from scipy.sparse import csr_array

            source, target = self.edge_index
            shape = (self.node_count, self.node_count)
            cached = csr_array((self.edge_weight, (target, source)), shape=shape)
            cached.sum_duplicates()
            self._cache["adjacency",] = cached
        return cached  # pyright: ignore[reportReturnType]

    @property
    def transpose(self) -> csr_array:
        """A transposed, shape (N, N), float64 CSR: row j holds what leaves node j."""
        cached = self._cache.get(("transpose",))
        if cached is None:
            cached = self.adjacency if not self.directed else self.adjacency.T.tocsr()
            self._cache["transpose",] = cached
        return cached  # pyright: ignore[reportReturnType]

    @property
    def degree(self) -> np.ndarray:
        """Weighted in-degree k_i = sum_j A_ij, shape (N,), float64."""
        cached = self._cache.get(("degree",))
        if cached is None:
            target = self.edge_index[1]
            cached = np.zeros(self.node_count)
            np.add.at(cached, target, self.edge_weight)
            cached.flags.writeable = False
            self._cache["degree",] = cached
        return cached  # pyright: ignore[reportReturnType]

    def laplacian(self, kind: LaplacianKind = "combinatorial") -> csr_array:
        """Return a Laplacian of shape (N, N), float64 CSR (the header has the formulas).

        Raises:
            InputError: the kind is unknown; or a normalised kind meets a negative weight, or the
                symmetric kind a directed graph.
        """
        from scipy.sparse import csr_array, diags_array

        if kind not in get_args(LaplacianKind):
            raise InputError(
                f"'{kind}' is no kind of Laplacian; known are {', '.join(get_args(LaplacianKind))}"
            )
        if kind == "combinatorial":
            return csr_array(diags_array(self.degree) - self.adjacency)
        if self.edge_count and self.edge_weight.min() < 0:
            raise InputError(f"the {kind} Laplacian needs weights that are not negative")
        connected = self.degree > 0
        inverse = np.divide(1.0, self.degree, out=np.zeros(self.node_count), where=connected)
        identity = diags_array(connected.astype(float))
        if kind == "random_walk":
            return csr_array(identity - diags_array(inverse) @ self.adjacency)
        if self.directed:
            raise InputError("the symmetric Laplacian needs an undirected graph")
        root = diags_array(np.sqrt(inverse))
        return csr_array(identity - root @ self.adjacency @ root)

    def operator(self, kind: OperatorKind = "adjacency", *, like: torch.Tensor) -> SparseMatrix:
        """Return a matrix of the graph for tensors of the dtype and device of ``like``.

        ``mean_adjacency`` is D^(-1) A: the mean over neighbours, zero where a node has none. Each
        matrix is made once for each dtype and device.

        Raises:
            InputError: the kind is unknown.
        """
        from graphtide.sparse import SparseMatrix

        key = (kind, str(like.dtype), str(like.device))
        cached = self._cache.get(key)
        if cached is None:
            matrix = SparseMatrix.from_scipy(self.matrix(kind))
            cached = matrix.to(device=like.device, dtype=like.dtype)
            self._cache[key] = cached
        return cached  # pyright: ignore[reportReturnType]

    def matrix(self, kind: OperatorKind = "adjacency") -> csr_array:
        """Return a matrix of the graph (N, N), float64; kinds as for :meth:`operator`.

        Raises:
            InputError: the kind is unknown.
        """
        from scipy.sparse import csr_array, diags_array

        if kind == "adjacency":
            return self.adjacency
        if kind == "mean_adjacency":
            k = self.degree
            inverse = np.divide(1.0, k, out=np.zeros(self.node_count), where=k != 0)
            return csr_array(diags_array(inverse) @ self.adjacency)
        if kind == "laplacian":
            return self.laplacian("combinatorial")
        if kind == "symmetric_laplacian":
            return self.laplacian("symmetric")
        if kind == "random_walk_laplacian":
            return self.laplacian("random_walk")
        raise InputError(
            f"'{kind}' is no operator of a graph; known are {', '.join(get_args(OperatorKind))}"
        )

    def index(self, name: str) -> int:
        """Return the number of the node of this name.

        Raises:
            InputError: no node has this name.
        """
        cached = self._cache.get(("index",))
        if cached is None:
            cached = {known: i for i, known in enumerate(self.names)}
            self._cache["index",] = cached
        if name not in cached:  # pyright: ignore[reportOperatorIssue]
            raise InputError(f"'{name}' is not a node; {self.node_count} nodes are known")
        return cached[name]  # pyright: ignore[reportIndexIssue]

    def with_node_attributes(self, **attributes: np.ndarray) -> Graph:
        """Return the same graph with further node attributes (arrays of N rows)."""
        return Graph(
            self.edge_index,
            self.edge_weight,
            names=self.names,
            directed=self.directed,
            node_attributes={**self.node_attributes, **attributes},
            batch=self.batch,
        )

    @staticmethod
    def batch_of(graphs: Sequence[Graph]) -> Graph:
        """Return the disjoint union of graphs; ``batch`` tells which one each node came from.

        Nodes are renamed "0/name", "1/name", ...; node attributes that all graphs share are kept.

        Raises:
            InputError: there is no graph.
        """
        if not graphs:
            raise InputError("a disjoint union needs at least one graph")
        offsets = np.cumsum([0, *(graph.node_count for graph in graphs)])
        shared = set.intersection(*(set(graph.node_attributes) for graph in graphs))
        return Graph(
            np.concatenate(
                [g.edge_index + o for g, o in zip(graphs, offsets, strict=False)], axis=1
            ),
            np.concatenate([graph.edge_weight for graph in graphs]),
            names=tuple(f"{b}/{name}" for b, graph in enumerate(graphs) for name in graph.names),
            directed=any(graph.directed for graph in graphs),
            node_attributes={
                key: np.concatenate([graph.node_attributes[key] for graph in graphs])
                for key in sorted(shared)
            },
            batch=np.repeat(np.arange(len(graphs)), [graph.node_count for graph in graphs]),
        )

    @staticmethod
    def read(path: str | Path, *, directed: bool = False) -> Graph:
        """Read a graph file; see :func:`graphtide.graph.files.read_graph`."""
        from graphtide.graph.files import read_graph

        return read_graph(path, directed=directed)

    def write(self, path: str | Path) -> None:
        """Write a graph file; see :func:`graphtide.graph.files.write_graph`."""
        from graphtide.graph.files import write_graph

        write_graph(self, path)

    @staticmethod
    def from_source(text: str, *, directed: bool = False, seed: int = 0) -> Graph:
        """Return the graph of an existing file, else of a generator ``name:number:...[@seed]``.

        Example:
            >>> Graph.from_source("barabasi_albert:400:5").node_count
            400

        Raises:
            InputError: the text is neither a file nor a known generator with possible numbers.
        """
        from graphtide.graph.generators import from_source

        return from_source(text, directed=directed, seed=seed)

    @staticmethod
    def from_networkx(graph: networkx.Graph) -> Graph:
        """Convert a NetworkX graph; see :func:`graphtide.graph.convert.from_networkx`."""
        from graphtide.graph.convert import from_networkx

        return from_networkx(graph)

    def to_networkx(self) -> networkx.Graph:
        """Convert to a NetworkX Graph or DiGraph with ``weight`` on edges."""
        from graphtide.graph.convert import to_networkx

        return to_networkx(self)

    @staticmethod
    def from_scipy(matrix: object, *, names: Sequence[str] | None = None) -> Graph:
        """Convert a SciPy sparse matrix A with A[i, j] the weight from j to i."""
        from graphtide.graph.convert import from_scipy

        return from_scipy(matrix, names=names)

    def to_scipy(self) -> csr_array:
        """Return a copy of the adjacency matrix, A[i, j] the weight from j to i."""
        return self.adjacency.copy()

    @staticmethod
    def from_pyg(data: Data) -> Graph:
        """Convert a PyTorch Geometric ``Data``; needs the extra ``pyg``."""
        from graphtide.graph.convert import from_pyg

        return from_pyg(data)

    def to_pyg(self) -> Data:
        """Convert to a PyTorch Geometric ``Data``; needs the extra ``pyg``."""
        from graphtide.graph.convert import to_pyg

        return to_pyg(self)


def _is_symmetric(matrix: csr_array) -> bool:
    """Tell whether a canonical CSR matrix equals its transpose."""
    other = matrix.T.tocsr()
    other.sort_indices()
    return (
        np.array_equal(matrix.indptr, other.indptr)
        and np.array_equal(matrix.indices, other.indices)
        and np.array_equal(matrix.data, other.data)
    )

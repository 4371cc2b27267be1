"""The shapes of cascades: trees of who infected whom, their geometry, and clusters of shapes.

Size, depth (longest chain from a beginning), breadth (most nodes at one depth), structural virality
(mean distance between two nodes of the same tree: Goel, Anderson, Hofman & Watts, Management
Science 62 (2016) 180; 2 for a broadcast, growing with chains) and duration span the space in which
patterns of spread are compared (Zang et al., KDD 2019, describe cascades by three such dimensions).
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np

from graphtide.graph import Graph
from graphtide.mechanisms.cascades import Cascade, Cascades

if TYPE_CHECKING:
    import pandas

__all__ = ["CascadeShape", "cluster_shapes", "likely_parents", "shape_of", "shapes_table"]

FEATURES = ("size", "depth", "breadth", "structural_virality", "duration")
_MOST_CLUSTERS = 6


@dataclass(frozen=True, slots=True)
class CascadeShape:
    """The geometry of one cascade.

    Attributes:
        size: number of infections.
        beginnings: number of trees.
        depth: steps from a beginning to the farthest node.
        breadth: largest number of nodes at one depth.
        structural_virality: mean distance over pairs of the same tree, 0 where there is no pair.
        duration: from the first to the last infection.
    """

    size: int
    beginnings: int
    depth: int
    breadth: int
    structural_virality: float
    duration: float


def shape_of(parents: np.ndarray, times: np.ndarray) -> CascadeShape:
    """Return the geometry of a forest.

    Args:
        parents: (K,) index of each infection's parent among the infections, before it; -1 for none.
        times: (K,) in order.

    Example:
        >>> star = shape_of(np.array([-1, 0, 0, 0]), np.arange(4.0))
        >>> chain = shape_of(np.array([-1, 0, 1, 2]), np.arange(4.0))
        >>> star.depth, chain.depth, star.structural_virality, round(chain.structural_virality, 3)
        (1, 3, 1.5, 1.667)
    """
    count = len(parents)
    depth = np.zeros(count, np.int64)
    root = np.arange(count)
    for k, parent in enumerate(parents.tolist()):
        if parent >= 0:
            depth[k] = depth[parent] + 1
            root[k] = root[parent]
    below = np.ones(count, np.int64)  # nodes of the subtree, itself among them
    for k in range(count - 1, -1, -1):
        if parents[k] >= 0:
            below[parents[k]] += below[k]
    # An edge lies on the paths between the nodes below it and all others of its tree.
    joined = parents >= 0
    size_of_tree = below[root]
    distance = float((below[joined] * (size_of_tree[joined] - below[joined])).sum())
    trees = below[~joined].astype(float)
    pairs = float((trees * (trees - 1.0)).sum()) / 2.0
    return CascadeShape(
        size=count,
        beginnings=int((~joined).sum()),
        depth=int(depth.max()),
        breadth=int(np.bincount(depth).max()),
        structural_virality=distance / pairs if pairs else 0.0,
        duration=float(times[-1] - times[0]),
    )


def likely_parents(
    cascade: Cascade, graph: Graph, *, fading: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the likeliest parent of each infection and its probability.

    Given the times, node j infected i with probability proportional to A_ij exp(-fading lag) among
    the neighbours that were infectious then; of equal ones the one infected last is named.

    Args:
        cascade: the cascade; parents that it knows are kept, with probability 1.
        graph: the network.
        fading: rate at which infectiousness fades.

    Returns:
        parents: (K,) index of the infection that is the parent, -1 where none is possible.
        probability: (K,), NaN where there is no parent.
    """
    matrix = graph.adjacency
    latest: dict[int, int] = {}
    parents = np.full(len(cascade.node), -1, np.int64)
    probability = np.full(len(cascade.node), np.nan)
    began = cascade.began
    for k, i in enumerate(cascade.node.tolist()):
        known = int(cascade.parent[k])
        if known >= 0:
            parents[k], probability[k] = latest[known], 1.0
        elif not began[k]:
            row = slice(matrix.indptr[i], matrix.indptr[i + 1])
            best, total, chosen = 0.0, 0.0, -1
            for j, weight in zip(
                matrix.indices[row].tolist(), matrix.data[row].tolist(), strict=True
            ):
                place = latest.get(j, -1)
                if place < 0 or cascade.infectious[place] >= cascade.time[k]:
                    continue
                if cascade.recovery[place] < cascade.time[k]:
                    continue
                share = weight * np.exp(-fading * (cascade.time[k] - cascade.infectious[place]))
                total += share
                if share > best or (share == best and place > chosen):
                    best, chosen = share, place
            if chosen >= 0:
                parents[k], probability[k] = chosen, best / total
        latest[i] = k
    return parents, probability


def shapes_table(cascades: Cascades, forests: list[np.ndarray]) -> pandas.DataFrame:
    """Return one row a cascade: its name and its geometry."""
    import pandas

    shapes = [
        shape_of(parents, cascade.time)
        for cascade, parents in zip(cascades.items, forests, strict=True)
    ]
    columns = {
        field.name: [getattr(shape, field.name) for shape in shapes]
        for field in fields(CascadeShape)
    }
    names = [cascade.name for cascade in cascades.items]
    return pandas.DataFrame({"cascade": names, **columns})


def cluster_shapes(table: pandas.DataFrame, *, seed: int = 0) -> np.ndarray:
    """Return the pattern of each cascade, shape (cascades,): 0 for the most frequent.

    Gaussian mixtures of the standardised logarithms of the geometry; Schwarz's criterion chooses
    how many, from one to six. Fewer than ten cascades make one pattern.

    Args:
        table: as :func:`shapes_table` returns.
        seed: of the mixture's starts.
    """
    from sklearn.mixture import GaussianMixture

    values = np.log1p(table[list(FEATURES)].to_numpy(dtype=np.float64))
    spread = values.std(axis=0)
    used = spread > 1e-9
    if len(values) < 10 or not used.any():
        return np.zeros(len(values), np.int64)
    scaled = (values[:, used] - values[:, used].mean(axis=0)) / spread[used]
    best, lowest = np.zeros(len(values), np.int64), np.inf
    for count in range(1, min(_MOST_CLUSTERS, len(values) // 5) + 1):
        mixture = GaussianMixture(
            count, covariance_type="diag", reg_covar=1e-3, n_init=2, random_state=seed
        ).fit(scaled)
        criterion = float(mixture.bic(scaled))
        if criterion < lowest:
            best, lowest = mixture.predict(scaled), criterion
    frequency = np.bincount(best)
    rank = np.argsort(np.argsort(-frequency, kind="stable"), kind="stable")
    return rank[best].astype(np.int64)

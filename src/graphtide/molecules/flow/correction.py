"""Correction of a drawn graph: the least likely bonds give way until every valence holds.

While an atom has more bonds than its valence, the least likely of its bonds loses order, by as much
as the atom has too many and at most whole. Then the largest connected piece is kept. What is left
of a valence is hydrogen, so the result is always a molecule.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from graphtide.molecules.chemistry import TypedGraph

__all__ = ["corrected"]


def corrected(graph: TypedGraph, likelihoods: Sequence[float] | np.ndarray) -> TypedGraph:
    """Return a graph that keeps within its valences and is in one piece.

    A graph that does so already comes back unchanged, as the same object.

    Args:
        graph: typed nodes and bonds.
        likelihoods: of each bond, or their logarithms, (M,).

    Example:
        >>> from graphtide.molecules.chemistry import AtomType
        >>> kinds = (AtomType("C", 0, 4), AtomType("F", 0, 1), AtomType("O", 0, 2))
        >>> bonds = np.array([[0, 1, 1], [0, 2, 1], [1, 2, 1]])
        >>> corrected(TypedGraph(kinds, bonds), [0.9, 0.8, 0.1]).bonds.tolist()
        [[0, 1, 1], [0, 2, 1]]
    """
    bonds, orders = graph.bonds, graph.bonds[:, 2].astype(np.int64)
    left = graph.hydrogens
    likelihoods = np.asarray(likelihoods, dtype=np.float64)
    for node in np.flatnonzero(left < 0):
        own = np.flatnonzero((bonds[:, 0] == node) | (bonds[:, 1] == node))
        for bond in own[np.argsort(likelihoods[own], kind="stable")]:
            loss = min(int(orders[bond]), max(0, -int(left[node])))
            orders[bond] -= loss
            left[bonds[bond, :2]] += loss
    kept = orders > 0
    piece = _largest_piece(len(graph.types), bonds[kept, :2])
    if piece.all() and np.array_equal(orders, bonds[:, 2]):
        return graph
    kept &= piece[bonds[:, 0]]
    place = np.cumsum(piece) - 1
    new = np.column_stack([place[bonds[kept, 0]], place[bonds[kept, 1]], orders[kept]])
    types = tuple(kind for kind, stays in zip(graph.types, piece, strict=True) if stays)
    return TypedGraph(types, new.astype(np.int16))


def _largest_piece(count: int, pairs: np.ndarray) -> np.ndarray:
    """Return which nodes are in the largest connected piece (of equal ones, the first)."""
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for one, other in pairs.tolist():
        neighbours[one].append(other)
        neighbours[other].append(one)
    best: set[int] = set()
    seen: set[int] = set()
    for start in range(count):
        if start in seen:
            continue
        piece, open_ = {start}, [start]
        while open_:
            fresh = [n for n in neighbours[open_.pop()] if n not in piece]
            piece.update(fresh)
            open_.extend(fresh)
        seen |= piece
        if len(piece) > len(best):
            best = piece
    return np.isin(np.arange(count), list(best))

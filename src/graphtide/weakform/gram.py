"""Gram matrices of the weak form: all that a search over equations needs.

With R_i the rows (windows x terms) of node i and y_i its left-hand sides, the search for c in
y = R c needs only R_i' R_i, R_i' y_i and y_i' y_i. They are kept apart for each node, so that nodes
can be scaled, left out or resampled at no cost; trajectories add up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

__all__ = ["NodeGram", "node_gram"]


@dataclass(frozen=True, slots=True)
class NodeGram:
    """Sums of products for each node.

    Attributes:
        terms: R_i' R_i, shape (N, P, P).
        cross: R_i' y_i, shape (N, P).
        target: y_i' y_i, shape (N,).
    """

    terms: np.ndarray
    cross: np.ndarray
    target: np.ndarray

    def __add__(self, other: NodeGram) -> NodeGram:
        """Join the rows of two trajectories of the same nodes."""
        return NodeGram(
            self.terms + other.terms, self.cross + other.cross, self.target + other.target
        )

    def joined(self, other: NodeGram) -> NodeGram:
        """Join the nodes of two graphs."""
        return NodeGram(
            np.concatenate([self.terms, other.terms]),
            np.concatenate([self.cross, other.cross]),
            np.concatenate([self.target, other.target]),
        )

    def weighted(self, weight: np.ndarray) -> NodeGram:
        """Multiply every node's sums by a weight, shape (N,)."""
        return NodeGram(
            self.terms * weight[:, None, None], self.cross * weight[:, None], self.target * weight
        )

    def scaled_nodes(self) -> NodeGram:
        """Give every node equal weight, so that hubs with large motion do not decide alone.

        A node that hardly moves beside the others keeps a weight below that: its rows are noise.
        """
        moving = self.target[self.target > 0]
        floor = 0.01 * np.median(moving) if moving.size else 1.0
        return self.weighted(1.0 / np.maximum(self.target, floor))

    def total(self) -> tuple[np.ndarray, np.ndarray, float]:
        """Return the sums over nodes: (P, P), (P,) and a number."""
        return self.terms.sum(axis=0), self.cross.sum(axis=0), float(self.target.sum())

    def with_columns(self, columns: list[int]) -> NodeGram:
        """Keep some of the terms."""
        return replace(
            self, terms=self.terms[:, columns][:, :, columns], cross=self.cross[:, columns]
        )


def node_gram(rows: np.ndarray, left: np.ndarray) -> NodeGram:
    """Return the sums of products of rows (W, N, P) and left-hand sides (W, N)."""
    by_node = rows.transpose(1, 0, 2)  # (N, W, P)
    target = left.T  # (N, W)
    return NodeGram(
        terms=by_node.transpose(0, 2, 1) @ by_node,
        cross=np.einsum("nwp,nw->np", by_node, target),
        target=(target**2).sum(axis=1),
    )

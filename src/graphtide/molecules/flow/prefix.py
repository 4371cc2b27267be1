"""What is known of a molecule before a node is added, and which choices are legal then.

Everything here is a function of earlier choices alone, so a conditioner may see it: how much
valence each node has left, and how far apart nodes are. It is worked out node by node by one piece
of code, whether the molecule is known (likelihood) or growing (sampling).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["FAR", "GrowingGraph", "Prefixes", "legal_orders", "legal_types", "prefixes"]

FAR = 100
"""Distance of nodes without a path."""


class GrowingGraph:
    """B graphs to which one node after the other is added.

    Args:
        batch: B.
        most: N, most nodes.
        device: of the tensors.
    """

    def __init__(self, batch: int, most: int, device: torch.device) -> None:
        self.count = 0
        self.left = torch.zeros(batch, most, dtype=torch.int64, device=device)
        """Valence left over at each node, (B, N); negative where bonds exceed it."""
        self.apart = torch.full((batch, most, most), FAR, dtype=torch.int16, device=device)
        """Number of bonds on the shortest path, (B, N, N)."""

    def add(self, valence: Tensor, partners: Tensor, orders: Tensor) -> None:
        """Add a node.

        Args:
            valence: of the node, (B,).
            partners: earlier nodes it is bonded to, (B, S); -1 for none.
            orders: of those bonds, (B, S); 0 for none.
        """
        node, most = self.count, self.left.shape[1]
        at = partners.clamp_min(0)  # (B, S)
        self.left.scatter_add_(1, at, -orders)
        self.left[:, node] = valence - orders.sum(1)
        rows = self.apart.gather(1, at[:, :, None].expand(-1, -1, most))  # (B, S, N)
        rows = rows.masked_fill(partners[:, :, None] < 0, FAR)
        row = (rows.amin(1) + 1).clamp_max(FAR)  # (B, N)
        row[:, node] = 0
        self.apart[:, node] = row
        self.apart[:, :, node] = row
        if partners.shape[1] > 1:  # a ring closed: paths through the node may be shorter
            self.apart = torch.minimum(self.apart, row[:, :, None] + row[:, None, :])
        self.count += 1

    def keep(self, first: int) -> None:
        """Go on with the first graphs only."""
        self.left, self.apart = self.left[:first], self.apart[:first]


@dataclass(frozen=True, slots=True)
class Prefixes:
    """Row i tells of the graph before node i is added, (B, N, N) each.

    Args:
        left: valence left over at node j.
        apart: path length from node i - 1 to node j.
        parent_apart: path length from the latest partner of node i to node j.
    """

    left: Tensor
    apart: Tensor
    parent_apart: Tensor


def prefixes(valence: Tensor, partners: Tensor, orders: Tensor) -> Prefixes:
    """Return what is known before each node of known molecules.

    Args:
        valence: of each node, (B, N).
        partners: (B, N, S), as in :class:`graphtide.molecules.flow.rows.Rows`.
        orders: (B, N, S).
    """
    batch, most = valence.shape
    graph = GrowingGraph(batch, most, valence.device)
    left, apart, parent_apart = [], [], []
    everyone = torch.arange(batch, device=valence.device)
    for node in range(most):
        left.append(graph.left.clone())
        apart.append(graph.apart[:, node - 1].clone())
        parent_apart.append(graph.apart[everyone, partners[:, node, 0].clamp_min(0)])
        graph.add(valence[:, node], partners[:, node], orders[:, node])
    return Prefixes(*(torch.stack(each, 1) for each in (left, apart, parent_apart)))


def legal_types(valences: Tensor, total: Tensor, first: Tensor, more: Tensor) -> Tensor:
    """Return which types keep a molecule completable, bool (..., V).

    A node that is not the first takes one bond at least, and while nodes are to come something
    must be left for them to bind to.

    Args:
        valences: of each type, (V,).
        total: valence left over in the graph, (...).
        first: whether this is the first node, bool (...).
        more: whether nodes are to come after it, bool (...).
    """
    gained = torch.where(first, 0, total - 2)
    after = valences + gained[..., None]
    return (after >= more[..., None].long()) & (first[..., None] | (valences >= 1))


def legal_orders(left: Tensor, own: Tensor, total: Tensor, more: Tensor) -> Tensor:
    """Return which orders a bond of the newest node to node j may have, bool (A, N, 3).

    Args:
        left: valence left over at the earlier nodes, (A, N).
        own: valence left over at the newest node, (A,).
        total: valence left over in all, the newest node's included, (A,).
        more: whether nodes are to come, bool (A,).
    """
    room = torch.minimum(own, (total - more.long()) // 2)  # each order takes two valences
    most = torch.minimum(left, room[:, None])  # (A, N)
    return most[..., None] >= torch.arange(1, 4, device=left.device)

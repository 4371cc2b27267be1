"""What a network of few layers cannot see in a noisy graph for itself, worked out for it.

With A the adjacency of the bonds present and S = D^(-1/2) A D^(-1/2):

    nodes   bonds of each order, valence left, masked bonds, diagonal of S^2 ... S^6 (the
            probabilities that a random walk is back), share of all nodes in its component
    pairs   entries of S^2, S^3, S^4; whether a path of at most 2, of at most 4, of any number
            of bonds joins the two

All of it is eight or so products of small dense matrices.

Sources: Dwivedi, Luu, Laurent, Bengio, Bresson, Graph neural networks with learnable structural
and positional representations, ICLR 2022 (random walks); Vignac et al., DiGress, ICLR 2023 (cycles
and valences as features of the noisy graph).
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphtide.molecules.flow_matching.pairs import Pairs

__all__ = ["NODE_FEATURES", "PAIR_FEATURES", "graph_features"]

NODE_FEATURES = 12
PAIR_FEATURES = 6


def graph_features(
    bonds: Tensor, valences: Tensor, counts: Tensor, pairs: Pairs
) -> tuple[Tensor, Tensor]:
    """Return features of the nodes (n, B, NODE_FEATURES) and of the pairs (P, B, PAIR_FEATURES).

    Args:
        bonds: int64 (P, B): 0 for none, 1 to 3, 4 for masked.
        valences: valence of the type of each node, float (n, B).
        counts: number of nodes of each graph, float (B,).
        pairs: of n nodes.
    """
    n = pairs.nodes
    of_order = [pairs.matrices((bonds == k).to(valences.dtype)) for k in (1, 2, 3, 4)]
    sums = [matrix.sum(-1) for matrix in of_order]  # (B, n) each
    used = sums[0] + 2 * sums[1] + 3 * sums[2]
    left = valences.t() - used
    adjacency = of_order[0] + of_order[1] + of_order[2]
    scale = (sums[0] + sums[1] + sums[2]).clamp(min=1).rsqrt()
    walk = adjacency * scale[:, :, None] * scale[:, None, :]
    walk2 = walk @ walk
    walk3 = walk2 @ walk
    walk4 = walk2 @ walk2
    returns = [
        walk2.diagonal(dim1=1, dim2=2),
        walk3.diagonal(dim1=1, dim2=2),
        walk4.diagonal(dim1=1, dim2=2),
        (walk2 * walk3).sum(-1),
        (walk3 * walk3).sum(-1),
    ]
    reach = adjacency + torch.eye(n, device=bonds.device, dtype=adjacency.dtype)
    reach2 = (reach @ reach).clamp(max=1)
    reach4 = (reach2 @ reach2).clamp(max=1)
    joined, length = reach4, 4
    while length < n - 1:
        joined, length = (joined @ joined).clamp(max=1), 2 * length
    share = joined.sum(-1) / counts[:, None]
    of_nodes = [*sums, left, left.clamp(min=-1, max=1), *(4 * r for r in returns), share]
    nodes = torch.stack(of_nodes, dim=-1)  # (B, n, NODE_FEATURES)
    walks = torch.stack([pairs.values(4 * w) for w in (walk2, walk3, walk4)], dim=-1)
    reaches = torch.stack([pairs.values(r) for r in (reach2, reach4, joined)], dim=-1)
    return nodes.transpose(0, 1), torch.cat([walks, reaches], dim=-1)

"""The network that guesses the clean graph from a noisy one: a small graph transformer.

A stream of nodes h and a stream of pairs e (upper triangle only) are updated in turns:

    e_ij <- e_ij + W gelu(U norm(e_ij) + (a_i + a_j) + b_i b_j),      a, b = linear(norm(h))
    h_i  <- h_i + out([sum_j softmax_j(w e_ij) v_j ; sum_j r e_ij]),  v = linear(norm(h))
    h_i  <- h_i + MLP(norm(h_i))

Attention weighs by the pairs alone, which know both nodes already: no query, no key, and every
product runs over the last axis of (n, B, H) or (P, B, C), one large matrix product each, or over
the first, where picking nodes for pairs copies whole rows of memory. Renumbering the nodes
renumbers the answer.

Sources: Vignac et al., DiGress, ICLR 2023 (nodes and pairs in two streams).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from graphtide.molecules.flow_matching.features import NODE_FEATURES, PAIR_FEATURES
from graphtide.molecules.flow_matching.pairs import Pairs, with_ends

__all__ = ["DenoisingNetwork"]


class DenoisingNetwork(nn.Module):
    """Logits of the clean types and bonds.

    Args:
        types: T, states of a node.
        bonds: states of a pair, a mask included.
        clean_types: types that the clean graph can hold (T without a mask).
        clean_bonds: orders that the clean graph can hold, none included.
        conditions: number of properties it can be told.
        width: of the stream of nodes.
        pair_width: of the stream of pairs.
        heads: of the attention; they divide half of the width.
        layers: number of layers.
    """

    def __init__(
        self,
        *,
        types: int,
        bonds: int,
        clean_types: int,
        clean_bonds: int,
        conditions: int = 0,
        width: int = 96,
        pair_width: int = 24,
        heads: int = 4,
        layers: int = 5,
    ) -> None:
        super().__init__()
        self.types = nn.Embedding(types, width)
        self.bonds = nn.Embedding(bonds, pair_width)
        self.node_features = nn.Linear(NODE_FEATURES, width)
        self.pair_features = nn.Linear(PAIR_FEATURES, pair_width)
        self.of_nodes = nn.Linear(width, pair_width)
        self.time = nn.Sequential(nn.Linear(9, 64), nn.GELU(), nn.Linear(64, width + pair_width))
        self.condition = (
            nn.Sequential(nn.Linear(2 * conditions, width), nn.GELU(), nn.Linear(width, width))
            if conditions
            else None
        )
        self.layers = nn.ModuleList(_Layer(width, pair_width, heads) for _ in range(layers))
        self.node_norm = nn.LayerNorm(width)
        self.pair_norm = nn.LayerNorm(pair_width)
        self.to_types = nn.Linear(width, clean_types)
        self.node_out = nn.Linear(width, 2 * pair_width)
        self.pair_out = nn.Linear(pair_width, 2 * pair_width)
        self.to_bonds = nn.Linear(2 * pair_width, clean_bonds)

    def forward(
        self,
        types: Tensor,
        bonds: Tensor,
        node_features: Tensor,
        pair_features: Tensor,
        time: Tensor,
        pairs: Pairs,
        padding: Tensor | None = None,
        condition: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Return logits of the clean types (n, B, T) and of the clean bonds (P, B, K).

        Args:
            types: int64 (n, B).
            bonds: int64 (P, B).
            node_features: (n, B, NODE_FEATURES).
            pair_features: (P, B, PAIR_FEATURES).
            time: (B,).
            pairs: of n nodes.
            padding: bool (n, B), where there is no node; None where every graph has n.
            condition: (B, 2 conditions), values and whether they are given.
        """
        angles = torch.pi * time[:, None] * torch.arange(1, 4, device=time.device, dtype=time.dtype)
        clock = [time[:, None], (1 - time[:, None]).clamp(min=0).sqrt(), time[:, None] ** 4]
        clock = self.time(torch.cat([*clock, angles.cos(), angles.sin()], dim=-1))
        width = self.types.embedding_dim
        h = self.types(types) + self.node_features(node_features) + clock[:, :width]
        if self.condition is not None and condition is not None:
            h = h + self.condition(condition)
        near = self.of_nodes(h)
        e = self.bonds(bonds) + self.pair_features(pair_features) + clock[:, width:]
        e = with_ends(e, near, pairs)
        scale = h.new_tensor(1.0 / pairs.nodes).sqrt()
        blocked = None if padding is None else padding[None, :, :, None]  # (1, n, B, 1)
        absent = None
        if padding is not None:
            absent = (padding[pairs.first] | padding[pairs.second])[..., None]  # (P, B, 1)
            scale = (~padding).sum(0).to(h.dtype).rsqrt()[:, None]  # (B, 1)
        for layer in self.layers:
            h, e = layer(h, e, pairs, scale, blocked, absent)
        x = self.node_norm(h)
        ends = self.node_out(x)
        hidden = with_ends(self.pair_out(self.pair_norm(e)), ends, pairs)
        return self.to_types(x), self.to_bonds(gelu(hidden))


class _Layer(nn.Module):
    def __init__(self, width: int, pair_width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        hidden = 2 * pair_width
        self.hidden = hidden
        self.node_norm = nn.LayerNorm(width)
        self.pair_norm = nn.LayerNorm(pair_width)
        self.from_nodes = nn.Linear(width, 2 * hidden + width // 2 + heads)
        self.widen = nn.Linear(pair_width, hidden)
        self.narrow = nn.Linear(hidden, pair_width)
        self.weigh = nn.Linear(pair_width, heads)
        self.out = nn.Linear(width // 2 + pair_width, width)
        self.mlp_norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(
        self,
        h: Tensor,
        e: Tensor,
        pairs: Pairs,
        scale: Tensor,
        blocked: Tensor | None,
        absent: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        n, batch, width = h.shape
        sizes = [self.hidden, self.hidden, width // 2, self.heads]
        a, b, v, own = self.from_nodes(self.node_norm(h)).split(sizes, dim=-1)
        hidden = with_ends(self.widen(self.pair_norm(e)), a, pairs, b)
        e = e + self.narrow(gelu(hidden))  # (P, B, C)
        logits = (
            torch.cat([self.weigh(e), own])
            .index_select(0, pairs.square)
            .view(n, n, batch, self.heads)
        )
        if blocked is not None:
            logits = logits.masked_fill(blocked, -1e4)
        weights = logits.softmax(dim=1)  # (n, n, B, heads), of each node over all nodes
        message = _mixed(weights, v.reshape(n, batch, self.heads, -1)).reshape(n, batch, -1)
        around = e if absent is None else e.masked_fill(absent, 0.0)
        sums = torch.zeros(n, batch, e.shape[-1], dtype=e.dtype, device=e.device)
        sums = sums.index_add(0, pairs.first, around)
        sums = sums.index_add(0, pairs.second, around)
        h = h + self.out(torch.cat([message, sums * scale], dim=-1))
        return h + self.mlp(self.mlp_norm(h)), e


def _mixed(weights: Tensor, values: Tensor) -> Tensor:
    """Return sum_j weights[i, j] values[j]: (n, n, B, H) and (n, B, H, D) to (n, B, H, D).

    Small matrix products are quick where each matrix lies in one piece, so both are copied.
    """
    n, batch, heads, depth = values.shape
    matrices = weights.view(n * n, -1).t().contiguous().view(-1, n, n)  # (B H, n, n)
    columns = values.reshape(n, -1, depth).transpose(0, 1).contiguous()  # (B H, n, D)
    return torch.bmm(matrices, columns).transpose(0, 1).reshape(n, batch, heads, depth)

"""Pairs of nodes: a bond is one variable, not two, so only the upper triangle is kept.

Pair p = (i, j), i < j, of n nodes stands at i n - i (i + 1) / 2 + j - i - 1, row by row.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["Pairs", "pair_place", "with_ends"]


class Pairs:
    """Index arrays of the n (n - 1) / 2 pairs of n nodes, on one device.

    Attributes:
        count: P.
        first: i of each pair, int64 (P,).
        second: j of each pair, int64 (P,).
        square: place of the pair of (i, j) for each of the n * n entries, row by row; P + i at
            (i, i).
        places: entry i * n + j of each pair, int64 (P,).
    """

    def __init__(self, nodes: int, device: torch.device) -> None:
        index = torch.triu_indices(nodes, nodes, 1)
        self.nodes = nodes
        self.count = index.shape[1]
        self.first, self.second = (row.to(device) for row in index)
        square = torch.empty(nodes, nodes, dtype=torch.int64)
        square[index[0], index[1]] = torch.arange(self.count)
        square[index[1], index[0]] = torch.arange(self.count)
        square.fill_diagonal_(0)
        square += torch.diag(self.count + torch.arange(nodes))
        self.square = square.view(-1).to(device)
        self.places = (index[0] * nodes + index[1]).to(device)

    @staticmethod
    @lru_cache(maxsize=256)
    def of(nodes: int, device: torch.device) -> Pairs:
        """Return the pairs of n nodes; made once."""
        return Pairs(nodes, device)

    def blocks(self) -> Iterator[tuple[int, slice]]:
        """Yield each node i with the places of its pairs (i, i + 1), ..., (i, n - 1)."""
        first = 0
        for i in range(self.nodes - 1):
            last = first + self.nodes - 1 - i
            yield i, slice(first, last)
            first = last

    def matrices(self, values: Tensor) -> Tensor:
        """Return symmetric matrices (B, n, n) with a zero diagonal, of values (P, B).

        Each lies in one piece of memory, without which a product of small ones takes 20 times as
        long.
        """
        n, batch = self.nodes, values.shape[1]
        full = torch.cat([values, values.new_zeros(n, batch)])[self.square]  # (n n, B)
        return full.t().contiguous().view(batch, n, n)

    def values(self, matrices: Tensor) -> Tensor:
        """Return the values (P, B) of the pairs in matrices (B, n, n)."""
        return matrices.reshape(len(matrices), -1)[:, self.places].t()


def pair_place(first: np.ndarray, second: np.ndarray, nodes: int) -> np.ndarray:
    """Return the place of each pair (i, j), i < j, of n nodes."""
    i = first.astype(np.int64)
    return i * nodes - i * (i + 1) // 2 + second - i - 1


def with_ends(own: Tensor, added: Tensor, pairs: Pairs, multiplied: Tensor | None = None) -> Tensor:
    """Return own_ij + a_i + a_j, and + b_i b_j where b is given, for each pair, (P, B, H).

    On a CPU this goes by blocks: the pairs (i, i + 1), ..., (i, n - 1) lie next to each other, so
    that their ends are one node and a run of nodes; nothing is copied for each pair, and a block
    fits the cache. Elsewhere, and where code is compiled, few large operations are better.

    Args:
        own: (P, B, H).
        added: a, (n, B, H).
        pairs: of n nodes.
        multiplied: b, (n, B, H), or None.
    """
    if own.device.type == "cpu" and not torch.compiler.is_compiling():
        return _WithEnds.apply(own, added, multiplied, pairs)
    joined = own + added[pairs.first] + added[pairs.second]
    if multiplied is not None:
        joined = joined + multiplied[pairs.first] * multiplied[pairs.second]
    return joined


class _WithEnds(torch.autograd.Function):
    """The sums over ends, block by block, and back."""

    @staticmethod
    def forward(
        ctx: Any, own: Tensor, added: Tensor, multiplied: Tensor | None, pairs: Pairs
    ) -> Tensor:
        ctx.save_for_backward(multiplied)
        ctx.pairs = pairs
        joined = torch.empty_like(own)
        for i, block in pairs.blocks():
            part = torch.add(own[block], added[i + 1 :], out=joined[block])
            part += added[i]
            if multiplied is not None:
                part.addcmul_(multiplied[i + 1 :], multiplied[i])
        return joined

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = gradients
        (multiplied,) = ctx.saved_tensors
        added = gradient.new_zeros(ctx.pairs.nodes, *gradient.shape[1:])
        products = None if multiplied is None else torch.zeros_like(multiplied)
        for i, block in ctx.pairs.blocks():
            part = gradient[block]
            added[i + 1 :] += part
            added[i] += part.sum(0)
            if multiplied is not None and products is not None:
                products[i + 1 :].addcmul_(part, multiplied[i])
                products[i] += (part * multiplied[i + 1 :]).sum(0)
        return gradient, added, products, None

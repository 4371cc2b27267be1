"""Pairs of nodes: a bond is one variable, not two, so only the upper triangle is kept.

Pair p = (i, j), i < j, of n nodes stands at i n - i (i + 1) / 2 + j - i - 1, row by row.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

__all__ = ["Pairs", "pair_place"]


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

    def matrices(self, values: Tensor) -> Tensor:
        """Return symmetric matrices (B, n, n) with a zero diagonal, of values (P, B)."""
        n, batch = self.nodes, values.shape[1]
        full = torch.cat([values, values.new_zeros(n, batch)])[self.square]  # (n n, B)
        return full.t().reshape(batch, n, n)

    def values(self, matrices: Tensor) -> Tensor:
        """Return the values (P, B) of the pairs in matrices (B, n, n)."""
        return matrices.reshape(len(matrices), -1)[:, self.places].t()


def pair_place(first: np.ndarray, second: np.ndarray, nodes: int) -> np.ndarray:
    """Return the place of each pair (i, j), i < j, of n nodes."""
    i = first.astype(np.int64)
    return i * nodes - i * (i + 1) // 2 + second - i - 1

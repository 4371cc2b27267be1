"""Graphs that are molecules: a bond at a time, and only bonds after which one can still finish.

A graph is legal where no atom has more bonds than its valence and all atoms hang together. With
c components of open valence o_1 ... o_c (valences less bonds), a legal graph can still be reached
if and only if

    c = 1,    or    every o_k >= 1  and  o_1 + ... + o_c >= 2 (c - 1),

for a tree of single bonds between components needs that much and no more (degrees d_k >= 1 are
those of a tree exactly where they sum to 2 (c - 1)). A bond is allowed where this holds after it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from graphtide.molecules.flow_matching.pairs import Pairs

__all__ = ["is_legal", "legal_bonds", "legal_types"]


def is_legal(bonds: Tensor, valences: Tensor, pairs: Pairs) -> Tensor:
    """Return whether graphs keep within their valences and are connected, bool (B,).

    Args:
        bonds: orders, int64 (P, B).
        valences: int64 (n, B).
        pairs: of n nodes.
    """
    orders = pairs.matrices(bonds)  # (B, n, n)
    within = (orders.sum(-1) <= valences.t()).all(-1)
    return within & _joined(orders > 0).all(-1).all(-1)


def legal_bonds(
    log_probabilities: Tensor,
    valences: Tensor,
    pairs: Pairs,
    generator: torch.Generator,
    *,
    fixed: Tensor | None = None,
    given: Tensor | None = None,
) -> Tensor:
    """Draw legal graphs bond by bond, the surest first; int64 (P, B).

    Each pair draws its preference from its own distribution (the Gumbel trick), and bonds enter
    in the order of preference as long as they are allowed; what is not connected then is
    connected by the most preferred bonds.

    Args:
        log_probabilities: of the orders 0 to 3 of each pair, (P, B, 4).
        valences: of the nodes, int64 (n, B); a legal graph must exist.
        pairs: of n nodes.
        generator: of the preferences.
        fixed: bool (P, B), pairs that are not to change; their nodes hang together already.
        given: their orders, int64 (P, B).
    """
    scores = log_probabilities.transpose(0, 1)  # (B, P, 4)
    uniform = torch.rand(
        scores.shape, generator=generator, device=scores.device, dtype=scores.dtype
    )
    scores = scores - (-(uniform.clamp(1e-12, 1 - 1e-7)).log()).log()
    scores = scores[..., 1:] - scores[..., :1]  # (B, P, 3)
    batch, count = scores.shape[:2]
    bonds = torch.zeros(batch, count, dtype=torch.int64, device=scores.device)
    free = torch.ones_like(bonds, dtype=torch.bool)
    if fixed is not None and given is not None:
        bonds = torch.where(fixed, given, 0).t().contiguous()
        free = ~fixed.t()
    first, second = pairs.first, pairs.second
    order = torch.arange(1, 4, device=scores.device)
    graphs = torch.arange(batch, device=scores.device)
    while pairs.nodes > 1:
        matrix = pairs.matrices(bonds.t())
        left = valences.t() - matrix.sum(-1)  # (B, n)
        together = _joined(matrix > 0)
        size = together.sum(-1)
        parts = (1.0 / size).sum(-1).round().long()[:, None, None]
        opened = (together * left[:, None, :]).sum(-1)  # (B, n): of the component of each
        same = together.reshape(batch, -1)[:, pairs.places][..., None]  # (B, P, 1)
        room = torch.minimum(left[:, first], left[:, second])[..., None] >= order
        merged = (opened[:, first] + opened[:, second])[..., None]
        after = torch.where(same, opened[:, first][..., None], merged) - 2 * order
        parts_after = parts - (~same).long()
        total = left.sum(-1)[:, None, None] - 2 * order
        reachable = (parts_after == 1) | ((after >= 1) & (total >= 2 * (parts_after - 1)))
        allowed = room & reachable & (after >= 0) & (free & (bonds == 0))[..., None]
        wanted = scores.masked_fill(~allowed, -torch.inf).view(batch, -1)
        best, at = wanted.max(-1)
        joins = wanted.view(batch, count, 3).masked_fill(same, -torch.inf).view(batch, -1)
        best_join, at_join = joins.max(-1)
        unfinished = parts[:, 0, 0] > 1
        use_join = (best <= 0) & unfinished
        at = torch.where(use_join, at_join, at)
        acting = (best > 0) | (unfinished & (best_join > -torch.inf))
        if not bool(acting.any()):
            break
        chosen = graphs[acting]
        bonds[chosen, at[acting] // 3] = at[acting] % 3 + 1
    return bonds.t().contiguous()


def legal_types(
    log_probabilities: Tensor,
    types: Tensor,
    valences: Tensor,
    *,
    fixed: Tensor | None = None,
    spent: Tensor | None = None,
) -> Tensor:
    """Return types of which a connected graph can be made, changed where that costs least.

    Args:
        log_probabilities: of the types of each node, (n, B, T).
        types: int64 (n, B), as drawn.
        valences: of each type, (T,).
        fixed: bool (n, B), nodes that are not to change; they hang together by fixed bonds.
        spent: valence that the fixed bonds take, (n, B).
    """
    n = len(types)
    types = types.clone()
    held = torch.zeros_like(types, dtype=torch.bool) if fixed is None else fixed
    used = torch.zeros_like(valences[types]) if spent is None else spent.to(valences.dtype)
    pieces = (~held).sum(0) + held.any(0)
    if n < 2:
        return types
    while True:
        now = valences[types]  # (n, B)
        inert = ~held & (now < 1)
        short = ((now - used).sum(0) < 2 * (pieces - 1)) | (inert.any(0) & (pieces > 1))
        gain = log_probabilities - log_probabilities.gather(-1, types[..., None])
        # Atoms that can bind to nothing must go first.
        barred = (valences <= now[..., None]) | (inert.any(0) & ~inert)[..., None]
        gain = gain.masked_fill(barred | held[..., None], -torch.inf)
        best, at = gain.transpose(0, 1).reshape(types.shape[1], -1).max(-1)
        acting = short & (best > -torch.inf)
        if not bool(acting.any()):
            return types
        graphs = acting.nonzero()[:, 0]
        kinds = log_probabilities.shape[-1]
        types[at[acting] // kinds, graphs] = at[acting] % kinds


def _joined(adjacency: Tensor) -> Tensor:
    """Return which nodes hang together, bool (B, n, n), of adjacencies (B, n, n)."""
    n = adjacency.shape[-1]
    reach = adjacency.float() + torch.eye(n, device=adjacency.device)
    length = 1
    while length < n - 1:
        reach, length = (reach @ reach).clamp(max=1), 2 * length
    return reach > 0

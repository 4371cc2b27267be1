"""The probabilities of all choices of known molecules, side by side."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from graphtide.molecules.flow.network import Conditioner
from graphtide.molecules.flow.prefix import legal_orders, legal_types, prefixes
from graphtide.molecules.flow.rows import Rows, bond_choices

__all__ = ["LEAST", "Choices", "floored", "known_choices", "log_likelihood"]

LEAST = 1e-7
"""Probability every possible choice has at least: a cell never becomes too narrow to be met."""


@dataclass(frozen=True, slots=True)
class Choices:
    """Logarithms of probabilities, before the floor; -inf where a choice is impossible.

    Args:
        real: which nodes there are, bool (B, N).
        types: (B, N, V).
        bonds: (A, 1 + 3 N) of the A slots that are not certain: none, then partner by partner
            orders 1, 2 and 3.
        molecule: of each slot, (A,).
        node: of each slot, (A,).
        slot: its place in the row, (A,).
    """

    real: Tensor
    types: Tensor
    bonds: Tensor
    molecule: Tensor
    node: Tensor
    slot: Tensor


def known_choices(
    network: Conditioner, valences: Tensor, rows: Rows, *, constrained: bool
) -> Choices:
    """Return the probabilities of every choice, given the choices before it.

    Args:
        network: the conditioner.
        valences: of each type of atom, int64 (V,).
        rows: the molecules.
        constrained: give probability to choices only that lead to valid, connected molecules.
    """
    batch, most, slots = rows.partners.shape
    device = rows.sizes.device
    nodes = torch.arange(most, device=device)
    more = rows.sizes[:, None] - 1 - nodes  # (B, N), nodes to come after node i
    real = more >= 0
    valence = torch.where(real, valences[rows.types], 0)
    known = prefixes(valence, rows.partners, rows.orders)
    total = known.left.sum(2)  # (B, N)

    before = torch.roll(rows.types, 1, 1)
    before[:, 0] = network.types
    newest = known.left.diagonal(-1, 1, 2)  # left[i, i - 1], (B, N - 1)
    newest = torch.cat([newest.new_zeros(batch, 1), newest], 1)
    tokens = network.tokens(before, newest, total, (more + 1).clamp_min(0))
    dense = rows.orders.new_zeros(batch, most + 1, most)  # bond orders to earlier nodes, a row late
    dense[:, 1:].scatter_add_(2, rows.partners.clamp_min(0), rows.orders)
    contexts = network.contexts(tokens, dense[:, :most], known.apart, known.left)  # (B, N, width)

    types = network.type_logits(contexts)
    if constrained:
        legal = legal_types(valences, total, (nodes == 0).expand_as(total), more > 0)
        types = types.masked_fill(~(legal | ~real[..., None]), -math.inf)

    present = rows.partners >= 0  # (B, N, S)
    asked = torch.cat([torch.ones_like(present[..., :1]), present[..., :-1]], 2)
    asked = asked & (real & (nodes > 0))[..., None]
    molecule, node, slot = asked.nonzero().unbind(1)  # (A,)
    after = torch.nn.functional.pad(contexts[:, 1:], (0, 0, 0, 1))  # token of node j, (B, N, width)
    keys = network.keys(after)
    spoken = network.chosen(after)
    chosen = contexts.new_zeros(len(molecule), contexts.shape[2])  # of the bonds before each slot
    for earlier in range(slots - 1):
        later = (slot > earlier).nonzero()[:, 0]
        which = molecule[later], node[later], earlier
        said = spoken[molecule[later], rows.partners[which]]
        chosen = chosen.index_add(0, later, said + network.chosen_order(rows.orders[which]))
    taken = rows.orders.cumsum(2) - rows.orders
    ring = slot > 0
    own = valence[molecule, node] - taken[molecule, node, slot]
    query = network.query(
        network.query_context(contexts)[molecule, node],
        rows.types[molecule, node],
        own,
        ring,
        chosen,
    )
    left = known.left[molecule, node]
    apart = torch.where(
        ring[:, None], known.parent_apart[molecule, node], known.apart[molecule, node]
    )
    logits, none = network.bond_logits(query, keys, apart, left, ring, molecule)
    last = torch.roll(rows.partners, 1, 2)[molecule, node, slot]
    last = torch.where(ring, last, node)
    possible = (nodes < last[:, None])[..., None].expand(-1, -1, 3)
    if constrained:
        sum_left = total[molecule, node] + valence[molecule, node] - 2 * taken[molecule, node, slot]
        possible = possible & legal_orders(left, own, sum_left, more[molecule, node] > 0)
        none = none.masked_fill(~ring, -math.inf)
    bonds = torch.cat([none[:, None], logits.masked_fill(~possible, -math.inf).flatten(1)], 1)
    return Choices(real, types.log_softmax(2), bonds.log_softmax(1), molecule, node, slot)


def floored(log_probabilities: Tensor) -> Tensor:
    """Raise every possible choice to the least probability, (..., K); the sum stays one."""
    possible = log_probabilities > -math.inf
    count = possible.sum(-1, keepdim=True).to(log_probabilities.dtype)
    raised = log_probabilities.exp() * (1.0 - LEAST * count) + LEAST
    return torch.where(possible, raised.log(), -math.inf)


def log_likelihood(choices: Choices, rows: Rows) -> Tensor:
    """Return the log-likelihood of types and bonds, given the sizes, (B,); -inf if impossible."""
    types = _of(choices.types, rows.types)  # (B, N)
    total = torch.where(choices.real, types, 0.0).sum(1)
    cells = bond_choices(rows)[choices.molecule, choices.node, choices.slot]
    return total.index_add(0, choices.molecule, _of(choices.bonds, cells))


def _of(log_probabilities: Tensor, cells: Tensor) -> Tensor:
    """Return what :func:`floored` gives at some cells only."""
    count = (log_probabilities.detach() > -math.inf).sum(-1)
    own = log_probabilities.gather(-1, cells[..., None])[..., 0]
    raised = torch.logaddexp(
        own + torch.log1p(-LEAST * count.to(own.dtype)), own.new_full((), math.log(LEAST))
    )
    return torch.where(own > -math.inf, raised, -math.inf)

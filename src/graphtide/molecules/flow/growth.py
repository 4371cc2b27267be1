"""Molecules grown choice by choice from shares of probability: the flow's inverse."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from graphtide.flows.histogram import histogram_cell
from graphtide.molecules.flow.likelihood import floored
from graphtide.molecules.flow.network import Conditioner, Memory
from graphtide.molecules.flow.prefix import GrowingGraph, legal_orders, legal_types
from graphtide.molecules.flow.rows import Rows

__all__ = ["Grown", "grow"]


@dataclass(frozen=True, slots=True)
class Grown:
    """Molecules that were grown.

    Args:
        rows: the molecules.
        types: places x = k + e of the types, (B, N); where a node is not there, its share.
        bonds: places of the bonds, (B, N, S); likewise.
        log_probabilities: of the choice of each slot, (B, N, S); 0 where it was certain.
    """

    rows: Rows
    types: Tensor
    bonds: Tensor
    log_probabilities: Tensor


@torch.no_grad()
def grow(
    network: Conditioner,
    valences: Tensor,
    sizes: Tensor,
    type_shares: Tensor,
    bond_shares: Tensor,
    *,
    constrained: bool,
) -> Grown:
    """Return the molecules whose choices lie at some shares of probability.

    Args:
        network: the conditioner.
        valences: of each type of atom, int64 (V,).
        sizes: number of nodes of each molecule, int64 (B,).
        type_shares: u of the types, in [0, 1), (B, N).
        bond_shares: u of the bonds, (B, N, S).
        constrained: as in :func:`graphtide.molecules.flow.likelihood.known_choices`.
    """
    by_size = sizes.argsort(descending=True, stable=True)
    back = by_size.argsort()
    sizes = sizes[by_size]
    most = int(sizes[0]) if len(sizes) else 0
    type_places, bond_places = type_shares[by_size], bond_shares[by_size]  # changed in place
    batch, _, slots = bond_places.shape
    device = sizes.device
    everything = type_places.shape[1]
    types = torch.zeros(batch, everything, dtype=torch.int64, device=device)
    partners = torch.full((batch, everything, slots), -1, dtype=torch.int64, device=device)
    orders = torch.zeros_like(partners)
    log_probabilities = torch.zeros_like(bond_places)

    counts = (sizes[:, None] > torch.arange(most, device=device)).sum(0).tolist()
    graph, memory = GrowingGraph(batch, most, device), Memory(network, batch, most)
    weight = network.keys.weight
    keys = weight.new_empty(batch, most, weight.shape[0])
    spoken = weight.new_empty(batch, most, weight.shape[1])
    for node, alive in enumerate(counts):
        graph.keep(alive)
        memory.keep(alive)
        more = sizes[:alive] - 1 - node
        total = graph.left[:, :node].sum(1)
        if node == 0:
            before = torch.full_like(more, network.types)
            own, near = torch.zeros_like(more), graph.apart[:, 0, :0]
            tied = graph.left[:, :0]
        else:
            before, own = types[:alive, node - 1], graph.left[:, node - 1]
            near = graph.apart[:, node - 1, :node]
            tied = torch.zeros_like(graph.left[:, :node])
            tied.scatter_add_(
                1, partners[:alive, node - 1].clamp(0, node - 1), orders[:alive, node - 1]
            )
        tokens = network.tokens(before, own, total, more + 1)[:, None]
        left = graph.left[:, :node]
        context = network.contexts(tokens, tied[:, None], near[:, None], left[:, None], memory)
        context = context[:, 0]  # (alive, width)
        if node > 0:  # this token is that of the node before
            keys[:alive, node - 1] = network.keys(context)
            spoken[:alive, node - 1] = network.chosen(context)

        logits = network.type_logits(context)
        if constrained:
            first = torch.full_like(more, node == 0, dtype=torch.bool)
            legal = legal_types(valences, total, first, more > 0)
            logits = logits.masked_fill(~legal, -math.inf)
        probabilities = floored(logits.log_softmax(1)).to(type_places.dtype)
        cells, shares, _ = histogram_cell(type_places[:alive, node], probabilities)
        type_places[:alive, node] = _place(cells, shares)
        types[:alive, node] = cells

        if node > 0:
            _grow_row(
                network, graph, keys[:alive, :node], spoken, network.query_context(context),
                types[:alive, node], valences, total, more,
                partners[:alive, node], orders[:alive, node],
                bond_places[:alive, node], log_probabilities[:alive, node], constrained,
            )  # fmt: skip
        graph.add(valences[types[:alive, node]], partners[:alive, node], orders[:alive, node])
    rows = Rows(sizes[back], types[back], partners[back], orders[back])
    return Grown(rows, type_places[back], bond_places[back], log_probabilities[back])


def _grow_row(
    network: Conditioner,
    graph: GrowingGraph,
    keys: Tensor,
    spoken: Tensor,
    context: Tensor,
    types: Tensor,
    valences: Tensor,
    total: Tensor,
    more: Tensor,
    partners: Tensor,
    orders: Tensor,
    places: Tensor,
    log_probabilities: Tensor,
    constrained: bool,
) -> None:
    """Choose the bonds of the newest node, slot by slot; the last four tensors are filled."""
    node = graph.count
    going = torch.arange(len(types), device=types.device)
    chosen = torch.zeros_like(context)
    own, total = valences[types], total + valences[types]
    last = torch.full_like(types, node)
    far = graph.apart[:, node - 1, :node]
    others = torch.arange(node, device=types.device)
    for slot in range(partners.shape[1]):
        ring = torch.full_like(going, slot > 0, dtype=torch.bool)
        left = _at(graph.left, going)[:, :node]
        own_now = _at(own, going)
        query = network.query(
            _at(context, going), _at(types, going), own_now, ring, _at(chosen, going)
        )
        logits, none = network.bond_logits(query, _at(keys, going), far, left, ring)
        possible = (others < _at(last, going)[:, None])[..., None].expand(-1, -1, 3)
        if constrained:
            legal = legal_orders(left, own_now, _at(total, going), _at(more, going) > 0)
            possible = possible & legal
            none = none.masked_fill(~ring, -math.inf)
        logits = logits.masked_fill(~possible, -math.inf).flatten(1)
        log_softmax = torch.cat([none[:, None], logits], 1).log_softmax(1)
        probabilities = floored(log_softmax).to(places.dtype)
        cells, shares, log_probability = histogram_cell(places[going, slot], probabilities)
        places[going, slot] = _place(cells, shares)
        log_probabilities[going, slot] = log_probability
        bound = cells > 0
        going, cells = going[bound], cells[bound] - 1
        if not len(going):
            return
        partner, order = cells // 3, cells % 3 + 1
        partners[going, slot], orders[going, slot] = partner, order
        chosen[going] += spoken[going, partner] + network.chosen_order(order)
        own[going] -= order
        total[going] -= 2 * order
        last[going] = partner
        far = graph.apart[going, partner, :node] if slot == 0 else far[bound]


def _at(tensor: Tensor, rows: Tensor) -> Tensor:
    """Return some rows in their order; all of them without a copy."""
    return tensor if len(rows) == len(tensor) else tensor[rows]


def _place(cells: Tensor, shares: Tensor) -> Tensor:
    """Return k + e, rounded to stay in cell k."""
    return torch.minimum(
        cells + shares, torch.nextafter((cells + 1).to(shares.dtype), shares.new_zeros(()))
    )

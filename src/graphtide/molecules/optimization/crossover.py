"""Crossover of two molecular graphs: each is cut in two, and a piece of one joins one of the other.

Cuts go through one bond that is in no ring, or through two bonds of a ring; pieces of the second
kind join at both ends. The idea: Jensen, Chemical Science 10 (2019).
"""

from __future__ import annotations

import itertools

import numpy as np

from graphtide.molecules.optimization.graphs import EditableGraph

__all__ = ["crossed"]

_TRIES = 8
_RING_SHARE = 0.4


def crossed(
    one: EditableGraph, other: EditableGraph, random: np.random.Generator
) -> EditableGraph | None:
    """Return a child of two molecules, None where none of some cuts fits."""
    if random.random() < _RING_SHARE:
        return _joined(_ring_piece(one, random), _ring_piece(other, random), random)
    return _joined(_piece(one, random), _piece(other, random), random)


_Piece = tuple[EditableGraph, tuple[int, ...], tuple[int, ...]]
"""A piece, the atoms that bonds were cut at, and the orders of these bonds."""


def _piece(graph: EditableGraph, random: np.random.Generator) -> _Piece | None:
    """Return one side of an acyclic single bond."""
    cuts = [(a, b) for a, b in graph.bridges() if graph.bonds[a][b] == 1]
    if not cuts:
        return None
    a, b = cuts[int(random.integers(len(cuts)))]
    start = a if random.random() < 0.5 else b
    piece, places = graph.kept(graph.side(start, (a, b)))
    return piece, (places[start],), (1,)


def _ring_piece(graph: EditableGraph, random: np.random.Generator) -> _Piece | None:
    """Return one side of two bonds of a ring whose removal parts the molecule."""
    pairs = graph.pairs()
    for k in random.permutation(len(pairs))[: 2 * _TRIES]:
        a, b, order = pairs[k]
        ring = graph.path(a, b, (a, b))
        if not ring:
            continue
        steps = list(itertools.pairwise(ring))
        for m in random.permutation(len(steps))[:_TRIES]:
            c, d = steps[m]
            side = graph.side(a, (a, b), (c, d))
            if b in side or len(side) < 2 or c == a:
                continue
            # The path leads from a to b, so that c lies on the side of a and d on that of b.
            if random.random() < 0.5:
                piece, places = graph.kept(side)
                return piece, (places[a], places[c]), (order, graph.bonds[c][d])
            if d == b:
                continue
            piece, places = graph.kept(set(range(len(graph))) - side)
            return piece, (places[b], places[d]), (order, graph.bonds[c][d])
    return None


def _joined(
    one: _Piece | None, other: _Piece | None, random: np.random.Generator
) -> EditableGraph | None:
    if one is None or other is None:
        return None
    made = one[0]
    first = made.absorb(other[0])
    ends, orders = list(other[1]), list(other[2])
    if len(ends) == 2 and random.random() < 0.5:
        ends.reverse()
        orders.reverse()
    for atom, end, order, further in zip(one[1], ends, one[2], orders, strict=True):
        room = min(made.hydrogens(atom), made.hydrogens(end + first))
        # Two orders that differ meet at one of them, as far as the hydrogens allow.
        wanted = order if random.random() < 0.5 else further
        if room < 1:
            return None
        made.join(atom, end + first, min(wanted, room))
    return made

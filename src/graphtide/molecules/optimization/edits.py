"""Mutations of a molecular graph: each takes a graph and gives an edited copy, or None.

Atoms are inserted, appended, deleted and changed, bonds made double or single, rings closed and
opened, substituents moved, copied, dropped, and put on or exchanged from a library of fragments.
All keep within the valences of the types of atoms. A copy of a substituent brings few new
neighbourhoods of atoms, so that a molecule grows and stays similar to what it was. The idea of such
a set: Jensen, Chemical Science 10 (2019) 3567.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from graphtide.molecules.optimization.graphs import EditableGraph
from graphtide.molecules.optimization.materials import Materials, draw_place

__all__ = ["EDITS", "mutated"]

_RING_SIZES = {3: 0.03, 4: 0.03, 5: 0.4, 6: 0.5, 7: 0.04}


T = TypeVar("T")
Edit = Callable[[EditableGraph, Materials, np.random.Generator], EditableGraph | None]


def mutated(
    graph: EditableGraph, materials: Materials, random: np.random.Generator
) -> EditableGraph | None:
    """Return a copy with one edit drawn from ``EDITS``, None where it cannot be done."""
    edit = _DRAWN[draw_place(_SHARES, random)]
    return edit(graph, materials, random)


def _append(
    graph: EditableGraph, materials: Materials, random: np.random.Generator
) -> EditableGraph | None:
    order = 2 if random.random() < 0.2 else 1
    places, kind = graph.open_atoms(order), materials.some_type(order, random)
    if not places or kind is None:
        return None
    made = graph.copy()
    made.join(_one(places, random), made.add(kind), order)
    return made


def _insert(
    graph: EditableGraph, materials: Materials, random: np.random.Generator
) -> EditableGraph | None:
    single = [(a, b) for a, b, order in graph.pairs() if order == 1]
    kind = materials.some_type(2, random)
    if not single or kind is None:
        return None
    one, other = _one(single, random)
    made = graph.copy()
    made.join(one, other, 0)
    middle = made.add(kind)
    made.join(one, middle, 1)
    made.join(middle, other, 1)
    return made


def _delete(
    graph: EditableGraph, _: Materials, random: np.random.Generator
) -> EditableGraph | None:
    places = [atom for atom in range(len(graph)) if 1 <= len(graph.bonds[atom]) <= 2]
    if len(graph) < 3 or not places:
        return None
    atom = _one(places, random)
    nearby = list(graph.bonds[atom])
    made = graph.copy()
    if len(nearby) == 2 and nearby[1] not in graph.bonds[nearby[0]]:
        # Its bonds leave room for one between its neighbours, of the lower of the two orders.
        made.join(nearby[0], nearby[1], min(graph.bonds[atom].values()))
    elif len(nearby) == 2:
        return None
    return made.kept(set(range(len(graph))) - {atom})[0]


def _change(
    graph: EditableGraph, materials: Materials, random: np.random.Generator
) -> EditableGraph | None:
    atom = int(random.integers(len(graph)))
    kind = materials.some_type(sum(graph.bonds[atom].values()), random)
    if kind is None or kind == graph.types[atom]:
        return None
    made = graph.copy()
    made.types[atom] = kind
    return made


def _reorder(
    graph: EditableGraph, _: Materials, random: np.random.Generator
) -> EditableGraph | None:
    pairs = graph.pairs()
    if not pairs:
        return None
    one, other, order = _one(pairs, random)
    room = min(graph.hydrogens(one), graph.hydrogens(other))
    choices = [new for new in (1, 2, 3) if new != order and new - order <= room]
    if 3 in choices and graph.in_ring(one, other):
        choices.remove(3)
    if not choices:
        return None
    made = graph.copy()
    made.join(one, other, choices[0] if len(choices) == 1 else _one(choices, random))
    return made


def _close(graph: EditableGraph, _: Materials, random: np.random.Generator) -> EditableGraph | None:
    places = graph.open_atoms()
    if len(places) < 2:
        return None
    size = list(_RING_SIZES)[draw_place(np.fromiter(_RING_SIZES.values(), float), random)]
    for _try in range(4):
        one = _one(places, random)
        apart = graph.distances(one)
        far = [other for other in places if apart[other] == size - 1]
        if far:
            made = graph.copy()
            made.join(one, _one(far, random), 1)
            return made
    return None


def _open(graph: EditableGraph, _: Materials, random: np.random.Generator) -> EditableGraph | None:
    acyclic = set(graph.bridges())
    pairs = [(a, b) for a, b, _ in graph.pairs() if (a, b) not in acyclic]
    if not pairs:
        return None
    made = graph.copy()
    made.join(*_one(pairs, random), 0)
    return made


def _move(graph: EditableGraph, _: Materials, random: np.random.Generator) -> EditableGraph | None:
    """Move the end of a hinge to another atom, every second time to one nearby."""
    hinges = graph.hinges()
    if not hinges:
        return None
    one, other = _one(hinges, random)
    if random.random() < 0.5:
        one, other = other, one
    places = graph.side(one, (one, other)) - {one}
    if random.random() < 0.5:
        places &= {c for b in graph.bonds[one] if b != other for c in (b, *graph.bonds[b])}
    free = [atom for atom in sorted(places) if graph.hydrogens(atom) > 0]
    if not free:
        return None
    made = graph.copy()
    made.join(one, other, 0)
    made.join(_one(free, random), other, 1)
    return made


def _copy(graph: EditableGraph, _: Materials, random: np.random.Generator) -> EditableGraph | None:
    """Put a copy of what hangs on a hinge, of its smaller side, elsewhere."""
    hinges, free = graph.hinges(), graph.open_atoms()
    if not hinges or not free:
        return None
    hinge = _one(hinges, random)
    side, end = min(((graph.side(atom, hinge), atom) for atom in hinge), key=_size)
    piece, places = graph.kept(side)
    made = graph.copy()
    first = made.absorb(piece)
    made.join(_one(free, random), first + places[end], 1)
    return made


def _drop(graph: EditableGraph, _: Materials, random: np.random.Generator) -> EditableGraph | None:
    """Take away what hangs on a hinge."""
    hinges = graph.hinges()
    if not hinges:
        return None
    hinge = _one(hinges, random)
    sides = [graph.side(atom, hinge) for atom in hinge]
    return graph.kept(max(sides, key=len))[0]


def _attach(
    graph: EditableGraph, materials: Materials, random: np.random.Generator
) -> EditableGraph | None:
    places, fragment = graph.open_atoms(), materials.some_fragment(random)
    if not places or fragment is None:
        return None
    made = graph.copy()
    first = made.absorb(fragment.graph)
    made.join(_one(places, random), first + fragment.place, 1)
    return made


def _substitute(
    graph: EditableGraph, materials: Materials, random: np.random.Generator
) -> EditableGraph | None:
    """Exchange one side of a hinge, mostly the smaller, for a fragment."""
    hinges, fragment = graph.hinges(), materials.some_fragment(random)
    if not hinges or fragment is None:
        return None
    hinge = _one(hinges, random)
    sides = [(graph.side(atom, hinge), atom) for atom in hinge]
    sides.sort(key=_size, reverse=random.random() < 0.85)
    made, places = graph.kept(sides[0][0])
    first = made.absorb(fragment.graph)
    made.join(places[sides[0][1]], first + fragment.place, 1)
    return made


def _swap(graph: EditableGraph, _: Materials, random: np.random.Generator) -> EditableGraph | None:
    """Swap the types of two atoms at most two bonds apart."""
    one = int(random.integers(len(graph)))
    near = {c for b in graph.bonds[one] for c in (b, *graph.bonds[b])} - {one}
    used = sum(graph.bonds[one].values())
    fit = [
        other
        for other in sorted(near)
        if graph.types[other] != graph.types[one]
        and graph.types[other].valence >= used
        and graph.types[one].valence >= sum(graph.bonds[other].values())
    ]
    if not fit:
        return None
    other = _one(fit, random)
    made = graph.copy()
    made.types[one], made.types[other] = graph.types[other], graph.types[one]
    return made


def _size(side: tuple[set[int], int]) -> int:
    return len(side[0])


def _one(choices: Sequence[T], random: np.random.Generator) -> T:
    return choices[int(random.integers(len(choices)))]


EDITS: dict[str, tuple[Edit, float]] = {
    "append": (_append, 0.12),
    "insert": (_insert, 0.08),
    "delete": (_delete, 0.12),
    "change": (_change, 0.14),
    "reorder": (_reorder, 0.07),
    "close": (_close, 0.07),
    "open": (_open, 0.04),
    "move": (_move, 0.1),
    "copy": (_copy, 0.04),
    "drop": (_drop, 0.05),
    "attach": (_attach, 0.07),
    "substitute": (_substitute, 0.09),
    "swap": (_swap, 0.05),
}
"""Edits by name, and how often each is drawn."""
_DRAWN = [edit for edit, _ in EDITS.values()]
_SHARES = np.array([share for _, share in EDITS.values()]) / sum(s for _, s in EDITS.values())

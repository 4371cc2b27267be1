"""A molecule as lists that are quick to edit: types of atoms and the orders of their bonds.

It is the typed graph of `graphtide.molecules.chemistry` made mutable: an atom has as many hydrogens
as its valence leaves over, so that an edit which keeps within the valences leaves a molecule.
"""

from __future__ import annotations

import functools
from collections import deque
from collections.abc import Iterable

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType, parse_smiles, to_molecule, typed_graph

__all__ = ["EditableGraph", "editable"]


class EditableGraph:
    """A molecule that can be edited.

    Args:
        types: type of each atom.
        bonds: for each atom, the order of the bond to each neighbour.
    """

    __slots__ = ("bonds", "types")

    def __init__(self, types: list[AtomType], bonds: list[dict[int, int]]) -> None:
        self.types = types
        self.bonds = bonds

    @staticmethod
    def from_smiles(smiles: str) -> EditableGraph:
        """Read a molecule.

        Raises:
            InputError: RDKit cannot read it, or it has bonds that are not single, double or triple.
        """
        graph = typed_graph(parse_smiles(smiles), canonical=False)
        bonds: list[dict[int, int]] = [{} for _ in graph.types]
        for one, other, order in graph.bonds.tolist():
            bonds[one][other] = bonds[other][one] = order
        return EditableGraph(list(graph.types), bonds)

    def copy(self) -> EditableGraph:
        """Return a graph of its own to edit."""
        return EditableGraph(list(self.types), [dict(links) for links in self.bonds])

    def __len__(self) -> int:
        return len(self.types)

    def hydrogens(self, atom: int) -> int:
        """Return the hydrogens of an atom: what its valence leaves over."""
        return self.types[atom].valence - sum(self.bonds[atom].values())

    def open_atoms(self, least: int = 1) -> list[int]:
        """Return the atoms with at least so many hydrogens."""
        return [atom for atom in range(len(self)) if self.hydrogens(atom) >= least]

    def pairs(self) -> list[tuple[int, int, int]]:
        """Return the bonds: two atoms, the smaller one first, and the order."""
        return [(a, b, o) for a, links in enumerate(self.bonds) for b, o in links.items() if a < b]

    def join(self, one: int, other: int, order: int) -> None:
        """Set the bond between two atoms; order 0 takes it away."""
        if order:
            self.bonds[one][other] = self.bonds[other][one] = order
        else:
            del self.bonds[one][other], self.bonds[other][one]

    def add(self, kind: AtomType) -> int:
        """Add an atom and return its place."""
        self.types.append(kind)
        self.bonds.append({})
        return len(self.types) - 1

    def absorb(self, other: EditableGraph) -> int:
        """Add all atoms of another graph, and return the place of its first."""
        first = len(self.types)
        self.types += other.types
        self.bonds += [{b + first: o for b, o in links.items()} for links in other.bonds]
        return first

    def kept(self, atoms: Iterable[int]) -> tuple[EditableGraph, dict[int, int]]:
        """Return the graph of some of the atoms, and the new place of each."""
        places = {atom: place for place, atom in enumerate(sorted(atoms))}
        bonds = [
            {places[b]: o for b, o in self.bonds[atom].items() if b in places} for atom in places
        ]
        return EditableGraph([self.types[atom] for atom in places], bonds), places

    def side(self, start: int, *cut: tuple[int, int]) -> set[int]:
        """Return the atoms that hang together with one when some bonds are cut."""
        closed = {*cut, *((b, a) for a, b in cut)}
        seen, waiting = {start}, [start]
        while waiting:
            atom = waiting.pop()
            for nearby in self.bonds[atom]:
                if nearby not in seen and (atom, nearby) not in closed:
                    seen.add(nearby)
                    waiting.append(nearby)
        return seen

    def distances(self, start: int) -> list[int]:
        """Return how many bonds each atom is away from one; -1 where there is no path."""
        found = [-1] * len(self)
        found[start] = 0
        waiting = [start]
        for atom in waiting:
            for nearby in self.bonds[atom]:
                if found[nearby] < 0:
                    found[nearby] = found[atom] + 1
                    waiting.append(nearby)
        return found

    def path(self, start: int, end: int, *cut: tuple[int, int]) -> list[int]:
        """Return the atoms of a shortest path, both ends included; [] where there is none."""
        closed = {*cut, *((b, a) for a, b in cut)}
        before, waiting = {start: -1}, deque([start])
        while waiting:
            atom = waiting.popleft()
            if atom == end:
                found = [atom]
                while before[found[-1]] >= 0:
                    found.append(before[found[-1]])
                return found[::-1]
            for nearby in self.bonds[atom]:
                if nearby not in before and (atom, nearby) not in closed:
                    before[nearby] = atom
                    waiting.append(nearby)
        return []

    def in_ring(self, one: int, other: int) -> bool:
        """Return whether a bond lies in a ring."""
        return other in self.side(one, (one, other))

    def bridges(self) -> list[tuple[int, int]]:
        """Return the bonds that lie in no ring, two atoms each, the smaller one first."""
        found = []
        rank: dict[int, int] = {}
        low: dict[int, int] = {}
        for root in range(len(self)):
            if root in rank:
                continue
            rank[root] = low[root] = len(rank)
            walk = [(root, -1, iter(self.bonds[root]))]
            while walk:
                atom, before, nearby = walk[-1]
                for other in nearby:
                    if other not in rank:
                        rank[other] = low[other] = len(rank)
                        walk.append((other, atom, iter(self.bonds[other])))
                        break
                    if other != before:
                        low[atom] = min(low[atom], rank[other])
                else:
                    walk.pop()
                    if before >= 0:
                        low[before] = min(low[before], low[atom])
                        if low[atom] > rank[before]:
                            found.append((min(atom, before), max(atom, before)))
        return sorted(found)

    def hinges(self) -> list[tuple[int, int]]:
        """Return the single bonds that lie in no ring."""
        return [(a, b) for a, b in self.bridges() if self.bonds[a][b] == 1]

    def is_plausible(self) -> bool:
        """Return whether no carbon has two double bonds and no ring holds a triple bond."""
        for atom, links in enumerate(self.bonds):
            orders = list(links.values())
            if orders.count(2) > 1 and self.types[atom].element == "C":
                return False
            if 3 in orders and any(o == 3 and self.in_ring(atom, b) for b, o in links.items()):
                return False
        return True

    def molecule(self) -> Chem.Mol | None:
        """Return the sanitised molecule, or None where RDKit refuses it."""
        rows = self.pairs()
        bonds = np.array(rows, dtype=np.int64).reshape(-1, 3)
        try:
            return to_molecule(self.types, bonds)
        except InputError:
            return None


@functools.lru_cache(maxsize=4096)
def editable(smiles: str) -> EditableGraph | None:
    """Return the graph of a molecule, not to be changed; None where its bonds have no order."""
    try:
        return EditableGraph.from_smiles(smiles)
    except InputError:
        return None

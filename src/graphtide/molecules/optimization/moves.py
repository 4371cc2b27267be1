"""Small changes of a molecule that leave it a molecule: the moves of a local search on graphs.

A move takes a kekulised molecule and changes an atom, a bond, a ring or a whole substituent:

    element     an atom becomes another element of enough valence
    grow        an atom is put in place of a hydrogen
    insert      an atom is put into a bond
    remove      an end is taken off, or an atom of two bonds is taken out and the gap is closed
    order       a bond changes its order
    close, open a ring closes over 2 to 5 bonds, or one of its single bonds opens
    attach      a fragment is put in place of a hydrogen
    exchange    all that hangs on a bond between rings and chains is replaced by a fragment
    cut         all that hangs on such a bond is taken off
    carry       such a substituent moves to another atom
    copy        a copy of such a substituent is put in place of a hydrogen: growth that brings few
                new fragments, so that a molecule stays similar to what it was

Fragments are the substituents that occur in a set of molecules, drawn as often as they occur there.
RDKit judges the result; what it refuses is no proposal. One proposal costs about 0.2 ms.

Source: graph edits as moves of an evolutionary search: Jensen, Chemical Science 10 (2019) 3567.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from graphtide.molecules.optimization.anatomy import Anatomy, Fragments

__all__ = ["MOVES", "Editor"]

_ELEMENTS = {
    **{6: (4, 6.0), 7: (3, 2.0), 8: (2, 2.0), 16: (2, 1.0)},
    **{9: (1, 1.0), 17: (1, 0.8), 35: (1, 0.4), 53: (1, 0.1)},
}
"""Valence of the elements that moves put in, and how often each is drawn."""
_SINGLE, _DOUBLE, _TRIPLE = (
    Chem.BondType.SINGLE,
    Chem.BondType.DOUBLE,
    Chem.BondType.TRIPLE,
)
_TYPES = (_SINGLE, _DOUBLE, _TRIPLE)
Move = Callable[[Anatomy, np.random.Generator, Fragments], "Chem.RWMol | None"]


@dataclass(frozen=True, slots=True, eq=False)
class Editor:
    """Proposes molecules that are one or two moves away.

    Args:
        fragments: of the moves that attach and exchange.
        most_atoms: larger molecules are not proposed; None proposes any size.
        twice: probability of a second move on top of the first.
    """

    fragments: Fragments
    most_atoms: int | None = None
    twice: float = 0.25

    def propose(
        self, anatomy: Anatomy, random: np.random.Generator, move: str | None = None
    ) -> Chem.Mol | None:
        """Return a changed, sanitised molecule, or None where the move came to nothing.

        Args:
            anatomy: of the molecule to change.
            random: of the choice.
            move: one of ``MOVES``; None draws one.
        """
        names = tuple(MOVES)
        wanted = move or names[int(random.integers(len(names)))]
        edited = MOVES[wanted](anatomy, random, self.fragments)
        size = 0 if edited is None else edited.GetNumAtoms()
        if edited is None or not size or size > (self.most_atoms or size):
            return None
        made = _sanitised(edited)
        if made is not None and random.random() < self.twice:
            once = Editor(self.fragments, self.most_atoms, twice=0.0)
            return once.propose(Anatomy.of(made), random) or made
        return made


def _change_element(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    place = int(random.integers(len(anatomy.orders)))
    number = _element(random, anatomy.orders[place])
    molecule = Chem.RWMol(anatomy.molecule)
    atom = molecule.GetAtomWithIdx(place)
    if number is None or (number == atom.GetAtomicNum() and not atom.GetFormalCharge()):
        return None
    molecule.ReplaceAtom(place, Chem.Atom(number))
    return molecule


def _grow(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    number = _element(random, 1)
    if not anatomy.open_atoms or number is None:
        return None
    molecule = Chem.RWMol(anatomy.molecule)
    new = molecule.AddAtom(Chem.Atom(number))
    molecule.AddBond(_pick(anatomy.open_atoms, random), new, _SINGLE)
    return molecule


def _insert(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    number = _element(random, 2)
    if not anatomy.single or number is None:
        return None
    molecule = Chem.RWMol(anatomy.molecule)
    one, other = anatomy.ends[_pick(anatomy.single, random)]
    molecule.RemoveBond(one, other)
    new = molecule.AddAtom(Chem.Atom(number))
    molecule.AddBond(one, new, _SINGLE)
    molecule.AddBond(other, new, _SINGLE)
    return molecule


def _remove(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    if not anatomy.removable or len(anatomy.orders) < 2:
        return None
    molecule = Chem.RWMol(anatomy.molecule)
    place = _pick(anatomy.removable, random)
    near = [atom.GetIdx() for atom in molecule.GetAtomWithIdx(place).GetNeighbors()]
    if len(near) == 2:
        if molecule.GetBondBetweenAtoms(*near) is not None:
            return None
        molecule.AddBond(near[0], near[1], _SINGLE)
    molecule.RemoveAtom(place)
    return molecule


def _change_order(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    if not anatomy.ends:
        return None
    place = int(random.integers(len(anatomy.ends)))
    order = anatomy.bond_orders[place]
    most = order + min(anatomy.hydrogens[end] for end in anatomy.ends[place])
    choices = [k for k in (1, 2, 3) if k != order and k <= most]
    if not choices:
        return None
    molecule = Chem.RWMol(anatomy.molecule)
    molecule.GetBondWithIdx(place).SetBondType(_TYPES[_pick(choices, random) - 1])
    return molecule


def _close_ring(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    if len(anatomy.open_atoms) < 2:
        return None
    one = _pick(anatomy.open_atoms, random)
    apart = Chem.GetDistanceMatrix(anatomy.molecule)[one]
    others = [place for place in anatomy.open_atoms if 2 <= apart[place] <= 5]
    if not others:
        return None
    # Rings of five and six are what most molecules have.
    rates = np.array([6.0 if apart[place] >= 4 else 1.0 for place in others]).cumsum()
    molecule = Chem.RWMol(anatomy.molecule)
    molecule.AddBond(one, others[int(np.searchsorted(rates, random.random() * rates[-1]))], _SINGLE)
    return molecule


def _open_ring(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    if not anatomy.in_ring:
        return None
    molecule = Chem.RWMol(anatomy.molecule)
    molecule.RemoveBond(*anatomy.ends[_pick(anatomy.in_ring, random)])
    return molecule


def _attach(
    anatomy: Anatomy, random: np.random.Generator, fragments: Fragments
) -> Chem.RWMol | None:
    if not anatomy.open_atoms:
        return None
    place = _pick(anatomy.open_atoms, random)
    return _joined(Chem.RWMol(anatomy.molecule), place, fragments.draw(random))


def _exchange(
    anatomy: Anatomy, random: np.random.Generator, fragments: Fragments
) -> Chem.RWMol | None:
    found = _taken_off(anatomy, random)
    if found is None:
        return None
    rest, place = found
    return _joined(rest, place, fragments.draw(random))


def _cut(anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments) -> Chem.RWMol | None:
    found = _taken_off(anatomy, random)
    return None if found is None else found[0]


def _carry(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    if not anatomy.hinges:
        return None
    stays, goes, hanging = anatomy.sides(_pick(anatomy.hinges, random))
    places = [place for place in anatomy.open_atoms if place not in hanging and place != stays]
    if not places:
        return None
    molecule = Chem.RWMol(anatomy.molecule)
    molecule.RemoveBond(stays, goes)
    molecule.AddBond(_pick(places, random), goes, _SINGLE)
    return molecule


def _copy(
    anatomy: Anatomy, random: np.random.Generator, _fragments: Fragments
) -> Chem.RWMol | None:
    if not anatomy.hinges or not anatomy.open_atoms:
        return None
    stays, _, hanging = anatomy.sides(_pick(anatomy.hinges, random))
    twin = Chem.RWMol(anatomy.molecule)
    twin.BeginBatchEdit()
    for place in range(len(anatomy.orders)):
        if place not in hanging and place != stays:
            twin.RemoveAtom(place)
    twin.CommitBatchEdit()
    root = sum(place < stays for place in hanging)
    order = [root, *(place for place in range(twin.GetNumAtoms()) if place != root)]
    place = _pick(anatomy.open_atoms, random)
    return _joined(Chem.RWMol(anatomy.molecule), place, Chem.RenumberAtoms(twin, order))


MOVES: dict[str, Move] = {
    "element": _change_element,
    "grow": _grow,
    "insert": _insert,
    "remove": _remove,
    "order": _change_order,
    "close": _close_ring,
    "open": _open_ring,
    "attach": _attach,
    "exchange": _exchange,
    "cut": _cut,
    "carry": _carry,
    "copy": _copy,
}
"""The moves by name."""


def _sanitised(molecule: Chem.RWMol) -> Chem.Mol | None:
    try:
        with BlockLogs():
            Chem.SanitizeMol(molecule)
    except (Chem.MolSanitizeException, ValueError):
        return None
    return molecule.GetMol()


def _pick(items: Sequence[int], random: np.random.Generator) -> int:
    return items[int(random.integers(len(items)))]


def _element(random: np.random.Generator, least_valence: int) -> int | None:
    known = [(number, rate) for number, (valence, rate) in _ELEMENTS.items()
             if valence >= least_valence]  # fmt: skip
    if not known:
        return None
    rates = np.cumsum([rate for _, rate in known])
    return known[int(np.searchsorted(rates, random.random() * rates[-1]))][0]


def _taken_off(anatomy: Anatomy, random: np.random.Generator) -> tuple[Chem.RWMol, int] | None:
    """Return the molecule without a substituent, and the atom that it hung on."""
    if not anatomy.hinges:
        return None
    stays, _, hanging = anatomy.sides(_pick(anatomy.hinges, random))
    molecule = Chem.RWMol(anatomy.molecule)
    molecule.BeginBatchEdit()
    for place in hanging:
        molecule.RemoveAtom(place)
    molecule.CommitBatchEdit()
    return molecule, stays - sum(place < stays for place in hanging)


def _joined(molecule: Chem.RWMol, place: int, fragment: Chem.Mol) -> Chem.RWMol:
    """Return the molecule with a fragment at an atom in place of a hydrogen."""
    before = molecule.GetNumAtoms()
    molecule.InsertMol(fragment)
    neighbour = molecule.GetAtomWithIdx(before).GetNeighbors()[0].GetIdx()
    molecule.RemoveBond(before, neighbour)
    molecule.AddBond(place, neighbour, _SINGLE)
    molecule.RemoveAtom(before)
    return molecule

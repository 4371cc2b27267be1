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

import functools
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.optimization.told import fragment_counts

__all__ = ["MOVES", "Anatomy", "Editor", "Fragments"]

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
_MOST = 10
"""Heavy atoms of the largest fragment."""


@dataclass(frozen=True, slots=True)
class Fragments:
    """Substituents and how often each is drawn.

    Args:
        smiles: of each, the place of attachment written as [*].
        chances: they sum to 1.
    """

    smiles: tuple[str, ...]
    chances: np.ndarray

    @staticmethod
    def of(molecules: Iterable[str], *, most_kept: int = 300) -> Fragments:
        """Return the substituents that occur most often in molecules.

        Chances go with the square root of the counts, so that the rare are drawn too.

        Args:
            molecules: SMILES; what RDKit cannot read is passed over.
            most_kept: how many are kept.

        Raises:
            InputError: there is none.
        """
        counts: Counter[str] = Counter()
        for text in molecules:
            try:
                molecule = parse_smiles(text)
            except InputError:
                continue
            counts.update(_substituents(molecule))
        if not counts:
            raise InputError("the molecules hold no bond at which a fragment hangs")
        kept = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most_kept]
        roots = np.sqrt([count for _, count in kept])
        return Fragments(tuple(text for text, _ in kept), roots / roots.sum())

    def favoured(self, weights: np.ndarray) -> Fragments:
        """Return the same fragments, drawn more often the more a linear model takes them for worth.

        Chances are multiplied with exp(gain / standard deviation of the gains).

        Args:
            weights: of the model, (2048,), as of
                :class:`graphtide.molecules.optimization.told.Surrogate`.
        """
        gains = _counts(self.smiles) @ weights
        spread = gains.std()
        if not spread > 0:
            return self
        chances = self.chances * np.exp((gains - gains.max()) / spread)
        return Fragments(self.smiles, chances / chances.sum())

    def draw(self, random: np.random.Generator) -> Chem.Mol:
        """Return one of them, kekulised; its first atom is the place of attachment."""
        place = int(np.searchsorted(self.chances.cumsum(), random.random()))
        return _fragment(self.smiles[min(place, len(self.smiles) - 1)])


@dataclass(frozen=True, slots=True, eq=False)
class Anatomy:
    """A kekulised molecule and the places where moves can take hold of it.

    Args:
        molecule: its hydrogens follow from its bonds, except where RDKit's valence model gives
            other numbers (radicals): moves leave such atoms alone.
        orders: sum of the orders of each atom's bonds.
        hydrogens: of each atom that may be given away.
        open_atoms: atoms that have some.
        ends: the two atoms of each bond.
        bond_orders: of each bond.
        single: bonds of order 1.
        hinges: of these, those in no ring.
        in_ring: of these, those in a ring.
        removable: atoms of one or two bonds.
    """

    molecule: Chem.Mol
    orders: list[int]
    hydrogens: list[int]
    open_atoms: list[int]
    ends: list[tuple[int, int]]
    bond_orders: list[int]
    single: list[int]
    hinges: list[int]
    in_ring: list[int]
    removable: list[int]

    @staticmethod
    def of(molecule: Chem.Mol) -> Anatomy:
        """Take a sanitised molecule apart."""
        copy = _kekulised(molecule)
        orders, hydrogens, removable = [], [], []
        for atom in copy.GetAtoms():
            count = 0 if atom.GetNoImplicit() else atom.GetTotalNumHs()
            hydrogens.append(count)
            orders.append(atom.GetTotalValence() - atom.GetTotalNumHs())
            if atom.GetDegree() in (1, 2):
                removable.append(atom.GetIdx())
        ends, bond_orders, hinges, in_ring = [], [], [], []
        for place, bond in enumerate(copy.GetBonds()):
            ends.append((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
            bond_orders.append(int(bond.GetBondTypeAsDouble()))
            if bond_orders[-1] == 1:
                (in_ring if bond.IsInRing() else hinges).append(place)
        return Anatomy(
            copy,
            orders,
            hydrogens,
            [place for place, count in enumerate(hydrogens) if count],
            ends,
            bond_orders,
            sorted(hinges + in_ring),
            hinges,
            in_ring,
            removable,
        )

    def sides(self, bond: int) -> tuple[int, int, set[int]]:
        """Return the end of a hinge that stays, the end that goes, and all that hangs on it.

        The smaller side hangs on the larger one.
        """
        one, other = self.ends[bond]
        neighbours: list[list[int]] = [[] for _ in self.orders]
        for begin, end in self.ends:
            neighbours[begin].append(end)
            neighbours[end].append(begin)
        side, open_ = {one}, [one]
        while open_:
            fresh = [n for n in neighbours[open_.pop()] if n not in side and n != other]
            side.update(fresh)
            open_ += fresh
        if 2 * len(side) <= len(self.orders):
            return other, one, side
        return one, other, set(range(len(self.orders))) - side


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


def _kekulised(molecule: Chem.Mol) -> Chem.Mol:
    copy = Chem.RWMol(molecule)
    Chem.Kekulize(copy, clearAromaticFlags=True)
    for atom in copy.GetAtoms():
        keeps = atom.GetNoImplicit(), atom.GetNumExplicitHs()
        if not keeps[0] and not keeps[1]:
            continue
        wanted = atom.GetTotalNumHs()
        atom.SetNoImplicit(False)
        atom.SetNumExplicitHs(0)
        atom.UpdatePropertyCache(strict=False)
        if atom.GetTotalNumHs() != wanted:
            atom.SetNoImplicit(True)
            atom.SetNumExplicitHs(wanted)
            atom.UpdatePropertyCache(strict=False)
    return copy.GetMol()


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


def _substituents(molecule: Chem.Mol) -> Iterator[str]:
    """Yield what hangs on each hinge of a molecule, the smaller side, up to 10 atoms."""
    anatomy = Anatomy.of(molecule)
    for bond in anatomy.hinges:
        _, goes, hanging = anatomy.sides(bond)
        if len(hanging) > _MOST:
            continue
        pieces: list[list[int]] = []
        parts = Chem.GetMolFrags(
            Chem.FragmentOnBonds(molecule, [bond], dummyLabels=[(0, 0)]),
            asMols=True,
            fragsMolAtomMapping=pieces,
        )
        part = next(p for p, atoms in zip(parts, pieces, strict=True) if goes in atoms)
        root = next(atom.GetIdx() for atom in part.GetAtoms() if not atom.GetAtomicNum())
        yield Chem.MolToSmiles(part, rootedAtAtom=root)


@functools.lru_cache(maxsize=2048)
def _fragment(smiles: str) -> Chem.Mol:
    """Return a fragment, kekulised, its place of attachment first."""
    molecule = Chem.MolFromSmiles(smiles)
    assert molecule is not None  # written by RDKit from a molecule that it had read
    return _kekulised(molecule)


@functools.lru_cache(maxsize=8)
def _counts(smiles: tuple[str, ...]) -> np.ndarray:
    # A methyl group stands for what the fragment hangs on.
    return np.array([fragment_counts("C" + text.removeprefix("*")) for text in smiles])

"""Molecules taken apart for a local search: where moves take hold, and fragments to put on.

A hinge is a single bond in no ring; what hangs on it, the smaller side, is a substituent.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.optimization.told import fragment_counts

__all__ = ["Anatomy", "Fragments"]

_MOST = 10
"""Heavy atoms of the largest fragment."""


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

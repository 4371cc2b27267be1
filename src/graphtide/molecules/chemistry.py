"""Molecules as typed graphs, and back: all chemistry is RDKit's.

A node's type is its element, its formal charge and its valence: the orders of its bonds and its
hydrogens together. Hydrogens need no nodes then: an atom has as many as its valence leaves over,
so that C(4) with two single bonds is CH2, and pyrrole's nitrogen N(3) is told from pyridine's by
its bonds alone. Hypervalent sulfur is S(4) or S(6), ammonium N(4)+, a methyl radical C(3).
Bonds are kekulised: order 1, 2 or 3. Whatever graph keeps within its valences is a molecule.

Stereochemistry is set aside. Nodes stand in the order of RDKit's canonical SMILES, which is a
depth-first traversal, so that equal molecules have equal graphs.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem
from rdkit.rdBase import BlockLogs

from graphtide.errors import InputError

__all__ = [
    "AtomType",
    "TypedGraph",
    "canonical_smiles",
    "parse_smiles",
    "to_molecule",
    "to_smiles",
    "typed_graph",
]

_ORDERS = {
    Chem.BondType.SINGLE: 1,
    Chem.BondType.DOUBLE: 2,
    Chem.BondType.TRIPLE: 3,
}
_BOND_TYPES = {order: kind for kind, order in _ORDERS.items()}


@dataclass(frozen=True, slots=True, order=True)
class AtomType:
    """What a node is.

    Args:
        element: its symbol, such as "C" ("*" for an atom left open).
        charge: formal charge.
        valence: orders of the bonds and number of hydrogens, together.
        isotope: mass number where the SMILES gives one, else 0.
    """

    element: str
    charge: int
    valence: int
    isotope: int = 0

    def __str__(self) -> str:
        """Return a name such as "N(4)+"."""
        sign = "+" if self.charge > 0 else "-"
        size = "" if abs(self.charge) < 2 else str(abs(self.charge))
        charge = f"{size}{sign}" if self.charge else ""
        return f"{self.isotope or ''}{self.element}({self.valence}){charge}"

    @staticmethod
    def parse(text: str) -> AtomType:
        """Read what :meth:`__str__` writes.

        Raises:
            InputError: the text is no such name.
        """
        found = re.fullmatch(r"(\d*)([A-Z][a-z]?|\*)\((\d+)\)(\d*)([+-]?)", text)
        if found is None:
            raise InputError(f"'{text}' names no type of atom; such as C(4) or N(4)+ was expected")
        isotope, element, valence, size, sign = found.groups()
        charge = 0 if not sign else int(size or 1) * (1 if sign == "+" else -1)
        return AtomType(element, charge, int(valence), int(isotope or 0))


@dataclass(frozen=True, slots=True, eq=False)
class TypedGraph:
    """A molecule as typed nodes and bonds.

    Args:
        types: type of each of the N nodes.
        bonds: int16 (M, 3): two nodes, the smaller one first, and the order 1, 2 or 3.
    """

    types: tuple[AtomType, ...]
    bonds: np.ndarray

    @property
    def hydrogens(self) -> np.ndarray:
        """Number of hydrogens at each node, (N,): what the valence leaves over."""
        left = np.array([kind.valence for kind in self.types], dtype=np.int64)
        np.subtract.at(left, self.bonds[:, 0], self.bonds[:, 2])
        np.subtract.at(left, self.bonds[:, 1], self.bonds[:, 2])
        return left


def parse_smiles(text: str) -> Chem.Mol:
    """Return the molecule of a SMILES, sanitised, without stereochemistry.

    Raises:
        InputError: RDKit cannot read it, or it holds no atom.
    """
    with BlockLogs():
        molecule = Chem.MolFromSmiles(text)
    if molecule is None:
        raise InputError(f"'{_short(text)}' is not a SMILES that RDKit reads")
    if molecule.GetNumAtoms() == 0:
        raise InputError("an empty SMILES; at least one atom was expected")
    Chem.RemoveStereochemistry(molecule)
    return molecule


def canonical_smiles(text: str) -> str:
    """Return RDKit's canonical SMILES of a SMILES, without stereochemistry.

    Raises:
        InputError: as :func:`parse_smiles`.
    """
    return Chem.MolToSmiles(parse_smiles(text))


def typed_graph(molecule: Chem.Mol, *, canonical: bool = True) -> TypedGraph:
    """Turn a molecule into typed nodes and kekulised bonds.

    Args:
        molecule: sanitised.
        canonical: put the nodes in the order of the canonical SMILES; else they keep theirs.

    Raises:
        InputError: a bond is neither single, double, triple nor aromatic (a dative bond, say), or
            rings cannot be kekulised.
    """
    if canonical:
        text = Chem.MolToSmiles(molecule)
        with BlockLogs():
            again = Chem.MolFromSmiles(text)
        if again is None:  # rare: what RDKit writes it does not always read
            order = molecule.GetPropsAsDict(includePrivate=True, includeComputed=True)
            molecule = Chem.RenumberAtoms(molecule, list(order["_smilesAtomOutputOrder"]))
        else:
            molecule = again
    kekulised = Chem.Mol(molecule)
    try:
        Chem.Kekulize(kekulised, clearAromaticFlags=True)
    except Chem.KekulizeException as error:
        raise InputError("its aromatic rings cannot be written with double bonds") from error
    bonds = np.empty((kekulised.GetNumBonds(), 3), dtype=np.int16)
    orders = np.zeros(kekulised.GetNumAtoms(), dtype=np.int64)
    for row, bond in enumerate(kekulised.GetBonds()):
        order = _ORDERS.get(bond.GetBondType())
        if order is None:
            raise InputError(
                f"it holds a bond of the type {bond.GetBondType()}; single, double, triple and "
                "aromatic bonds are known"
            )
        one, other = sorted((bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()))
        bonds[row] = one, other, order
        orders[one] += order
        orders[other] += order
    types = tuple(
        AtomType(
            atom.GetSymbol(),
            atom.GetFormalCharge(),
            int(orders[atom.GetIdx()]) + atom.GetTotalNumHs(),
            atom.GetIsotope(),
        )
        for atom in kekulised.GetAtoms()
    )
    return TypedGraph(types, bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))])


def to_molecule(types: Sequence[AtomType], bonds: np.ndarray) -> Chem.Mol:
    """Return the sanitised molecule of typed nodes and bonds.

    Args:
        types: type of each node.
        bonds: integers (M, 3): two nodes and the order.

    Raises:
        InputError: an atom has more bonds than its valence, or RDKit refuses the molecule.
    """
    left = [kind.valence for kind in types]
    for one, other, order in bonds.tolist():
        left[one] -= order
        left[other] -= order
    molecule = Chem.RWMol()
    for node, kind in enumerate(types):
        if left[node] < 0:
            raise InputError(
                f"node {node}: {kind} has bonds of {kind.valence - left[node]} in all; its valence "
                f"is {kind.valence}"
            )
        molecule.AddAtom(_atom(kind, left[node]))
    for one, other, order in bonds.tolist():
        molecule.AddBond(one, other, _BOND_TYPES[order])
    try:
        with BlockLogs():
            Chem.SanitizeMol(molecule)
    except (Chem.MolSanitizeException, ValueError) as error:
        raise InputError(f"RDKit refuses the molecule: {error}") from error
    return molecule.GetMol()


def to_smiles(types: Sequence[AtomType], bonds: np.ndarray) -> str:
    """Return the canonical SMILES of typed nodes and bonds.

    Raises:
        InputError: as :func:`to_molecule`.
    """
    return Chem.MolToSmiles(to_molecule(types, bonds))


@functools.lru_cache(maxsize=1024)
def _atom(kind: AtomType, hydrogens: int) -> Chem.Atom:
    """Return an atom to be copied into molecules."""
    atom = Chem.Atom(kind.element)
    atom.SetFormalCharge(kind.charge)
    atom.SetIsotope(kind.isotope)
    atom.SetNumExplicitHs(hydrogens)
    atom.SetNoImplicit(True)
    return atom


def _short(text: str, most: int = 60) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."

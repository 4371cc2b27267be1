"""Molecules as tensors for message passing: features of atoms, of bonds, and who is bound to whom.

Each bond stands twice, once a direction; the two directions are neighbours in the list, so that
the reverse of bond k is k XOR 1. Among the atoms' features are RDKit's contributions of each atom
to logP and molar refractivity (Wildman, Crippen, J. Chem. Inf. Comput. Sci. 39, 1999), to polar
surface (Ertl, Rohde, Selzer, J. Med. Chem. 43, 2000) and to surface (Labute, 2000), and its partial
charge (Gasteiger, Marsili, Tetrahedron 36, 1980).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from rdkit import Chem
from rdkit.Chem import rdMolDescriptors, rdPartialCharges
from torch import Tensor

__all__ = ["ATOM_FEATURES", "BOND_FEATURES", "MolecularBatch", "MoleculeFeatures", "featurize"]

_ELEMENTS = {number: k for k, number in enumerate((1, 5, 6, 7, 8, 9, 14, 15, 16, 17, 34, 35, 53))}
_HYBRIDS = {
    kind: k
    for k, kind in enumerate(
        (
            Chem.HybridizationType.SP,
            Chem.HybridizationType.SP2,
            Chem.HybridizationType.SP3,
            Chem.HybridizationType.SP3D,
            Chem.HybridizationType.SP3D2,
        )
    )
}
_BONDS = {
    kind: k
    for k, kind in enumerate(
        (
            Chem.BondType.SINGLE,
            Chem.BondType.DOUBLE,
            Chem.BondType.TRIPLE,
            Chem.BondType.AROMATIC,
        )
    )
}
_RING_SIZES = range(3, 9)
_DEGREE = len(_ELEMENTS) + 1
_CHARGE = _DEGREE + 7
_HYDROGENS = _CHARGE + 5
_HYBRID = _HYDROGENS + 5
_FLAGS = _HYBRID + len(_HYBRIDS) + 1
_RINGS = _FLAGS + 2
_NUMBERS = _RINGS + len(_RING_SIZES)
ATOM_FEATURES = _NUMBERS + 6
"""Number of features of an atom."""
BOND_FEATURES = len(_BONDS) + 3
"""Number of features of a bond in one direction."""


@dataclass(frozen=True, slots=True, eq=False)
class MoleculeFeatures:
    """One molecule with A atoms and B bonds.

    Args:
        atoms: float32 (A, ATOM_FEATURES).
        bonds: float32 (2 B, BOND_FEATURES).
        source: int64 (2 B), the atom where each directed bond begins.
        target: int64 (2 B), the atom where it ends.
    """

    atoms: np.ndarray
    bonds: np.ndarray
    source: np.ndarray
    target: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class MolecularBatch:
    """Several molecules side by side, without bonds between them.

    Args:
        atoms: (A, ATOM_FEATURES).
        bonds: (E, BOND_FEATURES).
        source: int64 (E).
        target: int64 (E).
        molecule: int64 (A), the number of each atom's molecule.
        sizes: int64 (M), number of atoms of each molecule.
    """

    atoms: Tensor
    bonds: Tensor
    source: Tensor
    target: Tensor
    molecule: Tensor
    sizes: Tensor

    @staticmethod
    def of(molecules: Sequence[MoleculeFeatures]) -> MolecularBatch:
        """Join molecules into one batch; there must be one at least."""
        sizes = np.array([len(one.atoms) for one in molecules])
        starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
        pairs = list(zip(molecules, starts, strict=True))
        return MolecularBatch(
            torch.from_numpy(np.concatenate([one.atoms for one in molecules])),
            torch.from_numpy(np.concatenate([one.bonds for one in molecules])),
            torch.from_numpy(np.concatenate([one.source + start for one, start in pairs])),
            torch.from_numpy(np.concatenate([one.target + start for one, start in pairs])),
            torch.from_numpy(np.repeat(np.arange(len(sizes)), sizes)),
            torch.from_numpy(sizes),
        )

    def to(self, device: torch.device) -> MolecularBatch:
        """Return the batch on a device."""
        return MolecularBatch(
            self.atoms.to(device),
            self.bonds.to(device),
            self.source.to(device),
            self.target.to(device),
            self.molecule.to(device),
            self.sizes.to(device),
        )


def featurize(molecule: Chem.Mol) -> MoleculeFeatures:
    """Return the features of a sanitised molecule; equal for every order of its atoms.

    Atoms keep their order. What RDKit cannot work out for an atom (a charge at a metal) is 0.
    """
    count = molecule.GetNumAtoms()
    atoms = np.zeros((count, ATOM_FEATURES), dtype=np.float32)
    for k, atom in enumerate(molecule.GetAtoms()):
        row = atoms[k]
        row[_ELEMENTS.get(atom.GetAtomicNum(), len(_ELEMENTS))] = 1.0
        row[_DEGREE + min(atom.GetDegree(), 6)] = 1.0
        row[_CHARGE + min(max(atom.GetFormalCharge(), -2), 2) + 2] = 1.0
        row[_HYDROGENS + min(atom.GetTotalNumHs(), 4)] = 1.0
        row[_HYBRID + _HYBRIDS.get(atom.GetHybridization(), len(_HYBRIDS))] = 1.0
        row[_FLAGS] = atom.GetIsAromatic()
        row[_FLAGS + 1] = atom.IsInRing()
        row[_NUMBERS] = atom.GetMass() / 100.0
    rings = molecule.GetRingInfo()
    for ring in rings.AtomRings():
        if len(ring) in _RING_SIZES:
            atoms[list(ring), _RINGS + len(ring) - 3] = 1.0
    crippen = np.array(rdMolDescriptors._CalcCrippenContribs(molecule))
    atoms[:, _NUMBERS + 1] = crippen[:, 0]
    atoms[:, _NUMBERS + 2] = crippen[:, 1] / 5.0
    atoms[:, _NUMBERS + 3] = np.array(rdMolDescriptors._CalcTPSAContribs(molecule)) / 20.0
    labute, _ = rdMolDescriptors._CalcLabuteASAContribs(molecule)
    atoms[:, _NUMBERS + 4] = np.array(list(labute)) / 10.0
    rdPartialCharges.ComputeGasteigerCharges(molecule)
    charges = np.array([atom.GetDoubleProp("_GasteigerCharge") for atom in molecule.GetAtoms()])
    atoms[:, _NUMBERS + 5] = charges
    np.nan_to_num(atoms, copy=False, nan=0.0, posinf=0.0, neginf=0.0)
    number = molecule.GetNumBonds()
    bonds = np.zeros((2 * number, BOND_FEATURES), dtype=np.float32)
    ends = np.zeros((2 * number, 2), dtype=np.int64)
    for k, bond in enumerate(molecule.GetBonds()):
        row = bonds[2 * k]
        row[_BONDS.get(bond.GetBondType(), len(_BONDS))] = 1.0
        row[len(_BONDS) + 1] = bond.GetIsConjugated()
        row[len(_BONDS) + 2] = bond.IsInRing()
        bonds[2 * k + 1] = row
        one, other = bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()
        ends[2 * k] = one, other
        ends[2 * k + 1] = other, one
    return MoleculeFeatures(atoms, bonds, ends[:, 0].copy(), ends[:, 1].copy())

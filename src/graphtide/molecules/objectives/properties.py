"""Objectives that are properties of one molecule: QED, penalised logP, similarity.

Penalised logP, as the line of work after the junction-tree autoencoder (Jin, Barzilay, Jaakkola,
ICML 2018; Kusner et al., ICML 2017) has it,

    plogp(m) = logP(m) - SA(m) - max(0, longest ring of a cycle basis - 6)

with Crippen's logP and Ertl's synthetic accessibility SA. The normalised variant (You et al.,
NeurIPS 2018) takes of each of the three terms logP, -SA and -cycle the mean over ZINC250k and
divides by the standard deviation before they are added.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

import networkx
from rdkit import Chem, DataStructs
from rdkit.Chem import QED, rdFingerprintGenerator, rdMolDescriptors

from graphtide.molecules.accessibility import synthetic_accessibility
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives.base import MoleculeObjective

__all__ = ["PenalisedLogP", "Qed", "Similarity", "fingerprint", "similarity"]

_BITS = 2048
_RADIUS = 2
_LOGP = (2.4570953396190123, 1.434324401111988)
_ACCESSIBILITY = (-3.0525811293166134, 0.8335207024513095)
_CYCLE = (-0.0485696876403053, 0.2860212110245455)
"""Mean and standard deviation over ZINC250k of logP, -SA and -cycle, as that line uses them."""


@dataclass(frozen=True)
class Qed(MoleculeObjective):
    """Drug-likeness, 0 to 1 (Bickerton et al., Nature Chemistry 4, 2012), by RDKit."""

    name: str = "qed"

    def score(self, molecule: Chem.Mol) -> float:
        """Return QED."""
        return QED.qed(molecule)


@dataclass(frozen=True)
class PenalisedLogP(MoleculeObjective):
    """Penalised logP, see the head of this module; it can be gamed by long chains.

    Args:
        normalised: standardise the three terms over ZINC250k, as You et al. do. The scores that
            Jin et al. publish with their 800 molecules are not normalised.
    """

    normalised: bool = False

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return "plogp" or "plogp_normalised"."""
        return "plogp_normalised" if self.normalised else "plogp"

    def score(self, molecule: Chem.Mol) -> float:
        """Return penalised logP."""
        terms = (
            rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
            -synthetic_accessibility(molecule),
            -_excess_of_longest_cycle(molecule),
        )
        if not self.normalised:
            return sum(terms)
        scales = (_LOGP, _ACCESSIBILITY, _CYCLE)
        return sum(
            (term - mean) / deviation for term, (mean, deviation) in zip(terms, scales, strict=True)
        )


@dataclass(frozen=True)
class Similarity(MoleculeObjective):
    """Tanimoto similarity to a molecule, 0 to 1: Morgan fingerprints, radius 2, 2,048 bits.

    Args:
        target: SMILES.

    Raises:
        InputError: RDKit cannot read the target.
    """

    target: str
    _bits: DataStructs.ExplicitBitVect = field(init=False, repr=False, compare=False)

    prefix: ClassVar[str] = "similarity:"

    def __post_init__(self) -> None:
        object.__setattr__(self, "_bits", fingerprint(parse_smiles(self.target)))

    @property
    def name(self) -> str:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Return "similarity:SMILES"."""
        return f"{self.prefix}{self.target}"

    def score(self, molecule: Chem.Mol) -> float:
        """Return the similarity."""
        return DataStructs.TanimotoSimilarity(self._bits, fingerprint(molecule))


def fingerprint(molecule: Chem.Mol) -> DataStructs.ExplicitBitVect:
    """Return the Morgan fingerprint of radius 2 in 2,048 bits, without stereochemistry."""
    return _GENERATOR.GetFingerprint(molecule)


def similarity(one: str, other: str) -> float:
    """Return the Tanimoto similarity of two molecules, as `Similarity` has it.

    Raises:
        InputError: RDKit cannot read one of them.
    """
    return Similarity(one).score(parse_smiles(other))


def _excess_of_longest_cycle(molecule: Chem.Mol) -> int:
    if molecule.GetRingInfo().NumRings() == 0:
        return 0
    links = networkx.Graph(
        [(bond.GetBeginAtomIdx(), bond.GetEndAtomIdx()) for bond in molecule.GetBonds()]
    )
    return max(0, max(map(len, networkx.cycle_basis(links))) - 6)


_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=_RADIUS, fpSize=_BITS)

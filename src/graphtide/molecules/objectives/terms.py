"""The parts that goal-directed tasks are made of: numbers of a molecule, and how they are scored.

Scores are 1 where a number is as wanted and fall off as a bell or a slope:

    bell(x) = exp(-((x - m) / s)^2 / 2)        at_least, at_most: a bell on one side only
    clipped(x) = min(x / most, 1)

Source: Brown, Fiscato, Segler, Vaucher, GuacaMol, J. Chem. Inf. Model. 59 (2019), supporting
information. Fingerprints count how often each feature occurs (they are not folded to bits), and
similarity is Tanimoto's on counts: sum of the smaller counts over sum of the larger ones.
"""

from __future__ import annotations

import functools
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from rdkit import Chem, DataStructs
from rdkit.Chem import GraphDescriptors, rdFingerprintGenerator, rdMolDescriptors

from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives.pharmacophores import pharmacophores

__all__ = [
    "Number",
    "at_least",
    "at_most",
    "bell",
    "clipped",
    "complexity",
    "count",
    "formula_terms",
    "logp",
    "matches",
    "polar_surface",
    "rings",
    "rings_aromatic",
    "similarity_to",
]

Number = Callable[[Chem.Mol], float]
"""A number of a sanitised molecule."""


def bell(number: Number, middle: float, width: float) -> Number:
    """Return 1 where the number is in the middle, falling off on both sides."""
    return lambda molecule: math.exp(-0.5 * ((number(molecule) - middle) / width) ** 2)


def at_least(number: Number, least: float, width: float) -> Number:
    """Return 1 where the number is `least` or more, falling off below."""
    return bell(lambda molecule: min(number(molecule), least), least, width)


def at_most(number: Number, most: float, width: float) -> Number:
    """Return 1 where the number is `most` or less, falling off above."""
    return bell(lambda molecule: max(number(molecule), most), most, width)


def clipped(number: Number, most: float) -> Number:
    """Return the number as a share of `most`, never above 1."""
    return lambda molecule: min(number(molecule) / most, 1.0)


def similarity_to(smiles: str, kind: str) -> Number:
    """Return the similarity to a molecule.

    Args:
        smiles: the molecule.
        kind: neighbourhoods of 4 or 6 bonds across, of atoms ("ECFC4", "ECFC6") or of features
            ("FCFC4"); pairs of atoms up to 10 bonds apart ("AP"); or pairs and triples of
            pharmacophores ("PHCO", Gobbi & Poppinger 1998).
    """
    make = _fingerprints()[kind]
    target = make(parse_smiles(smiles))
    return lambda molecule: DataStructs.TanimotoSimilarity(target, make(molecule))


def matches(smarts: str, *, wanted: bool = True) -> Number:
    """Return 1 where the pattern is in the molecule as wanted, else 0."""
    pattern = Chem.MolFromSmarts(smarts)
    return lambda molecule: float(molecule.HasSubstructMatch(pattern) == wanted)


def formula_terms(formula: str) -> tuple[Number, ...]:
    """Return bells of width 1 on the number of atoms of each element, and of width 2 on all atoms.

    Hydrogens count among the atoms.
    """
    wanted = {
        element: int(number or 1) for element, number in re.findall(r"([A-Z][a-z]?)(\d*)", formula)
    }
    one = [bell(count(element), number, 1.0) for element, number in wanted.items()]
    return (*one, bell(_atoms, sum(wanted.values()), 2.0))


def count(element: str) -> Number:
    """Return the number of atoms of an element."""
    return lambda molecule: _composition(molecule)[element]


def logp(molecule: Chem.Mol) -> float:
    """Return Crippen's logP."""
    return rdMolDescriptors.CalcCrippenDescriptors(molecule)[0]


def polar_surface(molecule: Chem.Mol) -> float:
    """Return the topological polar surface, in square angstroms."""
    return rdMolDescriptors.CalcTPSA(molecule)


def complexity(molecule: Chem.Mol) -> float:
    """Return Bertz' index of complexity."""
    return GraphDescriptors.BertzCT(molecule)


def rings(molecule: Chem.Mol) -> float:
    """Return the number of rings."""
    return rdMolDescriptors.CalcNumRings(molecule)


def rings_aromatic(molecule: Chem.Mol) -> float:
    """Return the number of aromatic rings."""
    return rdMolDescriptors.CalcNumAromaticRings(molecule)


def _atoms(molecule: Chem.Mol) -> int:
    return molecule.GetNumAtoms(onlyExplicit=False)


def _composition(molecule: Chem.Mol) -> Mapping[str, int]:
    found: Counter[str] = Counter(atom.GetSymbol() for atom in molecule.GetAtoms())
    found["H"] += _atoms(molecule) - molecule.GetNumAtoms()
    return found


@functools.cache
def _fingerprints() -> dict[str, Callable[[Chem.Mol], Any]]:
    make = rdFingerprintGenerator
    features = make.GetMorganFeatureAtomInvGen()
    return {
        "ECFC4": make.GetMorganGenerator(radius=2).GetSparseCountFingerprint,
        "ECFC6": make.GetMorganGenerator(radius=3).GetSparseCountFingerprint,
        "FCFC4": make.GetMorganGenerator(
            radius=2, atomInvariantsGenerator=features
        ).GetSparseCountFingerprint,
        "AP": make.GetAtomPairGenerator(maxDistance=10).GetSparseCountFingerprint,
        "PHCO": pharmacophores,
    }

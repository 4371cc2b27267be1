"""Which molecules count at all: alerts, size, accessibility, what must stay, what must hold.

PAINS: pan-assay interference compounds (Baell & Holloway, Journal of Medicinal Chemistry 53, 2010),
by RDKit's filter catalogue.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace

from rdkit import Chem, DataStructs
from rdkit.Chem import FilterCatalog
from rdkit.rdBase import BlockLogs

from graphtide.errors import InputError
from graphtide.molecules.accessibility import synthetic_accessibility
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives.base import Objective
from graphtide.molecules.objectives.properties import fingerprint

__all__ = ["Filters"]


@dataclass(frozen=True)
class Filters:
    """Conditions that a molecule must meet before its objective is worth a call.

    They are looked at from the cheapest to the dearest, and the first that fails is the reason.

    Args:
        pains: refuse molecules that match a PAINS pattern.
        accessibility: the highest synthetic accessibility allowed (1 easy to 10); None any.
        most_atoms: the most heavy atoms allowed; None any number.
        keep: a substructure (SMILES or SMARTS) that must be there; None nothing.
        similar_to: SMILES of the start that a molecule must stay similar to; None nothing.
        similarity: the least Tanimoto similarity to it (Morgan fingerprints, radius 2, 2,048
            bits, as the literature on constrained optimisation has it).
        at_least: other objectives and the least value of each, such as QED and 0.5.

    Raises:
        InputError: the substructure or the start cannot be read, or a limit is out of its range.
    """

    pains: bool = False
    accessibility: float | None = None
    most_atoms: int | None = None
    keep: str | None = None
    similar_to: str | None = None
    similarity: float = 0.0
    at_least: tuple[tuple[Objective, float], ...] = ()

    def __post_init__(self) -> None:
        if self.accessibility is not None and not 1 <= self.accessibility <= 10:
            raise InputError(
                f"a limit of synthetic accessibility lies from 1 to 10, not at {self.accessibility}"
            )
        if self.most_atoms is not None and self.most_atoms < 1:
            raise InputError(f"most_atoms is {self.most_atoms}; at least 1 was expected")
        if not 0 <= self.similarity <= 1:
            raise InputError(f"a similarity lies from 0 to 1, not at {self.similarity}")
        if self.keep is not None:
            _pattern(self.keep)
        if self.similar_to is not None:
            _bits(self.similar_to)

    def for_start(self, smiles: str) -> Filters:
        """Return these filters with similarity measured to another start."""
        return replace(self, similar_to=smiles)

    def accepts(self, smiles: str) -> str | None:
        """Return None where the molecule meets every condition, else the reason in words."""
        try:
            molecule = parse_smiles(smiles)
        except InputError as error:
            return str(error)
        return self.accepts_molecule(molecule)

    def accepts_molecule(self, molecule: Chem.Mol) -> str | None:
        """Return as :meth:`accepts` of a sanitised molecule without stereochemistry."""
        size = molecule.GetNumAtoms()
        if self.most_atoms is not None and size > self.most_atoms:
            return f"{size} heavy atoms, more than {self.most_atoms}"
        if self.similar_to is not None and self.similarity > 0:
            found = DataStructs.TanimotoSimilarity(_bits(self.similar_to), fingerprint(molecule))
            if found < self.similarity:
                return f"similarity {found:.3f} to the start, below {self.similarity:g}"
        if self.keep is not None and not molecule.HasSubstructMatch(_pattern(self.keep)):
            return f"the substructure {self.keep} is missing"
        if self.accessibility is not None:
            found = synthetic_accessibility(molecule)
            if found > self.accessibility:
                return f"synthetic accessibility {found:.2f}, above {self.accessibility:g}"
        if self.pains and (entry := _pains().GetFirstMatch(molecule)) is not None:
            return f"PAINS pattern {entry.GetDescription()}"
        if self.at_least:
            text = Chem.MolToSmiles(molecule)
            for objective, least in self.at_least:
                value = float(objective([text])[0])
                if not value >= least:
                    return f"{objective.name} is {value:.3f}, below {least:g}"
        return None


@functools.lru_cache(maxsize=64)
def _pattern(text: str) -> Chem.Mol:
    with BlockLogs():
        found = Chem.MolFromSmiles(text)
        found = found if found is not None else Chem.MolFromSmarts(text)
    if found is None or found.GetNumAtoms() == 0:
        raise InputError(f"the substructure '{text}' is neither a SMILES nor a SMARTS")
    Chem.RemoveStereochemistry(found)
    return found


@functools.lru_cache(maxsize=4096)
def _bits(smiles: str) -> DataStructs.ExplicitBitVect:
    return fingerprint(parse_smiles(smiles))


@functools.cache
def _pains() -> FilterCatalog.FilterCatalog:
    parameters = FilterCatalog.FilterCatalogParams()
    parameters.AddCatalog(FilterCatalog.FilterCatalogParams.FilterCatalogs.PAINS)
    return FilterCatalog.FilterCatalog(parameters)

"""What every objective is: a named, picklable map from molecules to numbers, higher is better."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Protocol

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles

__all__ = ["MoleculeObjective", "Objective", "UndefinedValue"]


class UndefinedValue(ValueError):
    """An objective has no value for a molecule; the message says why."""


class Objective(Protocol):
    """A map from molecules to numbers, higher is better.

    It must be picklable, so that it can be evaluated in other processes. An objective that works
    on many molecules at once at less cost than one by one may have an attribute ``batch_size``:
    how many it would like (otherwise it is called with one at a time).

    Attributes:
        name: the text that `parse_objective` makes it from.
    """

    @property
    def name(self) -> str:
        """The text that names it."""
        ...

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the value of each molecule, float64 (n,), NaN where it is undefined.

        A `graphtide.molecules.objectives.Pareto`, which keeps its parts apart, returns (n, k).
        """
        ...


class MoleculeObjective(ABC):
    """An objective that looks at one RDKit molecule at a time."""

    name: str

    @abstractmethod
    def score(self, molecule: Chem.Mol) -> float:
        """Return the value of a sanitised molecule without stereochemistry; NaN if undefined."""

    def __call__(self, smiles: Sequence[str], /) -> np.ndarray:
        """Return the value of each molecule, float64 (n,); NaN where RDKit reads none."""
        values = np.full(len(smiles), np.nan)
        for row, text in enumerate(smiles):
            try:
                molecule = parse_smiles(text)
            except InputError:
                continue
            values[row] = self.score(molecule)
        return values

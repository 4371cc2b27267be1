"""Synthetic accessibility: 1 (easy to make) to 10, from the fragments of known molecules.

Source: Ertl & Schuffenhauer, Journal of Cheminformatics 1 (2009) 8; the score that ships with
RDKit.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rdkit import Chem

__all__ = ["synthetic_accessibility"]


def synthetic_accessibility(molecule: Chem.Mol) -> float:
    """Return the score of a sanitised molecule, 1 to 10, lower is easier; costs about 0.3 ms."""
    return _scorer()(molecule)


@functools.cache
def _scorer() -> Callable[[Chem.Mol], float]:
    """Return the score that ships with RDKit, its table loaded."""
    from rdkit.Contrib.SA_Score import sascorer  # pyright: ignore[reportMissingImports]

    with warnings.catch_warnings():
        # The table's file is left to the garbage collector.
        warnings.simplefilter("ignore", ResourceWarning)
        sascorer.readFragmentScores()
    return sascorer.calculateScore

"""Numbers of molecules that a generator may be conditioned on: by RDKit, or a file's columns."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from rdkit import Chem
from rdkit.Chem import QED, rdMolDescriptors

from graphtide.errors import InputError
from graphtide.molecules.chemistry import to_molecule
from graphtide.molecules.corpus import Corpus
from graphtide.molecules.files import MoleculeLines

__all__ = ["PROPERTIES", "condition_values"]

PROPERTIES: dict[str, Callable[[Chem.Mol], float]] = {
    "qed": QED.qed,
    "logp": lambda molecule: rdMolDescriptors.CalcCrippenDescriptors(molecule)[0],
    "weight": rdMolDescriptors._CalcMolWt,
    "polar_surface": rdMolDescriptors.CalcTPSA,
}
"""Properties worked out for any molecule, by RDKit."""


def condition_values(
    names: Sequence[str], corpus: Corpus, lines: MoleculeLines
) -> dict[str, np.ndarray]:
    """Return the value of each property for each molecule of a corpus, (K,); NaN where unknown.

    Args:
        names: columns of the file, or properties by name (qed, logp, weight, polar_surface).
        corpus: made from the lines.
        lines: the file.

    Raises:
        InputError: a name is neither, or a cell of its column is no number.
    """
    found: dict[str, np.ndarray] = {}
    place = {line: row for row, line in enumerate(lines.lines)}
    rows = np.array([place[int(line)] for line in corpus.encoded.lines])
    for name in names:
        if name in lines.columns:
            found[name] = _column(name, lines)[rows]
        elif name not in PROPERTIES:
            raise InputError(
                f"--properties: '{name}' is no column of {lines.source or 'the corpus'} and none "
                f"of {', '.join(PROPERTIES)}"
            )
    computed = [name for name in names if name not in found]
    if computed:
        values = np.empty((len(corpus), len(computed)))
        for row in range(len(corpus)):
            graph = corpus.graph(row)
            molecule = to_molecule(graph.types, graph.bonds)
            values[row] = [PROPERTIES[name](molecule) for name in computed]
        found |= dict(zip(computed, values.T, strict=True))
    return {name: found[name] for name in names}


def _column(name: str, lines: MoleculeLines) -> np.ndarray:
    values = np.full(len(lines), np.nan)
    for row, text in enumerate(lines.columns[name]):
        if not text.strip():
            continue
        try:
            values[row] = float(text)
        except ValueError:
            raise InputError(
                f"{lines.source}, line {lines.lines[row]}: '{text}' in the column {name} is not a "
                "number"
            ) from None
    return values

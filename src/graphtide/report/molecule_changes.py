"""What changed between two molecules: the atoms outside of their maximum common substructure."""

from __future__ import annotations

import numpy as np
import pandas

__all__ = ["changed_atoms", "nearest_known"]

_SECONDS = 2


def changed_atoms(one: str, other: str) -> tuple[set[int], set[int]]:
    """Return the atoms of each molecule that the other does not have, in the order of its SMILES.

    The maximum common substructure is connected, its elements and bond orders agree, and rings
    match whole rings. The search for it ends after two seconds with the best it has.

    Args:
        one: SMILES.
        other: SMILES.

    Example:
        >>> changed_atoms("CCO", "CCN")
        ({2}, {2})
    """
    from rdkit import Chem
    from rdkit.Chem import rdFMCS

    first, second = Chem.MolFromSmiles(one), Chem.MolFromSmiles(other)
    common = rdFMCS.FindMCS(
        [first, second], timeout=_SECONDS, ringMatchesRingOnly=True, completeRingsOnly=True
    )
    if not common.numAtoms:
        return set(range(first.GetNumAtoms())), set(range(second.GetNumAtoms()))
    pattern = Chem.MolFromSmarts(common.smartsString)
    return (
        set(range(first.GetNumAtoms())) - set(first.GetSubstructMatch(pattern)),
        set(range(second.GetNumAtoms())) - set(second.GetSubstructMatch(pattern)),
    )


def nearest_known(smiles: list[str], starts: list[str]) -> pandas.DataFrame:
    """Return for each molecule the nearest among the starts and the embedded sample of ZINC250k.

    Args:
        smiles: of the molecules.
        starts: of the starts.
    """
    from rdkit import Chem, DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    from graphtide.data import zinc250k_sample
    from graphtide.molecules.chemistry import canonical_smiles, parse_smiles

    make = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048).GetFingerprint
    known = [*starts, *zinc250k_sample()["smiles"]]
    prints = [make(parse_smiles(text)) for text in known]
    rows = []
    for text in smiles:
        found = np.array(DataStructs.BulkTanimotoSimilarity(make(Chem.MolFromSmiles(text)), prints))
        place = int(found.argmax())
        rows.append(
            {
                "molecule": text,
                "nearest": canonical_smiles(known[place]),
                "from": "starts" if place < len(starts) else "ZINC250k sample",
                "similarity": float(found[place]),
            }
        )
    return pandas.DataFrame(rows)

"""What came of a search, as tables: each start beside its best descendant, and the ten best."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas
from rdkit.Chem import QED

from graphtide.molecules.accessibility import synthetic_accessibility
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives.properties import similarity
from graphtide.molecules.optimization.oracle import Evaluation
from graphtide.molecules.optimization.starts import Leads

__all__ = ["best_table", "described", "nearest_starts", "top_of"]

_TOP = 10
_COLUMNS = (
    *("line", "start", "start_value", "best", "best_value", "gain", "similarity"),
    *("start_accessibility", "start_qed", "best_accessibility", "best_qed"),
)


def nearest_starts(
    leads: Leads, starts: Mapping[str, Evaluation], evaluations: Sequence[Evaluation]
) -> list[tuple[int, Evaluation, Evaluation | None]]:
    """Return each of the best molecules with the start that it resembles most."""
    places = {text: place for place, text in enumerate(leads.smiles) if text in starts}
    pairs: list[tuple[int, Evaluation, Evaluation | None]] = []
    for one in top_of([one for one in evaluations if one.smiles not in starts]):
        nearest = max(places, key=lambda text, own=one.smiles: similarity(text, own))
        pairs.append((places[nearest], starts[nearest], one))
    return pairs


def top_of(evaluations: Sequence[Evaluation]) -> list[Evaluation]:
    """Return the ten best distinct molecules, the best first."""
    known: dict[str, Evaluation] = {}
    for one in evaluations:
        if one.value == one.value:
            known.setdefault(one.smiles, one)
    return sorted(known.values(), key=lambda one: -one.value)[:_TOP]


def best_table(
    names: Sequence[str],
    leads: Leads,
    pairs: Sequence[tuple[int, Evaluation, Evaluation | None]],
) -> pandas.DataFrame:
    """Return a row for each start and what became of it.

    Args:
        names: of the objectives.
        leads: where the search began.
        pairs: number of a lead, its own evaluation, that of its best descendant.
    """
    rows = []
    for place, start, best in pairs:
        row: dict[str, object] = {
            "line": leads.lines[place],
            "start": start.smiles,
            "start_value": start.value,
            "best": best.smiles if best is not None else "",
            "best_value": best.value if best is not None else np.nan,
        }
        row["gain"] = np.nan if best is None else best.value - start.value
        row["similarity"] = np.nan if best is None else similarity(start.smiles, best.smiles)
        for when, one in (("start", start), ("best", best)):
            molecule = None if one is None else parse_smiles(one.smiles)
            nothing = molecule is None
            row[f"{when}_accessibility"] = np.nan if nothing else synthetic_accessibility(molecule)
            row[f"{when}_qed"] = np.nan if nothing else QED.qed(molecule)
        if len(names) > 1:
            for k, name in enumerate(names):
                row[f"start {name}"] = start.values[k]
                row[f"best {name}"] = np.nan if best is None else best.values[k]
        rows.append(row)
    return pandas.DataFrame(rows, columns=None if rows else list(_COLUMNS))


def described(evaluations: Sequence[Evaluation], names: Sequence[str]) -> pandas.DataFrame:
    """Return a row for each molecule: its values by the objectives' names, QED, accessibility."""
    smiles = [one.smiles for one in evaluations]
    molecules = [parse_smiles(text) for text in smiles]
    values = {name: [one.values[k] for one in evaluations] for k, name in enumerate(names)}
    return pandas.DataFrame(
        {
            "smiles": smiles,
            **values,
            "qed": [QED.qed(molecule) for molecule in molecules],
            "accessibility": [synthetic_accessibility(molecule) for molecule in molecules],
            "atoms": [molecule.GetNumAtoms() for molecule in molecules],
        }
    ).loc[:, lambda frame: ~frame.columns.duplicated()]

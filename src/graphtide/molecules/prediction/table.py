"""A table of measured properties: molecules, targets, and what was wrong with its rows.

Whether a target is a number or a class is read off its values: only 0 and 1 make a class. Rows that
hold the same molecule are averaged (a class: the majority; a tie is set aside).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.files import MoleculeLines

__all__ = ["PropertyTable", "TableNotice", "property_table"]

LEAST_MOLECULES = 30
_MISSING = frozenset({"", "na", "n/a", "nan", "null", "none"})


@dataclass(frozen=True, slots=True)
class TableNotice:
    """A row that was not taken as it stands.

    Args:
        line: its number in the file.
        smiles: its text.
        kept: whether it still counts.
        reason: one sentence.
    """

    line: int
    smiles: str
    kept: bool
    reason: str


@dataclass(frozen=True, slots=True, eq=False)
class PropertyTable:
    """Molecules with values.

    Args:
        smiles: canonical SMILES of M different molecules.
        molecules: their molecules.
        values: float64 (M, T), NaN where nothing was measured.
        targets: T names.
        classes: bool (T,), whether a target is a class 0 or 1.
        columns: the file's other columns, M cells each.
        notices: rows that were not taken as they stand.
    """

    smiles: tuple[str, ...]
    molecules: tuple[Chem.Mol, ...]
    values: np.ndarray
    targets: tuple[str, ...]
    classes: np.ndarray
    columns: Mapping[str, tuple[str, ...]]
    notices: tuple[TableNotice, ...]

    def __len__(self) -> int:
        return len(self.smiles)


def property_table(lines: MoleculeLines, targets: Sequence[str]) -> PropertyTable:
    """Parse the molecules and targets of a file.

    Args:
        lines: the file.
        targets: columns to predict, one at least.

    Raises:
        InputError: there is no such column; a target is text, constant or missing everywhere; or
            fewer than 30 molecules have a value.
    """
    if not targets:
        raise InputError("no target is named; --target takes the name of a column of numbers")
    if len(set(targets)) < len(targets):
        raise InputError("a target is named twice")
    table = np.stack([_column(lines, name) for name in targets], axis=1)
    rows: dict[str, list[int]] = {}
    molecules: dict[str, Chem.Mol] = {}
    notices: list[TableNotice] = []

    def note(row: int, kept: bool, reason: str) -> None:
        notices.append(TableNotice(lines.lines[row], lines.smiles[row], kept, reason))

    for row, text in enumerate(lines.smiles):
        if not np.isfinite(table[row]).any():
            note(row, False, "no target has a value")
            continue
        try:
            molecule = parse_smiles(text)
        except InputError as error:
            note(row, False, str(error))
            continue
        name = Chem.MolToSmiles(molecule)
        molecules.setdefault(name, molecule)
        rows.setdefault(name, []).append(row)
    classes = np.array([_is_class(table[:, k]) for k in range(len(targets))])
    values = []
    kept_names = []
    for name, found in rows.items():
        joined = _joined(table[found], classes)
        if len(found) > 1:
            worst = _apart(table[found])
            others = ", ".join(str(lines.lines[row]) for row in found)
            what = "equal values" if worst == 0 else f"values {worst:.3g} apart"
            kept = bool(np.isfinite(joined).any())
            ending = "averaged" if kept else "as many 0 as 1: set aside"
            note(found[0], kept, f"the same molecule on lines {others}, {what}: {ending}")
        if np.isfinite(joined).any():
            values.append(joined)
            kept_names.append(name)
    array = np.array(values).reshape(len(values), len(targets))
    _check(array, targets, classes, lines.source)
    first = [rows[name][0] for name in kept_names]
    return PropertyTable(
        tuple(kept_names),
        tuple(molecules[name] for name in kept_names),
        array,
        tuple(targets),
        classes,
        {name: tuple(cells[row] for row in first) for name, cells in lines.columns.items()},
        tuple(sorted(notices, key=lambda notice: notice.line)),
    )


def _column(lines: MoleculeLines, name: str) -> np.ndarray:
    """Return a column as numbers, NaN where it is missing."""
    cells = lines.columns.get(name)
    if cells is None:
        known = ", ".join(list(lines.columns)[:8])
        raise InputError(f"{lines.source}: there is no column '{name}'; the others are {known}")
    values = np.full(len(cells), np.nan)
    for row, cell in enumerate(cells):
        if cell.strip().casefold() in _MISSING:
            continue
        try:
            values[row] = float(cell)
        except ValueError:
            raise InputError(
                f"{lines.source}, line {lines.lines[row]}, column '{name}': '{cell[:40]}' is not a "
                "number; a target holds numbers, or 0 and 1 for classes"
            ) from None
        if math.isinf(values[row]):
            raise InputError(
                f"{lines.source}, line {lines.lines[row]}, column '{name}': infinity is no value"
            )
    if not np.isfinite(values).any():
        raise InputError(f"{lines.source}: column '{name}' holds no value at all")
    return values


def _is_class(values: np.ndarray) -> bool:
    return bool(np.isin(values[np.isfinite(values)], (0.0, 1.0)).all())


def _joined(values: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the mean of rows of one molecule; of a class, the majority, NaN for a tie."""
    known = np.isfinite(values)
    counts = known.sum(axis=0)
    means = np.where(known, values, 0.0).sum(axis=0) / np.maximum(counts, 1)
    means = np.where(counts > 0, means, np.nan)
    votes = np.where(means == 0.5, np.nan, np.round(np.nan_to_num(means)))
    return np.where(classes & np.isfinite(means), votes, means)


def _apart(values: np.ndarray) -> float:
    """Return how far apart rows are in the target where they differ most."""
    known = np.isfinite(values)
    high = np.where(known, values, -np.inf).max(axis=0)
    low = np.where(known, values, np.inf).min(axis=0)
    return float(np.maximum(high - low, 0.0).max())


def _check(values: np.ndarray, targets: Sequence[str], classes: np.ndarray, source: str) -> None:
    for k, name in enumerate(targets):
        column = values[:, k][np.isfinite(values[:, k])]
        if len(column) and column.min() == column.max():
            raise InputError(
                f"{source}: column '{name}' is {column[0]:g} in every row; there is nothing to "
                "predict"
            )
        if len(column) < LEAST_MOLECULES:
            raise InputError(
                f"{source}: {len(column)} different molecules with a value of '{name}'; at least "
                f"{LEAST_MOLECULES} are needed"
            )
        least = min((column == 0).sum(), (column == 1).sum())
        if classes[k] and least < 10:
            raise InputError(
                f"{source}: column '{name}' has {least} molecules of its rarer class; at least 10 "
                "of either are needed"
            )

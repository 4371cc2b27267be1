"""How molecules are divided into training, validation and test.

random     shuffled
scaffold   by Murcko scaffold, the largest groups to training, the smallest to test; of groups of
one size, those that begin later in the table come first, as published comparisons have it
(Bemis, Murcko, J. Med. Chem. 39, 1996; Wu et al., MoleculeNet, Chemical Science 9, 2018)
cluster    by similarity: Butina's clusters at distance 0.6 of circular fragments
(Butina, J. Chem. Inf. Comput. Sci. 39, 1999), placed like scaffolds
time       by a column, the latest to test
column     by the user's own column of train, valid (or validation) and test
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError

__all__ = ["SplitKind", "Splitting", "groups_of", "split_molecules", "split_names"]

SplitKind = Literal["random", "scaffold", "cluster", "time", "column"]
_SHARES = (0.8, 0.1)
_DISTANCE = 0.6
_NAMES = {
    "train": 0, "training": 0, "valid": 1, "validation": 1, "val": 1, "test": 2
}  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class Splitting:
    """Numbers of the molecules of each part, sorted int64."""

    training: np.ndarray
    validation: np.ndarray
    test: np.ndarray


def split_names() -> tuple[str, ...]:
    """Return the kinds of split."""
    return get_args(SplitKind)


def split_molecules(
    kind: SplitKind | str,
    molecules: Sequence[Chem.Mol],
    *,
    seed: int = 0,
    column: Sequence[str] | None = None,
) -> Splitting:
    """Divide molecules 80 : 10 : 10 (as the column says, for ``column``).

    Args:
        kind: how, see the head of this module.
        molecules: M molecules.
        seed: of the random split; scaffolds and clusters have one order only.
        column: text of each molecule's cell, for ``time`` (numbers, or dates that sort as text,
            such as 2021-03-04) and ``column``.

    Raises:
        InputError: there is no such kind, or its column is missing or holds something else.
    """
    count = len(molecules)
    if kind == "random":
        return _cut(np.random.default_rng(seed).permutation(count))
    if kind in ("scaffold", "cluster"):
        groups = groups_of(kind, molecules)
        return _placed(groups, count)
    if kind not in get_args(SplitKind):
        raise InputError(f"--split {kind}: {', '.join(get_args(SplitKind))} are known")
    if column is None:
        raise InputError(f"--split {kind} needs the name of its column (--split-column)")
    if kind == "time":
        return _cut(np.argsort(_times(column), kind="stable"))
    parts = [_NAMES.get(cell.strip().casefold()) for cell in column]
    for cell, part in zip(column, parts, strict=True):
        if part is None:
            raise InputError(
                f"the column of the split holds '{cell}'; train, validation and test were expected"
            )
    found = np.array(parts)
    return Splitting(*(np.flatnonzero(found == part) for part in range(3)))


def groups_of(kind: str, molecules: Sequence[Chem.Mol]) -> np.ndarray:
    """Return the number of each molecule's group, (M,): by scaffold or by cluster; else its own."""
    if kind == "scaffold":
        names = [_scaffold(molecule) for molecule in molecules]
        return np.unique(np.array(names, dtype=object).astype(str), return_inverse=True)[1]
    if kind == "cluster":
        return _clusters(molecules)
    return np.arange(len(molecules))


def _scaffold(molecule: Chem.Mol) -> str:
    from rdkit.Chem.Scaffolds import MurckoScaffold

    return MurckoScaffold.MurckoScaffoldSmiles(mol=molecule, includeChirality=False)


def _clusters(molecules: Sequence[Chem.Mol]) -> np.ndarray:
    from rdkit import DataStructs
    from rdkit.Chem import rdFingerprintGenerator

    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    prints = [generator.GetFingerprint(molecule) for molecule in molecules]
    near = [
        np.flatnonzero(np.array(DataStructs.BulkTanimotoSimilarity(one, prints)) > 1 - _DISTANCE)
        for one in prints
    ]
    group = np.full(len(molecules), -1)
    # The molecule with most neighbours is the first centre; ties go to the earlier molecule.
    for centre in np.argsort([-len(row) for row in near], kind="stable"):
        if group[centre] < 0:
            free = near[centre][group[near[centre]] < 0]
            group[free] = centre
            group[centre] = centre
    return np.unique(group, return_inverse=True)[1]


def _placed(groups: np.ndarray, count: int) -> Splitting:
    """Place whole groups, the largest first: training until it is full, then validation, test."""
    sizes = np.bincount(groups)
    begins = np.unique(groups, return_index=True)[1]
    parts: list[list[np.ndarray]] = [[], [], []]
    trained = seen = 0  # molecules in training, and in training or validation
    for group in np.lexsort((-begins, -sizes)):
        rows = np.flatnonzero(groups == group)
        if trained + len(rows) <= _SHARES[0] * count:
            place = 0
            trained += len(rows)
        else:
            place = 1 if seen + len(rows) <= sum(_SHARES) * count else 2
        if place < 2:
            seen += len(rows)
        parts[place].append(rows)
    none = np.empty(0, dtype=np.int64)
    return Splitting(*(np.sort(np.concatenate(part)) if part else none for part in parts))


def _cut(order: np.ndarray) -> Splitting:
    first = int(_SHARES[0] * len(order))
    second = int(sum(_SHARES) * len(order) + 1e-9)
    parts = (order[:first], order[first:second], order[second:])
    return Splitting(*(np.sort(part) for part in parts))


def _times(column: Sequence[str]) -> np.ndarray:
    for cell in column:
        if not cell.strip():
            raise InputError("the column of times holds an empty cell")
    try:
        return np.array([float(cell) for cell in column])
    except ValueError:
        return np.array([cell.strip() for cell in column])

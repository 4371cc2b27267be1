"""SMILES become typed graphs in bulk: what cannot be read is told, and never stops the work."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType, TypedGraph, parse_smiles, typed_graph

__all__ = ["Encoded", "Mixtures", "Notice", "encode", "usable_cores"]

Mixtures = Literal["largest", "split", "skip"]
"""What becomes of a molecule in several pieces (salts): its largest piece is kept, each becomes a
molecule of its own, or none is taken."""

_CHUNK = 2000


@dataclass(frozen=True, slots=True)
class Notice:
    """What happened to a line that was not taken as it stands.

    Args:
        line: its number in the file, from 1.
        text: what it held.
        reason: in one clause.
        kept: whether a part of it was taken.
    """

    line: int
    text: str
    reason: str
    kept: bool


@dataclass(frozen=True, slots=True, eq=False)
class Encoded:
    """Molecules as flat arrays.

    Args:
        vocabulary: types of atoms that occur, the most frequent first.
        atoms: int16, type of each node of each molecule, one molecule after the other.
        atom_counts: int32 (K,), nodes of each molecule.
        bonds: int16 (M, 3): two nodes of the molecule and the order.
        bond_counts: int32 (K,), bonds of each molecule.
        lines: int32 (K,), the line each molecule came from.
        notices: lines that were not taken as they stand.
    """

    vocabulary: tuple[AtomType, ...]
    atoms: np.ndarray
    atom_counts: np.ndarray
    bonds: np.ndarray
    bond_counts: np.ndarray
    lines: np.ndarray
    notices: tuple[Notice, ...]


def usable_cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def encode(
    smiles: Sequence[str],
    lines: Sequence[int] | None = None,
    *,
    mixtures: Mixtures = "largest",
    most_atoms: int | None = None,
    workers: int | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Encoded:
    """Turn SMILES into typed graphs, in several processes where they are many.

    Args:
        smiles: one molecule each.
        lines: number of the line of each; None numbers them from 1.
        mixtures: what becomes of molecules in several pieces.
        most_atoms: larger molecules are set aside; None takes all.
        workers: processes; None takes one for each core.
        progress: told the share done.
    """
    numbers = range(1, len(smiles) + 1) if lines is None else lines
    chunks: list[_Chunk] = [
        (list(smiles[at : at + _CHUNK]), list(numbers[at : at + _CHUNK]), mixtures, most_atoms)
        for at in range(0, len(smiles), _CHUNK)
    ]
    parts: list[_Part] = []
    for part in _each(chunks, usable_cores() if workers is None else workers):
        parts.append(part)
        if progress is not None:
            progress(len(parts) / len(chunks), f"{min(len(parts) * _CHUNK, len(smiles)):,} read")
    return _joined(parts)


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    types: list[AtomType]
    atoms: np.ndarray
    atom_counts: list[int]
    bonds: np.ndarray
    bond_counts: list[int]
    lines: list[int]
    notices: list[Notice]


_Chunk = tuple[list[str], list[int], Mixtures, int | None]


def _each(chunks: list[_Chunk], workers: int) -> Iterator[_Part]:
    if workers <= 1 or len(chunks) < 3:
        yield from map(_encode_chunk, chunks)
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(chunks)), mp_context=context) as pool:
        try:
            yield from pool.map(_encode_chunk, chunks)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _encode_chunk(chunk: _Chunk) -> _Part:
    smiles, lines, mixtures, most_atoms = chunk
    places: dict[AtomType, int] = {}
    part = _Part([], np.empty(0), [], np.empty(0), [], [], [])
    atoms: list[int] = []
    bonds: list[np.ndarray] = []
    for text, line in zip(smiles, lines, strict=True):
        try:
            graphs, reason = _graphs(text, mixtures)
            small = [g for g in graphs if most_atoms is None or len(g.types) <= most_atoms]
            if len(small) < len(graphs):
                reason = f"more than {most_atoms} atoms"
        except InputError as error:
            small, reason = [], str(error)
        if reason:
            part.notices.append(Notice(line, text, reason, bool(small)))
        for graph in small:
            atoms.extend(places.setdefault(kind, len(places)) for kind in graph.types)
            bonds.append(graph.bonds)
            part.atom_counts.append(len(graph.types))
            part.bond_counts.append(len(graph.bonds))
            part.lines.append(line)
    return _Part(
        list(places),
        np.array(atoms, dtype=np.int16),
        part.atom_counts,
        np.concatenate(bonds) if bonds else np.empty((0, 3), dtype=np.int16),
        part.bond_counts,
        part.lines,
        part.notices,
    )


def _graphs(text: str, mixtures: Mixtures) -> tuple[list[TypedGraph], str]:
    """Return the graphs that a SMILES gives, and what is to be told of it ("" for nothing)."""
    molecule = parse_smiles(text)
    if "." not in text:
        return [typed_graph(molecule)], ""
    pieces = list(Chem.GetMolFrags(molecule, asMols=True))
    if len(pieces) == 1:
        return [typed_graph(molecule)], ""
    if mixtures == "skip":
        raise InputError(f"it is a mixture of {len(pieces)} pieces")
    if mixtures == "split":
        return [typed_graph(p) for p in pieces], f"a mixture, split into {len(pieces)} molecules"
    largest = max(pieces, key=lambda p: (p.GetNumAtoms(), Chem.MolToSmiles(p)))
    return [
        typed_graph(largest)
    ], f"a mixture of {len(pieces)} pieces, of which the largest is kept"


def _joined(parts: list[_Part]) -> Encoded:
    counts: dict[AtomType, int] = {}
    for part in parts:
        for kind, count in zip(
            part.types, np.bincount(part.atoms, minlength=len(part.types)).tolist(), strict=True
        ):
            counts[kind] = counts.get(kind, 0) + count
    vocabulary = tuple(sorted(counts, key=lambda kind: (-counts[kind], kind)))
    place = {kind: index for index, kind in enumerate(vocabulary)}
    atoms = [
        np.array([place[kind] for kind in part.types], dtype=np.int16)[part.atoms]
        for part in parts
        if len(part.atoms)
    ]
    return Encoded(
        vocabulary,
        np.concatenate(atoms) if atoms else np.empty(0, dtype=np.int16),
        np.array([n for part in parts for n in part.atom_counts], dtype=np.int32),
        np.concatenate([p.bonds for p in parts]) if parts else np.empty((0, 3), dtype=np.int16),
        np.array([n for part in parts for n in part.bond_counts], dtype=np.int32),
        np.array([n for part in parts for n in part.lines], dtype=np.int32),
        tuple(notice for part in parts for notice in part.notices),
    )

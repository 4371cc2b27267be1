"""What edits may use, taken from molecules: types of atoms and fragments, as frequent as there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType
from graphtide.molecules.optimization.edits import Fragment, Materials
from graphtide.molecules.optimization.graphs import EditableGraph

__all__ = ["materials_of"]

_MOST_ATOMS = 12
_SAMPLE = 400
_ALWAYS = ("C(4)", "N(3)", "O(2)", "F(1)", "P(3)", "P(5)", "S(2)", "S(6)", "Cl(1)", "Br(1)", "I(1)")
"""Types of atoms that edits may use even where no molecule has them."""
_COMMON = 0.5
"""Shares are frequencies to this power, so that what is rare is tried as well."""


def materials_of(smiles: Sequence[str], *, seed: int = 0) -> Materials:
    """Return the types of atoms of molecules, and the fragments of at most 400 of them.

    Args:
        smiles: molecules; those that cannot be read are passed over.
        seed: of the choice of molecules.

    Raises:
        InputError: none can be read.
    """
    random = np.random.default_rng(seed)
    chosen = random.permutation(len(smiles))[:_SAMPLE]
    types: Counter[AtomType] = Counter()
    found: dict[str, Fragment] = {}
    counts: Counter[str] = Counter()
    for k in chosen:
        try:
            graph = EditableGraph.from_smiles(smiles[int(k)])
        except InputError:
            continue
        types.update(graph.types)
        for fragment in _fragments(graph):
            name = _name(fragment)
            if name:
                found.setdefault(name, fragment)
                counts[name] += 1
    if not types:
        raise InputError("no molecule to take atoms and fragments from")
    types.update(AtomType.parse(name) for name in _ALWAYS)
    names = sorted(found)
    kinds = sorted(types)
    return Materials(
        tuple(kinds),
        _shares([types[kind] for kind in kinds]),
        tuple(found[name] for name in names),
        _shares([counts[name] for name in names]),
    )


def _fragments(graph: EditableGraph) -> list[Fragment]:
    made = []
    for one, other in graph.bridges():
        if graph.bonds[one][other] != 1:
            continue
        side = graph.side(one, (one, other))
        for atoms, place in ((side, one), (set(range(len(graph))) - side, other)):
            if len(atoms) <= _MOST_ATOMS:
                piece, places = graph.kept(atoms)
                made.append(Fragment(piece, places[place]))
    return made


def _name(fragment: Fragment) -> str:
    """Return a SMILES that tells the place of the bond, "" where RDKit refuses it."""
    molecule = fragment.graph.molecule()
    if molecule is None:
        return ""
    molecule.GetAtomWithIdx(fragment.place).SetAtomMapNum(1)
    return Chem.MolToSmiles(molecule)


def _shares(counts: Sequence[int]) -> np.ndarray:
    weights = np.array(counts, dtype=np.float64) ** _COMMON
    return weights / weights.sum() if len(weights) else weights

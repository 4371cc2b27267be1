"""What edits may use: types of atoms, and fragments to put on, as frequent as in some molecules."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType
from graphtide.molecules.optimization.graphs import EditableGraph
from graphtide.molecules.optimization.told import fragment_counts

__all__ = ["Fragment", "Materials", "common_materials", "draw_place", "materials_of"]

_MOST_ATOMS = 12
_SAMPLE = 400
_ALWAYS = ("C(4)", "N(3)", "O(2)", "F(1)", "P(3)", "P(5)", "S(2)", "S(6)", "Cl(1)", "Br(1)", "I(1)")
"""Types of atoms that edits may use even where no molecule has them."""
_METHYL = AtomType.parse("C(4)")
_COMMON = 0.5
"""Shares are frequencies to this power, so that what is rare is tried as well."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A piece that hangs on one single bond.

    Args:
        graph: its atoms, with a hydrogen where the bond was.
        place: the atom that the bond was at.
        name: SMILES that tells the place of the bond.
    """

    graph: EditableGraph
    place: int
    name: str


@dataclass(frozen=True, slots=True, eq=False)
class Materials:
    """What edits may use.

    Args:
        types: types of atoms.
        shares: how often to take each of them, (types,), sum 1.
        fragments: pieces to put on.
        fragment_shares: how often to take each of them, sum 1.
    """

    types: tuple[AtomType, ...]
    shares: np.ndarray
    fragments: tuple[Fragment, ...]
    fragment_shares: np.ndarray

    def some_type(self, least: int, random: np.random.Generator) -> AtomType | None:
        """Return a type with at least that valence."""
        for _ in range(8):
            kind = self.types[draw_place(self.shares, random)]
            if kind.valence >= least:
                return kind
        return None

    def some_fragment(self, random: np.random.Generator) -> Fragment | None:
        """Return a fragment."""
        if not self.fragments:
            return None
        return self.fragments[draw_place(self.fragment_shares, random)]

    def favouring(self, weights: np.ndarray) -> Materials:
        """Return the same, with fragments drawn more often the more a linear model values them.

        Shares are multiplied with exp(gain / standard deviation of the gains).

        Args:
            weights: of the model, (2048,), as of
                :class:`graphtide.molecules.optimization.told.RidgeSurrogate`.
        """
        if not self.fragments:
            return self
        gains = _counts(self.fragments) @ weights
        spread = gains.std()
        if not spread > 0:
            return self
        shares = self.fragment_shares * np.exp((gains - gains.max()) / spread)
        return replace(self, fragment_shares=shares / shares.sum())


def draw_place(shares: np.ndarray, random: np.random.Generator) -> int:
    """Return a place, drawn by shares that sum to 1."""
    return min(int(np.searchsorted(shares.cumsum(), random.random())), len(shares) - 1)


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
            found.setdefault(fragment.name, fragment)
            counts[fragment.name] += 1
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


@functools.cache
def common_materials() -> Materials:
    """Return the materials of the embedded sample of ZINC250k."""
    from graphtide.data import zinc250k_sample

    return materials_of(list(zinc250k_sample()["smiles"]))


def _fragments(graph: EditableGraph) -> list[Fragment]:
    made = []
    for one, other in graph.hinges():
        side = graph.side(one, (one, other))
        for atoms, place in ((side, one), (set(range(len(graph))) - side, other)):
            if len(atoms) > _MOST_ATOMS:
                continue
            piece, places = graph.kept(atoms)
            name = _name(piece, places[place])
            if name:
                made.append(Fragment(piece, places[place], name))
    return made


def _name(graph: EditableGraph, place: int) -> str:
    """Return a SMILES that tells the place of the bond, "" where RDKit refuses it."""
    molecule = graph.molecule()
    if molecule is None:
        return ""
    molecule.GetAtomWithIdx(place).SetAtomMapNum(1)
    return Chem.MolToSmiles(molecule)


@functools.lru_cache(maxsize=8)
def _counts(fragments: tuple[Fragment, ...]) -> np.ndarray:
    """Return the counts of circular fragments, (fragments, 2048), each on a methyl group."""
    rows = []
    for fragment in fragments:
        made = fragment.graph.copy()
        made.join(made.add(_METHYL), fragment.place, 1)
        molecule = made.molecule()
        assert molecule is not None  # a single bond in place of a hydrogen
        rows.append(fragment_counts(molecule))
    return np.array(rows)


def _shares(counts: Sequence[int]) -> np.ndarray:
    weights = np.array(counts, dtype=np.float64) ** _COMMON
    return weights / weights.sum() if len(weights) else weights

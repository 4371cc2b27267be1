"""Molecules as rows of choices, the variables of the flow.

A molecule of n nodes is its size, then node by node the node's type and its row: the bonds to
earlier nodes, from the latest partner to the earliest, each as one choice of partner and order,
then "none" in what is left of S slots. So each pair of nodes is modelled once, a graph with its
order of nodes has exactly one description, and what a molecule does not need (nodes beyond its
size, slots after the first "none") is there but certain.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType, TypedGraph
from graphtide.molecules.corpus import Corpus

__all__ = [
    "MOST_ATOMS",
    "FlowExamples",
    "Rows",
    "bond_choices",
    "pack_choices",
    "pack_graphs",
    "unpack_bonds",
    "unpack_choices",
]

MOST_ATOMS = 80
"""Larger molecules are set aside: the work of the flow grows with the square of the size."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Rows:
    """A batch of B molecules of up to N nodes and S earlier bonds a node, int64.

    Args:
        sizes: number of nodes n of each, (B,).
        types: places in the vocabulary, (B, N); 0 beyond the size.
        partners: earlier node of each bond, (B, N, S), falling along a row; -1 where there is none.
        orders: its order 1, 2 or 3, (B, N, S); 0 where there is none.
    """

    sizes: Tensor
    types: Tensor
    partners: Tensor
    orders: Tensor

    def __len__(self) -> int:
        """Return B."""
        return len(self.sizes)


class FlowExamples:
    """The molecules of a corpus, prepared for the flow.

    Larger molecules than `most_atoms` are set aside, which is logged; `kept` tells which stayed.

    Args:
        corpus: the molecules.
        most_atoms: nodes of the largest one that is taken.

    Raises:
        InputError: no molecule is small enough.
    """

    def __init__(self, corpus: Corpus, *, most_atoms: int = MOST_ATOMS) -> None:
        sizes = np.asarray(corpus.sizes)
        self.kept = np.flatnonzero(sizes <= most_atoms)
        """Indices in the corpus of the molecules that are taken, (K,)."""
        if not len(self.kept):
            raise InputError(
                f"no molecule has at most {most_atoms} atoms; the smallest has {sizes.min()}"
            )
        if len(self.kept) < len(sizes):
            _log.warning(
                "%d of %d molecules have more than %d atoms (the largest %d) and are set aside",
                len(sizes) - len(self.kept), len(sizes), most_atoms, sizes.max(),
            )  # fmt: skip
            corpus = corpus.subset(self.kept)
        old = corpus.encoded
        self._sizes = np.array(old.atom_counts)
        self._types, self._partners, self._orders = _arrays(
            old.atoms, self._sizes, old.bonds, np.asarray(old.bond_counts)
        )

    @property
    def sizes(self) -> np.ndarray:
        """Number of nodes of each molecule, (K,)."""
        return self._sizes

    @property
    def slots(self) -> int:
        """S, most bonds of a node to earlier ones."""
        return self._partners.shape[2]

    def size_counts(self, chosen: np.ndarray | None = None) -> list[int]:
        """Return how many molecules have 1, 2, ... nodes."""
        sizes = self._sizes if chosen is None else self._sizes[chosen]
        return np.bincount(sizes, minlength=int(self._sizes.max()) + 1)[1:].tolist()

    def batch(self, indices: np.ndarray, generator: np.random.Generator) -> tuple[Tensor, ...]:
        """Return sizes, types, partners and orders of some molecules, as :class:`Rows`."""
        del generator
        sizes = self._sizes[indices]
        most = int(sizes.max())
        arrays = (self._types[indices, :most], self._partners[indices, :most],
                  self._orders[indices, :most])  # fmt: skip
        return tuple(torch.from_numpy(a.astype(np.int64)) for a in (sizes, *arrays))


def pack_graphs(
    graphs: Sequence[TypedGraph], vocabulary: Sequence[AtomType], *, slots: int
) -> Rows:
    """Return molecules as rows.

    Raises:
        InputError: a type is not in the vocabulary, or a node has more than S earlier bonds.
    """
    place = {kind: index for index, kind in enumerate(vocabulary)}
    unknown = sorted({str(k) for g in graphs for k in g.types if k not in place})
    if unknown:
        raise InputError(f"the model does not know the types of atoms {', '.join(unknown)}")
    sizes = np.array([len(g.types) for g in graphs])
    types, partners, orders = _arrays(
        np.array([place[kind] for g in graphs for kind in g.types], dtype=np.int16),
        sizes,
        np.concatenate([g.bonds.reshape(-1, 3) for g in graphs]),
        np.array([len(g.bonds) for g in graphs]),
        slots=slots,
    )
    arrays = (sizes, types, partners, orders)
    return Rows(*(torch.from_numpy(a.astype(np.int64)) for a in arrays))


def pack_choices(rows: Rows, most: int) -> Tensor:
    """Return the choices of molecules, int64 (B, 1 + M (1 + S)).

    They are the size less 1, then for each of M nodes its type and its slots: 0 for none, else
    3 j + order for a bond to node j. Choices a molecule does not need are 0.
    """
    inner = torch.cat([rows.types[..., None], bond_choices(rows)], 2)  # (B, N, 1 + S)
    inner = torch.nn.functional.pad(inner, (0, 0, 0, most - inner.shape[1]))
    return torch.cat([rows.sizes[:, None] - 1, inner.flatten(1)], 1)


def unpack_choices(choices: Tensor, most: int, slots: int, types: int) -> Rows:
    """Return the molecules of choices.

    Args:
        choices: as :func:`pack_choices` makes them.
        most: M, number of nodes there is room for.
        slots: S.
        types: number of types of atoms.

    Raises:
        InputError: the choices are not of a molecule.
    """
    if choices.ndim != 2 or choices.shape[1] != 1 + most * (1 + slots):
        raise InputError(
            f"variables of shape (B, {1 + most * (1 + slots)}) are wanted; they are "
            f"{tuple(choices.shape)}"
        )
    sizes = choices[:, 0] + 1
    inner = choices[:, 1:].reshape(-1, most, 1 + slots)
    kinds, bonds = inner[..., 0], inner[..., 1:]
    nodes = torch.arange(most, device=choices.device)
    bound = bonds > 0
    partners = torch.where(bound, (bonds - 1).div(3, rounding_mode="floor"), -1)
    before = torch.cat([nodes.expand(len(choices), -1)[..., None], partners[..., :-1]], 2)
    fits = (
        ((sizes >= 1) & (sizes <= most)).all()
        & ((kinds >= 0) & (kinds < types)).all()
        & (bonds >= 0).all()
        & ((partners < before) | ~bound).all()  # falling along a row, and none after none
        & ~((nodes >= sizes[:, None]) & ((kinds > 0) | bound.any(2))).any()
    )
    if not bool(fits):
        raise InputError("variables lie outside of what the flow can make")
    count = int(sizes.max())
    orders = torch.where(bound, (bonds - 1) % 3 + 1, 0)
    return Rows(sizes, kinds[:, :count], partners[:, :count], orders[:, :count])


def bond_choices(rows: Rows) -> Tensor:
    """Return the choice of each slot, (B, N, S): 0 for none, else 3 j + order."""
    return torch.where(rows.partners >= 0, 3 * rows.partners + rows.orders, 0)


def unpack_bonds(partners: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Return the sorted bonds (M, 3) of one molecule from its rows (N, S)."""
    nodes, slots = np.nonzero(orders)
    bonds = np.stack([partners[nodes, slots], nodes, orders[nodes, slots]], axis=1)
    return bonds[np.lexsort((bonds[:, 1], bonds[:, 0]))]


def _arrays(
    atoms: np.ndarray,
    sizes: np.ndarray,
    bonds: np.ndarray,
    bond_counts: np.ndarray,
    slots: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return types (K, N) int16, partners and orders (K, N, S) int8 of flat arrays."""
    count, most = len(sizes), int(sizes.max())
    types = np.zeros((count, most), dtype=np.int16)
    types[np.arange(most) < sizes[:, None]] = atoms
    molecule = np.repeat(np.arange(count), bond_counts)
    sorting = np.lexsort((-bonds[:, 0], bonds[:, 1], molecule))
    molecule, bonds = molecule[sorting], np.asarray(bonds)[sorting]
    row = molecule.astype(np.int64) * most + bonds[:, 1]
    starts = np.flatnonzero(np.diff(row, prepend=-1))
    place = np.arange(len(row)) - np.repeat(starts, np.diff(starts, append=len(row)))
    found = int(place.max(initial=0)) + 1
    if slots is None:
        slots = found
    elif found > slots:
        raise InputError(
            f"an atom has {found} bonds to atoms before it; the model was made for {slots}"
        )
    partners = np.full((count, most, slots), -1, dtype=np.int8)
    orders = np.zeros((count, most, slots), dtype=np.int8)
    partners[molecule, bonds[:, 1], place] = bonds[:, 0]
    orders[molecule, bonds[:, 1], place] = bonds[:, 2]
    return types, partners, orders

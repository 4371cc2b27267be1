"""What the chain starts with: how many atoms of which types, a scaffold, wanted properties."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.molecules.chemistry import AtomType, TypedGraph, parse_smiles, typed_graph
from graphtide.molecules.flow_matching.pairs import Pairs, pair_place
from graphtide.molecules.flow_matching.sampler import Atoms, Graphs

__all__ = ["Prior", "Wishes", "starts"]


class Prior(Protocol):
    """What a model keeps of its corpus, R compositions of T types and P properties.

    Attributes:
        vocabulary: the types of atoms.
        atoms: "flow" where types of atoms move, else "composition".
        names: of the properties.
        compositions: how many atoms of each type, int16 (R, T).
        frequencies: of the compositions, (R,).
        row_means: mean of each property among the molecules of a composition, (R, P).
        row_spreads: its spread there, (R, P).
        scaling: mean and spread of each property in the corpus, (P, 2).
    """

    vocabulary: tuple[AtomType, ...]
    atoms: Atoms
    names: tuple[str, ...]
    compositions: Tensor
    frequencies: Tensor
    row_means: Tensor
    row_spreads: Tensor
    scaling: Tensor

    @property
    def device(self) -> torch.device:
        """Where the tensors are."""
        ...

    def condition(self, properties: Tensor) -> Tensor:
        """Return what the network is told of standardised properties (B, P)."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class Wishes:
    """What molecules are to be like.

    Args:
        scaffold: fragment that each holds, or None.
        kinds: types of the scaffold's nodes, places in the vocabulary.
        properties: standardised properties (1, P), NaN where nothing is wished; or None.
    """

    scaffold: TypedGraph | None
    kinds: np.ndarray
    properties: Tensor | None

    @staticmethod
    def read(model: Prior, scaffold: str | None, condition: Mapping[str, float] | None) -> Wishes:
        """Check and translate what the user asks for.

        Raises:
            InputError: the scaffold is no connected molecule of the model's types of atoms, or a
                property is unknown or not a finite number.
        """
        graph, kinds = None, np.empty(0, dtype=np.int64)
        if scaffold is not None:
            if "." in scaffold:
                raise InputError(
                    f"the scaffold '{scaffold}' is in several pieces; one was expected"
                )
            graph = typed_graph(parse_smiles(scaffold))
            kinds = _places(graph.types, model.vocabulary)
        return Wishes(graph, kinds, _standardised(model, condition or {}))


def starts(
    model: Prior, number: int, wishes: Wishes, batch: int, generator: torch.Generator
) -> Iterator[tuple[np.ndarray, Graphs]]:
    """Yield graphs of equal size to begin from, with their places among all.

    Compositions (sizes alone, where types of atoms move) are drawn as often as they occur in the
    corpus, weighed by how well the molecules that have them fit the wished properties.

    Raises:
        InputError: no composition of the corpus has room for the scaffold.
    """
    table = model.compositions.cpu().numpy().astype(np.int64)
    sizes = table.sum(1)
    weights = model.frequencies.double().cpu().numpy().copy()
    if wishes.properties is not None:
        wanted = wishes.properties.double().cpu().numpy()
        spreads = model.row_spreads.double().cpu().numpy()
        apart = (wanted - model.row_means.double().cpu().numpy()) / spreads
        fits = np.nan_to_num(-0.5 * apart**2 - np.log(spreads) * np.isfinite(apart)).sum(1)
        weights *= np.exp(fits - fits.max())
    m = len(wishes.kinds)
    valences = np.array([kind.valence for kind in model.vocabulary])
    if wishes.scaffold is not None:
        weights[~_has_room(table, sizes, wishes, valences, model.atoms == "flow")] = 0.0
        if not weights.sum() > 0:
            raise InputError(
                f"the scaffold of {m} atoms does not fit: no composition of the "
                f"molecules that the model was trained on (of up to {sizes.max()} atoms) has room "
                "for it"
            )
    chances = torch.from_numpy(weights / weights.sum())
    rows = torch.multinomial(chances, number, replacement=True, generator=generator).numpy()
    order = np.argsort(sizes[rows], kind="stable")
    rows = rows[order]
    bounds = np.flatnonzero(np.diff(sizes[rows], prepend=-1))
    for begin, end in zip(bounds, [*bounds[1:], number], strict=True):
        for at in range(begin, end, batch):
            part = rows[at : min(at + batch, end)]
            yield (
                order[at : at + len(part)],
                _begin(model, table[part], int(sizes[part[0]]), wishes),
            )


def _begin(model: Prior, table: np.ndarray, n: int, wishes: Wishes) -> Graphs:
    """Return graphs with the scaffold's nodes first, then the rest of each composition."""
    count, device = len(table), model.device
    m = len(wishes.kinds)
    rest = table - np.bincount(wishes.kinds, minlength=table.shape[1])
    types = np.zeros((n, count), dtype=np.int64)
    types[:m] = wishes.kinds[:, None]
    if model.atoms == "composition":
        kinds = np.tile(np.arange(table.shape[1]), count)
        types[m:] = np.repeat(kinds, rest.reshape(-1)).reshape(count, n - m).T
    pairs = Pairs.of(n, device)
    bonds = np.zeros((pairs.count, 1), dtype=np.int64)
    if wishes.scaffold is not None:
        drawn = wishes.scaffold.bonds.astype(np.int64)
        bonds[pair_place(drawn[:, 0], drawn[:, 1], n), 0] = drawn[:, 2]
    known = torch.arange(n, device=device)[:, None].expand(n, count) < m
    condition = None
    if wishes.properties is not None:
        condition = model.condition(wishes.properties.expand(count, -1))
    return Graphs(
        torch.from_numpy(types).to(device),
        torch.from_numpy(bonds).to(device).expand(-1, count).clone(),
        known if model.atoms == "flow" else torch.ones_like(known),
        known[pairs.first] & known[pairs.second],
        condition,
    )


def _has_room(
    table: np.ndarray, sizes: np.ndarray, wishes: Wishes, valences: np.ndarray, moves: bool
) -> np.ndarray:
    """Return which compositions hold the scaffold and can be connected to it, bool (R,)."""
    assert wishes.scaffold is not None
    own = np.bincount(wishes.kinds, minlength=table.shape[1])
    opened = int(wishes.scaffold.hydrogens.sum())
    rest = sizes - len(wishes.kinds)
    if moves:
        most = opened + rest * valences.max()
        return (rest == 0) | ((rest > 0) & (opened > 0) & (most >= 2 * rest))
    others = table - own
    within = (others >= 0).all(1)
    # The scaffold and the other atoms are so many pieces of an open valence each.
    joinable = (opened > 0) & (opened + others @ valences >= 2 * rest)
    return within & ((rest == 0) | joinable)


def _places(types: tuple[AtomType, ...], vocabulary: tuple[AtomType, ...]) -> np.ndarray:
    place = {kind: index for index, kind in enumerate(vocabulary)}
    strange = sorted({kind for kind in types if kind not in place})
    if strange:
        raise InputError(
            f"the scaffold holds {', '.join(str(kind) for kind in strange)}; the model was trained "
            f"on {', '.join(str(kind) for kind in vocabulary)}"
        )
    return np.array([place[kind] for kind in types], dtype=np.int64)


def _standardised(model: Prior, condition: Mapping[str, float]) -> Tensor | None:
    if not condition:
        return None
    wanted = torch.full((len(model.names),), torch.nan, device=model.device)
    for name, value in condition.items():
        if name not in model.names:
            known = ", ".join(model.names) or "none: it was trained without properties"
            raise InputError(f"the model knows no property '{name}'; it knows {known}")
        if not np.isfinite(value):
            raise InputError(f"the property '{name}' must be a finite number; it is {value}")
        place = model.names.index(name)
        mean, spread = model.scaling[place]
        wanted[place] = (float(value) - mean) / spread
    return wanted[None]

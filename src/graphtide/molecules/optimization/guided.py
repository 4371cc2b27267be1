"""Guided flow matching: part of a good molecule stays, and the model draws the rest anew.

A ball of up to two bonds around an atom is taken out of a molecule; what is outside of it stays
fixed through the whole chain (inpainting), and the chain draws as many atoms as were there, or a
few more or less, with all their bonds. Many redraws are made, and the surrogate chooses those that
are called; a model that was trained with properties can be told a wish besides.

The model of compositions moves bonds alone, so new atoms are drawn before the chain begins: half of
them are those of the ball, half follow the frequencies of the corpus.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch

from graphtide.errors import InputError
from graphtide.molecules.chemistry import TypedGraph, parse_smiles, typed_graph
from graphtide.molecules.flow_matching import FlowMatching, Sampling
from graphtide.molecules.flow_matching.drawing import Wishes
from graphtide.molecules.flow_matching.pairs import Pairs, pair_place
from graphtide.molecules.flow_matching.sampler import Graphs, corrected, run_chain
from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.ranked import RankedMethod, candidates
from graphtide.molecules.optimization.told import Candidate

__all__ = ["GuidedFlowMatching", "Redraws"]

_PARENTS = 10
_GROUP = 12
"""Redraws of one parent, which run together."""


class Redraws:
    """Makes molecules out of parents by drawing parts of them anew.

    Args:
        model: trained. Molecules with types of atoms that it does not know are never redrawn.
        most_atoms: of what is drawn, beside the largest that the model knows.
        condition: wished properties by name, where the model was trained with them.
        sampling: how the chain is run; None takes 20 steps.

    Raises:
        InputError: the model does not know a property of the condition.
    """

    def __init__(
        self,
        model: FlowMatching,
        *,
        most_atoms: int | None = None,
        condition: Mapping[str, float] | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        self.model = model
        self.sampling = sampling or Sampling(steps=20)
        self._wishes = Wishes.read(model, None, condition)
        self._places = {kind: place for place, kind in enumerate(model.vocabulary)}
        table = model.compositions.cpu().numpy().astype(np.float64)
        rates = model.frequencies.cpu().numpy().astype(np.float64) @ table
        self._rates = rates / rates.sum()
        largest = int(table.sum(1).max())
        self._largest = min(largest, most_atoms or largest)

    def __call__(
        self, parents: Sequence[str], number: int, random: np.random.Generator
    ) -> list[str]:
        """Return the canonical SMILES of so many redraws, "" where none came out.

        Args:
            parents: SMILES, the best first; the first ten are redrawn.
            number: of redraws.
            random: of all that is random.
        """
        graphs = [graph for text in parents[:_PARENTS] if (graph := self._graph(text)) is not None]
        ranks = 1.0 / (np.arange(len(graphs)) + 2.0)
        made: list[str] = []
        while graphs and len(made) < number:
            parent = graphs[int(random.choice(len(graphs), p=ranks / ranks.sum()))]
            made += self._redrawn(parent, min(_GROUP, number - len(made)), random)
        return made

    @torch.no_grad()
    def _redrawn(self, parent: TypedGraph, number: int, random: np.random.Generator) -> list[str]:
        size = min(max(2, len(parent.types) + int(random.integers(-2, 4))), self._largest)
        starts = [self._begin(parent, size, random) for _ in range(number)]
        types, bonds, nodes, pairs = (
            torch.from_numpy(np.stack(parts, axis=1)).to(self.model.device)
            for parts in zip(*starts, strict=True)
        )
        condition = None
        if self._wishes.properties is not None:
            condition = self.model.condition(self._wishes.properties.expand(number, -1))
        fixed = nodes if self.model.atoms == "flow" else torch.ones_like(nodes)
        graphs = Graphs(types, bonds, fixed, pairs, condition)
        generator = torch.Generator(self.model.device)
        generator.manual_seed(int(random.integers(2**62)))
        ended = run_chain(self.model, graphs, self.sampling, generator)
        return self.model.written(corrected(self.model, ended, self.sampling, generator))

    def _begin(
        self, parent: TypedGraph, size: int, random: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return types (n,), bonds (P,), and which of each stay: what is kept stands first."""
        kept = _outside_ball(parent, random, at_most=size - 1)
        kinds = np.array([self._places[kind] for kind in parent.types])
        own = np.setdiff1d(np.arange(len(kinds)), kept)
        new = size - len(kept)
        fresh = random.choice(len(self._rates), size=new, p=self._rates)
        if len(own):
            again = kinds[random.choice(own, size=new, replace=new > len(own))]
            fresh = np.where(random.random(new) < 0.5, again, fresh)
        types = np.concatenate([kinds[kept], fresh]).astype(np.int64)
        place = np.full(len(kinds), -1)
        place[kept] = np.arange(len(kept))
        rows = parent.bonds.astype(np.int64)
        inside = rows[(place[rows[:, :2]] >= 0).all(axis=1)]
        ends = np.sort(place[inside[:, :2]], axis=1)
        pairs = Pairs.of(size, torch.device("cpu"))
        bonds = np.zeros(pairs.count, dtype=np.int64)
        bonds[pair_place(ends[:, 0], ends[:, 1], size)] = inside[:, 2]
        stays = np.arange(size) < len(kept)
        return types, bonds, stays, stays[pairs.first.numpy()] & stays[pairs.second.numpy()]

    def _graph(self, smiles: str) -> TypedGraph | None:
        try:
            graph = typed_graph(parse_smiles(smiles))
        except InputError:
            return None
        known = all(kind in self._places for kind in graph.types)
        return graph if known and len(graph.types) > 1 else None


class GuidedFlowMatching(RankedMethod):
    """Redraws parts of the best molecules.

    Args:
        start: SMILES to begin from.
        model: trained.
        seed: of all randomness.
        filters: molecules that they refuse are not called.
        screened: redraws for each molecule that is called.
        condition: as of :class:`Redraws`.
        sampling: as of :class:`Redraws`.

    Raises:
        InputError: the model does not know a property of the condition.
    """

    name: ClassVar[str] = "guided"

    def __init__(
        self,
        start: Sequence[str],
        model: FlowMatching,
        *,
        seed: int = 0,
        filters: Filters | None = None,
        screened: int = 4,
        condition: Mapping[str, float] | None = None,
        sampling: Sampling | None = None,
    ) -> None:
        super().__init__(start, seed=seed, filters=filters, screened=screened)
        most = self.filters.most_atoms
        self.redraws = Redraws(model, most_atoms=most, condition=condition, sampling=sampling)

    def draw(
        self, number: int, fitness: np.ndarray, random: np.random.Generator
    ) -> list[Candidate]:
        """Return so many redraws of the best molecules, fewer where some came to nothing."""
        return candidates(self.redraws(self.parents(fitness, _PARENTS), number, random))


def _outside_ball(graph: TypedGraph, random: np.random.Generator, *, at_most: int) -> np.ndarray:
    """Return the atoms outside of a ball of up to two bonds around a random atom.

    Of the pieces that are left over the largest stays, and no more than ``at_most`` atoms.
    """
    count = len(graph.types)
    near: list[set[int]] = [set() for _ in range(count)]
    for one, other in graph.bonds[:, :2].tolist():
        near[one].add(other)
        near[other].add(one)
    ball = {int(random.integers(count))}
    for _ in range(int(random.integers(3))):
        ball |= {other for one in ball for other in near[one]}
    pieces: list[list[int]] = []
    left = set(range(count)) - ball
    while left:
        piece = [left.pop()]
        for one in piece:
            fresh = near[one] & left
            piece += sorted(fresh)
            left -= fresh
        pieces.append(piece)
    # Pieces stay whole where there is room; a small one may be dropped, and is drawn anew then.
    pieces.sort(key=len, reverse=True)
    kept: list[int] = []
    for piece in pieces:
        if len(kept) + len(piece) <= at_most and (not kept or random.random() < 0.8):
            kept += piece
    return np.array(sorted(kept), dtype=np.int64)

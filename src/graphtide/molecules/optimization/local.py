"""Local search on graphs: small edits of the best molecules so far, ranked before they are called.

Each round draws several times as many edits as calls are wanted, from parents among the fittest,
leaves out what is too far from the lead, and calls those that the surrogate takes to be the best,
with some taken at random so that the surrogate learns where it was not. Which edits are drawn
follows from how often each led to a child better than its parent; which fragments, from what the
surrogate takes each of them to be worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.edits import EDITS, mutated
from graphtide.molecules.optimization.graphs import EditableGraph, editable
from graphtide.molecules.optimization.materials import Materials, common_materials
from graphtide.molecules.optimization.ranked import RankedMethod
from graphtide.molecules.optimization.told import Candidate, RidgeSurrogate

__all__ = ["LocalClimb"]

_TWICE = 0.25
"""Chance of a second edit on top of the first."""
_PARENTS = 20
_PATIENCE = 30


class LocalClimb(RankedMethod):
    """Climbs by small edits.

    Args:
        start: SMILES to begin from, called before anything else.
        seed: of all randomness.
        filters: molecules that they refuse are not called.
        screened: edits that the surrogate ranks for each one that is called.
        surrogate: to begin with, fitted to other molecules perhaps; it is not changed.
        materials: that edits use; None takes those of the embedded sample of ZINC250k.
    """

    name: ClassVar[str] = "local"
    batch = 8

    def __init__(
        self,
        start: Sequence[str],
        *,
        seed: int = 0,
        filters: Filters | None = None,
        screened: int = 3,
        surrogate: RidgeSurrogate | None = None,
        materials: Materials | None = None,
    ) -> None:
        super().__init__(start, seed=seed, filters=filters, screened=screened, surrogate=surrogate)
        self.materials = common_materials() if materials is None else materials
        self._asked: dict[str, tuple[str, float]] = {}  # the edit and the fitness it set out from
        self._won = dict.fromkeys(EDITS, 1.0)
        self._tried = dict.fromkeys(EDITS, 2.0)

    def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
        """Take in values; NaN where a molecule has none."""
        before = len(self._told)
        super().tell(smiles, values)
        if len(self._told) == before:
            return
        fitness = self._told.fitness(self.generator())
        for text, reached in zip(self._told.smiles[before:], fitness[before:], strict=True):
            if text in self._asked:
                edit, least = self._asked[text]
                self._tried[edit] += 1
                self._won[edit] += float(reached > least)
        self._asked.clear()

    def draw(
        self, number: int, fitness: np.ndarray, random: np.random.Generator
    ) -> list[Candidate]:
        """Return edits of the fittest that are new and near the lead."""
        parents = self.parents(fitness, _PARENTS)
        reached = np.sort(fitness)[::-1]
        names = tuple(EDITS)
        rates = np.array([self._won[name] / self._tried[name] for name in names])
        chances = 0.8 * rates / rates.sum() + 0.2 / len(names)
        weights = 1.0 / (np.arange(len(parents)) + 2.0)
        tries = _PATIENCE + 4 * number
        drawn = random.choice(len(parents), size=tries, p=weights / weights.sum())
        edits = random.choice(len(names), size=tries, p=chances)
        materials = self.materials.favouring(self._surrogate.weights)
        found: dict[str, Candidate] = {}
        for place, edit in zip(drawn.tolist(), edits.tolist(), strict=True):
            graph = editable(parents[place])
            child = None if graph is None else EDITS[names[edit]][0](graph, materials, random)
            if child is not None and random.random() < _TWICE:
                child = mutated(child, materials, random) or child
            candidate = None if child is None else self._candidate(child)
            if candidate is None:
                continue
            text = candidate.smiles
            if text in found or text in self._told.seen or not self._near(candidate):
                continue
            found[text] = candidate
            self._asked[text] = names[edit], float(reached[place])
            if len(found) == number:
                break
        return list(found.values())

    def _candidate(self, graph: EditableGraph) -> Candidate | None:
        """Return a molecule that may be called, None where it is too large or implausible."""
        if len(graph) > (self.filters.most_atoms or len(graph)) or not graph.is_plausible():
            return None
        molecule = graph.molecule()
        return None if molecule is None else Candidate.of(molecule)

"""Local search on graphs: small edits of the best molecules so far, ranked before they are called.

Each round draws several times as many edits as calls are wanted, from parents among the fittest,
leaves out what is too far from the lead, and calls those that the surrogate takes to be the best,
with some taken at random so that the surrogate learns where it was not. Which moves are drawn
follows from how often each led to a child better than its parent; which fragments, from what the
surrogate takes each of them to be worth.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.anatomy import Anatomy, Fragments
from graphtide.molecules.optimization.moves import MOVES, Editor
from graphtide.molecules.optimization.ranked import RankedMethod
from graphtide.molecules.optimization.told import Candidate, Surrogate

__all__ = ["LocalClimb"]

_PARENTS = 20
_PATIENCE = 30


class LocalClimb(RankedMethod):
    """Climbs by small edits.

    Args:
        start: SMILES to begin from, called before anything else.
        fragments: that edits attach.
        seed: of all randomness.
        filters: molecules that they refuse are not called.
        screened: edits that the surrogate ranks for each one that is called.
        surrogate: to begin with, fitted to other molecules perhaps; it is not changed.
    """

    name: ClassVar[str] = "local"
    batch = 8

    def __init__(
        self,
        start: Sequence[str],
        fragments: Fragments,
        *,
        seed: int = 0,
        filters: Filters | None = None,
        screened: int = 3,
        surrogate: Surrogate | None = None,
    ) -> None:
        super().__init__(start, seed=seed, filters=filters, screened=screened, surrogate=surrogate)
        self.fragments = fragments
        self._anatomies: dict[str, Anatomy] = {}
        self._asked: dict[str, tuple[str, float]] = {}  # the move and the fitness it set out from
        self._won = dict.fromkeys(MOVES, 1.0)
        self._tried = dict.fromkeys(MOVES, 2.0)

    def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
        """Take in values; NaN where a molecule has none."""
        before = len(self._told)
        super().tell(smiles, values)
        if len(self._told) == before:
            return
        fitness = self._told.fitness(self.generator())
        for text, reached in zip(self._told.smiles[before:], fitness[before:], strict=True):
            if text in self._asked:
                move, least = self._asked[text]
                self._tried[move] += 1
                self._won[move] += float(reached > least)
        self._asked.clear()

    def draw(
        self, number: int, fitness: np.ndarray, random: np.random.Generator
    ) -> list[Candidate]:
        """Return edits of the fittest that are new and near the lead."""
        parents = self.parents(fitness, _PARENTS)
        reached = np.sort(fitness)[::-1]
        names = tuple(MOVES)
        rates = np.array([self._won[name] / self._tried[name] for name in names])
        chances = 0.8 * rates / rates.sum() + 0.2 / len(names)
        weights = 1.0 / (np.arange(len(parents)) + 2.0)
        tries = _PATIENCE + 4 * number
        drawn = random.choice(len(parents), size=tries, p=weights / weights.sum())
        moves = random.choice(len(names), size=tries, p=chances)
        editor = Editor(self.fragments.favoured(self._surrogate.weights), self.filters.most_atoms)
        found: dict[str, Candidate] = {}
        for place, move in zip(drawn.tolist(), moves.tolist(), strict=True):
            made = editor.propose(self._anatomy(parents[place]), random, names[move])
            if made is None:
                continue
            candidate = Candidate.of(made)
            text = candidate.smiles
            if text in found or text in self._told.seen:
                continue
            if not self._near(candidate):
                continue
            found[text] = candidate
            self._asked[text] = names[move], float(reached[place])
            if len(found) == number:
                break
        return list(found.values())

    def _anatomy(self, text: str) -> Anatomy:
        if text not in self._anatomies:
            self._anatomies[text] = Anatomy.of(parse_smiles(text))
        return self._anatomies[text]

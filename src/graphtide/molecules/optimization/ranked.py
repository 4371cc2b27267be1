"""What methods share that draw many molecules, rank them by a surrogate, and call the best."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.method import Method
from graphtide.molecules.optimization.told import (
    Candidate,
    RidgeSurrogate,
    Told,
    fragment_counts,
    nearness,
    rank_and_pick,
)

__all__ = ["RankedMethod", "candidates"]

_ROUNDS = 3
"""Times that it draws until enough molecules are found that are new and near the lead."""
_PATIENCE = 12
"""Times that it draws until there is any that may be called."""


class RankedMethod(Method):
    """Draws ``screened`` molecules for each that it proposes.

    Args:
        start: SMILES to begin from, called before anything else.
        seed: of all randomness.
        filters: molecules that they refuse are not proposed.
        screened: molecules that are drawn for each one that is proposed.
        surrogate: whose weights it begins with; None begins with none.

    Raises:
        InputError: there is no start, RDKit cannot read one, or ``screened`` is not positive.
    """

    batch = 10

    def __init__(
        self,
        start: Sequence[str],
        *,
        seed: int = 0,
        filters: Filters | None = None,
        screened: int = 4,
        surrogate: RidgeSurrogate | None = None,
    ) -> None:
        super().__init__(start, seed=seed, filters=filters)
        if screened < 1:
            raise InputError(f"screened must be at least 1; it is {screened}")
        self.screened = screened
        self._told = Told()
        self._surrogate = RidgeSurrogate() if surrogate is None else surrogate.as_prior()
        self._near = nearness(self.filters)

    @abstractmethod
    def draw(
        self, number: int, fitness: np.ndarray, random: np.random.Generator
    ) -> list[Candidate]:
        """Return about so many molecules; those that were told and repetitions do no harm.

        Args:
            number: how many.
            fitness: of the molecules told so far, (n,), higher is better.
            random: of all that is random.
        """

    def parents(self, fitness: np.ndarray, number: int) -> list[str]:
        """Return the SMILES of the fittest that were told, the best first."""
        order = np.argsort(-fitness, kind="stable")[:number]
        known = self._told.smiles or self.start
        return [known[place] for place in order.tolist()]

    def ask(self, number: int) -> list[str]:
        """Return up to ``number`` molecules that were not told yet; fewer where none is found."""
        random = self.generator()
        ready = [text for text in self.start if text not in self._told.seen][:number]
        if len(ready) == number or len(ready) == len(self.start):
            return ready
        if len(self._told):
            fitness = self._told.fitness(random)
            self._surrogate.fit(fitness)
        else:  # no start has a value: steps set out from them all the same
            fitness = np.zeros(len(self.start))
        wanted = number - len(ready)
        pool: dict[str, Candidate] = {}
        for attempt in range(1, _PATIENCE + 1):
            for candidate in self.draw(self.screened * wanted, fitness, random):
                text = candidate.smiles
                if text not in ready and text not in self._told.seen and self._near(candidate):
                    pool.setdefault(text, candidate)
            if len(pool) < wanted and (not pool or attempt < _ROUNDS):
                continue
            found = list(pool.values())
            picked = rank_and_pick(found, self._surrogate, self.filters, wanted, random)
            if picked:
                return [*ready, *(candidate.smiles for candidate in picked)]
            pool.clear()  # the filters refuse them all
        return ready

    def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
        """Take in values; NaN where a molecule has none."""
        self.told += len(smiles)
        new = self._told.add(smiles, values)
        self._surrogate.add([fragment_counts(smiles[place]) for place in new])


def candidates(smiles: Iterable[str]) -> list[Candidate]:
    """Return canonical SMILES as candidates, without those that are ""."""
    return [Candidate.of(parse_smiles(text)) for text in smiles if text]

"""How a method of optimisation is asked and told, and the loop that all methods share.

A method never calls the objective: it is asked for molecules and told their values. What it
proposes is a function of its constructor's arguments and of what it was told, in order; so an
interrupted search goes on where its log ends, by telling the log to a fresh method.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.chemistry import canonical_smiles
from graphtide.molecules.objectives.filters import Filters
from graphtide.molecules.optimization.oracle import Oracle

__all__ = ["Method", "Progress", "optimize"]

Progress = Callable[[float, str], None]
"""Told the share of the budget that is spent, and a line of text."""

_BARREN = 50
"""Rounds in a row without a molecule that is new to the oracle, after which a search ends."""


class Method(ABC):
    """A method of optimisation.

    Args:
        start: SMILES of the molecules to begin with; the first that `ask` hands out.
        seed: one seed gives one sequence of proposals for one sequence of values.
        filters: molecules that they refuse are never proposed, except as a start.

    Attributes:
        name: for tables and the command line.
        batch: how many molecules the method likes to be asked for at once.
        start: canonical SMILES of the start molecules, without repetitions.
        told: how many evaluations it has been told of.

    Raises:
        InputError: there is no start molecule, or RDKit cannot read one.
    """

    name: ClassVar[str]
    batch: int = 10

    def __init__(
        self, start: Sequence[str], *, seed: int = 0, filters: Filters | None = None
    ) -> None:
        self.start = tuple(dict.fromkeys(canonical_smiles(text) for text in start))
        if not self.start:
            raise InputError("a search from no molecule; at least one start was expected")
        self.seed = seed
        self.filters = filters or Filters()
        self.told = 0

    @abstractmethod
    def ask(self, number: int) -> list[str]:
        """Propose at most `number` molecules, canonical SMILES; none: the method is at its end.

        Two calls without a `tell` between them may propose the same.
        """

    @abstractmethod
    def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
        """Take in values; also of molecules it never proposed.

        Args:
            smiles: canonical SMILES, (n,).
            values: float64 (n,), or (n, k) of k objectives kept apart; NaN where there is none.
        """

    def generator(self) -> np.random.Generator:
        """Return the random numbers of the next proposal: the seed's, and of how much was told."""
        return np.random.default_rng((self.seed, self.told))


def optimize(method: Method, oracle: Oracle, *, progress: Progress | None = None) -> None:
    """Ask the method and tell it what the oracle says, until the budget is spent.

    What the oracle's log already holds is told first. It ends early where the method proposes
    nothing, or for 50 rounds nothing that is new to the oracle. An interruption loses nothing that
    was evaluated.

    Args:
        method: fresh, not told of anything yet.
        oracle: with its budget, and perhaps a log of earlier calls.
        progress: told after each round.
    """
    if oracle.calls:
        method.tell([text for text, _ in oracle.history], oracle.values)
    barren = 0
    while oracle.remaining > 0 and barren < _BARREN:
        asked = method.ask(min(method.batch, oracle.remaining))
        if not asked:
            return
        before = oracle.calls
        values = oracle(asked)
        method.tell(asked, values)
        barren = 0 if oracle.calls > before else barren + 1
        if progress is not None:
            best = oracle.top(1)
            told = f"best {best[0][1]:.4f}" if best else "no value yet"
            progress(oracle.calls / oracle.budget, f"{oracle.calls} calls, {told}")

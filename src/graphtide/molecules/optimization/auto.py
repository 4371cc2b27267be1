"""The methods together: a bandit shares out the calls by what each method's calls brought.

The reward of a call is 1 where its value comes among the best 10 so far, else 0. A method's rate is
the share of its calls that were rewarded, older ones forgotten (a factor 0.97 a call), and its
share of the next round goes with the rate, at least a tenth in equal parts:

    share_m = 0.1 / M + 0.9 rate_m / sum_m' rate_m'

All methods are told of all values, so that each goes on from what another found.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from graphtide.errors import InputError
from graphtide.molecules.optimization.method import Method
from graphtide.molecules.optimization.told import Told

__all__ = ["Auto"]

_BEST = 10
_FORGET = 0.97


class Auto(Method):
    """Several methods, of one start and one set of filters.

    Args:
        arms: the methods; they may not have been told of anything.
        seed: of the shares that are drawn.

    Raises:
        InputError: there is no method.
    """

    name: ClassVar[str] = "auto"

    def __init__(self, arms: Sequence[Method], *, seed: int = 0) -> None:
        if not arms:
            raise InputError("a search without a method; at least one was expected")
        super().__init__(arms[0].start, seed=seed, filters=arms[0].filters)
        self.arms = tuple(arms)
        self.batch = max(arm.batch for arm in arms)
        self._told = Told()
        self._source: dict[str, int] = {}
        self._won = np.ones(len(arms))
        self._tried = np.full(len(arms), 2.0)
        self.calls = np.zeros(len(arms), dtype=np.int64)

    @property
    def shares(self) -> np.ndarray:
        """Share of the next calls that each method gets, (M,)."""
        rates = self._won / self._tried
        return 0.1 / len(rates) + 0.9 * rates / rates.sum()

    def ask(self, number: int) -> list[str]:
        """Return up to ``number`` molecules, from the methods by their shares."""
        ready = [text for text in self.start if text not in self._told.seen][:number]
        if len(ready) == number or len(ready) == len(self.start):
            return ready
        wanted = self.generator().multinomial(number - len(ready), self.shares)
        found: dict[str, int] = dict.fromkeys(ready, -1)
        for arm in np.argsort(-wanted, kind="stable").tolist():
            # What another method could not fill is filled by those that come after it.
            for text in self.arms[arm].ask(int(wanted[arm])) if wanted[arm] else []:
                found.setdefault(text, arm)
        if len(found) < number and not found:
            for arm, method in enumerate(self.arms):
                for text in method.ask(number):
                    found.setdefault(text, arm)
        self._source = {text: arm for text, arm in found.items() if arm >= 0}
        return list(found)[:number]

    def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
        """Take in values, give credit for those that a method proposed, and tell them all."""
        self.told += len(smiles)
        before = len(self._told)
        new = self._told.add(smiles, values)
        if new:
            fitness = self._told.fitness(self.generator())
            least = np.sort(fitness)[-min(_BEST, len(fitness))]
            reached = dict(zip([smiles[place] for place in new], fitness[before:], strict=True))
        else:
            least, reached = np.inf, {}
        for text in smiles:
            arm = self._source.pop(text, None)
            if arm is None:
                continue
            self.calls[arm] += 1
            self._won *= _FORGET
            self._tried *= _FORGET
            self._won[arm] += float(reached.get(text, -np.inf) >= least)
            self._tried[arm] += 1.0
        for arm in self.arms:
            arm.tell(smiles, values)

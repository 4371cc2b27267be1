"""What a method was told so far, and a surrogate that guesses the values of molecules from it.

With several objectives a method climbs, each time it is asked, in a direction of its own
(:func:`graphtide.molecules.optimization.ranking.scalarised`), so that the whole Pareto front is
approached.

The surrogate is ridge regression on counts of circular fragments (Morgan, radius 2), which are
nearly what additive properties are made of:  f(m) = b + x(m) . w, fitted in its dual form.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from rdkit import Chem
from rdkit.Chem import rdFingerprintGenerator

from graphtide.molecules.chemistry import parse_smiles
from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.ranking import scalarised

__all__ = [
    "Candidate",
    "RidgeSurrogate",
    "Told",
    "fragment_counts",
    "nearness",
    "rank_and_pick",
    "tanimoto",
]

_BITS = 2048
_RADIUS = 2
_RIDGE = 1.0
_MOST_TOLD = 1000
"""Molecules that a surrogate is fitted to at most: the newest."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A molecule that may be proposed.

    Args:
        smiles: canonical, without stereochemistry.
        molecule: sanitised.
        counts: of its fragments.
    """

    smiles: str
    molecule: Chem.Mol
    counts: np.ndarray

    @staticmethod
    def of(molecule: Chem.Mol) -> Candidate:
        """Return a sanitised molecule with what is asked of it."""
        return Candidate(Chem.MolToSmiles(molecule), molecule, fragment_counts(molecule))


@dataclass(slots=True, eq=False)
class Told:
    """Molecules and their values, in the order in which they were told; each once.

    Args:
        smiles: canonical SMILES.
        values: of each, (k,).
        seen: all that were told, those without a value too.
    """

    smiles: list[str] = field(default_factory=list)
    values: list[np.ndarray] = field(default_factory=list)
    seen: set[str] = field(default_factory=set)

    def __len__(self) -> int:
        return len(self.smiles)

    def add(self, smiles: Sequence[str], values: np.ndarray) -> list[int]:
        """Add molecules; return the places in ``smiles`` of those that are new and have a value.

        Args:
            smiles: canonical.
            values: (n,) or (n, k), NaN where there is none.
        """
        new = []
        table = np.asarray(values, dtype=np.float64).reshape(len(smiles), -1)
        for place, (text, row) in enumerate(zip(smiles, table, strict=True)):
            if text not in self.seen and np.isfinite(row).all():
                self.smiles.append(text)
                self.values.append(row)
                new.append(place)
            self.seen.add(text)
        return new

    def fitness(self, random: np.random.Generator) -> np.ndarray:
        """Return one number for each, (n,): the value, or one direction among several."""
        return scalarised(np.array(self.values), random)

    def best(self, number: int, random: np.random.Generator) -> list[int]:
        """Return the places of the fittest, the best first; of equals the earlier."""
        return np.argsort(-self.fitness(random), kind="stable")[:number].tolist()


class RidgeSurrogate:
    """Ridge regression on the counts of fragments of what was told.

    Args:
        prior: weights (2048,) that the fitted ones are drawn to; None draws them to 0.
    """

    def __init__(self, prior: np.ndarray | None = None) -> None:
        self._prior = np.zeros(_BITS, dtype=np.float32) if prior is None else prior
        self._rows: list[np.ndarray] = []
        self._products = np.empty((0, 0))
        self.weights = self._prior
        self._offset = 0.0

    def as_prior(self) -> RidgeSurrogate:
        """Return a fresh surrogate that begins with the weights of this one."""
        return RidgeSurrogate(self.weights)

    def add(self, counts: Sequence[np.ndarray]) -> None:
        """Add molecules by their counts of fragments, each (2048,)."""
        if not counts:
            return
        self._rows = [*self._rows, *counts][-_MOST_TOLD:]
        table = np.array(self._rows)
        new = table[-len(counts) :]
        old, n = self._products, len(table)
        products = np.empty((n, n))
        kept = n - len(new)
        if kept:
            products[:kept, :kept] = old[len(old) - kept :, len(old) - kept :]
        products[kept:] = new @ table.T
        products[:, kept:] = products[kept:].T
        self._products = products

    def fit(self, fitness: np.ndarray) -> None:
        """Fit to the fitness of all that was told, of which the newest are used."""
        if not self._rows:
            return
        table = np.array(self._rows)
        target = fitness[-len(self._rows) :] - table @ self._prior
        self._offset = float(target.mean())
        count = len(target)
        # The counts are centred within the kernel.
        means = self._products.mean(axis=0)
        centred = self._products - means - means[:, None] + means.mean()
        dual = np.linalg.solve(centred + _RIDGE * np.eye(count), target - self._offset)
        change = (dual - dual.mean()) @ table
        self._offset -= float(table.mean(axis=0) @ change)
        self.weights = (self._prior + change).astype(np.float32)

    def predict(self, counts: Sequence[np.ndarray]) -> np.ndarray:
        """Return the guessed fitness of each molecule, (n,)."""
        return np.array(counts).reshape(len(counts), -1) @ self.weights + self._offset


def fragment_counts(molecule: Chem.Mol | str) -> np.ndarray:
    """Return how often each circular fragment occurs, folded to float32 (2048,).

    What is not 0 is the fingerprint by which similarities are measured.

    Raises:
        InputError: RDKit cannot read the SMILES.
    """
    if isinstance(molecule, str):
        molecule = parse_smiles(molecule)
    return _GENERATOR.GetCountFingerprintAsNumPy(molecule).astype(np.float32)


def nearness(filters: Filters) -> Callable[[Candidate], bool]:
    """Return whether a candidate is near enough to the start of the filters: microseconds each."""
    if filters.similar_to is None or filters.similarity <= 0:
        return lambda _candidate: True
    lead, least = fragment_counts(filters.similar_to), filters.similarity
    return lambda candidate: tanimoto(lead, candidate.counts) >= least


def rank_and_pick(
    pool: Sequence[Candidate],
    surrogate: RidgeSurrogate,
    filters: Filters,
    number: int,
    random: np.random.Generator,
    *,
    explored: float = 0.15,
) -> list[Candidate]:
    """Return up to ``number`` candidates: those guessed the best, and some at random.

    Args:
        pool: candidates.
        surrogate: fitted.
        filters: which the picked ones must pass; asked only of those that it comes to.
        number: how many.
        random: of those at random.
        explored: probability of each to be taken at random.
    """
    if not pool:
        return []
    guessed = surrogate.predict([candidate.counts for candidate in pool])
    order = np.argsort(-guessed, kind="stable").tolist()
    picked: list[Candidate] = []
    while order and len(picked) < number:
        place = int(random.integers(len(order))) if random.random() < explored else 0
        candidate = pool[order.pop(place)]
        if filters.accepts_molecule(candidate.molecule) is None:
            picked.append(candidate)
    return picked


def tanimoto(one: np.ndarray, other: np.ndarray) -> float:
    """Return the Tanimoto similarity of two molecules by their counts: of the fragments alone."""
    first, second = one > 0, other > 0
    union = int(np.count_nonzero(first | second))
    return int(np.count_nonzero(first & second)) / union if union else 1.0


_GENERATOR = rdFingerprintGenerator.GetMorganGenerator(radius=_RADIUS, fpSize=_BITS)

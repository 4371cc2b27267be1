"""A graph genetic algorithm with a learned prescreen.

Each time it is asked, it draws parents from what was told, by quantiles that lie closer together
towards the top (Tripp & Hernández-Lobato, arXiv:2310.09267), makes many times more children than
are wanted, by crossover and by edits (Jensen, Chemical Science 10, 2019), and keeps those that a
Gaussian process, fitted to what was told, finds most promising: highest mean + kappa deviations.
Some rounds explore: parents are then the best of neighbourhoods that are not alike, and of the
children of each one the most promising is taken, so that a plateau does not hold the search.
Where objectives are kept apart, each round weighs them anew, so that the front is reached in every
direction, and parents are ranked by dominance (Deb et al., IEEE Trans. Evol. Comput. 6, 2002).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from rdkit import Chem

from graphtide.errors import InputError
from graphtide.molecules.objectives.filters import Filters
from graphtide.molecules.optimization.crossover import crossed
from graphtide.molecules.optimization.edits import mutated
from graphtide.molecules.optimization.gaussian_process import (
    Features,
    GaussianProcessSurrogate,
    features_of,
)
from graphtide.molecules.optimization.graphs import EditableGraph, editable
from graphtide.molecules.optimization.materials import Materials, materials_of
from graphtide.molecules.optimization.method import Method
from graphtide.molecules.optimization.ranking import fitness, scalarised

__all__ = ["GeneticSettings", "GraphGenetic", "Proposer"]

Proposer = Callable[[Sequence[str], int, np.random.Generator], Sequence[str]]
"""Makes SMILES out of parents (SMILES, best first), about as many as it is asked for: a generator's
proposals. It must draw from the random numbers it is given only."""

_FEW_FOR_FRAGMENTS = 50
_FEW_TO_LEARN_FROM = 10


@dataclass(frozen=True, slots=True)
class GeneticSettings:
    """How the search goes.

    Args:
        batch: molecules a round.
        screened: children made for each molecule that is proposed; 1 screens nothing.
        crossover: share of the children that have two parents; the others are edited.
        edited_again: chance that a child is edited once more, and so on.
        proposed: share of the children that come from the proposer, where there is one.
        quantiles: lowest share of the best that parents are drawn from.
        fitted_best: the best that the Gaussian process is fitted to.
        fitted_others: others that it is fitted to.
        kappa: most standard deviations that a promise counts; each round draws from 0 to it.
        exploring: share of the rounds that explore.
        neighbourhood: similarity from which on molecules count as one neighbourhood.
        alike: molecules of a round are less similar to each other than this.
        most_atoms: more heavy atoms than the largest start by this are never proposed.

    Raises:
        InputError: a number is out of its range.
    """

    batch: int = 20
    screened: int = 20
    crossover: float = 0.4
    edited_again: float = 0.3
    proposed: float = 0.2
    quantiles: float = 1e-3
    fitted_best: int = 600
    fitted_others: int = 200
    kappa: float = 1.5
    exploring: float = 0.25
    neighbourhood: float = 0.5
    alike: float = 0.9
    most_atoms: int = 12

    def __post_init__(self) -> None:
        for name in ("crossover", "edited_again", "proposed", "exploring"):
            share = getattr(self, name)
            if not 0 <= share <= (0.95 if name == "edited_again" else 1):
                raise InputError(f"{name} is {share}; a share from 0 to 1 was expected")
        for name in ("batch", "screened", "fitted_best"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} is {getattr(self, name)}; at least 1 was expected")


@dataclass(frozen=True, slots=True, eq=False)
class _Child:
    """A molecule, and the place of its first parent, -1 for the proposer's."""

    molecule: Chem.Mol
    parent: int


class GraphGenetic(Method):
    """The genetic algorithm; see the head of this module.

    Args:
        start: as of `Method`.
        seed: as of `Method`.
        filters: as of `Method`; children that they refuse never reach the oracle.
        settings: how the search goes.
        proposer: makes some of the children, such as a trained generator does.
        fragments_from: molecules to take atoms and fragments from; by default the start, and the
            sample of ZINC250k that ships with the package where the start has fewer than 50.

    Raises:
        InputError: as of `Method`.
    """

    name: ClassVar[str] = "genetic"

    def __init__(
        self,
        start: Sequence[str],
        *,
        seed: int = 0,
        filters: Filters | None = None,
        settings: GeneticSettings | None = None,
        proposer: Proposer | None = None,
        fragments_from: Sequence[str] | None = None,
    ) -> None:
        super().__init__(start, seed=seed, filters=filters)
        self.settings = settings or GeneticSettings()
        self.batch = self.settings.batch
        self._proposer = proposer
        self._materials: Materials = materials_of(
            fragments_from or _source_of(self.start), seed=seed
        )
        self._most = max(map(_size, self.start)) + self.settings.most_atoms
        self._values: dict[str, np.ndarray] = {}
        self._features: dict[str, tuple[np.ndarray, np.ndarray]] = {}

    def tell(self, smiles: Sequence[str], values: np.ndarray) -> None:
        """Take in values; see `Method`."""
        rows = np.asarray(values, dtype=np.float64).reshape(len(smiles), -1)
        for text, row in zip(smiles, rows, strict=True):
            self._values.setdefault(text, row)
        self.told = len(self._values)

    def ask(self, number: int) -> list[str]:
        """Propose molecules; see `Method`."""
        untold = [text for text in self.start if text not in self._values]
        if untold:
            return untold[:number]
        random = self.generator()
        known = [text for text, row in self._values.items() if np.isfinite(row).all()]
        if not known:
            return list(self._children(self.start, self.start, number, random))
        values = np.stack([self._values[text] for text in known])
        best_first = np.argsort(-fitness(values), kind="stable")
        ranked = [known[int(k)] for k in best_first]
        wanted = number * self.settings.screened
        if len(known) < _FEW_TO_LEARN_FROM:
            return list(self._children(ranked, ranked, number, random))
        best = best_first[: self.settings.fitted_best]
        others = random.permutation(best_first[self.settings.fitted_best :])
        chosen = np.concatenate([best, others[: self.settings.fitted_others]])
        learned = self._features_of([known[int(k)] for k in chosen])
        exploring = random.random() < self.settings.exploring
        parents = ranked
        if exploring:
            bits = learned.bits[: len(best)]
            found = _unlike(bits, range(len(best)), 2 * number, self.settings.neighbourhood)
            parents = [ranked[k] for k in found]
        children = self._children(parents, ranked, wanted, random)
        if len(children) <= number:
            return list(children)
        surrogate = GaussianProcessSurrogate(learned, scalarised(values, random)[chosen], random)
        return self._screened(surrogate, children, number, exploring, random)

    def _children(
        self,
        parents: Sequence[str],
        mates: Sequence[str],
        wanted: int,
        random: np.random.Generator,
    ) -> dict[str, _Child]:
        """Return new molecules that the filters accept, at most as many as are wanted.

        Args:
            parents: of whom each child has one, best first.
            mates: of whom it may have another, best first.
            wanted: how many.
            random: random numbers.
        """
        made: dict[str, _Child] = {}
        if self._proposer is not None and self.settings.proposed > 0:
            asked = round(wanted * self.settings.proposed)
            for text in self._proposer(parents, asked, random):
                molecule = Chem.MolFromSmiles(text) if text else None
                if molecule is not None:
                    Chem.RemoveStereochemistry(molecule)
                    self._admit(_Child(molecule, -1), made)
        for _ in range(3 * wanted):
            if len(made) >= wanted:
                break
            place = self._place(len(parents), random)
            child = self._child(parents[place], mates[self._place(len(mates), random)], random)
            if child is None or len(child) > self._most or not child.is_plausible():
                continue
            molecule = child.molecule()
            if molecule is not None:
                self._admit(_Child(molecule, place), made)
        return made

    def _place(self, count: int, random: np.random.Generator) -> int:
        """Return a place in a ranking: uniformly among a share of the best, its logarithm drawn."""
        low = np.log10(max(self.settings.quantiles, 1.0 / count))
        share = 10.0 ** random.uniform(low, 0.0)
        return int(random.random() * np.ceil(share * count))

    def _child(self, one: str, other: str, random: np.random.Generator) -> EditableGraph | None:
        child = editable(one)
        if child is None:
            return None
        again = True
        if one != other and random.random() < self.settings.crossover:
            mate = editable(other)
            child = None if mate is None else crossed(child, mate, random)
            again = random.random() < self.settings.edited_again
        while child is not None and again:
            child = mutated(child, self._materials, random)
            again = random.random() < self.settings.edited_again
        return child

    def _admit(self, child: _Child, made: dict[str, _Child]) -> None:
        text = Chem.MolToSmiles(child.molecule)
        if (
            text not in self._values
            and text not in made
            and "." not in text
            and self.filters.accepts_molecule(child.molecule) is None
        ):
            made[text] = child

    def _screened(
        self,
        surrogate: GaussianProcessSurrogate,
        children: dict[str, _Child],
        number: int,
        exploring: bool,
        random: np.random.Generator,
    ) -> list[str]:
        """Return the children of highest promise that are not all alike."""
        names = list(children)
        found = [features_of(child.molecule) for child in children.values()]
        new = Features(np.stack([b for b, _ in found]), np.stack([d for _, d in found]))
        mean, deviation = surrogate.predict(new)
        promise = mean + random.uniform(0.0, self.settings.kappa) * deviation
        order = [int(k) for k in np.argsort(-promise, kind="stable")]
        if exploring:  # the first of each parent, then the second of each, and so on
            births: dict[int, int] = {}
            ranks = {}
            for k in order:
                parent = children[names[k]].parent
                ranks[k] = births[parent] = births.get(parent, -1) + 1
            order.sort(key=lambda k: ranks[k])
        picked = _unlike(new.bits, order, number, self.settings.alike)
        for k in picked:
            self._features[names[k]] = found[k]
        return [names[k] for k in picked]

    def _features_of(self, smiles: Sequence[str]) -> Features:
        for text in smiles:
            if text not in self._features:
                self._features[text] = features_of(Chem.MolFromSmiles(text))
        rows = [self._features[text] for text in smiles]
        return Features(np.stack([b for b, _ in rows]), np.stack([d for _, d in rows]))


def _unlike(bits: np.ndarray, order: Sequence[int], number: int, alike: float) -> list[int]:
    """Return the first of an order that are less alike than a limit, filled up with the next."""
    from graphtide.molecules.metrics.similarity import tanimoto

    picked: list[int] = []
    passed: list[int] = []
    for k in order:
        if picked and tanimoto(bits[k : k + 1], bits[picked]).max() > alike:
            passed.append(k)
            continue
        picked.append(k)
        if len(picked) == number:
            break
    return [*picked, *passed][:number]


def _size(smiles: str) -> int:
    return Chem.MolFromSmiles(smiles).GetNumAtoms()


def _source_of(start: Sequence[str]) -> Sequence[str]:
    if len(start) >= _FEW_FOR_FRAGMENTS:
        return start
    from graphtide.data import zinc250k_sample

    return [*start, *zinc250k_sample()["smiles"]]

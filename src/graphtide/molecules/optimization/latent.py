"""Climbing in the latent space of the exact flow.

The flow maps molecules to vectors z that are standard normal where molecules are likely. A step
from a good molecule redraws some of its coordinates in a way that leaves the normal law as it is,

    z'_d = rho z_d + sqrt(1 - rho^2) e_d   for d in a random set,   else z'_d = z_d,   e_d ~ N(0, 1)

so that small steps and large ones alike decode to molecules as likely as those the flow has seen;
or it goes along the difference of two molecules, from the worse to the better. Many steps are
decoded, and those that the surrogate takes to be the best are called.

Sources: preconditioned Crank-Nicolson steps: Cotter, Roberts, Stuart, White, Statistical Science 28
(2013) 424; differential evolution: Storn, Price, Journal of Global Optimization 11 (1997) 341;
optimisation along a flow's latent space: Zang, Wang, MoFlow, KDD 2020.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles, typed_graph
from graphtide.molecules.flow import Flow
from graphtide.molecules.objectives import Filters
from graphtide.molecules.optimization.ranked import RankedMethod, candidates
from graphtide.molecules.optimization.told import Candidate

__all__ = ["LatentClimb", "LatentSteps"]

_PARENTS = 10
_ALONG = 0.25
"""Share of steps that go along a difference."""


class LatentSteps:
    """Makes molecules out of parents by steps in the latent space of a flow.

    Args:
        flow: trained. No steps set out from molecules that it cannot encode (too large, of other
            types of atoms).
    """

    def __init__(self, flow: Flow) -> None:
        self.flow = flow
        self._latent: dict[str, np.ndarray | None] = {}

    def __call__(
        self, parents: Sequence[str], number: int, random: np.random.Generator
    ) -> list[str]:
        """Return the canonical SMILES that so many steps lead to, "" where to none.

        Args:
            parents: SMILES, the best first; steps set out from the first ten that have a place.
            number: of steps.
            random: of all that is random.
        """
        found = [z for text in parents[: 3 * _PARENTS] if (z := self.encoded(text)) is not None]
        table = np.array(found[:_PARENTS])
        if not len(table):
            return []
        ranks = 1.0 / (np.arange(len(table)) + 2.0)
        chosen = random.choice(len(table), size=number, p=ranks / ranks.sum())
        steps = np.array([_step(table, parent, random) for parent in chosen.tolist()])
        return list(self.flow.decode_smiles(torch.from_numpy(steps).to(self.flow.device)))

    def encoded(self, smiles: str) -> np.ndarray | None:
        """Return the latent vector of a molecule, (D,), or None where the flow cannot make it."""
        if smiles not in self._latent:
            try:
                z = self.flow.encode([typed_graph(parse_smiles(smiles))])[0].cpu().numpy()
            except InputError:
                z = None
            # A choice of vanishing probability lies at infinity: no step sets out from there.
            self._latent[smiles] = z if z is not None and np.isfinite(z).all() else None
        return self._latent[smiles]


def _step(table: np.ndarray, parent: int, random: np.random.Generator) -> np.ndarray:
    """Return a step from one of the parents (P, D), which stand in order, the best first."""
    z, count = table[parent].copy(), table.shape[1]
    # Sets from a coordinate or two up to a third of them, evenly on a logarithmic scale.
    moved = random.random(count) < np.exp(random.uniform(np.log(2.0 / count), np.log(0.3)))
    if len(table) > 1 and random.random() < _ALONG:
        better, worse = np.sort(random.choice(len(table), size=2, replace=False))
        moved |= random.random(count) < 0.5
        z[moved] += random.uniform(0.3, 1.0) * (table[better] - table[worse])[moved]
        return z
    keep = random.uniform(0.0, 0.9)
    fresh = keep * z + np.sqrt(1 - keep**2) * random.standard_normal(count)
    return np.where(moved, fresh, z)


class LatentClimb(RankedMethod):
    """Climbs in the latent space of a flow.

    Args:
        start: SMILES to begin from.
        flow: trained.
        seed: of all randomness.
        filters: molecules that they refuse are not called.
        screened: steps that are decoded for each molecule that is called.
    """

    name: ClassVar[str] = "latent"

    def __init__(
        self,
        start: Sequence[str],
        flow: Flow,
        *,
        seed: int = 0,
        filters: Filters | None = None,
        screened: int = 4,
    ) -> None:
        super().__init__(start, seed=seed, filters=filters, screened=screened)
        self.steps = LatentSteps(flow)

    def draw(
        self, number: int, fitness: np.ndarray, random: np.random.Generator
    ) -> list[Candidate]:
        """Return the molecules that so many steps lead to."""
        return candidates(self.steps(self.parents(fitness, 3 * _PARENTS), number, random))

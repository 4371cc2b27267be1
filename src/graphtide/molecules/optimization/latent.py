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

__all__ = ["LatentClimb"]

_PARENTS = 10
_ALONG = 0.25
"""Share of steps that go along a difference."""


class LatentClimb(RankedMethod):
    """Climbs in the latent space of a flow.

    Args:
        start: SMILES to begin from.
        flow: trained. Molecules that it cannot encode (too large, of other types of atoms) are
            called as starts but no steps set out from them.
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
        self.flow = flow
        self._latent: dict[str, np.ndarray | None] = {}

    def draw(
        self, number: int, fitness: np.ndarray, random: np.random.Generator
    ) -> list[Candidate]:
        """Return the molecules that so many steps lead to."""
        parents = [
            found
            for place in np.argsort(-fitness, kind="stable")[: 3 * _PARENTS].tolist()
            if (found := self._encoded(self._told.smiles[place])) is not None
        ][:_PARENTS]
        if not parents:
            return []
        ranks = 1.0 / (np.arange(len(parents)) + 2.0)
        chosen = random.choice(len(parents), size=number, p=ranks / ranks.sum())
        table = np.array(parents)
        steps = table[chosen].copy()
        for row, parent in enumerate(chosen.tolist()):
            # Sets from a coordinate or two up to a third of them, evenly on a logarithmic scale.
            share = np.exp(random.uniform(np.log(2.0 / steps.shape[1]), np.log(0.3)))
            moved = random.random(steps.shape[1]) < share
            if len(parents) > 1 and random.random() < _ALONG:
                better, worse = np.sort(random.choice(len(parents), size=2, replace=False))
                moved |= random.random(steps.shape[1]) < 0.5
                along = random.uniform(0.3, 1.0) * (table[better] - table[worse])
                steps[row, moved] = table[parent, moved] + along[moved]
            else:
                keep = random.uniform(0.0, 0.9)
                fresh = random.standard_normal(steps.shape[1])
                steps[row] = np.where(
                    moved, keep * steps[row] + np.sqrt(1 - keep**2) * fresh, steps[row]
                )
        made = self.flow.decode_smiles(torch.from_numpy(steps).to(self.flow.device))
        return candidates(made)

    def _encoded(self, smiles: str) -> np.ndarray | None:
        if smiles not in self._latent:
            try:
                z = self.flow.encode([typed_graph(parse_smiles(smiles))])[0].cpu().numpy()
            except InputError:  # the flow cannot make it
                z = None
            # A choice of vanishing probability lies at infinity: no step sets out from there.
            self._latent[smiles] = z if z is not None and np.isfinite(z).all() else None
        return self._latent[smiles]

"""Children that a trained generator proposes, for the genetic algorithm.

A flow maps a molecule to a normal vector z. Nearby molecules lie nearby:

    z' = sqrt(1 - s^2) z + s e,        e ~ N(0, I),

is as probable under the prior as z is, and s says how far it goes. Other generators propose what
they draw.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch

from graphtide.errors import InputError
from graphtide.molecules.chemistry import parse_smiles, to_smiles, typed_graph
from graphtide.molecules.flow import Flow
from graphtide.molecules.generator import Generator

__all__ = ["FlowProposals", "SampledProposals", "proposals_of"]

_BEST = 50


def proposals_of(model: Generator) -> FlowProposals | SampledProposals:
    """Return the proposals of a trained generator."""
    return FlowProposals(model) if isinstance(model, Flow) else SampledProposals(model)


class FlowProposals:
    """Molecules around the best in the latent space of a flow.

    Args:
        flow: trained; graphs it makes that are no valid, connected molecules are thrown away.
        distance: s, the share of noise, from 0 to 1.

    Raises:
        InputError: the distance is out of its range.
    """

    def __init__(self, flow: Flow, *, distance: float = 0.3) -> None:
        if not 0 < distance <= 1:
            raise InputError(f"a distance of {distance} in latent space; 0 to 1 was expected")
        self._flow = flow
        self._distance = distance

    def __call__(
        self, parents: Sequence[str], number: int, random: np.random.Generator
    ) -> list[str]:
        """Return at most so many SMILES near the best 50 of the parents the flow can encode."""
        latent = []
        for text in parents[:_BEST]:
            try:
                latent.append(self._flow.encode([typed_graph(parse_smiles(text))]))
            except InputError:  # a parent outside of what the flow can make
                continue
        if not latent or number < 1:
            return []
        z = torch.cat(latent)
        z = z[random.integers(len(z), size=number)]
        noise = torch.from_numpy(random.standard_normal(tuple(z.shape))).to(z)
        s = self._distance
        made = []
        for graph in self._flow.decode(math.sqrt(1 - s * s) * z + s * noise):
            try:
                made.append(to_smiles(graph.types, graph.bonds))
            except InputError:
                continue
        return made


class SampledProposals:
    """Molecules that a generator draws, whatever the parents are.

    Args:
        model: a trained generator.
    """

    def __init__(self, model: Generator) -> None:
        self._model = model

    def __call__(
        self,
        parents: Sequence[str],  # noqa: ARG002 (a draw has no parents)
        number: int,
        random: np.random.Generator,
    ) -> list[str]:
        """Return at most so many SMILES."""
        if number < 1:
            return []
        drawn = self._model.sample(number, seed=int(random.integers(2**31)))
        return [text for text in drawn.smiles if text]

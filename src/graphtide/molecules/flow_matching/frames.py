"""The way from noise to a molecule, as graphs to be drawn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from graphtide.molecules.chemistry import AtomType, TypedGraph
from graphtide.molecules.flow_matching.drawing import Wishes, starts
from graphtide.molecules.flow_matching.model import ORDERS, FlowMatching
from graphtide.molecules.flow_matching.pairs import Pairs
from graphtide.molecules.flow_matching.sampler import Sampling, run_chain

__all__ = ["Frame", "frames"]

Frame = tuple[float, TypedGraph]
"""A time and the graph at it. Its bonds may exceed the valences, and it may lie in pieces."""


def frames(
    model: FlowMatching,
    *,
    times: Sequence[float] = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0),
    seed: int = 0,
    sampling: Sampling | None = None,
    scaffold: str | None = None,
    condition: Mapping[str, float] | None = None,
) -> list[Frame]:
    """Return one molecule's graphs along the chain, nodes in one order throughout.

    Bonds that are masked are left out, and atoms that are masked are "*" of valence 0. The chain
    runs without correction.

    Args:
        model: the generator.
        times: wished times; the state at the chain's last time before or at each is given.
        seed: of the molecule.
        sampling: how the chain is run.
        scaffold: as in :meth:`FlowMatching.sample`.
        condition: as in :meth:`FlowMatching.sample`.

    Raises:
        InputError: as :meth:`FlowMatching.sample`.
    """
    drawing = torch.Generator().manual_seed(seed)
    generator = torch.Generator(model.device).manual_seed(seed)
    wishes = Wishes.read(model, scaffold, condition)
    _, begin = next(starts(model, 1, wishes, 1, drawing))
    seen: list[tuple[float, Tensor, Tensor]] = []
    run_chain(
        model,
        begin,
        sampling or Sampling(steps=100),
        generator,
        watch=lambda time, types, bonds: seen.append((time, types, bonds)),
    )
    found = [max(k for k, state in enumerate(seen) if k == 0 or state[0] <= time) for time in times]
    return [(seen[k][0], _graph(model, *seen[k][1:])) for k in found]


def _graph(model: FlowMatching, types: Tensor, bonds: Tensor) -> TypedGraph:
    pairs = Pairs.of(len(types), types.device)
    kinds = [*model.vocabulary, AtomType("*", 0, 0)]
    orders = bonds[:, 0].where(bonds[:, 0] < ORDERS, 0)
    rows = torch.stack([pairs.first, pairs.second, orders], dim=1)[orders > 0]
    table = rows.cpu().numpy().astype(np.int16)
    return TypedGraph(tuple(kinds[k] for k in types[:, 0].tolist()), table)

"""What only one kind of generator can show: a walk in the latent space, frames of a chain."""

from __future__ import annotations

import networkx
import numpy as np
import pandas

from graphtide.molecules.chemistry import TypedGraph
from graphtide.molecules.flow import Flow
from graphtide.molecules.flow_matching import FlowMatching
from graphtide.molecules.flow_matching.frames import Frame, frames
from graphtide.molecules.generator import Generator
from graphtide.run import Run

__all__ = ["write_extras"]

_POINTS = 15
_DRAWN = 50
_TRIES = 8


def write_extras(run: Run, model: Generator, seed: int) -> None:
    """Write ``walk.csv`` of a flow, or ``frames.csv`` of a Markov chain, into the run.

    Args:
        run: of ``molecules fit``.
        model: its generator.
        seed: of the molecules shown.
    """
    if isinstance(model, Flow):
        made = list(dict.fromkeys(text for text in model.sample(_DRAWN, seed=seed).smiles if text))
        if len(made) > 1:
            path = model.interpolate(made[0], made[-1], _POINTS)
            share = np.linspace(0.0, 1.0, _POINTS)
            run.write_table("walk", pandas.DataFrame({"share": share, "smiles": path}))
    if isinstance(model, FlowMatching):
        rows = []
        for time, graph in _frames(model, seed):
            left = graph.hydrogens
            for node, kind in enumerate(graph.types):
                rows.append((time, node, -1, kind.element, int(left[node])))
            rows += [(time, int(a), int(b), "", int(order)) for a, b, order in graph.bonds]
        columns = ["time", "node", "other", "element", "number"]
        run.write_table("frames", pandas.DataFrame(rows, columns=columns))


def _frames(model: FlowMatching, seed: int) -> list[Frame]:
    """Return the frames of the first of some molecules that comes out whole, else of the first."""
    tries = [frames(model, seed=seed + k) for k in range(_TRIES)]
    whole = [one for one in tries if _is_whole(one[-1][1])]
    return whole[0] if whole else tries[0]


def _is_whole(graph: TypedGraph) -> bool:
    links = networkx.Graph([(int(a), int(b)) for a, b, _ in graph.bonds])
    links.add_nodes_from(range(len(graph.types)))
    return bool((graph.hydrogens >= 0).all()) and networkx.is_connected(links)

"""Nodes that do not follow the law, and the one edge that might explain each.

Under a law dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j) a further neighbour j adds G(x_i, x_j) to what
drives node i, and a false one takes it away. For every node that does not follow, each single edge
is tried against what the law leaves there. That names a candidate with its gain; it does not mend
the graph: where two neighbours are wrong, or one was never seen, no single edge explains the node.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas

from graphtide.mechanisms.following import NodeFit
from graphtide.mechanisms.messages import messages_to
from graphtide.mechanisms.quasilinear import Model
from graphtide.mechanisms.rows import Sample

__all__ = ["SuspectNode", "suspect_nodes", "suspects_table"]

LEAST_GAIN = 0.25
"""What a single edge must take off the log of what is left, else none is named."""


@dataclass(frozen=True, slots=True)
class SuspectNode:
    """A node that does not follow the law.

    Attributes:
        node: its number.
        misfit: mean square of readings minus the law's path, in variances; NaN without noise.
        unexplained: share of its motion that the law leaves, the largest over the variables.
        neighbour: number of the other end of the edge that explains most; None for none.
        change: "add" or "drop" that edge.
        gain: what that takes off the log of what is left (the larger, the better).
    """

    node: int
    misfit: float
    unexplained: float
    neighbour: int | None
    change: str
    gain: float


def suspect_nodes(
    samples: Sequence[Sample], fits: Sequence[NodeFit], model: Model
) -> list[SuspectNode]:
    """Return the nodes of the first sample's graph that do not follow, worst first.

    A node that follows in one trajectory and not in another does not follow.
    """
    graph = samples[0].graph
    shared = [(s, f) for s, f in zip(samples, fits, strict=True) if s.graph is graph]
    bad = sorted({int(node) for _, fit in shared for node in fit.nodes[~fit.follows]})
    result = []
    for node in bad:
        seen = [
            (sample, fit, int(np.searchsorted(fit.nodes, node)))
            for sample, fit in shared
            if node in fit.nodes
        ]
        misfit = max(float(fit.misfit[k].max()) for _, fit, k in seen)
        unexplained = max(float(fit.unexplained[k].max()) for _, fit, k in seen)
        left, dropped, added = 0.0, 0.0, 0.0
        for sample, _, _ in seen:
            before, without, with_one = _single_edges(sample, node, model)
            left, dropped, added = left + before, dropped + without, added + with_one
        present = graph.adjacency[[node]].toarray()[0] != 0
        after = np.where(present, dropped, added)
        after[node] = np.inf
        after = np.where(np.isfinite(after), after, np.inf)
        best = int(np.argmin(after))
        gain = float(np.log(max(left, 1e-300) / max(float(after[best]), 1e-300)))
        named = gain >= LEAST_GAIN
        result.append(
            SuspectNode(
                node,
                misfit,
                unexplained,
                best if named else None,
                ("drop" if present[best] else "add") if named else "",
                gain if named else 0.0,
            )
        )
    return sorted(result, key=lambda s: -s.unexplained)


def suspects_table(suspects: Sequence[SuspectNode], names: Sequence[str]) -> pandas.DataFrame:
    """Return one row a node: node, misfit, unexplained_share, change, neighbour, gain."""
    return pandas.DataFrame(
        [
            {
                "node": names[s.node],
                "misfit": s.misfit,
                "unexplained_share": s.unexplained,
                "change": s.change,
                "neighbour": "" if s.neighbour is None else names[s.neighbour],
                "gain": s.gain if s.neighbour is not None else np.nan,
            }
            for s in suspects
        ],
        columns=["node", "misfit", "unexplained_share", "change", "neighbour", "gain"],
    )


def _single_edges(sample: Sample, node: int, model: Model) -> tuple[float, np.ndarray, np.ndarray]:
    """Return the sums of squares left at a node: now, without each edge, with each edge added.

    Sums over variables, each in units of the node's own motion; the last two of shape (N,). A new
    edge has the weight of the mean edge; means over neighbours are taken anew.
    """
    alone = sample.with_nodes(np.array([node]))
    graph = sample.graph
    weights = graph.adjacency[[node]].toarray()[0]
    new = float(graph.edge_weight.mean()) if graph.edge_count else 1.0
    degree = float(weights.sum())
    before, dropped, added = 0.0, np.zeros(len(weights)), np.zeros(len(weights))
    for d, terms in enumerate(model.terms):
        own = alone.left(d)  # (W, 1)
        scale = max(float((own**2).sum()), 1e-300)
        if len(terms):
            own = own - alone.rows(terms) @ model.coefficients[d]
        before += float((own**2).sum()) / scale
        # What a unit edge from each node adds to the sum, and what it changes of the mean.
        unit = np.zeros((len(own), len(weights)))
        mean, mean_now = np.zeros_like(unit), np.zeros_like(own)
        for term, value in zip(terms, model.coefficients[d], strict=True):
            if term.coupling == "none":
                continue
            rows = value * sample.without_effects_of(node, messages_to(sample, term, node))
            if term.coupling == "sum":
                unit += rows
            else:
                mean += rows
                mean_now += (rows @ weights / degree)[:, None] if degree else 0.0
        for weight, result in ((-weights, dropped), (np.full(len(weights), new), added)):
            total = degree + weight
            share = np.divide(weight, total, out=np.zeros_like(weight), where=total > 1e-12)
            moved = mean_now * np.where(total > 1e-12, 1.0, 0.0)
            change = weight * unit + share * (mean - moved) - np.where(total > 1e-12, 0.0, mean_now)
            result += ((own - change) ** 2).sum(axis=0) / scale
    return before, dropped, added

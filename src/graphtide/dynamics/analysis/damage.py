"""Damage to a network: nodes or edges lost in an order, or weight lost everywhere.

Every damage keeps all nodes, so that states carry over; a lost node keeps its own motion without
neighbours, and the weighted mean x_eff does not count it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph

__all__ = ["Damage", "Loss", "Order", "damage"]

Loss: TypeAlias = Literal["nodes", "edges", "weight"]
Order: TypeAlias = Literal["random", "targeted"]


@dataclass(frozen=True, slots=True, eq=False)
class Damage:
    """A way to damage a graph: from a share lost to the graph that is left.

    Attributes:
        graph: the whole network.
        loss: what is lost.
        order: random, or targeted: the strongest first.
        sequence: nodes, or numbers of links, in the order in which they are lost.
        link: (E,) the link that each stored edge belongs to (both directions are one link).
    """

    graph: Graph
    loss: Loss
    order: Order
    sequence: np.ndarray
    link: np.ndarray

    def at(self, share: float) -> Graph:
        """Return the graph after a share in [0, 1] is lost."""
        graph = self.graph
        weight = graph.edge_weight
        if self.loss == "weight":
            kept, weight = np.ones(graph.edge_count, dtype=bool), weight * (1.0 - share)
        else:
            count = graph.node_count if self.loss == "nodes" else int(self.link.max(initial=-1)) + 1
            gone = np.zeros(count, dtype=bool)
            gone[self.sequence[: round(share * len(self.sequence))]] = True
            ends = gone[graph.edge_index].any(axis=0) if self.loss == "nodes" else gone[self.link]
            kept = ~ends
        return Graph(
            graph.edge_index[:, kept],
            weight[kept],
            names=graph.names,
            directed=graph.directed,
            node_attributes=graph.node_attributes,
            batch=graph.batch,
        )


def damage(
    graph: Graph,
    loss: Loss,
    order: Order = "random",
    *,
    protected: np.ndarray | None = None,
    seed: int = 0,
) -> Damage:
    """Return a way to damage a graph.

    Args:
        graph: the network.
        loss: nodes; edges (both directions of an undirected one at once); weight (a factor on all).
        order: random; or targeted: nodes by strength in and out, edges by the product of the
            strengths of their ends, largest first. Weight has no order.
        protected: numbers of nodes that are never lost (of nodes only).
        seed: of random.

    Raises:
        InputError: the loss or the order is unknown.
    """
    if loss not in ("nodes", "edges", "weight") or order not in ("random", "targeted"):
        raise InputError(f"no damage is called '{loss}, {order}'")
    source, target = graph.edge_index
    low, high = np.minimum(source, target), np.maximum(source, target)
    ends = np.stack([source, target] if graph.directed else [low, high])
    pairs, link = np.unique(ends, axis=1, return_inverse=True)
    link = np.asarray(link).ravel()
    strength = np.zeros(graph.node_count)
    np.add.at(strength, source, graph.edge_weight)
    np.add.at(strength, target, graph.edge_weight)
    generator = np.random.default_rng(seed)
    if loss == "nodes":
        count, size = graph.node_count, strength
    elif loss == "edges":
        count, size = pairs.shape[1], strength[pairs[0]] * strength[pairs[1]]
    else:
        count, size = 0, np.zeros(0)
    drawn = generator.permutation(count)
    sequence = drawn if order == "random" else drawn[np.argsort(-size[drawn], kind="stable")]
    if protected is not None and loss == "nodes":
        sequence = sequence[~np.isin(sequence, protected)]
    return Damage(graph, loss, order, sequence, link)

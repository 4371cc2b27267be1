"""Feedback vertex sets: the nodes that hold every cycle of a directed network.

Where the state of each node decays by itself and is driven by its predecessors, whoever holds the
nodes of a feedback vertex set (and those that nothing drives) on a trajectory of the free system
brings all other nodes onto it, whatever the functions are. Unlike matching, this needs no
linearisation. The smallest set is hard to find; here the network is first contracted by rules that
lose nothing, a node is taken only where no rule applies, and nodes that turn out to be needless are
given back: the result is a feedback vertex set that none of its nodes can leave.

References:
    Mochizuki, Fiedler, Kurosawa & Saito, Journal of Theoretical Biology 335 (2013) 130.
    Zanudo, Yang & Albert, PNAS 114 (2017) 7234: with source nodes.
    Levy & Low, Journal of Algorithms 9 (1988) 470: the contractions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphtide.graph import Graph

__all__ = ["feedback_vertex_set", "source_nodes"]


def source_nodes(graph: Graph) -> np.ndarray:
    """Return the numbers of nodes that no other node drives, shape (M,), int64."""
    incoming, _ = _neighbours(graph, self_loops=False)
    return np.array([i for i, before in enumerate(incoming) if not before], dtype=np.int64)


def feedback_vertex_set(graph: Graph, *, self_loops: bool = False) -> np.ndarray:
    """Return the numbers of nodes without which no directed cycle is left, (M,), int64, increasing.

    An undirected edge is a cycle of its two nodes, so that the set covers every edge.

    Args:
        graph: the network.
        self_loops: whether an edge from a node to itself is a cycle; it is none where it only
            stands for the node's decay.
    """
    incoming, outgoing = _neighbours(graph, self_loops=self_loops)
    chosen = _contract(incoming, outgoing)
    return np.array(sorted(_without_needless(graph, chosen, self_loops=self_loops)), dtype=np.int64)


def _neighbours(graph: Graph, *, self_loops: bool) -> tuple[list[set[int]], list[set[int]]]:
    """Return the predecessors and the successors of each node."""
    incoming: list[set[int]] = [set() for _ in range(graph.node_count)]
    outgoing: list[set[int]] = [set() for _ in range(graph.node_count)]
    source, target = graph.edge_index
    kept = graph.edge_weight != 0
    for a, b in zip(source[kept].tolist(), target[kept].tolist(), strict=True):
        if a != b or self_loops:
            incoming[b].add(a)
            outgoing[a].add(b)
    return incoming, outgoing


def _contract(incoming: list[set[int]], outgoing: list[set[int]]) -> list[int]:
    """Return a feedback vertex set; the neighbour sets are used up."""
    alive = set(range(len(incoming)))
    waiting = list(alive)
    chosen: list[int] = []

    def remove(node: int) -> None:
        for other in incoming[node] - {node}:
            outgoing[other].discard(node)
            waiting.append(other)
        for other in outgoing[node] - {node}:
            incoming[other].discard(node)
            waiting.append(other)
        alive.discard(node)

    def bypass(node: int) -> None:
        """Take a node out and join each of its predecessors to each of its successors."""
        before, after = incoming[node], outgoing[node]
        remove(node)
        for a in before:
            for b in after:
                outgoing[a].add(b)
                incoming[b].add(a)

    while alive:
        while waiting:
            node = waiting.pop()
            if node not in alive:
                continue
            if node in outgoing[node]:  # a cycle of one node
                chosen.append(node)
                remove(node)
            elif not incoming[node] or not outgoing[node]:  # on no cycle
                remove(node)
            elif len(incoming[node]) == 1 or len(outgoing[node]) == 1:
                bypass(node)
        if alive:
            node = max(alive, key=lambda i: (len(incoming[i]) * len(outgoing[i]), -i))
            chosen.append(node)
            remove(node)
    return chosen


def _without_needless(graph: Graph, chosen: list[int], *, self_loops: bool) -> set[int]:
    """Give back, last chosen first, each node whose return closes no cycle."""
    _, outgoing = _neighbours(graph, self_loops=self_loops)
    kept = set(chosen)
    for node in reversed(chosen):
        kept.discard(node)
        if _returns(node, outgoing, kept):
            kept.add(node)
    return kept


def _returns(node: int, outgoing: list[set[int]], barred: set[int]) -> bool:
    """Tell whether a walk from a node comes back to it without a barred node."""
    seen: set[int] = set()
    stack = [node]
    while stack:
        for after in outgoing[stack.pop()]:
            if after == node:
                return True
            if after not in seen and after not in barred:
                seen.add(after)
                stack.append(after)
    return False

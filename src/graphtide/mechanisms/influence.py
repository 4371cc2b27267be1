"""Influence maximisation: which k nodes, active at first, reach the most.

The number reached is a monotone submodular function of the set, so taking the node that adds most,
one after the other, reaches at least 1 - 1/e of the best set's (Nemhauser, Wolsey & Fisher 1978;
Kempe, Kleinberg & Tardos 2003). Gains only shrink, so most need not be computed again (lazy
greedy, CELF: Leskovec et al., KDD 2007). The number reached is estimated on reverse-reachable
sets: one half of them chooses, the other judges, and they are doubled until bounds of both certify
1 - 1/e - epsilon with probability 1 - delta (Tang, Tang, Xiao & Yuan, SIGMOD 2018: their online
algorithm's bounds).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.spread.contagion import Contagion, reverse_reachable

__all__ = ["Influence", "maximise_influence"]

_FEWEST_SETS = 2048
_DOUBLINGS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Influence:
    """The chosen nodes, in order.

    Attributes:
        nodes: (k,) numbers of nodes.
        reached: (k,) nodes that the first 1, 2, ..., k of them reach, themselves included; an
            unbiased estimate on sets that took no part in the choice.
        standard_error: (k,) of it.
        guarantee: share of the best possible that all k reach at least, with probability 0.99.
        sets: number of reverse-reachable sets of each half.
    """

    nodes: np.ndarray
    reached: np.ndarray
    standard_error: np.ndarray
    guarantee: float
    sets: int


def maximise_influence(
    graph: Graph,
    contagion: Contagion,
    count: int,
    *,
    epsilon: float = 0.05,
    delta: float = 0.01,
    seed: int = 0,
) -> Influence:
    """Return nodes that together reach nearly the most.

    Args:
        graph: the network, N nodes.
        contagion: the model of contagion.
        count: number of nodes k to choose.
        epsilon: how far below 1 - 1/e the certified share may lie.
        delta: probability with which the certificate may fail.
        seed: of the random sets.

    Raises:
        InputError: count does not lie between 1 and N, or epsilon or delta outside (0, 1).
    """
    if not 1 <= count <= graph.node_count:
        raise InputError(
            f"{count} nodes were asked for; between 1 and {graph.node_count} are possible"
        )
    if not (0.0 < epsilon < 1.0 and 0.0 < delta < 1.0):
        raise InputError(f"epsilon {epsilon:g} and delta {delta:g} must lie between 0 and 1")
    generator = np.random.default_rng(seed)
    target = 1.0 - 1.0 / np.e - epsilon
    size = _FEWEST_SETS
    while True:
        choosing = reverse_reachable(contagion, graph, size, generator)
        judging = reverse_reachable(contagion, graph, size, generator)
        nodes, upper = _lazy_greedy(choosing, graph.node_count, count)
        covered = _covered(judging, nodes, graph.node_count)
        guarantee = _certified(float(covered[-1]), upper, size, delta / (_DOUBLINGS + 1))
        if guarantee >= target or size >= _FEWEST_SETS << _DOUBLINGS:
            break
        size *= 2
    share = covered / size
    error = graph.node_count * np.sqrt(share * (1.0 - share) / size)
    return Influence(nodes, graph.node_count * share, error, min(guarantee, 1.0), size)


def _lazy_greedy(
    sets: tuple[np.ndarray, np.ndarray], node_count: int, count: int
) -> tuple[np.ndarray, float]:
    """Return nodes that cover the most sets, and an upper bound of what any set of nodes covers."""
    offsets, members = sets
    order = np.argsort(members, kind="stable")
    number = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))[order]
    first = np.searchsorted(members[order], np.arange(node_count + 1))
    open_sets = np.ones(len(offsets) - 1, bool)
    heap = [(-int(gain), node) for node, gain in enumerate(np.diff(first).tolist())]
    heapq.heapify(heap)
    chosen: list[int] = []
    covered, upper = 0, np.inf
    fresh: dict[int, int] = {}  # how many nodes were chosen when a gain was computed
    while len(chosen) < count:
        gain, node = heapq.heappop(heap)
        if fresh.get(node, 0) == len(chosen):
            if -gain > 0:
                # Gains in the heap bound those now from above, so these k bound any k more.
                best = heapq.nsmallest(count - 1, heap)
                upper = min(upper, covered - gain - sum(g for g, _ in best))
            mine = number[first[node] : first[node + 1]]
            open_sets[mine] = False
            covered -= gain
            chosen.append(node)
            continue
        mine = number[first[node] : first[node + 1]]
        fresh[node] = len(chosen)
        heapq.heappush(heap, (-int(open_sets[mine].sum()), node))
    best = heapq.nsmallest(count, heap)
    upper = min(upper, covered - sum(g for g, _ in best))
    return np.array(chosen), float(min(upper, covered / (1.0 - 1.0 / np.e)))


def _covered(sets: tuple[np.ndarray, np.ndarray], nodes: np.ndarray, node_count: int) -> np.ndarray:
    """Return how many sets the first 1, 2, ... nodes meet, shape (k,)."""
    offsets, members = sets
    rank = np.full(node_count, len(nodes))
    rank[nodes] = np.arange(len(nodes))
    earliest = np.minimum.reduceat(rank[members], offsets[:-1])
    return np.cumsum(np.bincount(earliest, minlength=len(nodes) + 1)[: len(nodes)]).astype(float)


def _certified(covered: float, upper: float, size: int, delta: float) -> float:
    """Return the certified share of the optimum, by Tang et al.'s two concentration bounds."""
    a = np.log(2.0 / delta)
    low = (np.sqrt(covered + 2.0 * a / 9.0) - np.sqrt(a / 2.0)) ** 2 - a / 18.0
    high = (np.sqrt(min(upper, size) + a / 2.0) + np.sqrt(a / 2.0)) ** 2
    return float(max(low, 0.0) / high)

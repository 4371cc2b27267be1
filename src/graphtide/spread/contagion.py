"""Independent cascades and linear thresholds on a graph, and whom a set of nodes would reach.

Independent cascade: a node that becomes active tries each neighbour once, with the probability of
the edge. Linear threshold: each node draws a threshold uniform on [0, 1] and becomes active when
its active in-neighbours' shares of its weight reach it (Kempe, Kleinberg & Tardos, KDD 2003). Both,
and SIR, equal reachability in a random graph of live edges; so a set of nodes reaches node v with
the probability that it meets the nodes from which v is reachable in a sample, a reverse-reachable
set (Borgs, Brautbar, Chayes & Lucier, SODA 2014).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

import numpy as np

from graphtide.errors import InputError
from graphtide.spread.inputs import outgoing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from graphtide.graph import Graph

__all__ = ["Activation", "Contagion", "ContagionModel", "reverse_reachable", "simulate_contagion"]

ContagionModel: TypeAlias = Literal["independent_cascade", "linear_threshold", "sir"]


@dataclass(frozen=True, slots=True)
class Contagion:
    """A model of contagion and its number.

    Attributes:
        model: independent_cascade, linear_threshold or sir.
        strength: independent_cascade: the probability of an edge of weight 1; an edge of weight w
            transmits with 1 - (1 - strength)^w. sir: beta/gamma, so that an edge of weight w
            transmits within an infectious period T (in mean periods) with 1 - exp(-strength w T).
            Not used by linear_threshold.

    Raises:
        InputError: the model is unknown or the strength impossible.
    """

    model: ContagionModel
    strength: float = 1.0

    def __post_init__(self) -> None:
        """Check the model and its number."""
        if self.model not in get_args(ContagionModel):
            raise InputError(
                f"'{self.model}' is no model of contagion; known are "
                f"{', '.join(get_args(ContagionModel))}"
            )
        top = 1.0 if self.model == "independent_cascade" else np.inf
        if not 0.0 <= self.strength <= top:
            raise InputError(
                f"the strength of {self.model} is {self.strength:g}; it must lie between 0 and "
                f"{top:g}"
            )

    @property
    def code(self) -> int:
        """The model's number in the compiled loops."""
        return get_args(ContagionModel).index(self.model)

    @property
    def rate(self) -> float:
        """Rate c for which an edge of weight w transmits with probability 1 - exp(-c w)."""
        if self.model == "independent_cascade":
            return float(-np.log1p(-self.strength)) if self.strength < 1.0 else np.inf
        return self.strength


@dataclass(frozen=True, slots=True, eq=False)
class Activation:
    """Runs of a contagion.

    Attributes:
        round: (runs, N), the round in which each node became active, 0 for the first ones, -1 for
            never; int32.
        source: (runs, N), the node that activated it (independent_cascade, sir), else -1; int32.
    """

    round: np.ndarray
    source: np.ndarray

    @property
    def size(self) -> np.ndarray:
        """Number of active nodes at the end of each run, shape (runs,)."""
        return (self.round >= 0).sum(axis=1)


def simulate_contagion(
    contagion: Contagion, graph: Graph, seeds: Sequence[int], *, runs: int = 100, seed: int = 0
) -> Activation:
    """Return runs of a contagion from a set of nodes.

    Args:
        contagion: the model.
        graph: the network, N nodes, weights not negative.
        seeds: numbers of the nodes that are active at first.
        runs: number of runs.
        seed: of the random numbers.

    Raises:
        InputError: a seed is no node, or a weight is negative.

    Example:
        >>> from graphtide.graph import Graph
        >>> certain = Contagion("independent_cascade", 1.0)
        >>> simulate_contagion(certain, Graph.from_source("path:4"), [0], runs=1).round.tolist()
        [[0, 1, 2, 3]]
    """
    from graphtide.spread import contagion_kernels

    first = np.array(sorted(set(map(int, seeds))), dtype=np.int64)
    if first.size and (first[0] < 0 or first[-1] >= graph.node_count):
        raise InputError(
            f"seeds {first[0]} to {first[-1]}: the {graph.node_count} nodes are numbered from 0"
        )
    network = outgoing(graph)
    stream = np.random.default_rng(seed)
    rounds = np.full((runs, graph.node_count), -1, np.int32)
    sources = np.full((runs, graph.node_count), -1, np.int32)
    for run in range(runs):
        if contagion.model == "linear_threshold":
            contagion_kernels.thresholds(network, graph.degree, first, stream, rounds[run])
        else:
            contagion_kernels.forward(
                network, contagion.code, contagion.rate, first, stream, rounds[run], sources[run]
            )
    return Activation(rounds, sources)


def reverse_reachable(
    contagion: Contagion, graph: Graph, count: int, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return reverse-reachable sets of nodes drawn at random.

    Args:
        contagion: the model.
        graph: the network, weights not negative.
        count: number of sets.
        generator: source of randomness.

    Returns:
        offsets: (count + 1,), int64.
        nodes: set k is ``nodes[offsets[k]:offsets[k + 1]]``, int32.

    Raises:
        InputError: a weight is negative.
    """
    from graphtide.spread import contagion_kernels

    outgoing(graph)  # refuses negative weights
    matrix = graph.adjacency
    incoming = (matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)
    return contagion_kernels.reverse(incoming, contagion.code, contagion.rate, count, generator)

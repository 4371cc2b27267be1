"""From trajectories to the rows of the weak form, and to their Gram matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.candidates import Candidate, evaluate
from graphtide.mechanisms.known import KnownSeries
from graphtide.trajectory import Trajectory
from graphtide.weakform.gram import NodeGram, node_gram
from graphtide.weakform.smoothing import Smoothed, smooth
from graphtide.weakform.test_functions import TestFunctions, bumps

__all__ = ["FEWEST_TIMES", "Sample", "grams", "prepare"]

FEWEST_TIMES = 20


@dataclass(frozen=True, slots=True)
class Sample:
    """One trajectory made ready: smoothed, on an even grid, with its test functions.

    Attributes:
        graph: the network.
        observed: the trajectory as it was given.
        smoothed: the smoothed series at the observed times.
        grid: states on the even grid, shape (M, N, D).
        tests: the test functions on that grid.
        usable: numbers of the nodes whose laws are learned on: they and all their neighbours have
            states.
        effects: terms whose coefficients differ from node to node; they are projected out of every
            node's rows (Frisch and Waugh, Econometrica 1, 1933).
        known: series that are known beside the states: inputs and delayed states.
    """

    graph: Graph
    observed: Trajectory
    smoothed: Smoothed
    grid: np.ndarray
    tests: TestFunctions
    usable: np.ndarray
    effects: tuple[Candidate, ...] = ()
    known: tuple[KnownSeries, ...] = ()

    def states(self) -> dict[str, np.ndarray]:
        """Return each variable's and each known series on the grid, shape (M, N)."""
        result = {name: self.grid[:, :, d] for d, name in enumerate(self.observed.variables)}
        for series in self.known:
            result[series.name] = series.at(self.tests.times, self.grid.shape[1])
        return result

    def left(self, d: int) -> np.ndarray:
        """Return the left-hand sides of variable d, shape (W, usable nodes)."""
        return self._without_effects(self.own_left(d)[:, :, None])[:, :, 0]

    def rows(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Return the weak rows of candidates, shape (W, usable nodes, P)."""
        return self._without_effects(self.own_rows(candidates))

    def own_left(self, d: int) -> np.ndarray:
        """Return the left-hand sides of variable d with the effects still in them."""
        return -self.tests.derivative @ self.grid[:, self.usable, d]

    def own_rows(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Return the weak rows of candidates with the effects still in them."""
        columns = evaluate(candidates, self.states(), self.graph)
        if len(self.usable) < columns.shape[2]:
            columns = columns[:, :, self.usable]
        return np.moveaxis(self.tests.value @ columns, 0, -1)

    def with_states(self, states: np.ndarray) -> Sample:
        """Return the sample of other readings (T, N, D), for the same nodes and effects."""
        again = prepare(self.observed.with_states(states), self.graph)
        return replace(again, usable=self.usable, effects=self.effects, known=self.known)

    def with_nodes(self, nodes: np.ndarray) -> Sample:
        """Return the sample that learns on some of its usable nodes only (numbers of nodes)."""
        return replace(self, usable=nodes)

    def with_effects(self, effects: tuple[Candidate, ...]) -> Sample:
        """Return the sample with other terms projected out."""
        return replace(self, effects=effects)

    def without_effects_of(self, node: int, rows: np.ndarray) -> np.ndarray:
        """Return rows (W, P) of one node without what its own effect columns explain."""
        return self.with_nodes(np.array([node]))._without_effects(rows[:, None, :])[:, 0]

    def _without_effects(self, rows: np.ndarray) -> np.ndarray:
        """Return rows (W, n, P) without what the node's own effect columns explain."""
        if not self.effects:
            return rows
        own = self.own_rows(self.effects).transpose(1, 0, 2)
        length = np.linalg.norm(own, axis=1, keepdims=True)
        own = own / np.where(length > 0, length, 1.0)
        left, values, _ = np.linalg.svd(own, full_matrices=False)
        # Effects that are the same function on a node (it stands still) are one.
        left = left * (values > 1e-8 * values.max(axis=1, keepdims=True, initial=1e-300))[:, None]
        by_node = rows.transpose(1, 0, 2)
        by_node = by_node - left @ (left.transpose(0, 2, 1) @ by_node)
        return by_node.transpose(1, 0, 2)


def prepare(trajectory: Trajectory, graph: Graph) -> Sample:
    """Smooth a trajectory and bring it onto an even grid.

    Raises:
        InputError: there are fewer than 20 times, nothing moves, or every node has itself or a
            neighbour without states.
    """
    times = trajectory.times
    if len(times) < FEWEST_TIMES:
        raise InputError(
            f"{len(times)} times are too few to find a law; at least {FEWEST_TIMES} are needed"
        )
    if trajectory.graph is not graph:
        trajectory = trajectory.with_graph(graph)
    # fmax and fmin pass over missing readings, and a node that has none at all is no matter.
    spread = np.fmax.reduce(trajectory.states) - np.fmin.reduce(trajectory.states)
    scale = np.nanmax(np.abs(trajectory.states))
    if not np.nanmax(spread) > 1e-12 * max(scale, 1e-300):
        raise InputError("nothing moves: all states are constant, so no law can be seen in them")
    smoothed = smooth(times, trajectory.states)
    tests = bumps(times[0], times[-1], len(times))
    even = np.allclose(tests.times, times, rtol=0, atol=1e-9 * (times[-1] - times[0]))
    grid = smoothed.states if even else smoothed.evaluate(tests.times)
    known = ~np.isnan(grid).any(axis=(0, 2))
    unseen_neighbours = graph.adjacency.astype(bool).astype(float) @ (~known).astype(float)
    usable = np.flatnonzero(known & (unseen_neighbours == 0))
    if not usable.size:
        raise InputError("every node, or one of its neighbours, has no states: nothing to learn on")
    return Sample(graph, trajectory, smoothed, grid, tests, usable)


def grams(samples: Sequence[Sample], candidates: Sequence[Candidate]) -> list[NodeGram]:
    """Return one Gram for each variable, every node of equal weight, joined over the samples.

    Candidates that are not finite somewhere on the data get zero columns and so are never chosen.
    """
    joined: list[NodeGram] = []
    for sample in samples:
        rows = sample.rows(candidates)
        rows[:, :, ~np.isfinite(rows).all(axis=(0, 1))] = 0.0
        for d in range(sample.grid.shape[2]):
            gram = node_gram(rows, sample.left(d))
            if len(joined) <= d:
                joined.append(gram)
            else:
                joined[d] = joined[d].joined(gram)
    return [gram.scaled_nodes() for gram in joined]

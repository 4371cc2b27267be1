"""From trajectories to the rows of the weak form, and to their Gram matrices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.candidates import Candidate, evaluate
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
        usable: numbers of the nodes that, with all their neighbours, have states.
    """

    graph: Graph
    observed: Trajectory
    smoothed: Smoothed
    grid: np.ndarray
    tests: TestFunctions
    usable: np.ndarray

    def states(self) -> dict[str, np.ndarray]:
        """Return each variable's series on the grid, shape (M, N)."""
        return {name: self.grid[:, :, d] for d, name in enumerate(self.observed.variables)}

    def left(self, d: int) -> np.ndarray:
        """Return the left-hand sides of variable d, shape (W, usable nodes)."""
        return -self.tests.derivative @ self.grid[:, self.usable, d]

    def rows(self, candidates: Sequence[Candidate]) -> np.ndarray:
        """Return the weak rows of candidates, shape (W, usable nodes, P)."""
        columns = evaluate(candidates, self.states(), self.graph)
        if len(self.usable) < columns.shape[2]:
            columns = columns[:, :, self.usable]
        return np.moveaxis(self.tests.value @ columns, 0, -1)

    def with_states(self, states: np.ndarray) -> Sample:
        """Return the sample of other readings (T, N, D) at the same times."""
        return prepare(self.observed.with_states(states), self.graph)


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

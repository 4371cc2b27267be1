"""Exact stochastic epidemics on a graph, many runs at once, beside the mean field of the same law.

Each run is a realisation of the Markov process whose mean field the equation is (no time step, no
approximation): the next event is found in a priority queue (:mod:`graphtide.spread.kernels`). Runs
are shared among threads; each has its own stream of random numbers, so the result does not depend
on their number.

References:
    Kiss, Miller & Simon, Mathematics of Epidemics on Networks, Springer 2017.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.spread.inputs import STATES, checked_start, outgoing
from graphtide.spread.laws import EpidemicLaw, Rates, law_of, rates_of
from graphtide.trajectory import Trajectory
from graphtide.trajectory.times import checked_times

if TYPE_CHECKING:
    import pandas

    from graphtide.equation import Equation
    from graphtide.graph import Graph

__all__ = ["EpidemicRuns", "Infections", "simulate_epidemic"]


@dataclass(frozen=True, slots=True, eq=False)
class Infections:
    """Who was infected when, in one run; K infections in order of time.

    Attributes:
        node: (K,) numbers of nodes.
        time: (K,) when they were infected; the first time of the run for those that began so.
        infectious: (K,) when they became infectious; infinite where they had not by the last time.
        recovery: (K,) when they recovered; infinite where they had not by the last time.
        source: (K,) the node that infected them, -1 for those that began infected.
    """

    node: np.ndarray
    time: np.ndarray
    infectious: np.ndarray
    recovery: np.ndarray
    source: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class EpidemicRuns:
    """Runs of one epidemic.

    Attributes:
        law: the law.
        times: (T,) at which nodes were counted.
        counts: (runs, T, C) number of nodes in each of the law's C compartments, int64.
        ever_infected: (runs,) number of nodes that were infected at least once, from the start to
            the last time.
        infections: one a run, where they were asked for.
        nodes: share of runs in which each node was in each state, states (T, N, D) of the
            equation's variables, where it was asked for.
    """

    law: EpidemicLaw
    times: np.ndarray
    counts: np.ndarray
    ever_infected: np.ndarray
    infections: tuple[Infections, ...] = ()
    nodes: Trajectory | None = None

    @property
    def mean(self) -> np.ndarray:
        """Mean number of nodes over the runs, shape (T, C)."""
        return self.counts.mean(axis=0)

    def quantiles(self, levels: tuple[float, ...] = (0.05, 0.5, 0.95)) -> np.ndarray:
        """Return quantiles of the number of nodes over the runs, shape (levels, T, C)."""
        return np.quantile(self.counts, levels, axis=0)

    def summary(self) -> pandas.DataFrame:
        """Return a frame: time, then S_mean, S_q05, S_q50, S_q95, and so on for each letter."""
        import pandas

        columns: dict[str, np.ndarray] = {"time": self.times}
        low, middle, high = self.quantiles()
        for c, letter in enumerate(self.law.compartments):
            columns[f"{letter}_mean"] = self.mean[:, c]
            columns[f"{letter}_q05"] = low[:, c]
            columns[f"{letter}_q50"] = middle[:, c]
            columns[f"{letter}_q95"] = high[:, c]
        return pandas.DataFrame(columns)

    def table(self) -> pandas.DataFrame:
        """Return a frame with a row for each run and time: run, time, and a count a compartment."""
        import pandas

        runs, moments, _ = self.counts.shape
        columns: dict[str, np.ndarray] = {
            "run": np.repeat(np.arange(runs), moments),
            "time": np.tile(self.times, runs),
        }
        for c, letter in enumerate(self.law.compartments):
            columns[letter] = self.counts[:, :, c].ravel()
        return pandas.DataFrame(columns)


def simulate_epidemic(
    equation: Equation,
    graph: Graph,
    times: np.ndarray,
    start: np.ndarray,
    *,
    runs: int = 100,
    seed: int = 0,
    infections: bool = False,
    nodes: bool = False,
    threads: int | None = None,
) -> EpidemicRuns:
    """Return runs of the stochastic epidemic whose mean field an equation is.

    Args:
        equation: one of the laws si, sis, sir, seir, each of its parameters with a value.
        graph: the network, N nodes; weights multiply the rate of infection.
        times: (T,) increasing; the start belongs to the first, and runs end at the last.
        start: (N, D), the probability of each state of each node; each run draws its own start.
        runs: number of runs.
        seed: of all runs together.
        infections: keep every infection of every run.
        nodes: keep how often each node was in each state (memory of T x N x 4 counts a thread).
        threads: number of threads; None for one a processor.

    Raises:
        InputError: the equation is no epidemic law, a rate or a weight is negative, the start holds
            no probabilities, times do not increase, or runs is not positive.

    Example:
        >>> from graphtide.graph import Graph
        >>> from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start
        >>> pair = Graph.from_source("path:2")
        >>> sir = EPIDEMIC_LAWS["sir"].equation(beta=1.0, gamma=1.0)
        >>> start = seeded_start(sir, pair, [0])
        >>> result = simulate_epidemic(sir, pair, np.array([0.0, 99.0]), start, runs=4000)
        >>> bool(abs((result.ever_infected == 2).mean() - 0.5) < 0.04)
        True
    """
    law, rates = law_of(equation), rates_of(equation)
    when = checked_times(times)
    chance = checked_start(start, graph, equation)
    if runs < 1:
        raise InputError(f"{runs} runs were asked for; at least 1 was expected")
    work = _Reinfection if law.reinfection else _Once
    simulator = work(graph, rates, when)
    streams = np.random.default_rng(seed).spawn(runs)
    workers = max(1, min(runs, threads or os.cpu_count() or 1))
    shares = [range(k, runs, workers) for k in range(workers)]

    def several(numbers: range) -> tuple[list[_OneRun], np.ndarray]:
        total = simulator.empty_total() if nodes else np.zeros((0, 0, 1), np.int32)
        found = []
        for number in numbers:
            stream = streams[number]
            state = _drawn(chance, stream)
            found.append(simulator.run(state, stream, total, keep=infections))
        return found, total

    with ThreadPoolExecutor(workers) as pool:
        parts = list(pool.map(several, shares))
    ordered: list[_OneRun] = [parts[k % workers][0][k // workers] for k in range(runs)]
    letters = [STATES.index(letter) for letter in law.compartments]
    return EpidemicRuns(
        law,
        when,
        np.stack([one.counts[:, letters] for one in ordered]),
        np.array([one.ever_infected for one in ordered]),
        tuple(one.infections for one in ordered if one.infections is not None),
        _node_states(parts, runs, when, equation, graph) if nodes else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class _OneRun:
    counts: np.ndarray  # (T, 4)
    ever_infected: int
    infections: Infections | None


class _Once:
    """Runs in which nobody is infected twice."""

    def __init__(self, graph: Graph, rates: Rates, times: np.ndarray) -> None:
        self.network = outgoing(graph)
        self.rates = (rates.infection, rates.incubation, rates.recovery)
        self.times = times

    def empty_total(self) -> np.ndarray:
        return np.zeros((len(self.times), len(self.network[0]) - 1, 4), np.int32)

    def run(
        self, state: np.ndarray, stream: np.random.Generator, total: np.ndarray, *, keep: bool
    ) -> _OneRun:
        from graphtide.spread import kernels

        span = (float(self.times[0]), float(self.times[-1]))
        infected, infectious, recovered, source = kernels.once(
            self.network, self.rates, state, span, stream
        )
        if total.size:
            kernels.occupancy(self.times, infected, infectious, recovered, total)
        counts = kernels.state_counts(self.times, infected, infectious, recovered)
        ever = int((infected < np.inf).sum()) - int((infected == -np.inf).sum())
        kept = None
        if keep:
            order = np.argsort(infected, kind="stable")
            order = order[np.isfinite(infected[order])]
            begun, ended = (
                np.where(moment > span[1], np.inf, moment)[order]
                for moment in (infectious, recovered)
            )
            kept = Infections(order, infected[order], begun, ended, source[order].astype(np.int64))
        return _OneRun(counts, ever, kept)


class _Reinfection:
    """Runs in which the recovered are susceptible again."""

    def __init__(self, graph: Graph, rates: Rates, times: np.ndarray) -> None:
        pointers, targets, weights = outgoing(graph)
        running = np.cumsum(weights)
        before = np.concatenate([[0.0], running])[pointers[:-1]]
        self.network = (pointers, targets, running - np.repeat(before, np.diff(pointers)))
        self.rates = (rates.infection, rates.recovery)
        self.times = times

    def empty_total(self) -> np.ndarray:
        return np.zeros((len(self.times), len(self.network[0]) - 1, 1), np.int32)

    def run(
        self, state: np.ndarray, stream: np.random.Generator, total: np.ndarray, *, keep: bool
    ) -> _OneRun:
        from graphtide.spread import kernels

        infected, node, time, recovery, source = kernels.with_reinfection(
            self.network, self.rates, state, self.times, stream, total[:, :, 0]
        )
        counts = np.zeros((len(self.times), 4), np.int64)
        counts[:, 2] = infected
        counts[:, 0] = len(state) - infected
        kept = None
        if keep:
            ended = np.where(recovery > self.times[-1], np.inf, recovery)
            kept = Infections(node.astype(np.int64), time, time, ended, source.astype(np.int64))
        return _OneRun(counts, len(np.unique(node)), kept)


def _drawn(chance: np.ndarray, stream: np.random.Generator) -> np.ndarray:
    """Return a state 0..3 of each node, shape (N,), int8, drawn from its probabilities (N, 4)."""
    bounds = np.cumsum(chance[:, :3], axis=1)
    return (stream.random((len(chance), 1)) >= bounds).sum(axis=1).astype(np.int8)


def _node_states(
    parts: list[tuple[list[_OneRun], np.ndarray]],
    runs: int,
    times: np.ndarray,
    equation: Equation,
    graph: Graph,
) -> Trajectory:
    total = sum(part[1] for part in parts) / runs  # (T, N, 4), or (T, N, 1) with reinfection
    assert isinstance(total, np.ndarray)
    if len(equation.variables) == 1:
        states = total[:, :, 2:3] if total.shape[2] == 4 else total
    else:
        states = total[:, :, [STATES.index(letter) for letter in equation.variables]]
    return Trajectory(times, states, equation.variables, graph.names, graph)

"""Series that are known beside the states: external inputs u(t), and the states' own past.

An input acts on all nodes alike or on each by its own series. A delayed state x(t - tau) is a known
series too, once the readings are smoothed: the law is then learned on times from tau on. Names: an
input has the name of its column; the delayed state of x is x_lag (x_lag_j for a neighbour).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphtide.equation.grammar import check_name
from graphtide.errors import InputError
from graphtide.files import read_table
from graphtide.mechanisms.candidates import Candidate
from graphtide.mechanisms.user_terms import term_of
from graphtide.trajectory import Trajectory
from graphtide.weakform.smoothing import Smoothed

__all__ = ["KnownSeries", "delayed", "delayed_terms", "input_terms", "read_inputs"]


@dataclass(frozen=True, slots=True, eq=False)
class KnownSeries:
    """A series that is known at all times.

    Attributes:
        name: its name in terms.
        times: shape (T,), increasing.
        values: shape (T, N), or (T, 1) for all nodes alike; straight between times.
        delay: how far in the past a state is read; 0 for an input.
    """

    name: str
    times: np.ndarray
    values: np.ndarray
    delay: float = 0.0

    def at(self, times: np.ndarray, count: int) -> np.ndarray:
        """Return the series at times within its range, shape (len(times), count)."""
        place = np.clip(
            np.searchsorted(self.times, times, side="right") - 1, 0, len(self.times) - 2
        )
        share = (times - self.times[place]) / (self.times[place + 1] - self.times[place])
        share = share[:, None]
        found = (1.0 - share) * self.values[place] + share * self.values[place + 1]
        return np.broadcast_to(found, (len(times), count))


def delayed(smoothed: Smoothed, variables: Sequence[str], delay: float) -> list[KnownSeries]:
    """Return the smoothed states a time ``delay`` ago, one series a variable.

    The series are read off on a grid ten times as fine as the readings.
    """
    fine = np.linspace(smoothed.times[0], smoothed.times[-1], 10 * len(smoothed.times))
    states = smoothed.evaluate(fine)
    return [
        KnownSeries(f"{name}_lag", fine + delay, states[:, :, d], delay)
        for d, name in enumerate(variables)
    ]


def read_inputs(path: str | Path, trajectory: Trajectory) -> list[KnownSeries]:
    """Return the inputs of a file, in the order of a trajectory's nodes.

    Args:
        path: CSV with time,u[,v...] for all nodes alike, or time,node,u[,v...] for each.
        trajectory: the states that the inputs act on.

    Raises:
        InputError: the file is no such table, a name is taken, a reading or a node is missing, or
            its times do not cover the states'.
    """
    frame = read_table(path)
    each = len(frame.columns) > 1 and frame.columns[1] == "node"
    read = Trajectory.from_pandas(frame) if not each else Trajectory.read(path)
    names = read.variables if each else read.names
    for name in names:
        try:
            check_name(name, "input")
        except InputError as error:
            raise InputError(f"{path}: {error}") from None
        if name in trajectory.variables:
            raise InputError(f"{path}: '{name}' names an input and a variable of the states")
    if read.times[0] > trajectory.times[0] or read.times[-1] < trajectory.times[-1]:
        raise InputError(
            f"{path}: inputs are known from {read.times[0]:g} to {read.times[-1]:g}, the states "
            f"from {trajectory.times[0]:g} to {trajectory.times[-1]:g}; all of that was expected"
        )
    if len(read.times) < 2:
        raise InputError(f"{path}: at least two times were expected")
    if np.isnan(read.states).any():
        k = int(np.argwhere(np.isnan(read.states))[0][0])
        raise InputError(f"{path}: an input has no value at time {read.times[k]:g}")
    if not each:
        return [
            KnownSeries(name, read.times, read.states[:, [k], 0]) for k, name in enumerate(names)
        ]
    place = {name: k for k, name in enumerate(read.names)}
    lost = [name for name in trajectory.names if name not in place]
    if lost:
        raise InputError(f"{path}: node '{lost[0]}' of the states has no input")
    order = [place[name] for name in trajectory.names]
    return [KnownSeries(name, read.times, read.states[:, order, d]) for d, name in enumerate(names)]


def input_terms(variables: Sequence[str], inputs: Sequence[str]) -> list[Candidate]:
    """Return the candidates that inputs add: each, its square, and its product with each state."""
    names = (*variables, *inputs)
    texts = [t for u in inputs for t in (u, f"{u}^2", *(f"{x}*{u}" for x in variables))]
    return [term_of(text, names) for text in texts]


def delayed_terms(variables: Sequence[str]) -> list[Candidate]:
    """Return the candidates that delayed states add, of the node's own and of its neighbours'."""
    names = (*variables, *(f"{x}_lag" for x in variables))
    texts = []
    for x in variables:
        lag = f"{x}_lag"
        texts += [lag, f"{lag}^2", f"{x}*{lag}", f"hill({lag}, 2)", f"tanh({lag})", f"sin({lag})"]
        texts += [
            f"sum_j A_ij*({body})"
            for body in (
                f"{lag}_j",
                f"{lag}_j - {x}_i",
                f"{x}_i*{lag}_j",
                f"sin({lag}_j - {x}_i)",
                f"hill({lag}_j, 2)",
                f"tanh({lag}_j)",
            )
        ]
    return [term_of(text, names) for text in texts]

"""The noun Trajectory: states of N nodes in D variables at T times, some readings perhaps missing.

``states[k, i, d]`` is variable d of node i at ``times[k]``; a missing reading is NaN.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from graphtide.errors import InputError
from graphtide.graph import Graph

if TYPE_CHECKING:
    import pandas
    import xarray

__all__ = ["Trajectory"]


@dataclass(frozen=True, slots=True, eq=False)
class Trajectory:
    """States of nodes through time; every array is read-only.

    Args:
        times: shape (T,), float64, strictly increasing.
        states: shape (T, N, D), float64; (T, N) is taken as one variable. NaN where missing.
        variables: D names; "x" for one variable, "x1", "x2", ... for more where not given.
        names: N names of nodes; the graph's, or "0", "1", ... where not given.
        graph: the network, with the same nodes in the same order; may be unknown.
        units: unit of a variable, or of "time", by name.

    Raises:
        InputError: a shape is wrong, the times do not increase, a state is infinite, or names stand
            twice or differ from the graph's.
    """

    times: np.ndarray
    states: np.ndarray
    variables: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    graph: Graph | None = None
    units: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Check shapes and order, then make the arrays read-only."""
        times = np.array(self.times, dtype=np.float64)
        states = np.array(self.states, dtype=np.float64)
        if states.ndim == 2:
            states = states[:, :, None]
        if times.ndim != 1 or states.ndim != 3 or len(times) != len(states):
            raise InputError(
                f"times of shape {times.shape} and states of shape {states.shape} do not go "
                "together; (T,) and (T, N, D) were expected"
            )
        if not np.isfinite(times).all():
            raise InputError("times must be finite numbers")
        back = np.flatnonzero(np.diff(times) <= 0)
        if back.size:
            k = int(back[0])
            raise InputError(
                f"times must increase, but time {k + 1} is {times[k + 1]:g} after {times[k]:g}"
            )
        if np.isinf(states).any():
            k, i, d = (int(place[0]) for place in np.nonzero(np.isinf(states)))
            raise InputError(f"the state at time {times[k]:g}, node {i}, variable {d} is infinite")
        _, node_count, variable_count = states.shape
        plain = ("x",) if variable_count == 1 else tuple(f"x{d + 1}" for d in range(variable_count))
        variables = tuple(self.variables) or plain
        names = tuple(self.names)
        if not names:
            names = self.graph.names if self.graph else tuple(map(str, range(node_count)))
        for words, given, count in (
            ("variables", variables, variable_count),
            ("names of nodes", names, node_count),
        ):
            if len(given) != count:
                raise InputError(f"{len(given)} {words} were given for states of {count}")
            if len(set(given)) != count:
                raise InputError(f"the {words} are not all different")
        if self.graph is not None and self.graph.names != names:
            raise InputError(
                f"the states' {node_count} nodes are not the graph's {self.graph.node_count} in "
                "the same order; with_graph brings them into it"
            )
        times.flags.writeable = False
        states.flags.writeable = False
        object.__setattr__(self, "times", times)
        object.__setattr__(self, "states", states)
        object.__setattr__(self, "variables", variables)
        object.__setattr__(self, "names", names)
        object.__setattr__(self, "units", types.MappingProxyType(dict(self.units)))

    @property
    def mask(self) -> np.ndarray:
        """Whether each reading was observed, shape (T, N, D), bool."""
        return ~np.isnan(self.states)

    @property
    def observed_nodes(self) -> np.ndarray:
        """Numbers of the nodes with at least one reading, int64."""
        return np.flatnonzero(self.mask.any(axis=(0, 2)))

    def at(self, k: int) -> np.ndarray:
        """Return the states at the k-th time, shape (N, D)."""
        return self.states[k]

    def select(self, times: slice | np.ndarray) -> Trajectory:
        """Return the trajectory at some of its times: a slice, a boolean mask or sorted numbers."""
        return replace(self, times=self.times[times], states=self.states[times])

    def with_states(self, states: np.ndarray, times: np.ndarray | None = None) -> Trajectory:
        """Return other states (T, N, D) of the same nodes, at the same or other times."""
        return replace(self, states=states, times=self.times if times is None else times)

    def with_graph(self, graph: Graph) -> Trajectory:
        """Return the states in the order of a graph's nodes; nodes without states are NaN.

        Raises:
            InputError: a node of the states is not one of the graph's, or none is shared.
        """
        if self.names == graph.names:
            return replace(self, graph=graph)
        known = dict(zip(graph.names, range(graph.node_count), strict=True))
        unknown = [name for name in self.names if name not in known]
        if len(unknown) == len(self.names):
            raise InputError(
                "the graph and the states share no node: the states have "
                f"'{self.names[0]}', the graph has '{graph.names[0] if graph.names else ''}'"
            )
        if unknown:
            raise InputError(
                f"'{unknown[0]}' of the states is not a node of the graph; "
                f"{graph.node_count} nodes are known"
            )
        shape = (len(self.times), graph.node_count, len(self.variables))
        states = np.full(shape, np.nan)
        states[:, [known[name] for name in self.names]] = self.states
        return replace(self, states=states, names=graph.names, graph=graph)

    @staticmethod
    def read(path: str | Path, *, graph: Graph | None = None) -> Trajectory:
        """Read states from CSV (wide or long), npz or NetCDF.

        See :func:`graphtide.trajectory.files.read_trajectory`.
        """
        from graphtide.trajectory.files import read_trajectory

        return read_trajectory(path, graph=graph)

    def write(self, path: str | Path) -> None:
        """Write the states; the extension tells the format.

        See :func:`graphtide.trajectory.files.write_trajectory`.
        """
        from graphtide.trajectory.files import write_trajectory

        write_trajectory(self, path)

    def to_pandas(self, form: Literal["wide", "long"] | None = None) -> pandas.DataFrame:
        """Return a frame: wide (time and a column a node) for one variable, else long.

        Long rows are (time, node, one column a variable); rows without any reading are left out.

        Raises:
            InputError: the wide form is asked for more than one variable.
        """
        import pandas

        if form is None:
            form = "wide" if len(self.variables) == 1 else "long"
        if form == "wide":
            if len(self.variables) != 1:
                raise InputError(f"the wide form holds one variable, not {len(self.variables)}")
            columns = dict(zip(self.names, self.states[:, :, 0].T, strict=True))
            return pandas.DataFrame({"time": self.times, **columns})
        node_count = len(self.names)
        frame = pandas.DataFrame(
            {
                "time": np.repeat(self.times, node_count),
                "node": np.tile(np.array(self.names, dtype=object), len(self.times)),
            }
        )
        values = self.states.reshape(-1, len(self.variables))
        for d, variable in enumerate(self.variables):
            frame[variable] = values[:, d]
        kept = np.flatnonzero(~np.isnan(values).all(axis=1))
        return frame.take(kept).reset_index(drop=True)

    @staticmethod
    def from_pandas(frame: pandas.DataFrame, *, graph: Graph | None = None) -> Trajectory:
        """Return the trajectory of a wide or long frame of numbers (see :meth:`to_pandas`)."""
        from graphtide.trajectory.files import from_frame

        return from_frame(frame, source="the frame", graph=graph)

    def to_xarray(self) -> xarray.Dataset:
        """Return a Dataset with dimensions time and node and one data variable a variable."""
        from graphtide.trajectory.files import to_xarray

        return to_xarray(self)

    @staticmethod
    def from_xarray(dataset: xarray.Dataset, *, graph: Graph | None = None) -> Trajectory:
        """Return the trajectory of a Dataset with dimensions time and node."""
        from graphtide.trajectory.files import from_xarray

        return from_xarray(dataset, source="the dataset", graph=graph)

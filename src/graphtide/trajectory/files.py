"""States of nodes in files: CSV wide or long, npz, NetCDF; starts; and texts that name times.

Wide CSV: ``time,node1,node2,...`` holds one variable. Long CSV: ``time,node,x,y,...``, its second
column called node, holds any number; rows may come in any order and readings may be missing.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table, read_text, write_bytes, write_table
from graphtide.graph import Graph
from graphtide.trajectory.trajectory import Trajectory

if TYPE_CHECKING:
    import pandas
    import xarray

__all__ = [
    "from_frame",
    "from_xarray",
    "parse_times",
    "read_start",
    "read_trajectory",
    "to_xarray",
    "write_trajectory",
]


def read_trajectory(path: str | Path, *, graph: Graph | None = None) -> Trajectory:
    """Return the states of a file; the extension tells the format, anything unknown is read as CSV.

    Args:
        path: ``.csv`` (or ``.csv.gz``), ``.npz`` or ``.nc``.
        graph: the network; columns are brought into the order of its nodes, nodes without states
            become NaN.

    Raises:
        InputError: the file is missing, empty, binary or malformed; times do not increase; a node
            is unknown to the graph, or none is shared.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix == ".npz":
        trajectory = _read_npz(path)
    elif suffix in {".nc", ".netcdf"}:
        trajectory = _read_netcdf(path)
    else:
        trajectory = from_frame(read_table(path), source=path)
    if graph is None:
        return trajectory
    try:
        return trajectory.with_graph(graph)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def write_trajectory(trajectory: Trajectory, path: str | Path) -> None:
    """Write states: CSV wide for one variable and long for more, npz, or NetCDF.

    Raises:
        InputError: the extension is unknown, or NetCDF is asked for without the extra ``xarray``.
    """
    path = Path(path)
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes[-1:] == [".npz"]:
        stream = io.BytesIO()
        np.savez_compressed(
            stream,
            allow_pickle=False,
            times=trajectory.times,
            states=trajectory.states,
            variables=np.array(trajectory.variables, dtype=str),
            names=np.array(trajectory.names, dtype=str),
            units=np.array(json.dumps(dict(trajectory.units))),
        )
        write_bytes(path, stream.getvalue())
    elif suffixes[-1:] in ([".nc"], [".netcdf"]):
        write_bytes(path, bytes(to_xarray(trajectory).to_netcdf(engine="scipy")))
    elif suffixes[-1:] == [".csv"] or suffixes[-2:] == [".csv", ".gz"]:
        write_table(path, trajectory.to_pandas())
    else:
        raise InputError(f"{path}: states are written as .csv, .csv.gz, .npz or .nc")


def from_frame(
    frame: pandas.DataFrame, *, source: str | Path, graph: Graph | None = None
) -> Trajectory:
    """Return the trajectory of a frame of text cells or numbers, wide or long.

    Raises:
        InputError: as :func:`read_trajectory`, naming row and column.
    """
    columns = list(map(str, frame.columns))
    if columns[0] != "time":
        raise InputError(
            f"{source}: the first column is '{columns[0]}'; time was expected, as in "
            "time,node1,node2,... or time,node,x,y,..."
        )
    if len(columns) < 2:
        raise InputError(f"{source}: there is no column of states beside the time")
    is_text = all(isinstance(cell, str) for cell in frame.iloc[0])
    text = frame if is_text else frame.astype(object).map(_cell)
    time = numeric_column(text, "time", source=source)
    missing = np.flatnonzero(np.isnan(time))
    if missing.size:
        raise InputError(f"{source}, row {frame.index[missing[0]]}: the time is missing")
    build = _from_long if columns[1] == "node" else _from_wide
    trajectory = build(text, time, source)
    return trajectory if graph is None else trajectory.with_graph(graph)


def _cell(value: float | str) -> str:
    """Return a cell as text; what pandas counts as missing is empty."""
    import pandas

    return "" if pandas.isna(value) else str(value)


def _from_wide(frame: pandas.DataFrame, time: np.ndarray, source: str | Path) -> Trajectory:
    back = np.flatnonzero(np.diff(time) <= 0)
    if back.size:
        k = int(back[0])
        raise InputError(
            f"{source}, row {frame.index[k + 1]}: time {time[k + 1]:g} follows {time[k]:g}; times "
            "must increase"
        )
    names = tuple(map(str, frame.columns[1:]))
    states = np.stack([numeric_column(frame, name, source=source) for name in names], axis=1)
    return Trajectory(time, states, names=names)


def _from_long(frame: pandas.DataFrame, time: np.ndarray, source: str | Path) -> Trajectory:
    import pandas

    variables = tuple(map(str, frame.columns[2:]))
    if not variables:
        raise InputError(f"{source}: there is no column of states beside time and node")
    unnamed = np.flatnonzero(frame["node"].to_numpy() == "")
    if unnamed.size:
        raise InputError(f"{source}, row {frame.index[unnamed[0]]}: the node has no name")
    times, at_time = np.unique(time, return_inverse=True)
    at_node, names = pandas.factorize(frame["node"])
    place = at_time * len(names) + at_node
    _, first, inverse = np.unique(place, return_index=True, return_inverse=True)
    again = np.flatnonzero(first[inverse] != np.arange(len(place)))
    if again.size:
        k = int(again[0])
        raise InputError(
            f"{source}, row {frame.index[k]}: node '{names[at_node[k]]}' at time {time[k]:g} "
            f"stands already in row {frame.index[first[inverse[k]]]}"
        )
    states = np.full((len(times), len(names), len(variables)), np.nan)
    for d, variable in enumerate(variables):
        states[at_time, at_node, d] = numeric_column(frame, variable, source=source)
    return Trajectory(times, states, variables=variables, names=tuple(map(str, names)))


def _read_npz(path: Path) -> Trajectory:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a sound npz file: {error}") from None
    for key in ("times", "states"):
        if key not in arrays:
            raise InputError(f"{path}: '{key}' is missing; the file is no npz of states")
    try:
        return Trajectory(
            arrays["times"],
            arrays["states"],
            variables=tuple(arrays["variables"].tolist()) if "variables" in arrays else (),
            names=tuple(arrays["names"].tolist()) if "names" in arrays else (),
            units=json.loads(str(arrays["units"])) if "units" in arrays else {},
        )
    except (InputError, TypeError, ValueError) as error:
        raise InputError(f"{path}: {error}") from None


def _read_netcdf(path: Path) -> Trajectory:
    xarray = _xarray()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with xarray.open_dataset(path) as dataset:
            return from_xarray(dataset.load(), source=path)
    except (ValueError, OSError, TypeError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path} is not a readable NetCDF file: {error}") from None


def to_xarray(trajectory: Trajectory) -> xarray.Dataset:
    """Return a Dataset with dimensions time and node and one data variable a variable.

    Raises:
        InputError: the extra ``xarray`` is not installed.
    """
    units = trajectory.units
    dataset = _xarray().Dataset(
        {
            variable: (("time", "node"), trajectory.states[:, :, d])
            for d, variable in enumerate(trajectory.variables)
        },
        coords={"time": trajectory.times, "node": list(trajectory.names)},
    )
    for name in (*trajectory.variables, "time"):
        if name in units:
            dataset[name].attrs["unit"] = units[name]
    return dataset


def from_xarray(
    dataset: xarray.Dataset, *, source: str | Path, graph: Graph | None = None
) -> Trajectory:
    """Return the trajectory of a Dataset with dimensions time and node.

    Raises:
        InputError: a dimension is missing, or no variable runs over both.
    """
    for dimension in ("time", "node"):
        if dimension not in dataset.coords:
            raise InputError(f"{source}: the coordinate '{dimension}' is missing")
    found = [name for name in dataset.data_vars if set(dataset[name].dims) == {"time", "node"}]
    if not found:
        raise InputError(f"{source}: no variable runs over time and node")
    values = [dataset[name].transpose("time", "node").to_numpy() for name in found]
    units = {
        str(name): str(dataset[name].attrs["unit"])
        for name in (*found, "time")
        if "unit" in dataset[name].attrs
    }
    trajectory = Trajectory(
        dataset["time"].to_numpy(),
        np.stack(values, axis=-1),
        variables=tuple(map(str, found)),
        names=tuple(map(str, dataset["node"].to_numpy())),
        units=units,
    )
    return trajectory if graph is None else trajectory.with_graph(graph)


def _xarray():  # noqa: ANN202 - a module
    try:
        import xarray
    except ImportError:
        raise InputError("NetCDF needs xarray: pip install 'graphtide[xarray]'") from None
    return xarray


def read_start(path: str | Path, graph: Graph, variables: tuple[str, ...]) -> np.ndarray:
    """Return the states at the first time from a CSV file ``node,x[,y...]``, shape (N, D).

    Raises:
        InputError: a column or node is missing, unknown or doubled, or a state is missing.
    """
    frame = read_table(path)
    if "node" not in frame.columns:
        raise InputError(f"{path}: column 'node' is missing; node,{','.join(variables)} is wanted")
    start = np.full((graph.node_count, len(variables)), np.nan)
    values = [numeric_column(frame, variable, source=path) for variable in variables]
    seen: dict[str, int] = {}
    for k, name in enumerate(frame["node"]):
        row = frame.index[k]
        if name in seen:
            raise InputError(f"{path}, row {row}: node '{name}' stands already in row {seen[name]}")
        seen[name] = row
        try:
            start[graph.index(name)] = [column[k] for column in values]
        except InputError as error:
            raise InputError(f"{path}, row {row}: {error}") from None
    missing = np.argwhere(np.isnan(start))
    if missing.size:
        i, d = missing[0]
        raise InputError(f"{path}: node '{graph.names[i]}' has no value of {variables[d]}")
    return start


def parse_times(text: str) -> np.ndarray:
    """Return the times that a text names, float64: START:STOP:COUNT, or a file, one time a line.

    Example:
        >>> parse_times("0:1:5").tolist()
        [0.0, 0.25, 0.5, 0.75, 1.0]

    Raises:
        InputError: the text is neither, a number is impossible, or the times do not increase.
    """
    parts = text.split(":")
    if len(parts) == 3:
        try:
            start, stop, count = float(parts[0]), float(parts[1]), int(parts[2])
        except ValueError:
            raise InputError(f"times '{text}': START:STOP:COUNT needs three numbers") from None
        if not (np.isfinite(start) and np.isfinite(stop) and stop > start and count >= 2):
            raise InputError(f"times '{text}': STOP must lie after START and COUNT be at least 2")
        return np.linspace(start, stop, count)
    if not Path(text).exists():
        raise InputError(f"times '{text}' are neither START:STOP:COUNT nor a file")
    times: list[float] = []
    for number, line in enumerate(read_text(text).splitlines(), start=1):
        entry = line.strip()
        if not entry or (number == 1 and entry == "time"):
            continue
        try:
            time = float(entry)
        except ValueError:
            raise InputError(f"{text}, line {number}: '{entry}' is not a time") from None
        if not np.isfinite(time) or (times and time <= times[-1]):
            raise InputError(f"{text}, line {number}: times must be finite and increase")
        times.append(time)
    return np.array(times)

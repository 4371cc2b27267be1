"""The noun Run: a folder that holds what a command made, beside how it was made.

``config.json`` is written first: kind, configuration, seed, versions, time of creation; then
metrics.json, tensors (safetensors), tables (CSV), graphs and trajectories (npz), and report.html
last. Every file is written atomically, so an interruption leaves the last good state.
"""

from __future__ import annotations

import importlib.metadata
import json
import math
import platform
import shutil
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.files import read_text, write_bytes, write_table, write_text
from graphtide.version import __version__

if TYPE_CHECKING:
    import pandas

    from graphtide.graph import Graph
    from graphtide.trajectory import Trajectory

__all__ = ["FORMAT_VERSION", "Run"]

FORMAT_VERSION = 1
"""Version of the layout of a run's folder."""

_PACKAGES = ("torch", "numpy", "scipy", "networkx", "sympy", "numba")


@dataclass(frozen=True, slots=True)
class Run:
    """A folder with config.json; made by :meth:`create`, opened by :meth:`open`."""

    path: Path
    kind: str
    configuration: Mapping[str, object]

    @staticmethod
    def check_target(path: str | Path) -> None:
        """Raise unless a run may be written there, so that work does not begin in vain.

        Raises:
            InputError: the path is a file, or a folder that holds other things than a run.
        """
        path = Path(path)
        if path.exists() and not path.is_dir():
            raise InputError(f"{path} is a file; a folder for the run was expected")
        if path.is_dir() and any(path.iterdir()) and not (path / "config.json").is_file():
            raise InputError(
                f"{path} holds other things than a run; choose a new folder, or empty this one"
            )

    @staticmethod
    def create(path: str | Path, *, kind: str, configuration: Mapping[str, object]) -> Run:
        """Make the folder and write config.json; a run that was there is replaced.

        Args:
            path: the folder.
            kind: the command, such as "dynamics fit".
            configuration: arguments of the command, with the hashes of its input files.

        Raises:
            InputError: as :meth:`check_target`, or the folder cannot be written.
        """
        path = Path(path)
        Run.check_target(path)
        if (path / "config.json").is_file():
            Run.open(path)  # never remove a folder whose config.json is not ours
            shutil.rmtree(path)
        run = Run(path, kind, dict(configuration))
        run.write_json(
            "config.json",
            {
                "format_version": FORMAT_VERSION,
                "kind": kind,
                "configuration": dict(configuration),
                "graphtide": __version__,
                "python": platform.python_version(),
                "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
            },
        )
        return run

    @staticmethod
    def open(path: str | Path, *, kind: str | None = None) -> Run:
        """Open the folder of a run.

        Args:
            path: the folder.
            kind: the kind that is needed; None takes any.

        Raises:
            InputError: the folder is missing or no run, its format is unknown, or it is of another
                kind.
        """
        path = Path(path)
        if not path.is_dir():
            raise InputError(f"{path}: there is no such folder")
        if not (path / "config.json").is_file():
            raise InputError(f"{path} is not a run: it holds no config.json")
        config = _parse_json(path / "config.json")
        if not (isinstance(config, dict) and isinstance(config.get("kind"), str)):
            raise InputError(f"{path} is not a run: its config.json names no kind")
        version = config.get("format_version")
        if version != FORMAT_VERSION:
            raise InputError(
                f"{path} has format version {version}; this graphtide reads {FORMAT_VERSION}"
            )
        if kind is not None and config["kind"] != kind:
            raise InputError(f"{path} is a run of '{config['kind']}'; '{kind}' was expected")
        return Run(path, config["kind"], config.get("configuration", {}))

    def sub(self, name: str, *, kind: str, configuration: Mapping[str, object]) -> Run:
        """Create a run in a folder within this one."""
        return Run.create(self.path / name, kind=kind, configuration=configuration)

    def write_json(self, name: str, content: object) -> None:
        """Write a JSON file; numbers that are not finite become null, arrays become lists."""
        text = json.dumps(_plain(content), ensure_ascii=False, indent=2)
        write_text(self.path / name, text + "\n")

    def read_json(self, name: str) -> object:
        """Read a JSON file of the run.

        Raises:
            InputError: the file is missing or damaged.
        """
        return _parse_json(self.path / name)

    def write_metrics(self, metrics: Mapping[str, object]) -> None:
        """Write metrics.json."""
        self.write_json("metrics.json", metrics)

    def read_metrics(self) -> dict[str, object]:
        """Return metrics.json, or nothing where the run wrote none."""
        if not (self.path / "metrics.json").is_file():
            return {}
        metrics = self.read_json("metrics.json")
        if not isinstance(metrics, dict):
            raise InputError(f"{self.path / 'metrics.json'} holds no metrics by name")
        return metrics

    def write_table(self, name: str, frame: pandas.DataFrame) -> None:
        """Write a table as ``name.csv``."""
        write_table(self.path / f"{name}.csv", frame)

    def read_table(self, name: str) -> pandas.DataFrame:
        """Return the table ``name.csv``, columns of numbers as numbers.

        Raises:
            InputError: the file is missing.
        """
        import io

        import pandas

        return pandas.read_csv(io.StringIO(read_text(self.path / f"{name}.csv")))

    def write_tensors(self, name: str, tensors: Mapping[str, np.ndarray]) -> None:
        """Write named arrays as ``name.safetensors``."""
        from safetensors.numpy import save

        arrays = {key: np.asarray(value, order="C") for key, value in tensors.items()}
        write_bytes(self.path / f"{name}.safetensors", save(arrays))

    def read_tensors(self, name: str) -> dict[str, np.ndarray]:
        """Return the arrays of ``name.safetensors``.

        Raises:
            InputError: the file is missing or damaged.
        """
        from safetensors import SafetensorError
        from safetensors.numpy import load

        path = self.path / f"{name}.safetensors"
        if not path.is_file():
            raise InputError(f"{path}: there is no such file")
        try:
            return load(path.read_bytes())
        except (SafetensorError, struct.error, ValueError, KeyError) as error:
            raise InputError(f"{path} is damaged: {error}") from None

    def write_graph(self, graph: Graph) -> None:
        """Write the run's network as graph.npz."""
        graph.write(self.path / "graph.npz")

    def read_graph(self) -> Graph:
        """Return the run's network."""
        from graphtide.graph import Graph

        return Graph.read(self.path / "graph.npz")

    def write_trajectory(self, name: str, trajectory: Trajectory) -> None:
        """Write a trajectory as ``name.npz``."""
        trajectory.write(self.path / f"{name}.npz")

    def read_trajectory(self, name: str) -> Trajectory:
        """Return the trajectory ``name.npz``, on the run's network where it has one."""
        from graphtide.trajectory import Trajectory

        trajectory = Trajectory.read(self.path / f"{name}.npz")
        if not (self.path / "graph.npz").is_file():
            return trajectory
        return trajectory.with_graph(self.read_graph())


def _parse_json(path: Path) -> object:
    try:
        return json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"{path}, line {error.lineno}: not JSON: {error.msg}") from None


def _plain(content: object) -> object:
    """Return content that JSON can hold."""
    if isinstance(content, Mapping):
        return {str(key): _plain(value) for key, value in content.items()}
    if isinstance(content, np.ndarray):
        return _plain(content.tolist())
    if isinstance(content, list | tuple | set | frozenset):
        return [_plain(value) for value in content]
    if isinstance(content, np.generic):
        return _plain(content.item())
    if isinstance(content, float) and not math.isfinite(content):
        return None
    return str(content) if isinstance(content, Path) else content

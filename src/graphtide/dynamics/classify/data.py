"""What classification and regression of nodes start from: a graph, features, known values, parts.

An npz file holds `edges` (E, 2) undirected, each once; the features as `feature_row`,
`feature_column`, `feature_value` and `shape`, or dense as `features` (N, F); `labels` (N,), -1
where unknown (or `values` for regression, NaN where unknown); and the numbers of the nodes that
train, validate and test: `train`, `validation`, `test`. This is the Planetoid split where the file
was made from it (Yang, Cohen, Salakhutdinov, ICML 2016).
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from scipy.sparse import csr_array

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table
from graphtide.graph import Graph
from graphtide.graph.convert import both_directions

__all__ = ["NodeTask", "read_task", "read_task_npz", "split_at_random"]

_PARTS = ("train", "validation", "test")


@dataclass(frozen=True, slots=True, eq=False)
class NodeTask:
    """Nodes with features, some with a known class or value.

    Args:
        graph: N nodes.
        features: (N, F).
        target: (N,) int64 class numbers, -1 where unknown; or float64 values, NaN where unknown.
        classes: names of the classes; empty for regression.
        train: numbers of the nodes to learn from.
        validation: numbers of the nodes that stop the training and choose.
        test: numbers of the nodes that test.

    Raises:
        InputError: rows do not match the nodes, nothing is known, or a part is empty, doubled, or
            holds a node whose target is unknown (test nodes without one are left out).
    """

    graph: Graph
    features: csr_array
    target: np.ndarray
    classes: tuple[str, ...]
    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes and parts."""
        count = self.graph.node_count
        if self.features.shape[0] != count:
            raise InputError(
                f"the features have {self.features.shape[0]} rows; the graph has {count} nodes"
            )
        if self.target.shape != (count,):
            raise InputError(f"{len(self.target)} targets were given for {count} nodes")
        if not self.known.any():
            raise InputError("the labels of all nodes are missing; there is nothing to learn from")
        test = np.asarray(self.test, dtype=np.int64)
        inside = test[(test >= 0) & (test < count)]
        if len(inside) == len(test):
            object.__setattr__(self, "test", test[self.known[test]])
        seen = np.zeros(count, dtype=bool)
        for name in _PARTS:
            part = np.asarray(getattr(self, name), dtype=np.int64)
            if not part.size:
                raise InputError(f"there are no {_NODES[name]} nodes")
            if part.min() < 0 or part.max() >= count:
                raise InputError(f"{name} holds node {part.max()}, but there are {count} nodes")
            if len(np.unique(part)) != len(part) or seen[part].any():
                raise InputError(f"a node of {name} stands twice, or in two parts")
            unknown = part[~self.known[part]]
            if unknown.size:
                raise InputError(
                    f"node '{self.graph.names[int(unknown[0])]}' of {name} has no label"
                )
            seen[part] = True
            object.__setattr__(self, name, part)
        if self.classes and len(np.unique(self.target[self.train])) < 2:
            raise InputError("the training nodes are all of one class; two are needed at least")

    @property
    def known(self) -> np.ndarray:
        """Which nodes have a target, (N,) bool."""
        if self.classes:
            return self.target >= 0
        return ~np.isnan(self.target)

    @property
    def is_regression(self) -> bool:
        """Whether targets are values rather than classes."""
        return not self.classes


_NODES = {"train": "training", "validation": "validation", "test": "test"}


def read_task_npz(path: str | Path) -> NodeTask:
    """Return the task of an npz file with the keys of the header.

    Raises:
        InputError: the file is missing or damaged, a key is missing, or as `NodeTask`.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a sound npz file: {error}") from None
    label = "values" if "values" in arrays else "labels"
    sparse = ("feature_row", "feature_column", "feature_value", "shape")
    wanted = ("edges", label, *_PARTS, *(() if "features" in arrays else sparse))
    missing = [key for key in wanted if key not in arrays]
    if missing:
        raise InputError(f"{path}: '{missing[0]}' is missing; it needs {', '.join(wanted)}")
    try:
        return _task_of(arrays, label)
    except (InputError, ValueError, IndexError) as error:
        raise InputError(f"{path}: {error}") from None


def _task_of(arrays: dict[str, np.ndarray], label: str) -> NodeTask:
    if "features" in arrays:
        features = csr_array(np.asarray(arrays["features"], dtype=np.float64))
    else:
        place = (arrays["feature_row"], arrays["feature_column"])
        value = np.asarray(arrays["feature_value"], dtype=np.float64)
        rows, columns = (int(length) for length in arrays["shape"])
        features = csr_array((value, place), shape=(rows, columns))
    if not np.isfinite(features.data).all():
        raise InputError("a feature is not a finite number")
    count = features.shape[0]
    edges = np.asarray(arrays["edges"], dtype=np.int64)
    if edges.ndim != 2 or edges.shape[1] != 2:
        raise InputError(f"edges have shape {edges.shape}; (E, 2) was expected")
    if edges.size and (edges.min() < 0 or edges.max() >= count):
        raise InputError(f"edges name node {edges.max()}, but the features have {count} rows")
    source, reached, weight = both_directions(edges[:, 0], edges[:, 1], np.ones(len(edges)))
    graph = Graph(np.stack([source, reached]), weight, node_count=count)
    if label == "values":
        target, classes = np.asarray(arrays[label], dtype=np.float64), ()
    else:
        target = np.asarray(arrays[label], dtype=np.int64)
        classes = tuple(map(str, range(int(target.max(initial=-1)) + 1))) or ("0",)
    return NodeTask(graph, features, target, classes, *(arrays[part] for part in _PARTS))


def read_task(
    graph: Graph, features: str | Path, labels: str | Path, *, regression: bool = False
) -> NodeTask:
    """Return the task of a graph and two tables.

    Args:
        graph: N nodes.
        features: CSV `node,f1,f2,...`, a row for each node of the graph.
        labels: CSV `node,label` or `node,label,part` with part one of train, validation, test;
            nodes may be left out, and labels empty. Without the column part, six, two and two
            tenths of the known nodes are drawn by a fixed seed (`split_at_random` draws others).
        regression: labels are numbers, not names of classes.

    Raises:
        InputError: a table is missing or malformed, a node is unknown, doubled or without
            features, or as `NodeTask`.
    """
    frame = read_table(features)
    rows = _rows(frame, graph, features)
    without = sorted(set(range(graph.node_count)) - set(rows))
    if without:
        raise InputError(
            f"{features} has {len(rows)} rows for {graph.node_count} nodes: node "
            f"'{graph.names[without[0]]}' has no features"
        )
    columns = [numeric_column(frame, str(c), source=features) for c in frame.columns if c != "node"]
    if not columns:
        raise InputError(f"{features}: there is no column beside node")
    values = np.stack(columns, axis=1)
    if np.isnan(values).any():
        row = int(np.flatnonzero(np.isnan(values).any(axis=1))[0])
        raise InputError(f"{features}, row {frame.index[row]}: a feature is missing")
    matrix = np.empty((graph.node_count, values.shape[1]))
    matrix[rows] = values
    table = read_table(labels)
    if "label" not in table.columns:
        raise InputError(f"{labels}: column 'label' is missing; node,label[,part] is wanted")
    places = np.array(_rows(table, graph, labels), dtype=np.int64)
    target, classes = _targets(table, places, graph.node_count, labels, regression=regression)
    parts = {name: np.zeros(0, dtype=np.int64) for name in _PARTS}
    known = np.isfinite(target) if regression else target >= 0
    if not known.any():
        raise InputError(f"{labels}: the labels of all nodes are missing")
    if "part" in table.columns:
        said = table["part"].to_numpy()
        wrong = [k for k, part in enumerate(said) if part not in (*_PARTS, "")]
        if wrong:
            raise InputError(
                f"{labels}, row {table.index[wrong[0]]}: part '{said[wrong[0]]}' is none of "
                f"{', '.join(_PARTS)}"
            )
        parts = {name: places[said == name] for name in _PARTS}
    else:
        parts = _random_parts(np.flatnonzero(known), np.random.default_rng(0))
    return NodeTask(graph, csr_array(matrix), target, classes, **parts)


def split_at_random(task: NodeTask, seed: int) -> NodeTask:
    """Return the task with six, two and two tenths of the known nodes to train, validate, test."""
    known = np.flatnonzero(task.known)
    return replace(task, **_random_parts(known, np.random.default_rng(seed)))


def _random_parts(known: np.ndarray, generator: np.random.Generator) -> dict[str, np.ndarray]:
    if len(known) < 5:
        raise InputError(f"{len(known)} nodes have a label; at least 5 are needed to split them")
    order = generator.permutation(known)
    first, second = round(0.6 * len(order)), round(0.8 * len(order))
    cut = (order[:first], order[first:second], order[second:])
    return {name: np.sort(part) for name, part in zip(_PARTS, cut, strict=True)}


def _rows(frame, graph: Graph, source: str | Path) -> list[int]:  # noqa: ANN001 - a DataFrame
    """Return the number of the node of each row."""
    if "node" not in frame.columns:
        raise InputError(f"{source}: column 'node' is missing")
    seen: dict[str, int] = {}
    numbers = []
    for row, name in zip(frame.index, frame["node"], strict=True):
        if name in seen:
            raise InputError(
                f"{source}, row {row}: node '{name}' stands already in row {seen[name]}"
            )
        seen[name] = row
        try:
            numbers.append(graph.index(name))
        except InputError as error:
            raise InputError(f"{source}, row {row}: {error}") from None
    return numbers


def _targets(
    table,  # noqa: ANN001 - a DataFrame
    places: np.ndarray,
    count: int,
    source: str | Path,
    *,
    regression: bool,
) -> tuple[np.ndarray, tuple[str, ...]]:
    if regression:
        target = np.full(count, np.nan)
        target[places] = numeric_column(table, "label", source=source)
        return target, ()
    said = table["label"].to_numpy()
    classes = tuple(sorted({str(name) for name in said if name != ""}))
    number = {name: k for k, name in enumerate(classes)} | {"": -1}
    target = np.full(count, -1, dtype=np.int64)
    target[places] = [number[name] for name in said]
    return target, classes

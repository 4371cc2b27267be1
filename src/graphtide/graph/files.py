"""Graphs in files: CSV, GraphML, GML, Matrix Market and npz, plain or gzip where text.

CSV: columns ``source,target`` and optionally ``weight``; a row with an empty target declares an
isolated node. Nodes are numbered in the order in which they first appear.
"""

from __future__ import annotations

import io
import logging
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table, read_text, write_bytes, write_text
from graphtide.graph.convert import both_directions, from_networkx, from_scipy, to_networkx
from graphtide.graph.graph import Graph

if TYPE_CHECKING:
    import pandas

__all__ = ["read_graph", "write_graph"]

_LOGGER = logging.getLogger(__name__)
_FORMATS = ".csv, .graphml, .gml, .mtx (each also .gz), .npz"


def read_graph(path: str | Path, *, directed: bool = False) -> Graph:
    """Return the graph of a file; the extension tells the format, anything unknown is read as CSV.

    Args:
        path: the file.
        directed: for CSV, read each row as one direction only. The other formats know by
            themselves: Matrix Market is undirected where the matrix is symmetric.

    Raises:
        InputError: the file is missing, empty, binary or malformed, or an edge is.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == ".npz":
        return _read_npz(path)
    if kind == ".mtx":
        return _read_matrix_market(path)
    if kind in {".graphml", ".gml"}:
        return _read_with_networkx(path, kind)
    return _read_edge_list(path, read_table(path), directed=directed)


def write_graph(graph: Graph, path: str | Path) -> None:
    """Write a graph; the extension tells the format. CSV lists an undirected edge once.

    Raises:
        InputError: the extension is unknown.
    """
    path = Path(path)
    kind = _kind(path)
    if kind == ".npz":
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **_arrays(graph))
        write_bytes(path, stream.getvalue())
    elif kind == ".mtx":
        from scipy.io import mmwrite

        stream = io.BytesIO()
        symmetry = "general" if graph.directed else "symmetric"
        mmwrite(stream, graph.adjacency.tocoo(), precision=17, symmetry=symmetry)
        write_bytes(path, stream.getvalue())
    elif kind in {".graphml", ".gml"}:
        import networkx

        lines = (networkx.generate_graphml if kind == ".graphml" else networkx.generate_gml)(
            to_networkx(graph)
        )
        write_text(path, "\n".join(lines) + "\n")
    elif kind == ".csv":
        _write_edge_list(graph, path)
    else:
        raise InputError(f"{path}: graphs are written as {_FORMATS}")


def _kind(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] == ".gz":
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _read_edge_list(path: Path, frame: pandas.DataFrame, *, directed: bool) -> Graph:
    for column in ("source", "target"):
        if column not in frame.columns:
            known = ", ".join(map(str, frame.columns[:8]))
            raise InputError(
                f"{path}: column '{column}' is missing; source,target[,weight] were expected and "
                f"the columns are {known}"
            )
    unused = [name for name in frame.columns if name not in {"source", "target", "weight"}]
    if unused:
        _LOGGER.info("%s: the columns %s are not used", path, ", ".join(unused))
    sources, targets = frame["source"].to_numpy(), frame["target"].to_numpy()
    empty = np.flatnonzero(sources == "")
    if empty.size:
        raise InputError(f"{path}, row {frame.index[empty[0]]}: the source has no name")
    pairs = np.stack([sources, targets], axis=1).ravel()
    codes, names = _numbered_by_appearance(pairs)
    source, target = codes.reshape(-1, 2).T
    is_edge = target >= 0
    weight = np.ones(len(frame))
    if "weight" in frame.columns:
        weight = numeric_column(frame, "weight", source=path)
        missing = np.flatnonzero(np.isnan(weight) & is_edge)
        if missing.size:
            raise InputError(f"{path}, row {frame.index[missing[0]]}: the weight is missing")
    rows = frame.index.to_numpy()[is_edge]
    source, target, weight = source[is_edge], target[is_edge], weight[is_edge]
    source, target, weight = _merge_repeated(
        path, rows, names, source, target, weight, directed=directed
    )
    if not directed:
        source, target, weight = both_directions(source, target, weight)
    return Graph(np.stack([source, target]), weight, names=names, directed=directed)


def _numbered_by_appearance(texts: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return a number for each text (-1 for an empty one) and the texts by number."""
    import pandas

    codes, names = pandas.factorize(pandas.Series(texts).replace("", None))
    return codes.astype(np.int64), tuple(map(str, names))


def _merge_repeated(
    path: Path,
    rows: np.ndarray,
    names: tuple[str, ...],
    source: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    *,
    directed: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Keep one row of each edge; rows of one edge must agree on the weight."""
    low, high = (
        (source, target) if directed else (np.minimum(source, target), np.maximum(source, target))
    )
    codes = low * max(len(names), 1) + high
    _, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    differs = np.flatnonzero(weight != weight[first][inverse])
    if differs.size:
        place = int(differs[0])
        other = int(first[inverse[place]])
        hint = "" if directed else "; if the rows have a direction, say --directed"
        raise InputError(
            f"{path}, row {rows[place]}: the edge {names[source[place]]} - {names[target[place]]} "
            f"has weight {weight[place]:g} here and {weight[other]:g} in row {rows[other]}{hint}"
        )
    keep = np.sort(first)
    return source[keep], target[keep], weight[keep]


def _write_edge_list(graph: Graph, path: Path) -> None:
    import csv

    matrix = graph.adjacency.tocoo()
    target, source = matrix.coords
    keep = slice(None) if graph.directed else source <= target
    source, target, weight = source[keep], target[keep], matrix.data[keep]
    names = graph.names
    plain = bool(np.all(weight == 1.0))
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["source", "target"] if plain else ["source", "target", "weight"])
    # Names come back in the order in which they first appear: list every node first where the
    # edges alone would tell another order.
    appearance = np.stack([source, target], axis=1).ravel()
    _, first = np.unique(appearance, return_index=True)
    if not np.array_equal(appearance[np.sort(first)], np.arange(graph.node_count)):
        writer.writerows([name, ""] if plain else [name, "", ""] for name in names)
    if plain:
        writer.writerows((names[a], names[b]) for a, b in zip(source, target, strict=True))
    else:
        writer.writerows(
            (names[a], names[b], repr(float(w)))
            for a, b, w in zip(source, target, weight, strict=True)
        )
    write_text(path, stream.getvalue())


def _arrays(graph: Graph) -> dict[str, np.ndarray]:
    arrays = {
        "edge_index": graph.edge_index,
        "edge_weight": graph.edge_weight,
        "names": np.array(graph.names, dtype=str),
        "directed": np.array(graph.directed),
    }
    if graph.batch is not None:
        arrays["batch"] = graph.batch
    for key, value in graph.node_attributes.items():
        arrays[f"node_attribute:{key}"] = value
    return arrays


def _read_npz(path: Path) -> Graph:
    arrays = _load_npz(path)
    for key in ("edge_index", "names"):
        if key not in arrays:
            raise InputError(f"{path}: '{key}' is missing; the file is no npz of a graph")
    prefix = "node_attribute:"
    return Graph(
        arrays["edge_index"],
        arrays.get("edge_weight"),  # pyright: ignore[reportArgumentType]
        names=tuple(arrays["names"].tolist()),
        directed=bool(arrays.get("directed", np.array(False))),
        node_attributes={
            key.removeprefix(prefix): value
            for key, value in arrays.items()
            if key.startswith(prefix)
        },
        batch=arrays.get("batch"),
    )


def _load_npz(path: Path) -> dict[str, np.ndarray]:
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {key: archive[key] for key in archive.files}
    except (ValueError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is not a sound npz file: {error}") from None


def _read_matrix_market(path: Path) -> Graph:
    from scipy.io import mmread

    try:
        matrix = mmread(io.BytesIO(read_text(path).encode()))
    except (ValueError, IndexError, TypeError) as error:
        raise InputError(f"{path} is not a Matrix Market file: {error}") from None
    return from_scipy(matrix)


def _read_with_networkx(path: Path, kind: str) -> Graph:
    import xml.etree.ElementTree as ElementTree

    import networkx

    text = read_text(path)
    try:
        if kind == ".graphml":
            graph = networkx.parse_graphml(text)
        else:
            graph = networkx.parse_gml(text.splitlines())
    except (networkx.NetworkXError, ElementTree.ParseError, KeyError, ValueError) as error:
        raise InputError(f"{path} is not a {kind[1:].upper()} file: {error}") from None
    return from_networkx(graph)

"""Cascades: who was infected (or adopted, or shared) when, in several outbreaks on one network.

A table with a row for each infection: ``cascade,node,time`` and optionally ``parent`` (the node
that transmitted; empty for those that began) and ``recovery`` (a time; empty where it was not
seen). The rows of a cascade stand in the order of their times.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table
from graphtide.graph import Graph

__all__ = ["Cascade", "Cascades", "read_cascades"]


@dataclass(frozen=True, slots=True, eq=False)
class Cascade:
    """One outbreak; K infections in order of time.

    Attributes:
        name: its name in the file.
        node: (K,) numbers of nodes, int64.
        time: (K,) when they were infected.
        parent: (K,) the node that infected each, -1 where none is given.
        recovery: (K,) when they recovered, infinite where it was not seen.
    """

    name: str
    node: np.ndarray
    time: np.ndarray
    parent: np.ndarray
    recovery: np.ndarray

    @property
    def last(self) -> float:
        """Time of the last event that was seen."""
        ended = self.recovery[np.isfinite(self.recovery)]
        return float(max(self.time[-1], ended.max() if ended.size else -np.inf))

    @property
    def began(self) -> np.ndarray:
        """Whether each infection is one that the cascade began with, shape (K,), bool."""
        first = self.time == self.time[0]
        return first & (self.parent < 0)

    @property
    def reinfected(self) -> bool:
        """Whether a node was infected more than once."""
        return len(np.unique(self.node)) < len(self.node)


@dataclass(frozen=True, slots=True, eq=False)
class Cascades:
    """Several cascades of the same nodes.

    Attributes:
        items: the cascades.
        names: names of the N nodes.
        has_parents: whether parents were given.
        has_recovery: whether recoveries were given.
    """

    items: tuple[Cascade, ...]
    names: tuple[str, ...]
    has_parents: bool
    has_recovery: bool

    @property
    def infections(self) -> int:
        """Number of infections in all cascades."""
        return sum(len(cascade.node) for cascade in self.items)

    @property
    def reinfected(self) -> bool:
        """Whether a node was infected more than once in a cascade."""
        return any(cascade.reinfected for cascade in self.items)


def read_cascades(path: str | Path, graph: Graph | None = None) -> Cascades:
    """Return the cascades of a CSV file ``cascade,node,time[,parent][,recovery]``.

    Args:
        path: the file.
        graph: the network whose nodes these are; None takes the nodes as they come.

    Raises:
        InputError: a column or a cell is missing, a node is not one of the network's, a time goes
            back within its cascade, a node is infected again before it recovered, a parent was not
            infected before, or a recovery comes before its infection; file and row are named.
    """
    frame = read_table(path)
    for column in ("cascade", "node", "time"):
        if column not in frame.columns:
            raise InputError(
                f"{path}: column '{column}' is missing; cascade,node,time[,parent][,recovery] were "
                f"expected and the columns are {', '.join(map(str, frame.columns[:8]))}"
            )
    rows = frame.index.to_numpy()
    times = numeric_column(frame, "time", source=path)
    missing = np.flatnonzero(np.isnan(times))
    if missing.size:
        raise InputError(f"{path}, row {rows[missing[0]]}: the time is missing")
    has_recovery = "recovery" in frame.columns
    recovery = np.full(len(rows), np.inf)
    if has_recovery:
        recovery = numeric_column(frame, "recovery", source=path)
        early = np.flatnonzero(recovery < times)
        if early.size:
            k = int(early[0])
            raise InputError(
                f"{path}, row {rows[k]}: the recovery at {recovery[k]:g} comes before the "
                f"infection at {times[k]:g}"
            )
        recovery = np.where(np.isnan(recovery), np.inf, recovery)
    words = frame["node"].tolist()
    names = tuple(dict.fromkeys(words)) if graph is None else graph.names
    number = {name: k for k, name in enumerate(names)}

    def numbers(cells: list[str], what: str) -> np.ndarray:
        found = np.full(len(cells), -1, np.int64)
        for k, cell in enumerate(cells):
            if what == "parent" and cell == "":
                continue
            if cell not in number:
                known = "no node of the cascades" if graph is None else "not a node of the network"
                raise InputError(
                    f"{path}, row {rows[k]}: {what} '{cell}' is {known}; {len(names)} are known"
                )
            found[k] = number[cell]
        return found

    node = numbers(words, "node")
    has_parents = "parent" in frame.columns
    parent = np.full(len(rows), -1, np.int64)
    if has_parents:
        parent = numbers(frame["parent"].tolist(), "parent")
    places: dict[str, list[int]] = {}
    for k, name in enumerate(frame["cascade"].tolist()):
        places.setdefault(name, []).append(k)
    items = []
    for name, listed in places.items():
        where = np.array(listed)
        cascade = Cascade(name, node[where], times[where], parent[where], recovery[where])
        _check(cascade, rows[where], names, path)
        items.append(cascade)
    return Cascades(tuple(items), names, has_parents, has_recovery)


def _check(cascade: Cascade, rows: np.ndarray, names: tuple[str, ...], path: str | Path) -> None:
    back = np.flatnonzero(np.diff(cascade.time) < 0)
    if back.size:
        k = int(back[0]) + 1
        raise InputError(
            f"{path}, row {rows[k]}: time {cascade.time[k]:g} follows {cascade.time[k - 1]:g} in "
            f"cascade '{cascade.name}'; the rows of a cascade must stand in order of time"
        )
    latest: dict[int, int] = {}
    for k, i in enumerate(cascade.node.tolist()):
        if i in latest and cascade.recovery[latest[i]] > cascade.time[k]:
            raise InputError(
                f"{path}, row {rows[k]}: node '{names[i]}' is infected again in cascade "
                f"'{cascade.name}' before it recovered (row {rows[latest[i]]})"
            )
        j = int(cascade.parent[k])
        if j >= 0 and (j not in latest or cascade.time[latest[j]] >= cascade.time[k]):
            raise InputError(
                f"{path}, row {rows[k]}: parent '{names[j]}' was not infected before node "
                f"'{names[i]}' in cascade '{cascade.name}'"
            )
        latest[i] = k

"""Cascades: who was infected (or adopted, or shared) when, in several outbreaks on one network.

A table with a row for each infection: ``cascade,node,time`` and optionally ``parent`` (the node
that transmitted; empty for those that began), ``infectious`` (when a node that was infected began
to infect others; without the column, at once) and ``recovery`` (times; empty where it was not
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
        onset: (K,) when they became infectious, infinite where it was not seen; None for at once.
    """

    name: str
    node: np.ndarray
    time: np.ndarray
    parent: np.ndarray
    recovery: np.ndarray
    onset: np.ndarray | None = None

    @property
    def infectious(self) -> np.ndarray:
        """When they became infectious, (K,), infinite where it was not seen."""
        return self.time if self.onset is None else self.onset

    @property
    def last(self) -> float:
        """Time of the last event that was seen."""
        moments = np.concatenate([self.time, self.infectious, self.recovery])
        return float(moments[np.isfinite(moments)].max())

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
        has_onset: whether it was given when nodes became infectious.
    """

    items: tuple[Cascade, ...]
    names: tuple[str, ...]
    has_parents: bool
    has_recovery: bool
    has_onset: bool = False

    @property
    def infections(self) -> int:
        """Number of infections in all cascades."""
        return sum(len(cascade.node) for cascade in self.items)

    @property
    def reinfected(self) -> bool:
        """Whether a node was infected more than once in a cascade."""
        return any(cascade.reinfected for cascade in self.items)


def read_cascades(path: str | Path, graph: Graph | None = None) -> Cascades:
    """Return the cascades of a CSV file ``cascade,node,time[,parent][,infectious][,recovery]``.

    Args:
        path: the file.
        graph: the network whose nodes these are; None takes the nodes as they come.

    Raises:
        InputError: a column or a cell is missing, a node is not one of the network's, a time goes
            back within its cascade, a node is infected again before it recovered, a parent was not
            infectious before, or a recovery or a beginning of infectiousness comes before what it
            follows; file and row are named.
    """
    frame = read_table(path)
    for column in ("cascade", "node", "time"):
        if column not in frame.columns:
            raise InputError(
                f"{path}: column '{column}' is missing; "
                "cascade,node,time[,parent][,infectious][,recovery] were "
                f"expected and the columns are {', '.join(map(str, frame.columns[:8]))}"
            )
    rows = frame.index.to_numpy()
    times = numeric_column(frame, "time", source=path)
    missing = np.flatnonzero(np.isnan(times))
    if missing.size:
        raise InputError(f"{path}, row {rows[missing[0]]}: the time is missing")

    def later(column: str, what: str, before: np.ndarray, than: str) -> np.ndarray:
        """Return the times of a column, infinite where empty; none comes before another event."""
        if column not in frame.columns:
            return np.full(len(rows), np.inf)
        moments = numeric_column(frame, column, source=path)
        early = np.flatnonzero(moments < before)
        if early.size:
            k = int(early[0])
            raise InputError(
                f"{path}, row {rows[k]}: the {what} at {moments[k]:g} comes before the "
                f"{than} at {before[k]:g}"
            )
        return np.where(np.isnan(moments), np.inf, moments)

    has_onset, has_recovery = "infectious" in frame.columns, "recovery" in frame.columns
    onset = later("infectious", "beginning of infectiousness", times, "infection")
    recovery = later("recovery", "recovery", times, "infection")
    if has_onset:
        hidden = np.flatnonzero(np.isfinite(recovery) & ~(onset <= recovery))
        if hidden.size:
            k = int(hidden[0])
            raise InputError(
                f"{path}, row {rows[k]}: the node recovered at {recovery[k]:g}, but by then it was "
                "not infectious"
            )
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
        cascade = Cascade(
            name,
            node[where],
            times[where],
            parent[where],
            recovery[where],
            onset[where] if has_onset else None,
        )
        _check(cascade, rows[where], names, path)
        items.append(cascade)
    return Cascades(tuple(items), names, has_parents, has_recovery, has_onset)


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
        if j >= 0 and (j not in latest or cascade.infectious[latest[j]] >= cascade.time[k]):
            state = "infected" if cascade.onset is None else "infectious"
            raise InputError(
                f"{path}, row {rows[k]}: parent '{names[j]}' was not {state} before node "
                f"'{names[i]}' in cascade '{cascade.name}'"
            )
        latest[i] = k

"""Made road networks and demands, for tests and comparisons.

Motorways of cells of 500 m, three lanes wide, with off-ramps and on-ramps; pairs of them join into
one trunk that has fewer lanes than both together, and part again. Figures are those of textbooks:
free speed 100 km/h, 2,000 vehicles/h and 120 vehicles/km a lane, waves of 20 to 25 km/h.

Reference:
    Treiber & Kesting, Traffic Flow Dynamics, Springer 2013, chapter 8: the triangular diagram.
"""

from __future__ import annotations

import numpy as np

from graphtide.dynamics.traffic.cells import Demand
from graphtide.errors import InputError
from graphtide.graph import Graph

__all__ = ["freeway_network", "peak_demand"]

_SPEED, _WAVE, _LANE = 100.0, 22.0, 2000.0
_QUEUE = 1e5  # density of a ramp that never fills


def freeway_network(
    cells: int = 20, *, motorways: int = 4, spacing: int = 5, exit_share: float = 0.12
) -> Graph:
    """Return motorways with ramps: every second pair of ends joins the start of the next.

    Args:
        cells: of each motorway.
        motorways: how many; the first two join into the third, which goes on into the fourth.
        spacing: cells from one on-ramp to the next.
        exit_share: share of the traffic that leaves at the cell before each on-ramp.

    Returns:
        The network; node attributes say what `CellTransmission` reads, and `kind`: 0 a cell, 1 an
        on-ramp, 2 an origin at the head of a motorway; x and y place the nodes for pictures.

    Raises:
        InputError: fewer cells than a spacing, or no motorway.
    """
    if motorways < 1 or not 2 <= spacing <= cells or not 0.0 <= exit_share < 1.0:
        raise InputError(
            f"{motorways} motorways of {cells} cells with a ramp every {spacing}: at least one "
            "motorway and as many cells as the spacing were expected"
        )
    names: list[str] = []
    rows: list[tuple[float, ...]] = []  # length, speed, jam, capacity, kind, x, y
    edges: list[tuple[int, int, float]] = []
    first: list[int] = []

    def add(name: str, *row: float) -> int:
        names.append(name)
        rows.append(row)
        return len(names) - 1

    last: list[int] = []
    for m in range(motorways):
        lanes = 3.0
        across = float((1.0 if m % 4 == 0 else -1.0) * (m % 4 < 2))
        along = float(0 if m % 4 < 2 else (m % 4 - 1)) * cells
        before = None
        for c in range(cells):
            node = add(
                f"m{m + 1}c{c + 1}", 0.5, _SPEED, 120.0 * lanes, _LANE * lanes, 0.0,
                along + c, 4.0 * across,
            )  # fmt: skip
            if before is None:
                first.append(node)
            else:
                ramp_here = c % spacing == spacing - 1
                edges.append((before, node, 1.0 - exit_share if ramp_here else 1.0))
                if ramp_here:
                    ramp = add(
                        f"m{m + 1}r{c + 1}", 0.5, _SPEED, _QUEUE, _LANE * 0.9, 1.0,
                        along + c - 0.5, 4.0 * across + (1.5 if across >= 0 else -1.5),
                    )  # fmt: skip
                    edges.append((ramp, node, 1.0))
            before = node
        assert before is not None  # there is at least one cell
        last.append(before)
    for m in range(motorways):
        if m % 4 < 2:
            origin = add(
                f"m{m + 1}in", 0.5, _SPEED, _QUEUE, _LANE * 3.0, 2.0,
                rows[first[m]][5] - 1.5, rows[first[m]][6],
            )  # fmt: skip
            edges.append((origin, first[m], 1.0))
        if m % 4 == 2:
            # Half of both feeders goes on elsewhere, half into the trunk.
            for k in (m - 2, m - 1):
                edges.append((last[k], first[m], 0.5))
                off = add(
                    f"m{k + 1}out", 0.5, _SPEED, 240.0, _LANE * 2.0, 0.0,
                    rows[last[k]][5] + 1.0, rows[last[k]][6] * 1.3,
                )  # fmt: skip
                edges.append((last[k], off, 0.5))
        if m % 4 == 3:
            edges.append((last[m - 1], first[m], 1.0))
    table = np.array(rows)
    source, target, weight = (np.array(column) for column in zip(*edges, strict=True))
    return Graph(
        np.stack([source, target]).astype(np.int64),
        weight.astype(float),
        names=tuple(names),
        directed=True,
        node_attributes={
            "length": table[:, 0],
            "free_speed": table[:, 1],
            "wave_speed": np.full(len(table), _WAVE),
            "jam_density": table[:, 2],
            "capacity": table[:, 3],
            "kind": table[:, 4],
            "x": table[:, 5],
            "y": table[:, 6],
        },
    )


def peak_demand(
    roads: Graph,
    *,
    duration: float = 2.0,
    seed: int = 0,
    ramp: float = 1100.0,
    origin: float = 4600.0,
) -> Demand:
    """Return a rush hour: each entry has a peak of random height, time and width.

    Args:
        roads: a network of `freeway_network`.
        duration: hours; the last quarter is nearly empty, so that queues dissolve.
        seed: of the draw.
        ramp: mean height of the peaks of on-ramps, vehicles/h.
        origin: of origins.
    """
    generator = np.random.default_rng(seed)
    kind = roads.node_attributes["kind"]
    times = np.linspace(0.0, duration, 49)
    flow = np.zeros((len(times), roads.node_count))
    for node in np.flatnonzero(kind > 0):
        height = (ramp if kind[node] == 1 else origin) * generator.uniform(0.7, 1.3)
        middle = duration * generator.uniform(0.28, 0.42)
        width = duration * generator.uniform(0.13, 0.2)
        base = 0.35 * height
        flow[:, node] = base + (height - base) * np.exp(-0.5 * ((times - middle) / width) ** 2)
    flow *= np.clip((0.8 * duration - times) / (0.1 * duration), 0.1, 1.0)[:, None]
    return Demand(times, flow)

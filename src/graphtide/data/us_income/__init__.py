"""Per-capita income of 48 neighbouring US states, 1929-2009 (CARD.md: source, licence, hashes)."""

from __future__ import annotations

from pathlib import Path

from graphtide.files import numeric_column, read_table
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["us_income"]


def us_income() -> Trajectory:
    """Return incomes in current US dollars, 81 years x 48 states x 1, on the graph of borders.

    The graph's node attributes ``latitude`` and ``longitude`` (degrees) place each state on a map.

    Example:
        >>> income = us_income()
        >>> income.states.shape
        (81, 48, 1)
    """
    folder = Path(__file__).parent
    borders = Graph.read(folder / "edges.csv")
    place = read_table(folder / "coordinates.csv").set_index("node", drop=False)
    ordered = place.loc[list(borders.names)]
    graph = borders.with_node_attributes(
        latitude=numeric_column(ordered, "latitude", source="coordinates.csv"),
        longitude=numeric_column(ordered, "longitude", source="coordinates.csv"),
    )
    income = Trajectory.read(folder / "states.csv", graph=graph)
    return Trajectory(
        income.times,
        income.states,
        variables=("income",),
        graph=graph,
        units={"time": "year", "income": "US dollars"},
    )

"""What the pages of the lessons share: colours, log-log lines, slopes, tables of networks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, cast

import numpy as np
import pandas
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

from graphtide.report.content import Table, number
from graphtide.report.figures import BASELINE, INK, MODEL

__all__ = [
    "COLOURS",
    "METHOD_NAMES",
    "NETWORKS",
    "by_name",
    "convergence",
    "count_axis",
    "groups",
    "legend",
    "network_table",
    "numbers",
    "slope",
    "slopes",
    "where",
]

NETWORKS = {
    "plain": "#7b8794",
    "residual": BASELINE,
    "differential": MODEL,
    "Hamiltonian": "#5b8c3a",
}
"""Colour of each kind of network."""
COLOURS = (BASELINE, "#5b8c3a", MODEL, "#7a4f9e", INK, "#b23a5b")
"""Colours of methods, in their order."""
MARKERS = ("o", "s", "^", "D", "v", "P")
METHOD_NAMES = {
    "euler": "Euler (order 1)",
    "midpoint": "midpoint (2)",
    "rk4": "Runge-Kutta (4)",
    "dormand_prince5": "Dormand-Prince (5)",
    "dormand_prince8": "Dormand-Prince (8)",
    "runge_kutta_chebyshev": "Chebyshev (2)",
    "kennedy_carpenter4": "implicit (4)",
    "leapfrog": "leapfrog (2)",
    "yoshida4": "Yoshida (4)",
}


def where(frame: pandas.DataFrame, column: str, value: object) -> pandas.DataFrame:
    """Return the rows in which a column has a value."""
    return cast("pandas.DataFrame", frame[frame[column] == value])


def groups(frame: pandas.DataFrame, column: str) -> Iterator[tuple[str, pandas.DataFrame]]:
    """Yield the rows of each value of a column, in order of appearance."""
    for value in dict.fromkeys(frame[column]):
        yield str(value), where(frame, column, value)


def numbers(frame: pandas.DataFrame, column: str) -> np.ndarray:
    """Return a column as floats."""
    return np.asarray(frame[column], dtype=float)


def by_name(frame: pandas.DataFrame, column: str, name: str = "network") -> dict[str, float]:
    """Return the numbers of a column by the names of another."""
    return dict(zip(map(str, frame[name]), numbers(frame, column).tolist(), strict=True))


def convergence(
    axis: Axes, frame: pandas.DataFrame, x: str, y: str, labels: tuple[str, str], by: str = "method"
) -> None:
    """Draw one line a method on two logarithmic axes."""
    for index, (name, rows) in enumerate(groups(frame, by)):
        axis.loglog(
            numbers(rows, x),
            numbers(rows, y),
            marker=MARKERS[index % len(MARKERS)],
            markersize=4,
            color=COLOURS[index % len(COLOURS)],
            label=METHOD_NAMES.get(name, name),
        )
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])


def legend(axis: Axes, place: Literal["lower left", "lower right", "right", "below"]) -> None:
    """Name the lines, within the axis or beside it where there is no room."""
    if place == "right":
        axis.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), frameon=False)
    elif place == "below":
        axis.legend(loc="upper center", bbox_to_anchor=(0.5, -0.18), frameon=False)
    else:
        axis.legend(loc=place, frameon=False)


def count_axis(axis: Axes, counts: Iterable[float]) -> None:
    """Make the horizontal axis logarithmic to base two, with its counts written out."""
    axis.set_xscale("log", base=2)
    known = sorted({round(count) for count in counts})
    axis.set_xticks(known, [str(count) for count in known])
    axis.xaxis.set_minor_locator(NullLocator())


def slope(x: np.ndarray, y: np.ndarray) -> float:
    """Return the log-log slope of the last three points."""
    return float(np.polyfit(np.log(x[-3:]), np.log(y[-3:]), deg=1)[0])


def slopes(frame: pandas.DataFrame, x: str, y: str) -> str:
    """Return the size of the log-log slope of each method over its last three rows, in words."""
    return ", ".join(
        f"{METHOD_NAMES[name]} {abs(slope(numbers(rows, x), numbers(rows, y))):.2f}"
        for name, rows in groups(frame, "method")
    )


def network_table(frame: pandas.DataFrame, caption: str, columns: dict[str, str]) -> Table:
    """Return a table of networks; columns named as accuracies are per cent."""
    rows = []
    for row in frame.to_dict("records"):
        cells = [str(row["network"])]
        for name in columns:
            value = float(row[name])
            share = name.endswith(("accuracy", "_read", "_missing"))
            cells.append(f"{100 * value:.1f} %" if share else number(value))
        rows.append(tuple(cells))
    return Table(caption, ("network", *columns.values()), tuple(rows))

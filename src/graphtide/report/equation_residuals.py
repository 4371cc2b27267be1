"""Figures of a found law's page: how often each term returns, and the structure of the residual."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pandas
from matplotlib.axes import Axes

from graphtide.report.content import Figure, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.run import Run

__all__ = ["departures_section", "inclusion_bars", "network_section", "residual_section"]

MOST_ROWS = 20


def inclusion_bars(run: Run) -> Figure | None:
    """Return a bar for each term: the share of repetitions that chose it; None without any."""
    frame = run.read_table("terms")
    frame = frame.dropna(subset=["inclusion_frequency"])
    if frame.empty:
        return None
    several = len(set(frame["variable"])) > 1
    labels = [
        f"d{row['variable']}/dt: {row['term']}" if several else f"{row['term']}"
        for row in frame.to_dict("records")
    ]
    figure, (axis,) = canvas(width=7.5, height=0.5 + 0.34 * len(frame))
    place = np.arange(len(frame))[::-1]
    share = frame["inclusion_frequency"].to_numpy(dtype=float)
    axis.barh(place, np.ones(len(frame)), height=0.55, color="#e4e7eb")
    axis.barh(place, share, height=0.55, color=MODEL)
    for height, value in zip(place, share, strict=True):
        axis.text(1.01, height, f"{100 * value:.0f} %", va="center", fontsize=9)
    axis.set_yticks(place, labels)
    axis.set_xlim(0, 1.1)
    axis.set_xticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    least = int(np.argmin(share))
    return Figure(
        svg_of(figure),
        "Share of repetitions with simulated noise in which the search chose each term again.",
        f"The term chosen least often is {labels[least]}, in {100 * share[least]:.0f} % of "
        "repetitions.",
        frame.filter(["variable", "term", "inclusion_frequency"]),
        "inclusion",
    )


def residual_section(run: Run) -> Section | None:
    """Return what the law leaves by node, time and state; None for a run without these tables."""
    if not (run.path / "residual_by_node.csv").is_file():
        return None
    nodes = run.read_table("residual_by_node")
    times, states = run.read_table("residual_by_time"), run.read_table("residual_by_state")
    variables = list(dict.fromkeys(nodes["variable"]))
    figure, axes = canvas(len(variables), 3, width=9.5, height=2.5 * len(variables) + 0.2)
    for row, variable in enumerate(variables):
        _by_node(axes[3 * row], nodes.query("variable == @variable"))
        _against(axes[3 * row + 1], times.query("variable == @variable"), "time")
        _against(axes[3 * row + 2], states.query("variable == @variable"), "state")
        axes[3 * row + 2].set_xlabel(f"state {variable}")
    first = nodes.query("variable == @variables[0]")
    left = int((~first["follows"].to_numpy(dtype=bool)).sum())
    by_time, by_state = (
        np.abs(part["mean_residual"].to_numpy(dtype=float)).max() for part in (times, states)
    )
    joined = pandas.concat([nodes, times, states], keys=["node", "time", "state"], names=["by"])
    figure_ = Figure(
        svg_of(figure),
        "What the law leaves. Left: every node, sorted; right: mean residual against time and "
        "against state with twice its standard error, in units of the usual motion. A right law "
        "leaves as much at every node, and a mean near zero everywhere.",
        f"{left} nodes leave more than the noise; mean residuals by time and state are at most "
        f"{by_time:.2g} and {by_state:.2g} of the usual motion.",
        joined.reset_index(level=0),
        "residuals",
    )
    return Section("What the law leaves", (), (figure_,))


def _by_node(axis: Axes, frame: pandas.DataFrame) -> None:
    known = not np.isnan(frame["misfit"].to_numpy(dtype=float)).any()
    column = "misfit" if known else "unexplained_share"
    frame = frame.sort_values(column)
    place = np.arange(len(frame))
    follows = frame["follows"].to_numpy(dtype=bool)
    values = np.maximum(frame[column].to_numpy(dtype=float), 1e-12)
    axis.plot(place[follows], values[follows], ".", color=MODEL, markersize=4, label="follows")
    if not follows.all():
        axis.plot(
            place[~follows], values[~follows], "x", color=BASELINE, markersize=4, label="does not"
        )
        axis.legend(loc="upper left", handlelength=1.0)
    axis.set_yscale("log")
    axis.set_xlabel("nodes, sorted")
    axis.set_ylabel("misfit (noise = 1)" if known else "share unexplained")
    if known:
        axis.axhline(1.0, color=INK, linewidth=0.7, linestyle=":")


def _against(axis: Axes, frame: pandas.DataFrame, column: str) -> None:
    place = frame[column].to_numpy(dtype=float)
    mean = frame["mean_residual"].to_numpy(dtype=float)
    error = 2 * frame["standard_error"].to_numpy(dtype=float)
    axis.axhline(0.0, color=INK, linewidth=0.7, linestyle=":")
    axis.fill_between(place, mean - error, mean + error, color=MODEL, alpha=0.2, linewidth=0)
    axis.plot(place, mean, color=MODEL)
    axis.set_xlabel(column)
    axis.set_ylabel("mean residual")


def departures_section(run: Run) -> Section | None:
    """Return the nodes that do not follow, and the node effects; None where there are neither."""
    items: list[Table | Figure] = []
    paragraphs = []
    if (run.path / "suspects.csv").is_file():
        frame = run.read_table("suspects")
        paragraphs.append(
            f"{len(frame)} nodes do not follow the law. Where one edge more or fewer would explain "
            "a good part of what is left there, it is named; the graph was not changed."
        )
        items.append(
            Table(
                f"Nodes that do not follow, worst first (of {len(frame)}; all in suspects.csv)",
                ("node", "misfit", "unexplained", "edge", "with", "leaves of it"),
                tuple(
                    (
                        _cell(row["node"]),
                        number(row["misfit"]),
                        f"{100 * float(row['unexplained_share']):.3g} %",
                        _cell(row["change"]),
                        _cell(row["neighbour"]),
                        _cell(row["gain"], lambda gain: f"{100 * math.exp(-gain):.2g} %"),
                    )
                    for row in frame.head(MOST_ROWS).to_dict("records")
                ),
            )
        )
    if (run.path / "node_effects.csv").is_file():
        frame = run.read_table("node_effects")
        paragraphs.append(
            "Some coefficients differ from node to node; they were projected out of every node's "
            "rows before the search. All values are in node_effects.csv."
        )
        items.append(_effects(frame))
    return Section("Where nodes differ", tuple(paragraphs), tuple(items)) if items else None


def _cell(value: object, written: Callable[[float], str] = "{:g}".format) -> str:
    """Return a cell as text: a number as written, a missing one as a dash."""
    if isinstance(value, str):
        return value
    if not isinstance(value, int | float) or math.isnan(value):
        return "–"
    return written(value)


def _effects(frame: pandas.DataFrame) -> Figure:
    groups = list(frame.groupby("attribute", sort=False))
    figure, axes = canvas(1, len(groups), width=max(7.5, 3.6 * len(groups)), height=2.6)
    for axis, (name, rows) in zip(axes, groups, strict=True):
        rows = rows.dropna(subset=["value"]).sort_values("value")
        place = np.arange(len(rows))
        axis.errorbar(
            place,
            rows["value"],
            yerr=2 * rows["standard_error"],
            fmt=".",
            color=MODEL,
            markersize=4,
            linewidth=0.6,
        )
        axis.set_title(f"{rows['term'].iloc[0]} in d{rows['variable'].iloc[0]}/dt ({name})")
        axis.set_xlabel("nodes, sorted")
    return Figure(
        svg_of(figure),
        "The coefficient of each node with twice its standard error.",
        "Coefficients that differ from node to node, sorted.",
        frame,
        "node_effects",
    )


def network_section(run: Run) -> Section | None:
    """Return the inferred network's scores; None where the network was given."""
    if not (run.path / "edges.csv").is_file():
        return None
    frame = run.read_table("edges")
    kept = frame["kept"].to_numpy(dtype=bool)
    figure, (axis,) = canvas(width=7.5, height=2.8)
    place = np.arange(1, len(frame) + 1)
    score = frame["score"].to_numpy(dtype=float)
    axis.plot(place[kept], score[kept], ".", color=MODEL, markersize=4, label="kept")
    axis.plot(place[~kept], score[~kept], ".", color=BASELINE, markersize=4, label="left out")
    axis.set_xscale("log")
    axis.set_xlabel("possible edges, best first")
    axis.set_ylabel("score")
    axis.legend(handlelength=1.0)
    return Section(
        "The network",
        (
            f"The network was not known. {int(kept.sum())} of {len(frame)} possible edges are "
            "chosen in at least four of five random halves of the data and are strong enough.",
        ),
        (
            Figure(
                svg_of(figure),
                "Score of every possible edge: the share of random halves that chose it.",
                f"{int(kept.sum())} of {len(frame)} possible edges are kept.",
                frame,
                "edges",
            ),
        ),
    )

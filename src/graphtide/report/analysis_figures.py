"""Pictures of an analysis: spectrum, phase portraits, branches, growth, sensitivity of nodes."""

from __future__ import annotations

import numpy as np
import pandas
from matplotlib.collections import LineCollection

from graphtide.graph import Graph
from graphtide.report.content import Figure, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.report.network import positions

__all__ = [
    "attack_figure",
    "branch_figure",
    "forecast_attack_figure",
    "growth_figure",
    "master_figure",
    "modes_figure",
    "portrait_figure",
    "sensitivity_figure",
    "spectrum_figure",
]

SHADES = (MODEL, BASELINE, "#6b4c9a", "#3f7d20", "#9aa5b1")
MOST_DRAWN = 2000
"""Nodes beyond which a network is not laid out."""


def spectrum_figure(eigenvalues: pandas.DataFrame, points: pandas.DataFrame) -> Figure:
    """Return the eigenvalues of the first fixed points in the complex plane."""
    figure, (axis,) = canvas(width=6.4, height=3.6)
    shown = list(points["point"])[:4]
    seen = np.isin(eigenvalues["point"].to_numpy(), shown)
    right = float(eigenvalues["real"].to_numpy()[seen].max())
    for k, point in enumerate(shown):
        part = eigenvalues[eigenvalues["point"] == point]
        kind = str(points["kind"].iloc[k])
        axis.plot(
            part["real"], part["imaginary"], "o", markersize=4.5 - 0.5 * k,
            color=SHADES[k], alpha=0.75, label=f"point {point}, {kind}", markeredgewidth=0,
        )  # fmt: skip
    axis.axvline(0.0, color=INK, linewidth=0.8)
    low, high = axis.get_xlim()
    if right > 0 or high > 0:
        axis.axvspan(0.0, max(high, 0.05 * (high - low)), color=BASELINE, alpha=0.08, linewidth=0)
    largest = float(np.abs(eigenvalues["imaginary"].to_numpy()).max())
    if largest < 1e-9:
        axis.set_ylim(-1.0, 1.0)
        axis.set_yticks([0.0])
    axis.set_xlabel("real part: rate of growth")
    axis.set_ylabel("imaginary part")
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0))
    caption = (
        "Eigenvalues of the linearisation at the fixed points. Left of the line a mode decays; in "
        "the shaded half it grows. An imaginary part turns."
    )
    return Figure(
        svg_of(figure),
        caption,
        f"The largest real part at the points shown is {number(right)}.",
        eigenvalues,
        "spectrum",
        wide=False,
    )


def portrait_figure(
    trajectories: pandas.DataFrame, cycle: pandas.DataFrame | None, points: pandas.DataFrame | None
) -> Figure:
    """Return trajectories in the plane of two variables, or through time for one variable."""
    means = [column for column in trajectories.columns if column.startswith("mean_")]
    plane = len(means) > 1
    across, up = (means[0], means[1]) if plane else ("time", means[0])
    first = trajectories.columns[trajectories.columns.str.startswith("first_")]
    figure, axes = canvas(1, 2, width=9.0, height=3.4)
    pairs = ((across, up), (first[0] if plane else "time", first[1] if plane else first[0]))
    for axis, (x, y), title in zip(
        axes, pairs, ("mean of all nodes", "the first node"), strict=True
    ):
        for k, (_, part) in enumerate(trajectories.groupby("start")):
            axis.plot(part[x], part[y], color=SHADES[k % len(SHADES)], linewidth=0.9, alpha=0.85)
            axis.plot(part[x].iloc[:1], part[y].iloc[:1], "o", color=INK, markersize=2.5)
        if cycle is not None and plane:
            axis.plot(cycle[x], cycle[y], color=INK, linewidth=2.0)
        axis.set_title(title)
        axis.set_xlabel(x.replace("mean_", "").replace("first_", ""))
        axis.set_ylabel(y.replace("mean_", "").replace("first_", ""))
    if points is not None:
        marked = points.head(6)
        for row in marked.to_dict("records"):
            filled = str(row["kind"]).startswith("stable") or row["kind"] == "neutral"
            style = {"color": BASELINE, "fillstyle": "full" if filled else "none", "markersize": 7}
            if plane:
                axes[0].plot([row[across]], [row[up]], "o", **style)
            else:
                axes[0].axhline(
                    float(row[up]), color=BASELINE, linewidth=0.8, linestyle="-" if filled else ":"
                )
    caption = (
        "Trajectories from several starts (dots). "
        + ("Circles" if plane else "Lines")
        + " mark fixed points, "
        + ("full" if plane else "whole")
        + " where stable"
        + ("; the dark line is the closed motion." if cycle is not None and plane else ".")
    )
    return Figure(
        svg_of(figure), caption, "Where trajectories of several starts lead.", trajectories,
        "phase_portrait",
    )  # fmt: skip


def branch_figure(
    name: str, branches: pandas.DataFrame, special: pandas.DataFrame | None
) -> Figure:
    """Return the bifurcation diagram: fixed points along a parameter, and the leading rate."""
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.6)
    for _, part in branches.groupby("branch"):
        value, state = part["value"].to_numpy(), part["mean_state"].to_numpy()
        stable = part["stable"].to_numpy().astype(bool)
        for axis, height in ((left, state), (right, part["leading_real"].to_numpy())):
            axis.plot(value, np.where(stable, height, np.nan), color=MODEL)
            both = ~stable
            both[:-1] |= ~stable[1:]
            both[1:] |= ~stable[:-1]
            axis.plot(
                value, np.where(both, height, np.nan), color=BASELINE, linestyle="--", linewidth=1.1
            )
    marks = {"fold": "s", "hopf": "o", "branch point": "D"}
    said = "No point of the branches changes their stability."
    if special is not None:
        known = [
            row
            for row in special.to_dict("records")
            if row["parameter"] == name and bool(row["stability_changes"])
        ]
        for row in known:
            kind = str(row["kind"])
            left.plot(
                [row["value"]], [row["mean_state"]], marks[kind], color=INK, markersize=6,
                label={"hopf": "Hopf point"}.get(kind, kind),
            )  # fmt: skip
            right.axvline(float(row["value"]), color=INK, linewidth=0.7, linestyle=":")
        if known:
            said = "; ".join(f"{row['kind']} at {number(row['value'], 4)}" for row in known)
    left.plot([], [], color=MODEL, label="stable")
    left.plot([], [], color=BASELINE, linestyle="--", label="unstable")
    handles, labels = left.get_legend_handles_labels()
    once = dict(zip(labels, handles, strict=True))
    left.legend(once.values(), once.keys())
    right.axhline(0.0, color=INK, linewidth=0.8)
    for axis in (left, right):
        axis.set_xlabel(name)
    left.set_ylabel("mean state")
    right.set_ylabel("leading real part")
    caption = (
        f"Fixed points along {name}, followed by pseudo-arclength: full where stable, dashed where "
        "not. Right: the largest real part of their eigenvalues."
    )
    return Figure(svg_of(figure), caption, said, branches, f"branches_{name}")


def master_figure(master: pandas.DataFrame) -> Figure:
    """Return the master stability function over the graph's eigenvalues."""
    figure, (axis,) = canvas(width=6.4, height=3.0)
    axis.axhline(0.0, color=INK, linewidth=0.8)
    axis.plot(master["laplacian_eigenvalue"], master["exponent"], ".-", color=MODEL)
    ends = master["laplacian_eigenvalue"].to_numpy()[[1, -2]]
    axis.axvspan(*ends, color=MODEL, alpha=0.1, linewidth=0)
    axis.set_xlabel("eigenvalue of the Laplacian")
    axis.set_ylabel("exponent")
    return Figure(
        svg_of(figure),
        "Master stability function: below zero, differences along that eigenvector die out. "
        "Shaded: from the graph's smallest eigenvalue beyond zero to its largest.",
        f"Between {number(ends[0])} and {number(ends[1])} the exponent is at most "
        f"{number(float(master['exponent'].to_numpy()[1:-1].max()))}.",
        master,
        "master_stability",
        wide=False,
    )


def growth_figure(growth: pandas.DataFrame) -> Figure:
    """Return the gain of the worst push through time, under its bound."""
    figure, (axis,) = canvas(width=6.4, height=3.0)
    gain, bound = growth["gain"].to_numpy(), growth["bound"].to_numpy()
    top = 1.5 * float(gain.max())
    axis.plot(growth["time"], gain, ".-", color=MODEL, label="worst push")
    axis.plot(
        growth["time"], np.where(bound <= top, bound, np.nan), "--", color=BASELINE,
        label="bound by the logarithmic norm",
    )  # fmt: skip
    axis.axhline(1.0, color="#cbd2d9", linewidth=0.8)
    axis.set_ylim(0.0, top)
    axis.set_xlabel("time")
    axis.set_ylabel("gain")
    axis.legend()
    return Figure(
        svg_of(figure),
        "How much a small push at the fixed point can have grown after a time.",
        f"The largest gain is {number(float(gain.max()))}.",
        growth,
        "transient_growth",
        wide=False,
    )


def modes_figure(modes: pandas.DataFrame, nodes: int) -> Figure:
    """Return on how many nodes each leading mode lives."""
    figure, (axis,) = canvas(width=6.4, height=2.8)
    axis.plot(modes["real"], modes["nodes"], "o", color=MODEL, markersize=4, alpha=0.8)
    axis.set_ylim(0.0, 1.05 * max(float(modes["nodes"].to_numpy().max()), 1.0))
    axis.set_xlabel("real part of the mode's eigenvalue")
    axis.set_ylabel("nodes it lives on")
    first = float(modes["nodes"].iloc[0])
    return Figure(
        svg_of(figure),
        f"Participation of the leading modes, of {nodes:,} nodes.",
        f"The leading mode lives on {number(first)} nodes.",
        modes,
        "modes",
        wide=False,
    )


def sensitivity_figure(graph: Graph, nodes: pandas.DataFrame, outcome: str) -> Figure:
    """Return the network coloured by what the mean state owes to each node, or bars if large."""
    column = next(c for c in nodes.columns if c.startswith("sensitivity_"))
    value = nodes[column].to_numpy()
    data = nodes
    if graph.node_count > MOST_DRAWN:
        figure, (axis,) = canvas(width=7.0, height=3.2)
        axis.plot(graph.degree, value, ".", color=MODEL, markersize=2.5, rasterized=True)
        axis.set_xlabel("degree of the node")
        axis.set_ylabel("sensitivity")
        caption = f"Sensitivity of the mean state ({outcome}) to each node, against its degree."
    else:
        figure, (axis,) = canvas(width=6.6, height=4.6)
        place = positions(graph) * np.array([1.0, -1.0])
        source, target = graph.edge_index
        kept = slice(None) if graph.directed else source < target
        segments = np.stack([place[source[kept]], place[target[kept]]], axis=1)
        axis.add_collection(
            LineCollection(list(segments), colors="#cbd2d9", linewidths=0.5, zorder=1)
        )
        low, high = float(value.min()), float(value.max())
        if high - low <= 1e-3 * max(abs(low), abs(high)):
            low, high = min(0.0, 1.1 * low), max(0.0, 1.1 * high) or 1.0
        size = 60.0 if graph.node_count <= 150 else 18.0
        drawn = axis.scatter(
            place[:, 0], place[:, 1], c=value, cmap="cividis", s=size, vmin=low, vmax=high,
            linewidths=0, zorder=2,
        )  # fmt: skip
        axis.set_axis_off()
        axis.set_aspect("equal", "datalim")
        bar = axis.figure.colorbar(drawn, ax=axis, shrink=0.8)
        bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
        bar.set_label("sensitivity of the mean state")
        caption = (
            f"The network, coloured by how much the mean state ({outcome}) changes when that node "
            f"is pushed{' steadily' if outcome == 'at rest' else ' at the start'}."
        )
    name = str(nodes["node"].iloc[int(np.argmax(np.abs(value)))])
    return Figure(
        svg_of(figure), caption, f"The mean state depends most on node {name}.", data,
        "sensitivity", wide=False,
    )  # fmt: skip


def attack_figure(attack: pandas.DataFrame) -> Figure:
    """Return the accuracy that attacks, and random changes, of growing radius leave."""
    figure, (axis,) = canvas(width=6.4, height=3.2)
    share = 100 * attack["radius"]
    axis.plot(share, 100 * attack["random"], "o-", color=BASELINE, label="random change")
    axis.plot(share, 100 * attack["attacked"], "o-", color=MODEL, label="attack")
    axis.set_xlabel("radius, % of the mean length of a node's features")
    axis.set_ylabel("test nodes told rightly, %")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    left = number(100 * float(attack["attacked"].to_numpy()[-1]))
    return Figure(
        svg_of(figure),
        "What is left of the accuracy when the features of every node move by at most the radius.",
        f"At the largest radius an attack leaves {left} %.",
        attack,
        "attack",
        wide=False,
    )


def forecast_attack_figure(attack: pandas.DataFrame) -> Figure:
    """Return the error that attacks, and random signs, of growing radius make of a forecast."""
    figure, (axis,) = canvas(width=6.4, height=3.2)
    axis.plot(attack["radius"], attack["random"], "o-", color=BASELINE, label="random signs")
    axis.plot(attack["radius"], attack["attacked"], "o-", color=MODEL, label="attack")
    axis.set_xlabel("radius, standard deviations of the readings")
    axis.set_ylabel("mean absolute error")
    axis.set_ylim(bottom=0)
    axis.legend(frameon=False)
    worst = number(float(attack["attacked"].to_numpy()[-1]))
    return Figure(
        svg_of(figure),
        "The error of the forecast when every reading of its history is off by at most the radius.",
        f"At the largest radius an attack raises the error to {worst}.",
        attack,
        "forecast_attack",
        wide=False,
    )

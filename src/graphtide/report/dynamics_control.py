"""The page of ``dynamics control``: the inputs, the steered against the free network, the end."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, band, canvas, svg_of
from graphtide.report.network import moving_network
from graphtide.report.provenance import provenance
from graphtide.report.series import example_nodes
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["control_page"]


def control_page(run: Run) -> Page:
    """Return the page of a run of ``dynamics control``."""
    metrics = run.read_metrics()
    steered, free = run.read_trajectory("steered"), run.read_trajectory("free")
    inputs, target = run.read_table("inputs"), run.read_table("target")
    count, nodes = metrics["driver_count"], metrics["nodes"]
    horizon = metrics["horizon"]
    assert isinstance(horizon, float)
    lead = (
        f"{metrics['verdict']} {number(count)} of {number(nodes)} nodes are driven; the inputs "
        f"spend an energy of {number(metrics['energy'])} and reach at most "
        f"{number(metrics['largest_input'])}. Left alone after that, the network is "
        f"{_percent(metrics['distance_later'])} of the way from the target."
    )
    plan = Section(
        "The inputs",
        (
            "Each input is added to the rate of change of its driver node and is constant on each "
            "interval. Structure alone would ask for "
            f"{number(metrics['drivers_by_matching'])} driver nodes by maximum matching (all "
            f"states, linear law), and for {number(metrics['drivers_by_feedback_vertices'])} held "
            "nodes by feedback vertex set (any law with decay).",
        ),
        (_inputs_figure(inputs, steered), _distance_figure(steered, free, target, horizon)),
    )
    pictures = Section(
        "Steered and free",
        (f"After time {number(horizon)} the inputs are off.",),
        (
            moving_network(
                steered,
                caption="The network under the inputs, coloured by its state.",
                finding="States of all nodes through time under the inputs.",
            ),
            moving_network(
                free,
                caption="The same network left alone from the same start.",
                finding="States of all nodes through time without inputs.",
            ),
            _nodes_figure(steered, free, target, horizon),
        ),
    )
    return Page(
        "A network steered to a wanted state",
        lead,
        (plan, pictures, Section("The driver nodes", (), (_drivers_table(inputs, steered),))),
        provenance(run),
    )


def _inputs_figure(inputs: pandas.DataFrame, steered: Trajectory) -> Figure:
    figure, (axis,) = canvas(1, 1, width=9.0, height=3.0)
    names = list(inputs.columns[2:])
    edges = np.append(inputs["from"].to_numpy(float), float(inputs["until"].iloc[-1]))
    size = {name: float(np.abs(inputs[name]).max()) for name in names}
    loudest = sorted(names, key=lambda name: -size[name])[:8]
    axis.axhline(0.0, color="#cbd2d9", linewidth=0.8)
    for k, name in enumerate(loudest):
        axis.stairs(
            inputs[name].to_numpy(float), edges, baseline=None, label=name, linewidth=1.5,
            color=_shade(k, len(loudest)),
        )  # fmt: skip
    axis.set_xlabel("time")
    axis.set_ylabel("input")
    axis.legend(ncols=4, title="driver node")
    rest = f" The {len(loudest)} largest of {len(names)} are drawn." if len(names) > 8 else ""
    return Figure(
        svg_of(figure),
        f"The inputs of the driver nodes.{rest}",
        f"Inputs of {len(names)} driver nodes over {number(float(edges[-1]))} units of time, "
        f"{len(steered.names)} nodes in all.",
        inputs,
        "inputs",
    )


def _distance_figure(
    steered: Trajectory, free: Trajectory, target: pandas.DataFrame, horizon: float
) -> Figure:
    wanted = target[list(steered.variables)].to_numpy(float)
    known = np.isfinite(wanted)
    way = np.linalg.norm((steered.states[0] - wanted)[known])
    frame = pandas.DataFrame({"time": steered.times})
    figure, (axis,) = canvas(1, 1, width=9.0, height=2.6)
    for name, path, colour in (("steered", steered, MODEL), ("left alone", free, BASELINE)):
        off = np.array([np.linalg.norm((x - wanted)[known]) for x in path.states]) / way
        frame[name.replace(" ", "_")] = off
        axis.plot(path.times, 100 * off, color=colour, label=name)
    band(axis, horizon, float(steered.times[-1]), "inputs off")
    axis.set_xlabel("time")
    axis.set_ylabel("distance, % of the way")
    axis.legend()
    axis.set_ylim(bottom=0.0)
    return Figure(
        svg_of(figure),
        "Distance from the target, as a share of that at the start.",
        f"Steered, {_percent(float(frame['steered'].iloc[-1]))} of the way is left at the end; "
        f"left alone, {_percent(float(frame['left_alone'].iloc[-1]))}.",
        frame,
        "distance",
    )


def _nodes_figure(
    steered: Trajectory, free: Trajectory, target: pandas.DataFrame, horizon: float
) -> Figure:
    nodes = example_nodes(steered)
    rows = -(-len(nodes) // 3)
    figure, axes = canvas(rows, 3, width=9.0, height=2.0 * rows + 0.3)
    frames = []
    variable = steered.variables[0]
    for axis, node in zip(axes, nodes, strict=False):
        axis.plot(steered.times, steered.states[:, node, 0], color=MODEL, label="steered")
        axis.plot(free.times, free.states[:, node, 0], color=BASELINE, label="left alone")
        wanted = float(target[variable].iloc[node])
        if np.isfinite(wanted):
            axis.plot(horizon, wanted, "o", color=INK, markersize=4, label="target")
        axis.set_title(f"node {steered.names[node]}")
        frames.append(
            pandas.DataFrame(
                {
                    "node": steered.names[node],
                    "time": steered.times,
                    "steered": steered.states[:, node, 0],
                    "left_alone": free.states[:, node, 0],
                }
            )
        )
    for axis in axes[len(nodes) :]:
        axis.set_visible(False)
    axes[0].legend()
    return Figure(
        svg_of(figure),
        "Nodes from the lowest to the highest last state.",
        "Curves of example nodes with and without inputs.",
        pandas.concat(frames, ignore_index=True),
        "nodes",
    )


def _drivers_table(inputs: pandas.DataFrame, steered: Trajectory) -> Table:
    graph = steered.graph
    assert graph is not None  # it is written with its graph
    widths = (inputs["until"] - inputs["from"]).to_numpy(float)
    rows = []
    for name in inputs.columns[2:]:
        values = inputs[name].to_numpy(float)
        rows.append((name, float((values**2 * widths).sum()), float(np.abs(values).max())))
    rows.sort(key=lambda row: -row[1])
    return Table(
        "Driver nodes by the energy they spend" + (" (first 20)" if len(rows) > 20 else ""),
        ("node", "energy", "largest input", "in-strength"),
        tuple(
            (name, number(energy), number(size), number(float(graph.degree[graph.index(name)])))
            for name, energy, size in rows[:20]
        ),
    )


def _shade(k: int, count: int) -> str:
    import matplotlib as mpl
    from matplotlib.colors import to_hex

    return to_hex(mpl.colormaps["viridis"](0.05 + 0.85 * k / max(count - 1, 1)))


def _percent(share: object) -> str:
    return f"{100 * share:.3g} %" if isinstance(share, float) and share == share else "–"

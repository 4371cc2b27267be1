"""The way from noise to a molecule: frames of a Markov chain on graphs, drawn node by node."""

from __future__ import annotations

import networkx
import numpy as np
import pandas

from graphtide.report.content import Figure, Section
from graphtide.report.figures import INK, canvas, svg_of

__all__ = ["chain_section"]

_COLOURS = {"C": "#52606d", "N": "#2f6fde", "O": "#d64545", "F": "#2f9e6e", "S": "#b8860b"}
_OTHER = "#8554c4"
_WRONG = "#d64545"


def chain_section(frames: pandas.DataFrame) -> Section:
    """Return the section with the frames of one chain.

    Args:
        frames: rows of nodes (other is -1, number is the valence left) and of bonds (number is the
            order), by time.
    """
    times = sorted(frames["time"].unique())
    figure, axes = canvas(1, len(times), width=9.4, height=2.0)
    place = _places(frames[frames["time"] == times[-1]])
    for axis, time in zip(axes, times, strict=True):
        moment = frames[frames["time"] == time]
        nodes = moment[moment["other"] < 0].set_index("node")
        bonds = moment[moment["other"] >= 0]
        over = nodes["number"] < 0
        for one, other, order in bonds[["node", "other", "number"]].itertuples(index=False):
            wrong = over[one] or over[other]
            (x0, y0), (x1, y1) = place[one], place[other]
            colour, width = (_WRONG if wrong else INK), 0.5 + 0.9 * (order - 1)
            axis.plot([x0, x1], [y0, y1], color=colour, linewidth=width, zorder=1)
        for node, element in nodes["element"].items():
            colour = _COLOURS.get(str(element), _OTHER)
            axis.scatter(*place[node], s=46, color=colour, zorder=2, linewidths=0)
            axis.text(
                *place[node], str(element), color="white", fontsize=6, ha="center", va="center"
            )
        axis.set_axis_off()
        axis.margins(0.15)
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_title(f"t = {time:.2f}", fontsize=9)
    wrong = [int((f["number"] < 0).sum()) for _, f in frames[frames["other"] < 0].groupby("time")]
    picture = Figure(
        svg_of(figure),
        "One molecule from noise (t = 0) to the end of the chain (t = 1), nodes kept in place. "
        "Width tells a bond's order; red bonds end at an atom with more bonds than its valence.",
        f"Atoms with too many bonds, frame by frame: {', '.join(map(str, wrong))}.",
        frames,
        "frames",
    )
    return Section("From noise to a molecule", (), (picture,))


def _places(last: pandas.DataFrame) -> dict[int, np.ndarray]:
    """Return where each node is drawn: laid out by the bonds of the last frame."""
    graph = networkx.Graph()
    graph.add_nodes_from(last.loc[last["other"] < 0, "node"])
    bonds = last[last["other"] >= 0]
    graph.add_edges_from(zip(bonds["node"], bonds["other"], strict=True))
    # The pieces of a graph that fell apart stand side by side.
    places: dict[int, np.ndarray] = {}
    shift = 0.0
    for piece in networkx.connected_components(graph):
        part = networkx.kamada_kawai_layout(graph.subgraph(piece))
        size = max(1.0, len(piece) ** 0.5)
        for node, position in part.items():
            places[node] = size * np.asarray(position) + np.array([shift, 0.0])
        shift += 2.2 * size
    return places

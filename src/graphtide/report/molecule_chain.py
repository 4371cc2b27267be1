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
    rows = list(frames[["time", "node", "other", "element", "number"]].to_numpy().tolist())
    times = sorted({row[0] for row in rows})
    figure, axes = canvas(2, -(-len(times) // 2), width=9.4, height=5.0)
    place = _places([row for row in rows if row[0] == times[-1]])
    wrong = []
    for axis in axes:
        axis.set_axis_off()
    for axis, time in zip(axes, times, strict=False):
        moment = [row for row in rows if row[0] == time]
        elements = {int(row[1]): str(row[3]) for row in moment if row[2] < 0}
        over = {int(row[1]) for row in moment if row[2] < 0 and row[4] < 0}
        wrong.append(len(over))
        for _, one, other, _, order in (row for row in moment if row[2] >= 0):
            ends = np.array([place[int(one)], place[int(other)]])
            colour = _WRONG if over & {int(one), int(other)} else INK
            axis.plot(*ends.T, color=colour, linewidth=0.8 + 1.2 * (order - 1), zorder=1)
        for node, element in elements.items():
            x, y = place[node]
            axis.scatter([x], [y], s=120, color=_COLOURS.get(element, _OTHER), zorder=2)
            axis.text(x, y, element, color="white", fontsize=8, ha="center", va="center")
        axis.margins(0.12)
        axis.set_aspect("equal", adjustable="datalim")
        axis.set_title(f"t = {time:.2f}", fontsize=9)
    picture = Figure(
        svg_of(figure),
        "One molecule from noise (t = 0) to the end of the chain (t = 1), nodes kept in place. "
        "Width tells a bond's order; red bonds end at an atom with more bonds than its valence.",
        f"Atoms with too many bonds, frame by frame: {', '.join(map(str, wrong))}.",
        frames,
        "frames",
    )
    return Section("From noise to a molecule", (), (picture,))


def _places(last: list[list]) -> dict[int, np.ndarray]:
    """Return where each node is drawn: laid out by the bonds of the last frame."""
    graph = networkx.Graph()
    graph.add_nodes_from(int(row[1]) for row in last if row[2] < 0)
    graph.add_edges_from((int(row[1]), int(row[2])) for row in last if row[2] >= 0)
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

"""The moving network: where nodes stand, and their states as colours through time."""

from __future__ import annotations

import base64
import json

import numpy as np

from graphtide.graph import Graph
from graphtide.report.content import Network, number
from graphtide.trajectory import Trajectory

__all__ = ["MOST_NODES", "moving_network", "positions"]

MOST_NODES = 5000
"""Networks beyond this are drawn as a part: the nodes around the best connected one."""
MOST_FRAMES = 120


def positions(graph: Graph) -> np.ndarray:
    """Return coordinates in [0, 1], shape (N, 2), y downwards; the same for the same graph.

    Longitude and latitude, or x and y, are taken where the nodes have them; else a spring layout
    (Fruchterman and Reingold, 1991) with a fixed seed.
    """
    attributes = graph.node_attributes
    if {"longitude", "latitude"} <= set(attributes):
        latitude = attributes["latitude"]
        # One degree of longitude is shorter than one of latitude by the cosine of the latitude.
        place = np.stack(
            [attributes["longitude"] * np.cos(np.radians(latitude.mean())), -latitude], axis=1
        )
    elif {"x", "y"} <= set(attributes):
        place = np.stack([attributes["x"], -attributes["y"]], axis=1)
    else:
        import networkx

        drawn = networkx.spring_layout(graph.to_networkx(), seed=1, iterations=60)
        place = np.array([drawn[name] for name in graph.names])
    place = place - place.min(axis=0)
    span = float(place.max()) or 1.0
    return place / span


def moving_network(
    trajectory: Trajectory, *, caption: str, finding: str, variable: int = 0
) -> Network:
    """Return the drawing of a trajectory on its graph.

    States become one byte each between the 2nd and the 98th percentile, so that a page stays small.
    """
    graph = trajectory.graph
    assert graph is not None  # callers pass trajectories of a run with a graph
    states = trajectory.states[:, :, variable]
    kept = _part(graph)
    if len(kept) < graph.node_count:
        caption += (
            f" Of {graph.node_count:,} nodes the {len(kept):,} nearest to the best connected one "
            "are drawn."
        )
    frames = np.unique(np.linspace(0, len(states) - 1, MOST_FRAMES).round().astype(int))
    shown = states[np.ix_(frames, kept)]
    known = shown[~np.isnan(shown)]
    low, high = np.quantile(known, [0.02, 0.98]) if known.size else (0.0, 1.0)
    scaled = np.clip((shown - low) / ((high - low) or 1.0), 0, 1)
    bytes_ = np.where(np.isnan(shown), 255, np.round(scaled * 254)).astype(np.uint8)
    number_of = {int(node): k for k, node in enumerate(kept)}
    source, target = graph.edge_index
    edges = [
        (number_of[int(a)], number_of[int(b)])
        for a, b in zip(source, target, strict=True)
        if int(a) in number_of and int(b) in number_of and (graph.directed or a < b)
    ]
    payload = {
        "positions": positions(graph)[kept].round(4).ravel().tolist(),
        "edges": [end for edge in edges for end in edge],
        "names": [graph.names[k] for k in kept],
        "times": [float(f"{trajectory.times[k]:.6g}") for k in frames],
        "states": base64.b64encode(bytes_.tobytes()).decode(),
        "low": float(low),
        "high": float(high),
    }
    unit = trajectory.units.get(trajectory.variables[variable], "")
    return Network(
        json.dumps(payload, ensure_ascii=False).replace("<", "\\u003c"),
        caption,
        finding,
        number(float(low)),
        number(float(high)),
        len(frames),
        unit,
    )


def _part(graph: Graph) -> np.ndarray:
    """Return the numbers of the nodes to draw: all, or the nearest to the best connected one."""
    if graph.node_count <= MOST_NODES:
        return np.arange(graph.node_count)
    from scipy.sparse.csgraph import breadth_first_order

    hub = int(np.argmax(graph.degree))
    order = breadth_first_order(graph.adjacency, hub, directed=False, return_predecessors=False)
    return np.sort(order[:MOST_NODES])

"""The page of ``dynamics classify``: accuracy beside baselines, confusion, depth, the network."""

from __future__ import annotations

import io
from collections.abc import Hashable

import numpy as np
import pandas
from matplotlib.collections import LineCollection
from scipy.sparse.csgraph import breadth_first_order

from graphtide.files import read_text
from graphtide.graph import Graph
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.report.network import positions
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["classify_page"]

_DRAWN = 1500
"""Most nodes that the picture of the network shows."""
_COLOURS = (
    "#0b6e99", "#b4622d", "#4c8c4a", "#8a5a9e", "#c9a227", "#5f6b7a", "#b3446c", "#2a9d8f",
    "#7f4f24", "#3d5a80",
)  # fmt: skip


def classify_page(run: Run) -> Page:
    """Return the page of a classification."""
    metrics = run.read_metrics()
    predictions = _read_predictions(run)
    name = "accuracy" if "accuracy" in metrics else "r2"
    words = "accuracy" if name == "accuracy" else "R²"
    lead = (
        f"{metrics['train_nodes']} of {metrics['nodes']} nodes were learned from. On "
        f"{metrics['test_nodes']} test nodes the mean {words} over {metrics['seeds']} seeds is "
        f"{_share(metrics[name], name)}; graph convolutions reach "
        f"{_share(_baselines(metrics)['gcn'][name], name)}."
    )
    pictures = [_network(run, predictions)]
    if name == "accuracy":
        pictures.insert(0, _confusion(predictions))
    else:
        pictures.insert(0, _scatter(predictions))
    return Page(
        "What the nodes are" if name == "accuracy" else "What the nodes have",
        lead,
        (
            Section(
                "Beside the baselines",
                (
                    "All networks are trained in the same way: the validation nodes stop the "
                    "training, and no label of a validation or test node enters the loss. Label "
                    "propagation uses the labels of neighbours and no feature.",
                ),
                (_table(metrics, name), _depth(run, metrics, name, words)),
            ),
            Section("Node by node", (), tuple(pictures)),
        ),
        provenance(run),
    )


def _read_predictions(run: Run) -> pandas.DataFrame:
    """Return the table of predictions; names of nodes and classes stay text."""
    text = io.StringIO(read_text(run.path / "predictions.csv"))
    columns = ("node", "part", "label", "predicted")
    names: dict[Hashable, type[str]] = dict.fromkeys(columns, str)
    return pandas.read_csv(text, dtype=names, na_filter=False)


def _baselines(metrics: dict[str, object]) -> dict[str, dict[str, float]]:
    found = metrics["baselines"]
    assert isinstance(found, dict)  # written by Classification.save
    return found


def _share(value: object, name: str) -> str:
    assert isinstance(value, int | float)
    return f"{100 * value:.1f} %" if name == "accuracy" else number(value)


def _table(metrics: dict[str, object], name: str) -> Table:
    rows = [("graphtide", metrics[name], metrics[f"{name}_deviation"])]
    rows += [
        (baseline.replace("_", " "), values[name], values[f"{name}_deviation"])
        for baseline, values in _baselines(metrics).items()
    ]
    rows.append(("graphtide, mean of all seeds", metrics[f"{name}_of_mean"], None))
    return Table(
        "Test nodes",
        ("method", "mean over seeds", "deviation"),
        tuple(
            (method, _share(value, name), "–" if spread is None else _share(spread, name))
            for method, value, spread in rows
        ),
    )


def _depth(run: Run, metrics: dict[str, object], name: str, words: str) -> Figure:
    curve = run.read_table("depth")
    rates = run.read_tensors("rates")["rates"]
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.0)
    scale = 100.0 if name == "accuracy" else 1.0
    left.plot(curve["depth"], scale * curve["test"], "o-", color=MODEL, markersize=4)
    trained = float(str(metrics["depth"]))
    left.axvline(trained, color=INK, linewidth=0.8, linestyle=":")
    left.axhline(
        scale * _baselines(metrics)["gcn"][name], color=BASELINE, linestyle="--", label="GCN"
    )
    left.legend()
    left.set_xlabel("depth T (dotted: trained at)")
    left.set_ylabel(f"{words} on test nodes" + (" (%)" if scale > 1 else ""))
    right.hist(rates, bins=16, color=MODEL)
    right.set_xlabel("diffusion rate of a channel")
    right.set_ylabel("channels")
    tried = metrics["depth_validation"]
    assert isinstance(tried, dict)
    said = ", ".join(f"{depth}: {_share(value, name)}" for depth, value in tried.items())
    caption = (
        "Left: the trained networks, stopped earlier or run on to other depths. Right: the rates "
        "learned by the first seed; a channel sees as deep as its rate times T."
    )
    if said:
        caption += f" The depth was chosen on the validation nodes ({said})."
    read = curve["test"].to_numpy()
    first, last = float(read[0]), float(read.max())
    finding = (
        f"Without depth the networks reach {_share(first, name)}, at the best depth "
        f"{_share(last, name)}."
    )
    return Figure(svg_of(figure), caption, finding, curve, "depth")


def _confusion(predictions: pandas.DataFrame) -> Figure:
    rows = predictions.loc[predictions["part"] == "test"]
    classes = [
        str(column).removeprefix("probability_")
        for column in predictions.columns
        if str(column).startswith("probability_")
    ]
    place = {name: k for k, name in enumerate(classes)}
    counts = np.zeros((len(classes), len(classes)), dtype=int)
    labels, said = rows["label"].to_numpy(), rows["predicted"].to_numpy()
    np.add.at(counts, ([place[name] for name in labels], [place[name] for name in said]), 1)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axis,) = canvas(width=5.2, height=4.6)
    axis.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if len(classes) <= 12:
        for i, j in np.ndindex(*counts.shape):
            colour = "white" if share[i, j] > 0.6 else INK
            axis.text(j, i, str(counts[i, j]), ha="center", va="center", fontsize=8, color=colour)
    axis.set_xticks(range(len(classes)), classes, rotation=45 if max(map(len, classes)) > 3 else 0)
    axis.set_yticks(range(len(classes)), classes)
    axis.set_xlabel("predicted class")
    axis.set_ylabel("class")
    right = float(np.mean(labels == said))
    data = pandas.DataFrame(counts, columns=classes)
    data.insert(0, "class", classes)
    return Figure(
        svg_of(figure),
        "Test nodes by their class and the predicted one (mean over seeds); colours are shares of "
        "a row.",
        f"{100 * right:.1f} % of the test nodes are on the diagonal.",
        data,
        "confusion",
        wide=False,
    )


def _scatter(predictions: pandas.DataFrame) -> Figure:
    rows = predictions.loc[predictions["part"] == "test"]
    true, said = (rows[name].to_numpy(dtype=float) for name in ("label", "predicted"))
    figure, (axis,) = canvas(width=4.6, height=4.2)
    axis.plot(true, said, ".", color=MODEL, markersize=4)
    low, high = float(true.min()), float(true.max())
    axis.plot([low, high], [low, high], color=INK, linewidth=0.8)
    axis.set_xlabel("observed")
    axis.set_ylabel("predicted")
    return Figure(
        svg_of(figure),
        "Test nodes: predicted against observed values; on the line they agree.",
        "Predicted values of the test nodes against observed ones.",
        rows,
        "scatter",
        wide=False,
    )


def _network(run: Run, predictions: pandas.DataFrame) -> Figure:
    """Return the network, nodes coloured by class, fainter where less sure."""
    graph = run.read_graph()
    kept = _part(graph)
    number_of = np.full(graph.node_count, -1)
    number_of[kept] = np.arange(len(kept))
    inside = (number_of[graph.edge_index] >= 0).all(axis=0)
    index = number_of[graph.edge_index[:, inside]]
    part = Graph(
        index,
        graph.edge_weight[inside],
        names=tuple(graph.names[k] for k in kept),
        directed=graph.directed,
    )
    place = positions(part)
    rows = predictions.iloc[kept]
    figure, (axis,) = canvas(width=9.0, height=5.6)
    axis.set_axis_off()
    lines = place[index]  # (2, E, 2)
    axis.add_collection(
        LineCollection(list(lines.swapaxes(0, 1)), colors="#cbd2d9", linewidths=0.4, zorder=1)
    )
    columns = [c for c in predictions.columns if str(c).startswith("probability_")]
    if columns:
        sure = rows[columns].to_numpy().max(axis=1)
        for k, column in enumerate(columns):
            name = str(column).removeprefix("probability_")
            chosen = rows["predicted"].to_numpy() == name
            axis.scatter(
                *place[chosen].T,
                s=9,
                color=_COLOURS[k % len(_COLOURS)],
                alpha=np.clip(sure[chosen], 0.15, 1.0),
                linewidths=0,
                label=name,
                zorder=2,
            )
        axis.legend(title="predicted class", loc="center left", bbox_to_anchor=(1.0, 0.5))
        caption = "The network, coloured by the predicted class; faint nodes are less sure."
        finding = f"Nodes of one class lie together; the mean confidence is {sure.mean():.2f}."
    else:
        values = rows["predicted"].to_numpy(dtype=float)
        drawn = axis.scatter(*place.T, s=9, c=values, cmap="viridis", linewidths=0, zorder=2)
        axis.figure.colorbar(drawn, ax=axis, shrink=0.6)
        caption, finding = "The network, coloured by the predicted value.", "Predicted values."
    axis.invert_yaxis()
    if len(kept) < graph.node_count:
        caption += (
            f" Of {graph.node_count:,} nodes the {len(kept):,} nearest to the best connected one "
            "are drawn."
        )
    data = pandas.DataFrame({"node": part.names, "x": place[:, 0], "y": place[:, 1]})
    data["predicted"] = rows["predicted"].to_numpy()
    return Figure(svg_of(figure), caption, finding, data, "network")


def _part(graph: Graph) -> np.ndarray:
    """Return the nodes to draw: all, or the nearest to the best connected one."""
    if graph.node_count <= _DRAWN:
        return np.arange(graph.node_count)
    hub = int(np.argmax(graph.degree))
    order = breadth_first_order(graph.adjacency, hub, directed=False, return_predecessors=False)
    return np.sort(order[:_DRAWN])

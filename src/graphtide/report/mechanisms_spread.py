"""The page of ``mechanisms spread``: epidemic curves with runs, rates, shapes of cascades."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.equation import Equation
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, formula, svg_of
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["spread_page"]

_COLOURS = ("#0b6e99", "#b4622d", "#4f7d39", "#7b4ea3", "#c2a100", "#52606d")
_WORDS = {
    "size": "size",
    "depth": "depth",
    "breadth": "breadth",
    "structural_virality": "structural virality",
    "duration": "duration",
}


def spread_page(run: Run) -> Page:
    """Return the page of cascades, or of states of nodes, and their law."""
    metrics = run.read_metrics()
    equation = Equation.read(run.path / "equation.json")
    notes = run.read_json("notes.json")
    rates = metrics["rates"]
    assert isinstance(rates, dict)
    infection = rates["infection"]
    cascades = "cascades" in metrics
    where = (
        f"in {metrics['cascades']} cascades" if cascades else f"in {metrics['readings']} readings"
    )
    lead = (
        f"{metrics['infections']} infections {where} on "
        f"{metrics['nodes']} nodes: an infectious neighbour infects at the rate "
        f"{number(infection['value'])} ({number(infection['low'])} to "
        f"{number(infection['high'])}) for an edge of weight 1."
    )
    law = Section(
        "The law",
        (),
        (
            _rates_table(rates),
            _curves_figure(run.read_table("curves"), str(metrics["law"]), cascades),
        ),
        law=formula(equation.latex_lines(values=True, digits=3)),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
    )
    sections = [law]
    if cascades:
        sections.append(_shapes_section(run.read_table("shapes")))
    if (run.path / "network.csv").is_file():
        sections.append(_network_section(run.read_table("network")))
    if (run.path / "influence.csv").is_file():
        sections.append(_influence_section(run.read_table("influence"), metrics))
    return Page("The law of spread", lead, tuple(sections), provenance(run))


def _shapes_section(shapes: pandas.DataFrame) -> Section:
    return Section(
        "The shapes of the cascades",
        (
            "Structural virality is the mean distance between two nodes of a cascade: near 2 where "
            "one node infects all, larger the more it is passed on.",
        ),
        (_distributions_figure(shapes), _plane_figure(shapes), _patterns_table(shapes)),
    )


def _rates_table(rates: dict[str, dict[str, float]]) -> Table:
    return Table(
        "Rates per unit of time, by maximum likelihood",
        ("rate", "value", "standard error", "95 % profile interval"),
        tuple(
            (
                name,
                number(row["value"], 4),
                number(row["standard_error"], 2),
                f"{number(row['low'], 4)} to {number(row['high'], 4)}",
            )
            for name, row in rates.items()
        ),
    )


def _curves_figure(curves: pandas.DataFrame, law: str, cascades: bool) -> Figure:
    figure, (axis,) = canvas(width=8.0, height=3.4)
    times = curves["time"]
    axis.fill_between(
        times,
        curves["simulated_q05"],
        curves["simulated_q95"],
        color=MODEL,
        alpha=0.2,
        linewidth=0,
        label="90 % of runs",
    )
    axis.plot(times, curves["simulated_mean"], color=MODEL, label="mean of runs")
    axis.plot(times, curves["mean_field"], "--", color=BASELINE, label="mean field")
    label = "observed, mean" if cascades else "observed"
    axis.plot(times, curves["observed_mean"], ".", color=INK, markersize=4, label=label)
    if cascades:
        for name in ("observed_q05", "observed_q95"):
            axis.plot(times, curves[name], ":", color=INK, linewidth=0.9)
        axis.plot([], [], ":", color=INK, linewidth=0.9, label="observed, 5 and 95 %")
    began = "beginning of the cascade" if cascades else "first reading"
    axis.set_xlabel(f"time since the {began}")
    what = "infected nodes" if law == "sis" else "nodes infected so far"
    axis.set_ylabel(what)
    axis.set_ylim(bottom=0)
    axis.legend(loc="best")
    last = {name: float(curves[name].to_numpy()[-1]) for name in curves.columns}
    finding = (
        f"At the end {number(last['observed_mean'])} {what}{' on average' if cascades else ''} "
        f"were observed; runs of the "
        f"law give {number(last['simulated_mean'])} ({number(last['simulated_q05'])} to "
        f"{number(last['simulated_q95'])}), the mean field {number(last['mean_field'])}."
    )
    caption = (
        f"{'Observed cascades' if cascades else 'What was read'}, stochastic runs of the law from "
        "the same beginnings, and the mean "
        "field, which takes neighbours as independent and so spreads too fast on sparse networks. "
        + finding
    )
    return Figure(svg_of(figure), caption, finding, curves, "curves")


def _distributions_figure(shapes: pandas.DataFrame) -> Figure:
    names = ("size", "depth", "structural_virality")
    figure, axes = canvas(1, 3, width=9.4, height=2.9)
    for axis, name in zip(axes, names, strict=True):
        values = np.sort(shapes[name].to_numpy(dtype=float))
        tail = 1.0 - np.arange(len(values)) / len(values)
        axis.step(values, tail, where="post", color=MODEL)
        axis.set_yscale("log")
        if name == "size" and _span_is_wide(shapes):
            axis.set_xscale("log")
        axis.set_xlabel(_WORDS[name])
    axes[0].set_ylabel("share at least as large")
    medians = ", ".join(
        f"{_WORDS[name]} {number(float(np.median(shapes[name].to_numpy())))}" for name in names
    )
    return Figure(
        svg_of(figure),
        "Share of cascades that are at least as large, deep or viral.",
        f"Medians: {medians}.",
        shapes.filter(items=["cascade", *names]),
        "shapes",
    )


def _plane_figure(shapes: pandas.DataFrame) -> Figure:
    figure, axes = canvas(1, 2, width=9.4, height=3.4)
    pairs = (("size", "structural_virality"), ("depth", "breadth"))
    for axis, (x, y) in zip(axes, pairs, strict=True):
        for pattern, rows in shapes.groupby("pattern"):
            colour = _COLOURS[int(str(pattern)) % len(_COLOURS)]
            label = f"pattern {int(str(pattern)) + 1}"
            axis.plot(
                rows[x], rows[y], ".", color=colour, markersize=5, label=label, rasterized=True
            )
        axis.set_xlabel(_WORDS[x])
        axis.set_ylabel(_WORDS[y])
    if _span_is_wide(shapes):
        axes[0].set_xscale("log")
    axes[1].legend(loc="best")
    return Figure(
        svg_of(figure),
        "Each cascade as a point in the space of shapes, coloured by its pattern.",
        f"The cascades fall into {shapes['pattern'].nunique()} patterns.",
        shapes,
        "patterns",
    )


def _patterns_table(shapes: pandas.DataFrame) -> Table:
    rows = []
    for pattern, group in shapes.groupby("pattern"):
        medians = [number(float(np.median(group[name].to_numpy()))) for name in _WORDS]
        rows.append((f"pattern {int(str(pattern)) + 1}", str(len(group)), *medians))
    return Table(
        "Patterns of cascades: medians of their geometry",
        ("pattern", "cascades", *_WORDS.values()),
        tuple(rows),
    )


def _network_section(network: pandas.DataFrame) -> Section:
    shown = network.head(25)
    rows = tuple(
        (
            f"{row['source']} → {row['target']}",
            number(row["weight"]),
            number(row["standard_error"], 2),
            number(row["transmissions"]),
            number(row["log_likelihood_gain"]),
        )
        for row in shown.to_dict("records")
    )
    table = Table(
        f"The {len(shown)} surest of {len(network)} edges; network.csv holds all",
        ("edge", "rate", "standard error", "expected transmissions", "gain in log-likelihood"),
        rows,
    )
    return Section("The network that was inferred", (), (table,))


def _influence_section(influence: pandas.DataFrame, metrics: dict[str, object]) -> Section:
    guarantee = metrics.get("influence_guarantee")
    words = (
        "Started at these nodes together, the law reaches the most nodes: chosen one after the "
        "other, each the one that adds most."
    )
    if isinstance(guarantee, float):
        words += (
            f" With 99 % confidence no other set of as many reaches more than "
            f"{1.0 / guarantee:.3g} times as many nodes."
        )
    table = Table(
        "The most influential nodes",
        ("node", "nodes reached so far", "standard error"),
        tuple(
            (str(row["node"]), number(row["reached"], 4), number(row["standard_error"], 2))
            for row in influence.to_dict("records")
        ),
    )
    return Section("Where to begin", (words,), (table,))


def _span_is_wide(shapes: pandas.DataFrame) -> bool:
    """Tell whether sizes span a decade; on less a logarithmic axis crowds its labels."""
    sizes = shapes["size"]
    return bool(sizes.min() > 0 and sizes.max() >= 10 * sizes.min())

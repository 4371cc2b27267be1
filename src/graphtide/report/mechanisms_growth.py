"""The page of ``mechanisms growth``: the curve with its forecast, residuals, and all laws."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.equation import Equation
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, band, canvas, formula, svg_of
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["growth_page"]


def growth_page(run: Run) -> Page:
    """Return the page of a growth curve's law."""
    metrics = run.read_metrics()
    equation = Equation.read(run.path / "equation.json")
    curve, forecast = run.read_table("curve"), run.read_table("forecast")
    error = metrics["relative_error_held_out"]
    assert isinstance(error, float)
    lead = (
        f"Of six laws, {metrics['best']} forecast the last 30 % of {metrics['readings']} readings "
        f"best: {100 * error:.2g} % off on average."
    )
    notes = run.read_json("notes.json")
    unit = str(metrics.get("time_unit") or "")
    law = Section(
        "The law",
        (),
        (_curve_figure(curve, forecast, run.read_table("fitted"), str(metrics["best"]), unit),),
        law=formula(equation.latex_lines(values=True, digits=4)),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
    )
    compared = Section(
        "All laws",
        (
            "Each law was fitted to the first 70 % of the readings, on log n, and judged by its "
            "mean relative error on the rest; the parameters below are those of a fit to all. An "
            "interval without an end means that the curve does not determine the parameter.",
        ),
        (_errors_table(run), _parameters_table(run)),
    )
    checks = Section(
        "What the law leaves",
        (),
        (_residual_figure(curve, unit), *(_links_figures(curve, forecast, unit))),
    )
    return Page("The law of growth", lead, (law, compared, checks), provenance(run))


def _label(unit: str) -> str:
    return f"time ({unit})" if unit else "time"


def _curve_figure(
    curve: pandas.DataFrame,
    forecast: pandas.DataFrame,
    fitted: pandas.DataFrame,
    best: str,
    unit: str,
) -> Figure:
    figure, axes = canvas(1, 2, width=9.4, height=3.6)
    ahead = np.append(curve["time"].to_numpy()[-1], forecast["time"].to_numpy())
    sizes = curve["size"].to_numpy()
    line = np.append(curve["law"].to_numpy()[-1], forecast["size"].to_numpy())
    for axis, logarithmic in zip(axes, (False, True), strict=True):
        for name in [column for column in fitted.columns if column not in {"time", best}]:
            axis.plot(fitted["time"], fitted[name], color="#9aa5b1", linewidth=0.8, zorder=1)
        axis.plot([], [], color="#9aa5b1", linewidth=0.8, label="other laws")
        axis.fill_between(
            forecast["time"], forecast["low"], forecast["high"], color=MODEL, alpha=0.2, linewidth=0
        )
        axis.plot(curve["time"], curve["law"], color=MODEL, label=best, zorder=3)
        axis.plot(ahead, line, color=MODEL, linestyle="--", zorder=3)
        axis.plot(curve["time"], curve["size"], ".", color=INK, markersize=3, label="observed")
        top = float(max(sizes.max(), line.max()))
        if logarithmic:
            axis.set_yscale("log")
            axis.set_ylim(0.7 * float(sizes.min()), 3.0 * top)
        else:
            axis.set_ylim(0.0, 1.25 * top)
        band(axis, float(ahead[0]), float(ahead[-1]), "forecast")
        axis.set_xlabel(_label(unit))
    axes[0].set_ylabel("size")
    axes[0].legend(loc="lower right")
    data = pandas.concat(
        [curve.assign(part="observed"), forecast.assign(part="forecast")], ignore_index=True
    )
    caption = (
        "The curve, the best law and its forecast with the band in which 90 % of readings are "
        "expected if the law holds on; the other laws in grey. Right: the same with size on a "
        "logarithmic scale."
    )
    low, high = (float(forecast[name].to_numpy()[-1]) for name in ("low", "high"))
    finding = (
        f"The {best} law continues to {number(float(line[-1]))} at time "
        f"{number(float(ahead[-1]))}, between {number(low)} and {number(high)}."
    )
    return Figure(svg_of(figure), caption, finding, data, "growth")


def _residual_figure(curve: pandas.DataFrame, unit: str) -> Figure:
    figure, (axis,) = canvas(width=8.0, height=2.6)
    share = 100.0 * curve["residual_log"].to_numpy()
    axis.axhline(0.0, color="#7b8794", linewidth=0.8)
    axis.plot(curve["time"], share, ".-", color=BASELINE, linewidth=0.8, markersize=4)
    axis.set_xlabel(_label(unit))
    axis.set_ylabel("observed over law (%)")
    return Figure(
        svg_of(figure),
        "By how many per cent (in logarithms) readings lie above the best law; long waves mean "
        "that the law misses a part of what happened.",
        f"Readings scatter around the best law with {number(float(share.std()), 2)} %.",
        curve.filter(items=["time", "residual_log"]),
        "residuals",
    )


def _links_figures(
    curve: pandas.DataFrame, forecast: pandas.DataFrame, unit: str
) -> tuple[Figure, ...]:
    if "links" not in curve:
        return ()
    figure, axes = canvas(1, 2, width=9.4, height=3.4)
    axes[0].plot(curve["time"], curve["links"], ".", color=INK, markersize=3, label="observed")
    if "links_law" in curve:
        axes[0].plot(curve["time"], curve["links_law"], color=MODEL, label="NetTide")
        axes[0].plot(forecast["time"], forecast["links"], "--", color=MODEL)
    axes[0].set_xlabel(_label(unit))
    axes[0].set_ylabel("links")
    axes[0].legend(loc="lower right")
    axes[1].loglog(curve["size"], curve["links"], ".", color=INK, markersize=3)
    axes[1].set_xlabel("nodes")
    axes[1].set_ylabel("links")
    caption = (
        "Links through time with NetTide's law, and links against nodes on logarithmic scales."
    )
    data = curve.filter(items=["time", "size", "links", "links_law"])
    return (Figure(svg_of(figure), caption, "Growth of links with nodes.", data, "links"),)


def _errors_table(run: Run) -> Table:
    metrics = run.read_metrics()
    laws, plain = metrics["laws"], metrics["plain_methods"]
    assert isinstance(laws, list)
    assert isinstance(plain, dict)
    rows = [
        (
            str(law["name"]),
            f"{100 * law['relative_error_held_out']:.3g} %",
            f"{100 * law['residual_deviation']:.3g} %",
            ", ".join(law["not_determined"]) or "–",
        )
        for law in laws
    ]
    rows += [(f"{name} (no law)", f"{100 * e:.3g} %", "–", "–") for name, e in plain.items()]
    return Table(
        "Laws by their error on the held-out tail",
        ("law", "held-out error", "scatter around the fit to all", "not determined"),
        tuple(rows),
    )


def _parameters_table(run: Run) -> Table:
    frame = run.read_table("laws")
    rows = []
    for row in frame.to_dict("records"):
        low, high = number(row["low"], 4), number(row["high"], 4)
        rows.append(
            (
                f"{row['law']}: {row['parameter']}",
                number(row["value"], 4),
                number(row["standard_error"], 2) if np.isfinite(row["standard_error"]) else "–",
                f"{low} to {high}",
            )
        )
    return Table(
        "Parameters of every law",
        ("parameter", "value", "standard error", "95 % profile interval"),
        tuple(rows),
    )

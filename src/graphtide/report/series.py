"""Figures of states through time: curves of example nodes, errors, true against predicted."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure
from graphtide.report.figures import BASELINE, INK, MODEL, band, canvas, svg_of
from graphtide.trajectory import Trajectory

__all__ = ["curves", "error_over_time", "example_nodes", "true_against_predicted"]


def example_nodes(observed: Trajectory, count: int = 6) -> list[int]:
    """Return nodes spread over the range of last states, so that they show different fates."""
    series = observed.states[:, :, 0]
    known = np.flatnonzero(~np.isnan(series).all(axis=0))
    # The last reading of each, not all need be read at the last time.
    latest = len(series) - 1 - np.argmax(~np.isnan(series[::-1, known]), axis=0)
    order = known[np.argsort(series[latest, known], kind="stable")]
    places = np.linspace(0, len(order) - 1, min(count, len(order))).round().astype(int)
    return [int(order[place]) for place in np.unique(places)]


def curves(
    observed: Trajectory,
    predicted: Trajectory | None,
    *,
    forecast_from: float | None,
    caption: str,
    finding: str,
    name: str,
    logarithmic: bool = False,
    half_width: np.ndarray | None = None,
) -> Figure:
    """Return small multiples of example nodes: readings as points, the model as a line.

    Half the width of intervals around the predicted states, (T, N, D), is drawn as a band.
    """
    nodes = example_nodes(observed)
    columns = 3
    rows = -(-len(nodes) // columns)
    figure, axes = canvas(rows, columns, width=9.0, height=2.1 * rows + 0.3)
    variable = observed.variables[0]
    unit = observed.units.get(variable, "")
    frames = []
    for axis, node in zip(axes, nodes, strict=False):
        axis.plot(
            observed.times,
            observed.states[:, node, 0],
            ".",
            color=INK,
            markersize=3.2,
            label="observed",
        )
        if predicted is not None:
            axis.plot(predicted.times, predicted.states[:, node, 0], color=MODEL, label="graphtide")
            if half_width is not None:
                middle, half = predicted.states[:, node, 0], half_width[:, node, 0]
                axis.fill_between(
                    predicted.times, middle - half, middle + half, color=MODEL, alpha=0.2, lw=0
                )
        if logarithmic:
            axis.set_yscale("log")
        if forecast_from is not None:
            band(axis, forecast_from, float(observed.times[-1]), "forecast")
        axis.set_title(observed.names[node], pad=13 if forecast_from is not None else 6)
        frame = {"time": observed.times, "node": observed.names[node]}
        frame["observed"] = observed.states[:, node, 0]
        if predicted is not None:
            frame["predicted"] = predicted.states[:, node, 0]
            if half_width is not None:
                frame["half_width"] = half_width[:, node, 0]
        frames.append(pandas.DataFrame(frame))
    for axis in axes[len(nodes) :]:
        axis.set_visible(False)
    axes[0].legend(loc="upper left", handlelength=1.4)
    label = f"{variable} ({unit})" if unit else variable
    figure.supylabel(label, fontsize=10)
    figure.supxlabel(f"time ({observed.units['time']})" if "time" in observed.units else "time")
    return Figure(svg_of(figure), caption, finding, pandas.concat(frames), name)


def error_over_time(
    times: np.ndarray, errors: dict[str, np.ndarray], *, forecast_from: float | None, finding: str
) -> Figure:
    """Return the relative error of each method against time."""
    figure, (axis,) = canvas(width=8.0, height=2.9)
    colours = {"graphtide": MODEL}
    styles = iter(["--", ":", "-."])
    for method, error in errors.items():
        axis.plot(
            times,
            100 * error,
            color=colours.get(method, BASELINE),
            linestyle="-" if method in colours else next(styles),
            label=method,
        )
    if forecast_from is not None:
        band(axis, forecast_from, float(times[-1]), "forecast")
    axis.set_ylabel("relative error (%)")
    axis.set_xlabel("time")
    axis.set_ylim(bottom=0)
    axis.legend()
    data = pandas.DataFrame({"time": times, **errors})
    caption = (
        "Mean absolute error over all nodes, divided by the mean absolute state at the same time."
    )
    return Figure(svg_of(figure), caption, finding, data, "error_over_time")


def true_against_predicted(
    observed: Trajectory, predicted: Trajectory, roles: np.ndarray, *, finding: str
) -> Figure:
    """Return predicted against observed states, times kept from learning in colour."""
    figure, (axis,) = canvas(width=4.6, height=4.2)
    frames = []
    for role, colour, label in (
        ("train", "#9aa5b1", "learned from"),
        ("interpolate", MODEL, "kept, inside"),
        ("extrapolate", BASELINE, "kept, at the end"),
    ):
        times = roles == role
        true = observed.states[times][:, :, 0].ravel()
        said = predicted.states[times][:, :, 0].ravel()
        frames.append(pandas.DataFrame({"role": role, "observed": true, "predicted": said}))
        kept = np.linspace(0, len(true) - 1, min(1500, len(true))).astype(int)
        axis.plot(
            true[kept], said[kept], ".", markersize=3, color=colour, label=label, rasterized=True
        )
    low, high = axis.get_xlim()
    axis.plot([low, high], [low, high], color=INK, linewidth=0.8)
    axis.set_xlabel("observed")
    axis.set_ylabel("predicted")
    axis.legend(markerscale=2.5)
    data = pandas.concat(frames)
    step = max(1, len(data) // 4000)
    caption = "Predicted against observed states; on the line they agree."
    if step > 1:
        caption += f" The data hold every {step}th point."
    return Figure(svg_of(figure), caption, finding, data.iloc[::step], "scatter", wide=False)

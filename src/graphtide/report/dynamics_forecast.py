"""The page of ``dynamics forecast``: errors by step beside the baselines, nodes, intervals."""

from __future__ import annotations

import numpy as np
import pandas
from matplotlib.ticker import MaxNLocator

from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.report.network import moving_network
from graphtide.report.provenance import provenance
from graphtide.report.series import example_nodes
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["forecast_page"]

_PLAIN = "#9aa5b1"
_DAYS = 600
"""Most readings of a node that one picture shows."""


def forecast_page(run: Run) -> Page:
    """Return the page of a forecast."""
    metrics = run.read_metrics()
    errors = run.read_table("errors")
    observed = run.read_trajectory("observed")
    tensors = run.read_tensors("test")
    model = str(metrics["model"])
    step = int(tensors["predicted"].shape[1])
    unit = observed.units.get(observed.variables[0], "")
    lead = (
        f"From the last {metrics['history']} readings of {metrics['nodes']} nodes to the next "
        f"{metrics['horizon']}. Over {metrics['test_windows']} windows after the split the "
        f"forecaster {_words(model)}, chosen on windows before it, errs by "
        f"{number(metrics['mae'])} on the mean (root mean square {number(metrics['rmse'])}"
        f"{', ' + unit if unit else ''})."
    )
    verdict = Section(
        "Errors beside the baselines",
        (_verdict(metrics),),
        (_error_table(metrics), _by_step(errors, model), _validation_table(metrics)),
    )
    pictures = Section(
        "Nodes, and the network",
        (),
        (
            _nodes(observed, tensors, step),
            *_networks(observed, tensors, step),
        ),
    )
    level = _figure(metrics["level"])
    coverage = Section(
        "Intervals",
        (
            f"Each forecast has an interval that should hold {100 * level:g} % of the readings. "
            f"It held {100 * _figure(metrics['coverage']):.1f} %. Widths come from errors on "
            "held-out windows, by node and step, and follow the misses as they come true; without "
            f"following them it would have been "
            f"{100 * _figure(metrics['coverage_without_following']):.1f} %.",
        ),
        (_coverage(metrics),),
    )
    return Page("What comes next", lead, (verdict, pictures, coverage), provenance(run))


def _figure(value: object) -> float:
    assert isinstance(value, int | float)  # the run's own metrics
    return float(value)


def _words(name: str) -> str:
    return f"“{name.replace('_', ' ')}”"


def _verdict(metrics: dict[str, object]) -> str:
    baselines = metrics["baselines"]
    assert isinstance(baselines, dict)  # written by Forecast.save
    best = min(baselines, key=lambda name: baselines[name]["mae"])
    own, other = _figure(metrics["mae"]), float(baselines[best]["mae"])
    if str(metrics["model"]) in baselines:
        return (
            f"The choice fell on one of the baselines, {_words(str(metrics['model']))}; on the "
            f"test windows {_words(best)} has the smallest mean error, {number(other)}."
        )
    if own < other:
        return (
            f"Its mean error is {100 * (1 - own / other):.1f} % below that of the best baseline, "
            f"{_words(best)} ({number(other)})."
        )
    return (
        f"A baseline, {_words(best)}, forecasts better here: its mean error is {number(other)}, "
        f"that of the choice {number(own)}."
    )


def _error_table(metrics: dict[str, object]) -> Table:
    baselines = metrics["baselines"]
    assert isinstance(baselines, dict)
    rows = []
    for name, figures in {f"{metrics['model']} (chosen)": metrics, **baselines}.items():
        share = figures["mape"]
        rows.append(
            (
                name.replace("_", " "),
                number(figures["mae"]),
                number(figures["rmse"]),
                "–" if share is None else f"{100 * share:.3g} %",
            )
        )
    return Table(
        "Errors over all test windows, nodes and steps",
        ("forecaster", "mean absolute", "root mean square", "relative (zeros left out)"),
        tuple(rows),
    )


def _validation_table(metrics: dict[str, object]) -> Table:
    scores = metrics["validation_mae"]
    seconds = metrics["seconds_by_model"]
    assert isinstance(scores, dict)
    assert isinstance(seconds, dict)
    order = sorted(scores, key=lambda name: scores[name])
    return Table(
        "How the choice was made: errors on the held-out windows before the split",
        ("forecaster", "mean absolute, in standard deviations", "seconds of its fits"),
        tuple(
            (name.replace("_", " "), number(scores[name]), number(seconds.get(name)))
            for name in order
        ),
    )


def _by_step(errors: pandas.DataFrame, model: str) -> Figure:
    figure, axes = canvas(1, 2, width=9.0, height=3.4)
    names = list(dict.fromkeys(errors["model"]))
    shown = {"last_value", "graph_autoregression", "seasonal_mean", "vector_autoregression"}
    styles = dict(zip(sorted(shown), ["--", ":", "-.", (0, (5, 1, 1, 1, 1, 1))], strict=True))
    for axis, column, title in zip(
        axes, ("mae", "rmse"), ("mean absolute error", "root mean square error"), strict=True
    ):
        for name in reversed(names):
            rows = errors[errors["model"] == name]
            plain = name not in shown and name != model
            axis.plot(
                rows["step"],
                rows[column],
                marker="o" if len(rows) == 1 else "",
                color=MODEL if name == model else _PLAIN if plain else BASELINE,
                linestyle="-" if name == model or plain else styles[name],
                linewidth=2.2 if name == model else 1.0 if plain else 1.4,
                label=None if plain else name.replace("_", " "),
            )
        axis.set_title(title)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_xlabel("step of the horizon")
        axis.set_ylim(bottom=0)
    axes[0].legend(loc="lower right", fontsize=8)
    own = errors.loc[errors["model"] == model, "mae"].to_numpy()
    return Figure(
        svg_of(figure),
        "Errors by step; grey: the recurrent networks and other baselines.",
        f"Mean absolute error of the choice grows from {number(float(own[0]))} at the first "
        f"step to {number(float(own[-1]))} at the last.",
        errors,
        "errors",
    )


def _nodes(observed: Trajectory, tensors: dict[str, np.ndarray], step: int) -> Figure:
    """Return readings and forecasts at the last step through the test windows."""
    first = tensors["first_target"][:_DAYS] + step - 1
    nodes = example_nodes(observed)
    figure, axes = canvas(-(-len(nodes) // 2), 2, width=9.4, height=2.0 * -(-len(nodes) // 2) + 0.3)
    times = observed.times[first]
    frames = []
    for axis, node in zip(axes, nodes, strict=False):
        said, low, high = (
            tensors[name][:_DAYS, step - 1, node, 0] for name in ("predicted", "lower", "upper")
        )
        true = observed.states[first, node, 0]
        axis.fill_between(times, low, high, color=MODEL, alpha=0.18, linewidth=0)
        axis.plot(times, said, color=MODEL, linewidth=1.2, label="forecast")
        axis.plot(times, true, ".", color=INK, markersize=2.2, label="observed")
        axis.set_title(observed.names[node])
        frames.append(
            pandas.DataFrame(
                {
                    "time": times,
                    "node": observed.names[node],
                    "observed": true,
                    "forecast": said,
                    "lower": low,
                    "upper": high,
                }
            )
        )
    for axis in axes[len(nodes) :]:
        axis.set_visible(False)
    axes[0].legend(loc="best", handlelength=1.4, markerscale=2)
    figure.supxlabel(f"time ({observed.units['time']})" if "time" in observed.units else "time")
    words = "one reading" if step == 1 else f"{step} readings"
    return Figure(
        svg_of(figure),
        f"Forecasts made {words} ahead with their intervals, and what was then read; nodes from "
        "the lowest to the highest last reading.",
        "Readings of example nodes lie mostly within the intervals of their forecasts.",
        pandas.concat(frames),
        "nodes",
    )


def _networks(observed: Trajectory, tensors: dict[str, np.ndarray], step: int) -> tuple:
    """Return the network coloured by the forecast and by its error, through the test windows."""
    graph = observed.graph
    if graph is None or graph.edge_count == 0:
        return ()
    places = tensors["first_target"] + step - 1
    said = tensors["predicted"][:, step - 1].astype(np.float64)
    truth = observed.states[places]
    shown = Trajectory(
        observed.times[places], said, variables=observed.variables, graph=graph,
        units=observed.units,
    )  # fmt: skip
    words = "one reading" if step == 1 else f"{step} readings"
    return (
        moving_network(
            shown,
            caption=f"The network, coloured by the forecast made {words} ahead.",
            finding="Forecasts of all nodes through the test windows.",
        ),
        moving_network(
            shown.with_states(np.abs(said - truth)),
            caption=f"The same, coloured by the absolute error of the forecast {words} ahead.",
            finding="Errors of all nodes through the test windows.",
        ),
    )


def _coverage(metrics: dict[str, object]) -> Figure:
    shares = metrics["coverage_by_step"]
    assert isinstance(shares, list)
    level = _figure(metrics["level"])
    steps = np.arange(1, len(shares) + 1)
    figure, (axis,) = canvas(width=8.0, height=2.6)
    axis.axhspan(100 * level - 2, 100 * level + 2, color="#7b8794", alpha=0.15, linewidth=0)
    axis.axhline(100 * level, color=INK, linewidth=0.8)
    axis.plot(steps, 100 * np.array(shares), "o-", color=MODEL, markersize=4)
    low = min(100 * level - 8, 100 * min(shares) - 2)
    axis.set_ylim(low, 100.0)
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    axis.set_xlabel("step of the horizon")
    axis.set_ylabel("readings inside (%)")
    return Figure(
        svg_of(figure),
        "Share of the readings within their intervals; the line is what was asked for, the band 2 "
        "% to both sides.",
        f"Coverage lies between {100 * min(shares):.1f} and {100 * max(shares):.1f} %.",
        pandas.DataFrame({"step": steps, "coverage": shares}),
        "coverage",
    )

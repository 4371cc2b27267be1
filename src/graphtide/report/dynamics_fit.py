"""The page of ``dynamics fit``: what was learned, how well it predicts, and where it ends."""

from __future__ import annotations

import io

import numpy as np
import pandas

from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import INK, MODEL, canvas, surface, svg_of
from graphtide.report.network import moving_network
from graphtide.report.neural_fit import intervals_section, training_section
from graphtide.report.provenance import provenance
from graphtide.report.series import curves, error_over_time, true_against_predicted
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["fit_page", "halves_figure", "last_training_time"]


def fit_page(run: Run) -> Page:
    """Return the page of a fitted run."""
    metrics = run.read_metrics()
    observed, predicted = run.read_trajectory("observed"), run.read_trajectory("predicted")
    roles = run.read_table("split")["role"].to_numpy()
    start = last_training_time(observed, roles)
    inside = metrics.get("relative_error_interpolation")
    beyond = metrics.get("relative_error_extrapolation")
    lead = (
        f"Learned from {int((roles == 'train').sum())} of {len(roles)} times on "
        f"{len(observed.names)} nodes. Times kept from learning are predicted with a relative "
        f"error of {_percent(inside)} inside the learned span and {_percent(beyond)} after it."
    )
    neural = "model" in metrics
    half_width, bands = None, ""
    if (run.path / "half_width.npz").is_file():
        half_width = run.read_trajectory("half_width").states
        bands = f" Bands: {_percent(metrics['level'])} intervals."
    verdict = Section(
        "Errors beside plain methods",
        (_verdict(metrics),),
        (
            _errors_table(metrics),
            error_over_time(
                observed.times,
                _errors_by_time(observed, predicted, roles),
                forecast_from=start,
                finding="Relative error of the learned field through time beside the last value.",
            ),
            true_against_predicted(
                observed,
                predicted,
                roles,
                finding=f"Predicted states against observed ones; error {_percent(beyond)}.",
            ),
            *(() if neural else (_families(run),)),
        ),
    )
    pictures = Section(
        "States through time",
        (),
        (
            moving_network(
                predicted,
                caption="The network, coloured by the predicted state.",
                finding="Predicted states of all nodes through time.",
            ),
            curves(
                observed,
                predicted,
                forecast_from=start,
                caption=f"Nodes from the lowest to the highest last state.{bands}",
                finding="Readings and learned curve of example nodes.",
                name="curves",
                half_width=half_width,
            ),
        ),
    )
    sections = [verdict, pictures]
    if neural:
        sections += [intervals_section(run), training_section(run)]
    if (run.path / "halves.npz").is_file():
        sections.append(_halves_section(run, neural=neural))
    return Page("What was learned of the dynamics", lead, tuple(sections), provenance(run))


def _halves_section(run: Run, *, neural: bool) -> Section:
    beyond = (
        "goes on untaught (each hidden unit is constant there)"
        if neural
        else "goes on as straight lines"
    )
    return Section(
        "The two halves of what was learned",
        (
            f"Each node changes by F of its own state, plus the {run.read_metrics()['coupling']} "
            "over its neighbours of G of both states, each counted with the weight of its edge.",
        ),
        (halves_figure(run),),
        notes=(
            "A part of G that depends on the node's own state alone and F can be exchanged where "
            "all nodes have the same degree: only their sum is then known.",
            f"Outside the states that were visited the field {beyond}: a guess.",
        ),
    )


def last_training_time(observed: Trajectory, roles: np.ndarray) -> float | None:
    """Return the last time that was learned from; None where nothing was kept after it."""
    if not (roles == "extrapolate").any():
        return None
    return float(observed.times[roles != "extrapolate"][-1])


def halves_figure(run: Run) -> Figure:
    """Return F as a curve and G as a surface over the visited range."""
    with np.load(io.BytesIO((run.path / "halves.npz").read_bytes()), allow_pickle=False) as arrays:
        grid = {key: arrays[key] for key in arrays.files}
    transform = run.read_metrics().get("transform")
    state = "log state" if transform == "log" else "state"
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.4)
    left.axhline(0, color="#cbd2d9", linewidth=0.8)
    left.plot(grid["self_state"], grid["self_value"], color=MODEL)
    left.set_title("F: a node by itself")
    left.set_xlabel(f"own {state}")
    left.set_ylabel("rate of change")
    left.tick_params(colors=INK)
    surface(
        right,
        grid["pair_own"],
        grid["pair_other"],
        grid["pair_value"],
        (f"neighbour's {state}", f"own {state}"),
    )
    right.set_title("G: what one neighbour adds")
    data = pandas.DataFrame({"own_state": grid["self_state"], "F": grid["self_value"]})
    for k, other in enumerate(grid["pair_other"]):
        data[f"G_neighbour_{other:.4g}"] = grid["pair_value"][:, k]
    caption = (
        "Left: the node's own motion. Right: the influence of one neighbour (edge weight one); "
        "the white line is where it vanishes."
    )
    return Figure(svg_of(figure), caption, "The learned functions F and G.", data, "halves")


def _percent(value: object) -> str:
    if (
        not isinstance(value, int | float) or value != value
    ):  # only not-a-number differs from itself
        return "–"
    return f"{100 * value:.3g} %"


def _verdict(metrics: dict[str, object]) -> str:
    beyond = metrics.get("relative_error_extrapolation")
    last = metrics.get("last_value_relative_error_extrapolation")
    if not (isinstance(beyond, float) and isinstance(last, float)):
        return "Nothing was kept after the learned span, so forecasts were not tested."
    if beyond < last:
        return (
            f"After the learned span the field errs by {_percent(beyond)}, the last value by "
            f"{_percent(last)}: the field is the better forecast."
        )
    return (
        f"After the learned span the field errs by {_percent(beyond)}, the last value by only "
        f"{_percent(last)}: for these times the plain method is the better forecast."
    )


def _errors_table(metrics: dict[str, object]) -> Table:
    rows = [
        (
            "graphtide",
            _percent(metrics.get("relative_error_interpolation")),
            _percent(metrics.get("relative_error_extrapolation")),
        )
    ]
    for method in ("last_value", "linear_interpolation", "linear_trend"):
        inside, beyond = (
            metrics.get(f"{method}_relative_error_interpolation"),
            metrics.get(f"{method}_relative_error_extrapolation"),
        )
        if inside is not None or beyond is not None:
            rows.append((method.replace("_", " "), _percent(inside), _percent(beyond)))
    return Table(
        "Relative error at times kept from learning",
        ("method", "inside the span", "after the span"),
        tuple(rows),
    )


def _families(run: Run) -> Table:
    frame = run.read_table("candidates").sort_values("training_error").head(8)
    return Table(
        "Families tried, best first by the roll-out that chose among them",
        ("family", "unknowns", "penalty", "roll-out error", "chosen"),
        tuple(
            (
                str(row["family"]),
                number(row["unknowns"]),
                number(row["penalty"]),
                _percent(row["training_error"]),
                "yes" if bool(row["chosen"]) else "",
            )
            for row in frame.to_dict("records")
        ),
    )


def _errors_by_time(
    observed: Trajectory, predicted: Trajectory, roles: np.ndarray
) -> dict[str, np.ndarray]:
    size = np.nanmean(np.abs(observed.states), axis=(1, 2))
    size = np.where(size > 0, size, np.nan)
    error = np.nanmean(np.abs(predicted.states - observed.states), axis=(1, 2)) / size
    errors = {"graphtide": error}
    if (roles == "extrapolate").any():
        last = observed.states[roles != "extrapolate"][-1]
        held = np.nanmean(np.abs(last - observed.states), axis=(1, 2)) / size
        errors["last value"] = np.where(roles == "extrapolate", held, np.nan)
    return errors

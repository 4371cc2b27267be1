"""The page of ``lesson depth``: one problem, three networks, and a step that is halved."""

from __future__ import annotations

import numpy as np
import pandas
from matplotlib.colors import LinearSegmentedColormap

from graphtide.report.content import Figure, Page, Section
from graphtide.report.figures import BASELINE, MODEL, canvas, formula, svg_of
from graphtide.report.lesson_figures import (
    NETWORKS,
    by_name,
    convergence,
    count_axis,
    groups,
    legend,
    network_table,
    numbers,
    slopes,
    where,
)
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["lesson_depth_page"]

_NAMES = ("plain", "residual", "differential")
_LAW = (
    r"\mathrm{plain:}\quad h_{l+1} = \tanh(W_l h_l + b_l)",
    r"\mathrm{residual:}\quad h_{l+1} = h_l + \tanh(W_l h_l + b_l)",
    r"\mathrm{differential:}\quad dh/dt = V\,\tanh(W\,[h, t] + b)",
)


def lesson_depth_page(run: Run) -> Page:
    """Return the page of the lesson."""
    networks = run.read_table("networks")
    accuracy = {name: 100 * share for name, share in by_name(networks, "test_accuracy").items()}
    layers = round(numbers(run.read_table("orders"), "steps").min())
    lead = (
        f"Two spirals are told apart by three networks. On points they have not seen the plain "
        f"network of {layers} layers is right in {accuracy['plain']:.1f} % of cases, the residual "
        f"network in {accuracy['residual']:.1f} %, the differential one in "
        f"{accuracy['differential']:.1f} %. The last two are one thing: a residual network is a "
        "differential equation, solved with steps of size one."
    )
    arrays = run.read_tensors("arrays")
    three = Section(
        "Three networks, one problem",
        (
            "All three lift a point to eight numbers h, change h on its way through depth, and "
            "read one number off at the end. They differ in what a layer does. A plain layer "
            "replaces h. A residual layer adds a change to it: that is one Euler step, of size "
            "one, of dh/dt = f(h). A differential network keeps the equation itself; a method that "
            "watches its error chooses the steps.",
        ),
        (
            network_table(
                networks,
                "The networks after training; accuracy on points kept from it",
                {
                    "test_accuracy": "accuracy",
                    "train_loss": "training loss",
                    "parameters": "numbers learned",
                    "seconds": "seconds of training",
                },
            ),
            _fields(arrays, accuracy),
        ),
        law=formula(_LAW),
    )
    paths = Section(
        "Trajectories through depth",
        (
            "Depth is time: each point starts where it was lifted to and travels until it is read "
            "off. Where layers only replace, neighbouring points may jump anywhere. Where they add "
            "small changes, the points flow.",
        ),
        (_paths(arrays),),
    )
    return Page("Depth is time", lead, (three, paths, _halved(run, layers)), provenance(run))


def _fields(arrays: dict[str, np.ndarray], accuracy: dict[str, float]) -> Figure:
    colours = LinearSegmentedColormap.from_list("sides", [BASELINE, "#ffffff", MODEL])
    grid, points, side = arrays["grid"], arrays["points"], arrays["side"]
    figure, axes = canvas(1, 3, width=9.0, height=3.2)
    frames = []
    for axis, name in zip(axes, _NAMES, strict=True):
        field = arrays[f"field_{name}"]
        axis.pcolormesh(
            grid, grid, field, cmap=colours, vmin=0, vmax=1, shading="auto", rasterized=True,
            alpha=0.6,
        )  # fmt: skip
        for value, colour in ((0, BASELINE), (1, MODEL)):
            some = points[side == value]
            axis.plot(some[:, 0], some[:, 1], ".", color=colour, markersize=2.5)
        axis.set_title(f"{name}: {accuracy[name]:.1f} % right")
        axis.set_aspect("equal")
        axis.set_xticks([-2, 0, 2])
        axis.set_yticks([-2, 0, 2])
        down, across = np.meshgrid(grid, grid, indexing="ij")
        frames.append(
            pandas.DataFrame(
                {"network": name, "x": across.ravel(), "y": down.ravel(), "chance": field.ravel()}
            )
        )
    best = max(accuracy, key=lambda name: accuracy[name])
    worst = min(accuracy, key=lambda name: accuracy[name])
    caption = (
        f"Where each network sees which spiral, with points kept from training. The {best} network "
        f"follows the arms best ({accuracy[best]:.1f} %), the {worst} one worst "
        f"({accuracy[worst]:.1f} %)."
    )
    data = pandas.concat(frames).round(4)
    return Figure(svg_of(figure), caption, caption, data, "decision_fields")


def _paths(arrays: dict[str, np.ndarray]) -> Figure:
    side = arrays["path_side"]
    figure, axes = canvas(1, 3, width=9.0, height=3.3)
    frames, turned = [], {}
    for axis, name in zip(axes, _NAMES, strict=True):
        path = arrays[f"path_{name}"]  # (T, K, 2)
        for index in range(path.shape[1]):
            colour = MODEL if side[index] else BASELINE
            axis.plot(path[:, index, 0], path[:, index, 1], color=colour, linewidth=0.7, alpha=0.6)
            axis.plot(*path[-1, index], "o", color=colour, markersize=3)
        axis.set_title(name)
        axis.set_xlabel("direction that is read off")
        turned[name] = _turn(path)
        times, points = np.meshgrid(*map(np.arange, path.shape[:2]), indexing="ij")
        frames.append(
            pandas.DataFrame(
                {
                    "network": name,
                    "depth": times.ravel() / (path.shape[0] - 1),
                    "point": points.ravel(),
                    "read_off": path[..., 0].ravel(),
                    "across": path[..., 1].ravel(),
                }
            )
        )
    axes[0].set_ylabel("direction of most spread")
    turns = ", ".join(f"{turned[name]:.0f}° {name}" for name in _NAMES)
    caption = (
        "Paths of 60 points from the lifted state to the one that is read off (dots), in two "
        f"directions of the state. The median turn from one drawn piece to the next: {turns}."
    )
    data = pandas.concat(frames).round(4)
    return Figure(svg_of(figure), caption, caption, data, "paths")


def _turn(path: np.ndarray) -> float:
    """Return the median angle between moves that follow each other, in degrees."""
    moves = np.diff(path, axis=0)
    lengths = np.linalg.norm(moves, axis=2)
    dots = (moves[1:] * moves[:-1]).sum(2) / np.maximum(lengths[1:] * lengths[:-1], 1e-300)
    return float(np.degrees(np.median(np.arccos(np.clip(dots, -1.0, 1.0)))))


def _halved(run: Run, layers: int) -> Section:
    accuracies = run.read_table("accuracies")
    constant = where(run.read_table("orders"), "schedule", "constant")
    figure, (axis, other) = canvas(1, 2, width=9.0, height=4.0)
    convergence(axis, constant, "step", "difference", ("size of a step", "distance to the limit"))
    legend(axis, "lower right")
    told: dict[str, dict[int, float]] = {}
    for name, rows in groups(accuracies, "network"):
        steps, right = numbers(rows, "steps"), 100 * numbers(rows, "accuracy")
        told[name] = dict(zip(map(int, steps), right, strict=True))
        other.plot(
            steps,
            right,
            "--" if "linear" in name else "-",
            marker="o",
            markersize=4,
            color=NETWORKS[name.split(",")[0]],
            label=name.replace(", ", ", weights "),
        )
    other.set_xlabel("number of Euler steps")
    other.set_ylabel("accuracy (%)")
    count_axis(other, numbers(accuracies, "steps"))
    legend(other, "below")
    away = 100 * numbers(where(constant, "method", "euler"), "difference")[0]
    kept, twice = (told["residual, constant"][n] for n in (layers, 2 * layers))
    linear = told["residual, linear"][2 * layers]
    few = sorted(told["differential"].items())
    caption = (
        "Left: how far the output of the trained residual network, read with smaller steps or "
        "another method, is from its limit (relative to the output). Slopes over the three "
        f"smallest steps: {slopes(constant, 'step', 'difference')}. Right: accuracy when a trained "
        "network is run with more or fewer Euler steps than it was trained with."
    )
    data = pandas.concat([constant.assign(figure="left"), accuracies.assign(figure="right")])
    drawn = Figure(svg_of(figure), caption, caption, data, "halved_steps")
    return Section(
        "What happens when a trained network's step is halved",
        (
            f"Between its layers the trained residual network can be read as an equation whose "
            f"weights are constant for one unit of depth each. With {2 * layers} steps of half the "
            f"size, and no training, it is right in {twice:.1f} % of cases, against {kept:.1f} % "
            "with the steps it was trained with.",
            f"The output of the trained network itself is {away:.0f} % away from the limit of its "
            "equation: the step is part of what was trained. With smaller steps each method comes "
            "nearer with its own order.",
            "The differential network was trained at the limit. Cut into "
            f"{few[0][0]} Euler step it is right in {few[0][1]:.1f} % of cases, and with "
            f"{few[-1][0]} steps in {few[-1][1]:.1f} %.",
        ),
        (drawn,),
        notes=(
            "Weights that are constant by pieces jump at every layer. A step that straddles a jump "
            "loses its order, so the pieces are solved one by one, and a number of steps that is "
            f"no multiple of {layers} is refused.",
            f"Weights may also go in straight lines from layer to layer. With {2 * layers} steps "
            f"that reading is right in {linear:.1f} % of cases: it asks for weights that change "
            "slowly with depth, which training alone does not ensure.",
        ),
    )

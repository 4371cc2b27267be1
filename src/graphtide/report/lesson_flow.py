"""The page of ``lesson flow``: densities, paths to a normal distribution, and a step cut in two."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, formula, svg_of
from graphtide.report.lesson_figures import (
    MARKERS,
    NETWORKS,
    by_name,
    groups,
    legend,
    numbers,
    where,
)
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["lesson_flow_page"]

_COLOURS = {
    "additive coupling": "#7a4f9e",
    "affine coupling": "#b23a5b",
    "residual": NETWORKS["residual"],
    "continuous": NETWORKS["differential"],
    "Hamiltonian": NETWORKS["Hamiltonian"],
}
_SHAPES = (BASELINE, MODEL, "#7b8794")
"""Colours of both moons and the ring."""
_SMOOTHED = 20
_PARTS = {1: "1", 2: "1/2", 4: "1/4"}
_DENSITY = (r"\log p(x) = \log p_0(T(x)) + \log\,|\det\,dT/dx|, \qquad p_0\ \mathrm{normal}",)
_STEPS = (
    r"\mathrm{coupling:}\quad x_b \leftarrow x_b\,\exp(s(x_a)) + m(x_a) \quad "
    r"(\mathrm{additive:}\ s = 0)",
    r"\mathrm{residual:}\quad x \leftarrow x + g(x) \qquad "
    r"\mathrm{continuous:}\quad dx/dt = f(t, x)",
    r"\mathrm{Hamiltonian:}\quad dq/dt = dK/dp,\quad dp/dt = -dV/dq",
)
_LEAPFROG = (
    r"\mathrm{kick:}\quad p \leftarrow p - (h/2)\,V'(q) \qquad "
    r"\mathrm{drift:}\quad q \leftarrow q + (h/2)\,K'(p)",
    r"\mathrm{one\ step\ of\ leapfrog:}\quad \mathrm{kick,\ drift,\ drift,\ kick}",
)


def lesson_flow_page(run: Run) -> Page:
    """Return the page of the lesson."""
    networks, halving = run.read_table("networks"), run.read_table("halving")
    arrays, metrics = run.read_tensors("arrays"), run.read_metrics()
    likelihood = by_name(networks, "log_likelihood")
    normal = number(metrics["log_likelihood_normal"])
    best, worst = (choose(likelihood, key=lambda name: likelihood[name]) for choose in (max, min))
    changes = _changes(halving, factor=2)
    firm, loose = (choose(changes, key=lambda name: abs(changes[name])) for choose in (min, max))
    lead = (
        "Five flows carry two moons inside a ring to a normal distribution, and so learn the "
        f"density of the points. On points kept from training the {best} flow reaches "
        f"{likelihood[best]:.2f} nats a point, the {worst} one {likelihood[worst]:.2f}, the best "
        f"normal distribution {normal}. Then each step is cut in two without training: the "
        f"{firm} flow changes by {number(abs(changes[firm]), 2)} nats, the {loose} one by "
        f"{number(abs(changes[loose]), 2)}."
    )
    densities = Section(
        "Five flows, one problem",
        (
            "A flow is an invertible map T from data to a normal distribution. The density of the "
            "data follows from that of the normal distribution and from how much T stretches "
            "space; read backwards, T turns normal random numbers into new points. The flows "
            "differ in what a step is.",
            "A coupling moves one coordinate by a function of the other, and then the other way "
            "round. A residual step adds a change that is small enough to be undone. A continuous "
            "flow is a differential equation; a Hamiltonian flow is one that keeps areas, as an "
            "additive coupling does. A map that keeps areas can bend and move the "
            "density, but nowhere make it higher than the normal distribution is at its middle.",
        ),
        (_densities(arrays, likelihood), _table(networks, metrics), _losses(run)),
        law=formula((*_DENSITY, *_STEPS)),
    )
    paths = Section(
        "Paths through depth",
        (
            "Depth is time: each point starts at its place in the data and moves, step by step, to "
            "its place in the normal distribution. Couplings move along one axis at a time. "
            "In a differential equation no two points are ever at the same place at the same time, "
            "so the whole plane flows and nothing is torn.",
        ),
        (_paths(arrays),),
    )
    sections = (densities, paths, _halved(halving), _leapfrog(arrays))
    return Page("A flow carries a density through depth", lead, sections, provenance(run))


def _densities(arrays: dict[str, np.ndarray], likelihood: dict[str, float]) -> Figure:
    axis, points, shape = arrays["axis"], arrays["points"], arrays["shape"]
    figure, axes = canvas(2, 3, width=9.0, height=6.7)
    for value, colour in enumerate(_SHAPES):
        some = points[shape == value]
        axes[0].plot(some[:, 0], some[:, 1], ".", color=colour, markersize=2, rasterized=True)
    axes[0].set_title(f"data: {len(points):,} points kept from training")
    across, down = np.meshgrid(axis, axis)
    frame = {"x": across.ravel(), "y": down.ravel()}
    highest = max(float(arrays[f"density_{name}"].max()) for name in likelihood)
    top = max(float(np.quantile(arrays[f"density_{name}"], 0.995)) for name in likelihood)
    for drawn, name in zip(axes[1:], likelihood, strict=True):
        density = arrays[f"density_{name}"]
        drawn.pcolormesh(
            axis, axis, density, cmap="cividis", vmin=0, vmax=top, shading="auto", rasterized=True
        )
        drawn.set_title(f"{name}: {likelihood[name]:.2f} nats")
        frame[name] = density.ravel()
    for drawn in axes:
        drawn.set_aspect("equal")
        drawn.set_xlim(axis[0], axis[-1])
        drawn.set_ylim(axis[0], axis[-1])
        drawn.set_xticks([-2, 0, 2])
        drawn.set_yticks([-2, 0, 2])
    cell = float(axis[1] - axis[0]) ** 2
    mass = {name: float(arrays[f"density_{name}"].sum()) * cell for name in likelihood}
    caption = (
        f"The data, and the density of each trained flow; the brightest colour is {top:.2f} or "
        f"more, the highest density {highest:.2f}. Within the frame lie "
        f"{100 * min(mass.values()):.0f} to {100 * max(mass.values()):.0f} % of each."
    )
    return Figure(svg_of(figure), caption, caption, pandas.DataFrame(frame).round(4), "densities")


def _table(networks: pandas.DataFrame, metrics: dict[str, object]) -> Table:
    rows = [
        (
            str(row["network"]),
            _with_error(row["log_likelihood"], row["standard_error"]),
            number(row["parameters"]),
            f"{row['seconds']:.1f}",
        )
        for row in networks.to_dict("records")
    ]
    normal = _with_error(metrics["log_likelihood_normal"], metrics["standard_error_normal"])
    rows.append(("best normal distribution", normal, "5", number(None)))
    return Table(
        "Mean log-likelihood of points kept from training, with its standard error; more is better",
        ("flow", "nats a point", "numbers learned", "seconds of training"),
        tuple(rows),
    )


def _with_error(value: object, error: object) -> str:
    return f"{value:.3f} ± {error:.3f}"


def _losses(run: Run) -> Figure:
    frame = run.read_table("losses")
    figure, (axis,) = canvas(width=8.0, height=3.2)
    ends = []
    for name, rows in groups(frame, "network"):
        loss = numbers(rows, "loss")
        window = min(_SMOOTHED, len(loss))
        smooth = np.convolve(loss, np.ones(window) / window, mode="valid")
        axis.plot(np.arange(window, len(loss) + 1), smooth, color=_COLOURS[name], label=name)
        ends.append(f"{name} {smooth[-1]:.2f} after {len(loss) - 1}")
    axis.set_xlabel("descent")
    axis.set_ylabel("loss (nats a point)")
    legend(axis, "right")
    caption = (
        f"Negative log-likelihood of the training batches, mean of {_SMOOTHED} in a row. At the "
        f"end: {', '.join(ends)} descents. "
        "A kind whose descent takes longer is given fewer of them."
    )
    return Figure(svg_of(figure), caption, caption, frame.round(4), "losses")


def _paths(arrays: dict[str, np.ndarray]) -> Figure:
    names = [name for name in _COLOURS if f"path_{name}" in arrays]
    figure, axes = canvas(2, 3, width=9.0, height=6.7)
    angle = np.linspace(0, 2 * np.pi, 100)
    circle = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    frames, lengths = [], {}
    for axis, name in zip(axes, names, strict=False):
        path = arrays[f"path_{name}"].astype(float)  # (L + 1, P, 2)
        for index, kind in enumerate(arrays["shape"][: path.shape[1]]):
            colour = _SHAPES[kind]
            axis.plot(path[:, index, 0], path[:, index, 1], color=colour, linewidth=0.6, alpha=0.7)
            axis.plot(*path[-1, index], "o", color=colour, markersize=2.5)
        mean, deviation = arrays[f"base_{name}"].astype(float)
        for radius in (1, 2):
            ring = mean + radius * deviation * circle
            axis.plot(ring[:, 0], ring[:, 1], ":", color=INK, linewidth=0.9)
        axis.set_title(f"{name}: {len(path) - 1} moves")
        across, up = np.maximum(3.0, 1.05 * np.abs(path).max((0, 1)))
        axis.set_xlim(-across, across)
        axis.set_ylim(-up, up)
        lengths[name] = float(np.linalg.norm(np.diff(path, axis=0), axis=2).sum(0).mean())
        steps, points = np.meshgrid(*map(np.arange, path.shape[:2]), indexing="ij")
        frames.append(
            pandas.DataFrame(
                {
                    "flow": name,
                    "depth": steps.ravel() / (len(path) - 1),
                    "point": points.ravel(),
                    "x": path[..., 0].ravel(),
                    "y": path[..., 1].ravel(),
                }
            )
        )
    for axis in axes[len(names) :]:
        axis.set_axis_off()
    count = arrays[f"path_{names[0]}"].shape[1]
    told = ", ".join(f"{name} {length:.1f}" for name, length in lengths.items())
    caption = (
        f"Paths of {count} points from the data to the normal distribution (dots; dotted at one "
        "and two of its standard deviations, which are learned), coloured by moon and ring. Each "
        f"axis has a scale of its own. Mean length of a path: {told}."
    )
    return Figure(svg_of(figure), caption, caption, pandas.concat(frames).round(4), "paths")


def _changes(halving: pandas.DataFrame, factor: int) -> dict[str, float]:
    """Return by how much the log-likelihood of each flow changes when its steps are cut."""
    found = {}
    for name, rows in groups(halving, "network"):
        values = by_name(rows, "log_likelihood", "factor")
        found[name] = values[str(factor)] - values["1"]
    return found


def _halved(halving: pandas.DataFrame) -> Section:
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.8)
    rows = []
    for index, (name, some) in enumerate(groups(halving, "network")):
        factors = [_PARTS[round(factor)] for factor in numbers(some, "factor")]
        values, errors = numbers(some, "log_likelihood"), numbers(some, "inverse_error")
        for axis, drawn in ((left, values), (right, errors)):
            axis.plot(
                factors, drawn, marker=MARKERS[index], markersize=4, color=_COLOURS[name],
                label=name,
            )  # fmt: skip
        cells = [f"{value:.3f}" for value in values] + [f"{error:.1e}" for error in errors]
        rows.append((name, *cells))
    right.set_yscale("log")
    left.set_ylabel("log-likelihood (nats a point)")
    right.set_ylabel("largest error of the inverse")
    for axis in (left, right):
        axis.set_xlabel("size of a step, as a share of the trained one")
    figure.legend(
        *left.get_legend_handles_labels(),
        loc="outside upper center", ncols=5, fontsize=9, frameon=False,
    )  # fmt: skip
    half, quarter = (_changes(halving, factor) for factor in (2, 4))
    listed = ", ".join(
        f"{name} {_signed(half[name])} and {_signed(quarter[name])}" for name in half
    )
    caption = (
        "Each step of the trained flows cut into two and four, without training. Change of the "
        f"log-likelihood at half and at a quarter of the step: {listed} nats. Right: how far a "
        "point is from where it was after going to the normal distribution and back."
    )
    header = tuple(f"{part} step" for part in _PARTS.values())
    table = Table(
        "Log-likelihood (nats a point), then largest error of the inverse",
        ("flow", *header, *header),
        tuple(rows),
    )
    equations = {name: half.pop(name) for name in ("continuous", "Hamiltonian")}
    continuous = where(halving, "network", "continuous")
    back = numbers(continuous, "inverse_error")
    exact = numbers(halving.drop(continuous.index), "inverse_error").max()
    return Section(
        "What happens when a trained network's step is halved",
        (
            "A continuous flow is cut by its method: more Runge-Kutta steps; a Hamiltonian flow by "
            "more steps of leapfrog. A residual step becomes two of half its change, a pair of "
            "couplings two pairs of half their shift and log-scale.",
            f"With half the step the log-likelihood changes: {_listed(equations)} nats. These two "
            "were trained as equations, and their step is a matter of the method's error. "
            f"And {_listed(half)} nats. There the size of the step is part of what was trained: "
            "nothing in training asked for a limit.",
            "Each of them can be undone whatever its step. A continuous flow is solved backwards, "
            "and is exact up to its method: a point that goes to the normal distribution and back "
            f"is at most {number(float(back[0]), 2)} away from where it was with the trained step, "
            f"{number(float(back[1]), 2)} with half of it. The others undo the very moves that "
            f"were made, and are off by {number(float(exact), 2)} at most, which is rounding in "
            "single precision.",
        ),
        (Figure(svg_of(figure), caption, caption, halving, "halved_steps"), table),
    )


def _listed(changes: dict[str, float]) -> str:
    return " and ".join(f"that of the {name} flow by {_signed(changes[name])}" for name in changes)


def _signed(change: float) -> str:
    return f"{change:+.2f}" if abs(change) >= 0.1 else f"{change:+.2g}"


def _leapfrog(arrays: dict[str, np.ndarray]) -> Section:
    couplings, steps = (
        len(arrays[f"path_{name}"]) - 1 for name in ("additive coupling", "Hamiltonian")
    )
    return Section(
        "An additive coupling is one half of a leapfrog step",
        (
            "Call one coordinate the position q, the other the momentum p. A kick changes p by a "
            "function of q alone, a drift changes q by a function of p alone: each is an additive "
            "coupling. A kick and a drift are one half of a leapfrog step, a drift and a kick the "
            "other half, its mirror image.",
            "So a stack of additive couplings that share their two networks is a Hamiltonian "
            "equation cut into steps. What holds for the one holds for the other: areas are kept, "
            "so no logarithm of a determinant is needed, and each move is undone by subtracting "
            "what was added. The flow trained above has networks of its own in each of its "
            f"{couplings} couplings, and so no equation to come back to when its "
            f"step is cut; the Hamiltonian one has two networks for all {steps} "
            "steps.",
        ),
        law=formula(_LEAPFROG),
    )

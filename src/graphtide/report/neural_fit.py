"""What the page of a fit shows of a neural model: its training, its intervals, their coverage."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.run import Run

__all__ = ["intervals_section", "training_section"]


def training_section(run: Run) -> Section:
    """Return how the training went, stage by stage."""
    return Section(
        "How it was trained",
        (
            f"First least squares for the output weights{_along(run)}, then the other weights on "
            "the same increments, then roll-outs that grow to the whole span where there is still "
            "an error. After each stage the weights that predict the readings kept for validation "
            "best stay.",
        )
        if "message" in _description(run)
        else ("Whole roll-outs from the first states, by gradient descent.",),
        (_training_figure(run.read_table("training")),),
    )


def intervals_section(run: Run) -> Section:
    """Return what share of the readings kept for the test lies within the intervals."""
    metrics = run.read_metrics()
    level = metrics.get("level")
    rows = tuple(
        (words, _percent(level), _percent(metrics.get(f"coverage_{name}")))
        for name, words in (
            ("interpolation", "inside the learned span"),
            ("extrapolation", "after the learned span"),
        )
        if metrics.get(f"coverage_{name}") is not None
    )
    members = metrics.get("ensemble")
    spread = (
        f"{number(members)} members of an ensemble say where the model is unsure, and readings "
        "kept from learning how much."
        if members
        else "They are as wide everywhere, by readings kept from learning."
    )
    return Section(
        "How far to trust it",
        (f"The bands are intervals of {_percent(level)}. {spread}",),
        (
            Table(
                "Share of the test readings within the intervals",
                ("readings", "wanted", "measured"),
                rows,
            ),
        )
        if rows
        else (),
        notes=(
            "The share holds for readings like those kept back for calibration. Far ahead, or on "
            "another network, the bands are only as good as the ensemble.",
            *_unseen(metrics.get("unseen_nodes")),
        ),
    )


def _along(run: Run) -> str:
    """Return along which paths the first least squares went."""
    closed = run.read_metrics().get("start") == "closed_form"
    return " along the paths of a closed form" if closed else " on the increments between readings"


def _unseen(count: object) -> tuple[str, ...]:
    """Return what a reader should know of nodes without a reading."""
    if not isinstance(count, int) or count == 0:
        return ()
    nodes = "1 node was" if count == 1 else f"{number(count)} nodes were"
    return (
        f"{nodes} never seen. Where they start is guessed from what their neighbours do, which "
        "may say little; no error or share on this page judges them.",
    )


def _training_figure(history: pandas.DataFrame) -> Figure:
    """Return validation error and loss through all stages, on logarithmic scales."""
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.0)
    steps = np.arange(1, len(history) + 1)
    error = history["validation_error"].to_numpy(dtype=float)
    loss = history["loss"].to_numpy(dtype=float)
    stage = [str(name) for name in history["stage"]]
    mark = "o-" if len(history) < 40 else "-"
    kept = np.isfinite(error) & (error < 1e5)
    left.plot(steps[kept], 100 * error[kept], mark, color=MODEL, markersize=3.5)
    shown = np.isfinite(loss) & (loss > 0)
    right.plot(steps[shown], loss[shown], mark, color=INK, markersize=3.5)
    for axis in (left, right):
        axis.set_yscale("log")
        axis.set_xlabel("epoch, over all stages")
        for place in range(1, len(stage)):
            if stage[place] != stage[place - 1]:
                axis.axvline(place + 0.5, color=BASELINE, linewidth=0.6, alpha=0.6)
    left.set_ylabel("validation error (%)")
    right.set_ylabel("loss (of each stage)")
    stages = ", ".join(dict.fromkeys(stage))
    caption = (
        f"Stages, from left to right: {stages}. Losses of different stages are not alike; lost "
        "roll-outs are left out."
    )
    best = float(np.nanmin(error))
    finding = f"The best validation error is {100 * best:.3g} %."
    return Figure(svg_of(figure), caption, finding, history, "training")


def _description(run: Run) -> dict[str, object]:
    described = run.read_json("model.json")
    return described if isinstance(described, dict) else {}


def _percent(value: object) -> str:
    return f"{100 * value:.3g} %" if isinstance(value, int | float) else "–"

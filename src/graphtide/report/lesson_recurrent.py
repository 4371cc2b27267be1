"""The page of ``lesson recurrent``: irregular times, missing readings, a state between them."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.report.content import Figure, Page, Section
from graphtide.report.figures import INK, canvas, formula, svg_of
from graphtide.report.lesson_figures import (
    NETWORKS,
    by_name,
    convergence,
    count_axis,
    legend,
    network_table,
    numbers,
    where,
)
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["lesson_recurrent_page"]

_NAMES = ("plain", "residual", "differential")
_STYLES = {"plain": ":", "residual": "--", "differential": "-"}
_LAW = (
    r"\mathrm{plain:}\quad h \leftarrow \tanh(U h + W u + b)",
    r"\mathrm{residual:}\quad h \leftarrow h + f(h, u)",
    r"\mathrm{differential:}\quad dh/dt = f(h)\ \ \mathrm{between,}\quad "
    r"h \leftarrow \mathrm{GRU}(h, u)\ \ \mathrm{at\ a\ reading}",
)


def lesson_recurrent_page(run: Run) -> Page:
    """Return the page of the lesson."""
    networks = run.read_table("networks")
    missing = by_name(networks, "error_missing")
    lead = (
        "Series of two sines, read at irregular times, with values missing and eight entries in a "
        "row left out. Where nothing was read, the plain recurrent network errs by "
        f"{100 * missing['plain']:.0f} % of the series' spread, the residual one by "
        f"{100 * missing['residual']:.0f} %, the differential one by "
        f"{100 * missing['differential']:.0f} %."
    )
    three = Section(
        "Three cells, one problem",
        (
            "A recurrent network carries a state h along a series; u holds what is read, and which "
            "values are missing. A plain cell replaces h at each entry. A residual cell adds a "
            "change to it: one Euler step, whatever time has passed, so both must be told the gap "
            "as one more input. A differential cell moves h by an equation for as long as the gap "
            "lasts, and a reading makes it jump.",
            "Gaps differ from series to series. Each is mapped to the unit interval, so that all "
            "series move side by side in one solve.",
        ),
        (
            network_table(
                networks,
                "Errors on series kept from training, as a share of the series' spread",
                {
                    "error_read": "at values that are read next",
                    "error_missing": "at missing values",
                    "parameters": "numbers learned",
                    "seconds": "seconds of training",
                },
            ),
            _examples(run.read_tensors("arrays"), missing),
            _horizon(run.read_table("horizon")),
        ),
        law=formula(_LAW),
    )
    return Page(
        "Recurrent networks are read off at times", lead, (three, _halved(run)), provenance(run)
    )


def _examples(arrays: dict[str, np.ndarray], missing: dict[str, float]) -> Figure:
    count = len(arrays["times"])
    figure, axes = canvas(count, 1, width=9.0, height=2.0 * count + 0.4)
    frames = []
    for index, axis in enumerate(axes):
        times, truth, read = (arrays[name][index] for name in ("times", "truth", "read"))
        fine = arrays["fine"][index]
        axis.plot(fine, arrays["fine_truth"][index], color="#cbd2d9", linewidth=4, label="truth")
        frame = {"series": index, "time": fine, "truth": arrays["fine_truth"][index]}
        for name in _NAMES:
            said = arrays[f"said_{name}"][index]
            axis.plot(fine, said, _STYLES[name], color=NETWORKS[name], label=name, linewidth=1.4)
            frame[name] = said
        axis.plot(times[read == 1], truth[read == 1], "o", color=INK, markersize=3.5, label="read")
        axis.set_ylabel("value")
        frames.append(pandas.DataFrame(frame))
    axes[-1].set_xlabel("time")
    figure.legend(
        *axes[0].get_legend_handles_labels(),
        loc="outside upper center",
        ncols=5,
        fontsize=9,
        frameon=False,
    )
    best = min(missing, key=lambda name: missing[name])
    caption = (
        "Three series kept from training. Each network says the value before it is read; at values "
        f"that were not read the {best} network is nearest on average over all series "
        f"({100 * missing[best]:.0f} % of their spread)."
    )
    return Figure(svg_of(figure), caption, caption, pandas.concat(frames).round(4), "examples")


def _horizon(frame: pandas.DataFrame) -> Figure:
    figure, (axis,) = canvas(width=7.0, height=3.2)
    for name in _NAMES:
        rows = where(frame, "network", name)
        axis.plot(
            rows["since"], 100 * rows["relative_error"], _STYLES[name], marker="o", markersize=4,
            color=NETWORKS[name], label=name,
        )  # fmt: skip
    axis.set_ylim(bottom=0)
    axis.set_xlabel("time since a value was last read")
    axis.set_ylabel("error (% of spread)")
    legend(axis, "lower right")
    since = numbers(frame, "since")
    soon, late = (
        by_name(where(frame, "since", end), "relative_error") for end in (since.min(), since.max())
    )
    caption = (
        f"Error against the time that has passed since the last reading. At once the plain network "
        f"errs by {100 * soon['plain']:.0f} % and the differential one by "
        f"{100 * soon['differential']:.0f} %; after {since.max():g} units of time by "
        f"{100 * late['plain']:.0f} % and {100 * late['differential']:.0f} %. Saying the mean "
        "always would err by 100 %."
    )
    return Figure(svg_of(figure), caption, caption, frame, "time_since_reading")


def _halved(run: Run) -> Section:
    frame = run.read_table("halving")
    figure, (left, right) = canvas(1, 2, width=9.0, height=3.4)
    convergence(left, frame, "steps", "difference", ("steps in each gap", "distance to the limit"))
    convergence(
        right, frame, "steps", "relative_error", ("steps in each gap", "error on the series")
    )
    for axis in (left, right):
        count_axis(axis, numbers(frame, "steps"))
    right.set_yscale("linear")
    right.set_ylim(bottom=0)
    legend(left, "lower left")
    midpoint, fine = (where(frame, "method", method) for method in ("midpoint", "rk4"))
    trained, halved = (100 * error for error in numbers(midpoint, "relative_error")[:2])
    distance = 100 * numbers(midpoint, "difference")[0]
    limit, finest = 100 * numbers(fine, "relative_error")[-1], round(numbers(fine, "steps")[-1])
    caption = (
        "The trained differential network with more steps in each gap, and with other methods. "
        f"Left: distance to the limit of no step at all, as a share of the spread. Right: error on "
        f"series kept from training; with {finest} Runge-Kutta steps it is {limit:.1f} %."
    )
    drawn = Figure(svg_of(figure), caption, caption, frame, "halved_steps")
    return Section(
        "What happens when a trained network's step is halved",
        (
            f"It was trained with one step of the midpoint rule in each gap, and errs by "
            f"{trained:.1f} %. With two steps and no training it errs by {halved:.1f} %. One step "
            f"is {distance:.1f} % of the spread away from the limit of the learned equation. Once "
            "that distance is small beside the error, a step is a matter of cost alone.",
        ),
        (drawn,),
    )

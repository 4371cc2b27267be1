"""The resilience of a law on the page of an analysis: curves with the collapse marked, warnings."""

from __future__ import annotations

import numpy as np
import pandas

from graphtide.graph import Graph
from graphtide.report.content import Figure, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.run import Run

__all__ = ["resilience_section"]


def resilience_section(run: Run, name: str, values: dict[str, object], graph: Graph) -> Section:
    """Return the section of the part ``resilience``."""
    del graph
    found = values.get("findings", [])
    said = tuple(map(str, found)) if isinstance(found, list) else ()
    curves = _curves(run.read_table("resilience_curves"), values)
    if values.get("continuum"):  # nothing pulls back to a state, so there is nothing to warn of
        return Section(name.capitalize(), said, (curves,))
    nodes = run.read_table("resilience_nodes").head(10)
    rows = tuple(
        (str(row["node"]), number(row["worth"]), number(row["in_strength"]))
        for row in nodes.to_dict("records")
    )
    return Section(
        name.capitalize(),
        said,
        (
            curves,
            _warnings(run.read_table("resilience_warnings")),
            Table(
                "Nodes on which the mean state rests most",
                ("node", "share of x_eff it bears (first order)", "in-strength"),
                rows,
            ),
        ),
    )


def _curves(curves: pandas.DataFrame, values: dict[str, object]) -> Figure:
    kinds = list(dict.fromkeys(curves["damage"]))
    rows = -(-len(kinds) // 3)
    figure, axes = canvas(rows, min(3, len(kinds)), width=9.0, height=2.4 * rows + 0.3)
    for axis, kind in zip(axes, kinds, strict=False):
        some = curves[curves["damage"] == kind]
        axis.plot(some["share_lost"], some["high"], color=MODEL, marker=".", label="from high")
        axis.plot(some["share_lost"], some["low"], color=INK, marker=".", label="from low")
        axis.plot(
            some["share_lost"], some["reduced_high"], color=BASELINE, linestyle="--",
            label="reduction",
        )  # fmt: skip
        tip = values.get(f"tipping_{kind}")
        if isinstance(tip, float):
            axis.axvline(tip, color="#a61b1b", linewidth=1.0, linestyle=":")
            width = values.get(f"tipping_{kind}_half_width")
            if isinstance(width, float) and np.isfinite(width):
                axis.axvspan(tip - width, tip + width, color="#a61b1b", alpha=0.12, linewidth=0)
            axis.text(
                tip, 1.0, " collapse", color="#a61b1b", fontsize=8.5, va="top",
                transform=axis.get_xaxis_transform(),
            )  # fmt: skip
        axis.set_title(str(kind).replace("_", ", "))
        axis.set_xlabel("share lost")
        axis.set_ylabel("x_eff")
    for axis in axes[len(kinds) :]:
        axis.set_visible(False)
    axes[0].legend(loc="lower left", bbox_to_anchor=(0.0, 0.1))
    return Figure(
        svg_of(figure),
        "Weighted mean state while the network is damaged: reached from high states, from low ones,"
        " and by the one-dimensional reduction; the collapse of the full network is marked,"
        " with the 90 % interval of a learned field's ensemble.",
        "Resilience curves of the full network and of its reduction.",
        curves,
        "resilience_curves",
    )


def _warnings(frame: pandas.DataFrame) -> Figure:
    figure, axes = canvas(1, 3, width=9.0, height=2.4)
    words = {
        "recovery_rate": "recovery rate",
        "variance": "variance of x_eff (unit noise)",
        "autocorrelation": "lag-1 autocorrelation",
    }
    for axis, (column, title) in zip(axes, words.items(), strict=True):
        axis.plot(frame["share_lost"], frame[column], color=MODEL, marker=".")
        axis.set_title(title)
        axis.set_xlabel("share lost")
    return Figure(
        svg_of(figure),
        "Early-warning signs on the way: small disturbances die out more slowly near a collapse.",
        "Recovery rate, variance and autocorrelation along the damage.",
        frame,
        "resilience_warnings",
    )

"""Static pictures as SVG: one look for all, byte-identical for the same numbers."""

from __future__ import annotations

import io
import re
import textwrap
import warnings
from collections.abc import Sequence
from typing import Any, cast

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Canvas

__all__ = ["BASELINE", "INK", "MODEL", "canvas", "formula", "svg_of", "tidy"]

INK = "#1f2933"
"""Colour of what was observed."""
MODEL = "#0b6e99"
"""Colour of what graphtide says."""
BASELINE = "#b4622d"
"""Colour of plain methods."""

_FEWEST_LETTERS = 12
"""Of a line of a folded label."""
_LETTER = 0.6
"""Width of a letter, in sizes of the font."""
_OVERHANG = 1.1
"""Lengths of its axis from which on a label is folded."""
_STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "svg.hashsalt": "graphtide",
    "font.family": "sans-serif",
    "font.sans-serif": ["system-ui", "Segoe UI", "Helvetica", "Arial", "DejaVu Sans"],
    "font.size": 10,
    "axes.edgecolor": "#7b8794",
    "axes.labelcolor": INK,
    "axes.linewidth": 0.8,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "xtick.color": "#52606d",
    "ytick.color": "#52606d",
    "text.color": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
}


def canvas(
    rows: int = 1, columns: int = 1, *, width: float = 8.0, height: float = 3.2
) -> tuple[Canvas, list[Axes]]:
    """Return a figure and its axes, row by row; sizes in inches."""
    with mpl.rc_context(cast("Any", _STYLE)):
        figure = Canvas(figsize=(width, height), layout="constrained")
        axes = figure.subplots(rows, columns, squeeze=False)
    flat = [axis for row in axes for axis in row]
    for axis in flat:
        tidy(axis)
    return figure, flat


def tidy(axis: Axes) -> None:
    """Leave only the left and the lower line of the frame."""
    axis.spines[["top", "right"]].set_visible(False)
    axis.tick_params(length=3)


def svg_of(figure: Canvas) -> str:
    """Return inline SVG that scales with the page, without a date; long labels are folded."""
    stream = io.StringIO()
    # Matplotlib measures with its own font although the browser will choose one: that a script is
    # missing from it says nothing about the page.
    with (
        mpl.rc_context(cast("Any", {**_STYLE, "font.sans-serif": ["DejaVu Sans"]})),
        warnings.catch_warnings(),
    ):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        _fold_labels(figure)
        figure.savefig(stream, format="svg", metadata={"Date": None}, transparent=True)
    return _inline(stream.getvalue())


def _fold_labels(figure: Canvas) -> None:
    """Break labels that are longer than their axis, such as those that quote a table's column."""
    size = figure.get_size_inches()
    for axis in figure.axes:
        sides = axis.get_position().size * size
        for part, inches in zip((axis.xaxis, axis.yaxis), sides, strict=True):
            text = part.label.get_text()
            points = 72 * max(part.label.get_window_extent().size) / figure.dpi
            if points > _OVERHANG * 72 * inches and "$" not in text:
                letters = int(72 * inches / (_LETTER * float(part.label.get_fontsize())))
                part.label.set_text(textwrap.fill(text, max(letters, _FEWEST_LETTERS)))


def formula(lines: Sequence[str]) -> str:
    """Return equations in TeX as one SVG of outlines, readable without any font.

    Args:
        lines: TeX of each equation, without dollar signs.
    """
    style: dict[str, Any] = {
        "svg.fonttype": "path",
        "svg.hashsalt": "graphtide",
        "mathtext.fontset": "stix",
    }
    longest = max(len(re.sub(r"\\[a-z]+|[{}_^]", "", line)) for line in lines)
    with mpl.rc_context(cast("Any", style)):
        figure = Canvas(figsize=(max(2.0, 0.16 * longest), 0.65 * len(lines)))
        for k, line in enumerate(lines):
            height = 1 - (k + 0.5) / len(lines)
            figure.text(0.0, height, f"${line}$", va="center", fontsize=15, color=INK)
        stream = io.StringIO()
        figure.savefig(
            stream,
            format="svg",
            metadata={"Date": None},
            transparent=True,
            bbox_inches="tight",
            pad_inches=0.03,
        )
    return _inline(stream.getvalue(), fixed=True)


def band(axis: Axes, start: float, stop: float, label: str) -> None:
    """Shade a span of time and name it at its top."""
    axis.axvspan(start, stop, color="#7b8794", alpha=0.12, linewidth=0)
    axis.text(
        start,
        1.0,
        f" {label}",
        transform=axis.get_xaxis_transform(),
        va="bottom",
        fontsize=8.5,
        color="#52606d",
    )


def surface(
    axis: Axes, own: np.ndarray, other: np.ndarray, value: np.ndarray, labels: tuple[str, str]
) -> None:
    """Draw a function of two states in colours, with contour lines."""
    span = float(np.nanmax(np.abs(value))) or 1.0
    mesh = axis.pcolormesh(other, own, value, cmap="cividis", shading="auto", rasterized=True)
    axis.contour(other, own, value, levels=[0.0], colors="white", linewidths=0.8)
    axis.set_xlabel(labels[0])
    axis.set_ylabel(labels[1])
    bar = axis.figure.colorbar(mesh, ax=axis)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(length=2)
    bar.ax.set_title(f"max {span:.2g}", fontsize=8)


def _inline(svg: str, *, fixed: bool = False) -> str:
    """Return the <svg> element alone, its size left to the page unless it is fixed."""
    element = svg[svg.index("<svg") :]
    if not fixed:
        element = re.sub(r'(<svg[^>]*?) width="[\d.]+pt"', r"\1", element, count=1)
        element = re.sub(r'(<svg[^>]*?) height="[\d.]+pt"', r"\1", element, count=1)
    return re.sub(r"<metadata>.*?</metadata>", "", element, flags=re.DOTALL)

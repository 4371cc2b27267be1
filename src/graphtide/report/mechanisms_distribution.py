"""The page of ``mechanisms distribution``: the law of growth, its family, and what stays open."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas
from scipy.special import logit, ndtri

from graphtide.equation import Equation
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.figures import BASELINE, INK, MODEL, canvas, svg_of
from graphtide.report.mechanisms_equation import law_picture
from graphtide.report.provenance import provenance
from graphtide.run import Run

__all__ = ["distribution_page"]

_FREE = "piecewise_power_law"
_LONGEST_LAW = 140  # characters of an equation that a picture can hold


def distribution_page(run: Run) -> Page:
    """Return the page of a distribution and its mechanism."""
    metrics = run.read_metrics()
    equation = Equation.read(run.path / "equation.json")
    written = equation.text(values=True, digits=3)
    samples = metrics.get("samples")
    dated = metrics.get("clock") == "dates"
    lead = f"Read off {number(samples)} sizes{' at the last date' if dated else ''}. "
    lead += str(metrics.get("mechanism"))
    notes = metrics.get("notes")
    short = len(written) <= _LONGEST_LAW and "maximum" not in written
    law = Section(
        "The law of growth",
        _law_words(metrics, written if not short else ""),
        (
            *(
                (_moved(run), _carried(run))
                if dated
                else (_phase(run, metrics), _trajectory(run, metrics))
            ),
            *((_pieces(run),) if metrics.get("best") == _FREE and not dated else ()),
        ),
        law=law_picture(equation) if short else "",
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
    )
    scales = Section(
        "Scales on which each family is a straight line",
        (
            "A survival function that follows a straight line on one of these scales is of that "
            "family; where it bends, growth changes.",
        ),
        (_straight(run, metrics),),
    )
    families = Section(
        "The families compared",
        (
            "Lost: nats per thousand units that were held out, against the free curve; below 0 the "
            "family does better than the free curve.",
        ),
        (_table(run), *_dated(metrics)),
    )
    return Page("The growth behind the sizes", lead, (law, scales, families), provenance(run))


def _law_words(metrics: dict[str, object], text: str) -> tuple[str, ...]:
    words = []
    if text:
        words.append(f"In full: {text}")
    distance = metrics.get("simulated_ks")
    cohorts = metrics.get("cohorts")
    if isinstance(cohorts, list):
        words.append(
            "The proof: each cross-section carried by the law to the next date has a distribution "
            f"function within {number(cohorts[0]['ks'], 2)} of the one seen then."
        )
    elif isinstance(distance, float):
        words.append(
            "The proof: units that follow the equation, each seen at a random age, have a "
            "distribution function that stays within "
            f"{number(distance, 2)} of the data's (the fitted family itself within "
            f"{number(metrics.get('ks'), 2)})."
        )
    return tuple(words)


def _logarithmic(size: np.ndarray) -> bool:
    positive = size[size > 0.0]
    return len(positive) == len(size) and float(size.max() / size.min()) > 30.0


def _phase(run: Run, metrics: dict[str, object]) -> Figure:
    frame = run.read_table("phase")
    figure, (axis,) = canvas(width=6.2, height=3.3)
    size = frame["size"].to_numpy()
    axis.fill_between(size, frame["low"], frame["high"], color="#7b8794", alpha=0.3, linewidth=0)
    axis.plot(size, frame["free"], color=INK, linewidth=1.0, label="free curve")
    if metrics.get("best") != _FREE:
        axis.plot(size, frame["growth"], color=MODEL, label=_plain(metrics.get("best")))
    if _logarithmic(size):
        axis.set_xscale("log")
    free = frame["free"].to_numpy()
    if float(free.max() / free.min()) > 10.0:
        axis.set_yscale("log")
    axis.set_xlabel("size x")
    clock = "age unit" if metrics.get("clock") == "free" else "unit of time"
    axis.set_ylabel(f"growth dx/dt per {clock}")
    axis.legend()
    return Figure(
        svg_of(figure),
        "The phase line: how fast a unit of each size grows. Grey: 95 % band of the free curve.",
        "Growth against size, free curve with band and the law.",
        frame,
        "phase",
        wide=False,
    )


def _moved(run: Run) -> Figure:
    frame = run.read_table("phase")
    figure, (axis,) = canvas(width=6.2, height=3.3)
    size = frame["size"].to_numpy()
    axis.plot(size, frame["moved"], ".", color=INK, label="quantiles between two dates")
    axis.plot(size, frame["growth"], color=MODEL, label="law")
    axis.set_xlabel("size x")
    axis.set_ylabel("growth dx/dt per unit of time")
    axis.legend()
    return Figure(
        svg_of(figure),
        "The phase line: how fast quantiles moved between two dates, at the size between, and the "
        "law.",
        "Growth against size, from quantiles and by the law.",
        frame,
        "phase",
        wide=False,
    )


def _carried(run: Run) -> Figure:
    frame = run.read_table("quantiles")
    figure, (axis,) = canvas(width=6.2, height=3.3)
    for _, rows in frame.groupby("share"):
        axis.plot(rows["date"], rows["size"], "o", color=INK, markersize=4)
        axis.plot(rows["date"], rows["carried"], color=MODEL)
    if _logarithmic(frame["size"].to_numpy()):
        axis.set_yscale("log")
    axis.set_xlabel("date")
    axis.set_ylabel("size x")
    return Figure(
        svg_of(figure),
        "Quantiles of 5, 25, 50, 75 and 95 % at each date (dots), and those of the first date "
        "carried by the law (lines).",
        "Quantiles at each date and carried by the law.",
        frame,
        "quantiles",
        wide=False,
    )


def _trajectory(run: Run, metrics: dict[str, object]) -> Figure:
    frame = run.read_table("trajectory")
    figure, (axis,) = canvas(width=6.2, height=3.3)
    size, ages = frame["size"].to_numpy(), frame["age"].to_numpy()
    oldest = 1.1 * float(ages[np.isfinite(ages)].max())
    # Where no age is too high the band goes on to the edge of the figure.
    high = np.minimum(frame["high"].to_numpy(), oldest)
    axis.fill_betweenx(size, frame["low"], high, color="#7b8794", alpha=0.3, linewidth=0)
    axis.step(frame["age"], size, where="post", color=INK, linewidth=1.0, label="Nelson-Aalen")
    axis.plot(frame["law"], size, color=MODEL, label=_plain(metrics.get("best")))
    if _logarithmic(size):
        axis.set_yscale("log")
    axis.set_xlabel("age" if metrics.get("clock") != "free" else "age (in mean ages)")
    axis.set_ylabel("size x")
    axis.set_xlim(0.0, oldest)
    axis.legend()
    return Figure(
        svg_of(figure),
        "The trajectory of a unit: no model (black, with the band that holds the whole curve with "
        "95 %) and the law.",
        "Size against age, without a model and by the law.",
        frame,
        "trajectory",
        wide=False,
    )


def _straight(run: Run, metrics: dict[str, object]) -> Figure:
    frame = run.read_table("survival")
    inside = (frame["data"] > 0.0) & (frame["data"] < 1.0)
    frame = frame.loc[inside].reset_index(drop=True)
    size = np.asarray(frame["size"])
    positive = bool((size > 0.0).all())
    scales: list[tuple[str, bool, Callable[[np.ndarray], np.ndarray], str]] = [
        ("exponential", False, np.log, "log S"),
        ("gaussian", False, lambda s: -ndtri(s), "probit of 1 - S"),
        ("logistic", False, lambda s: -logit(s), "logit of 1 - S"),
    ]
    if positive:
        scales = [
            ("exponential", False, np.log, "log S"),
            ("pareto", True, np.log, "log S"),
            ("weibull (slope 2: rayleigh)", True, lambda s: np.log(-np.log(s)), "log(-log S)"),
            ("lognormal", True, lambda s: -ndtri(s), "probit of 1 - S"),
            ("log-logistic", True, lambda s: -logit(s), "logit of 1 - S"),
            ("gaussian", False, lambda s: -ndtri(s), "probit of 1 - S"),
        ]
    figure, axes = canvas(len(scales) // 3, 3, width=9.6, height=2.5 * (len(scales) // 3))
    best, nearest = str(metrics.get("best")), str(metrics.get("nearest_family"))
    for axis, (title, log_size, transform, label) in zip(axes, scales, strict=True):
        with np.errstate(divide="ignore", invalid="ignore"):
            axis.plot(size, transform(np.asarray(frame["data"])), ".", color=INK, markersize=3)
            for name, colour, style in ((nearest, BASELINE, "--"), (best, MODEL, "-")):
                if name in frame and (name != nearest or name != best or colour == MODEL):
                    curve = transform(np.asarray(frame[name]))
                    curve[~np.isfinite(curve)] = np.nan
                    axis.plot(size, curve, style, color=colour, linewidth=1.2, label=_plain(name))
        if log_size:
            axis.set_xscale("log")
        axis.set_title(title)
        axis.set_ylabel(label)
        values = transform(np.asarray(frame["data"]))
        values = values[np.isfinite(values)]
        pad = 0.06 * float(np.ptp(values))
        axis.set_ylim(float(values.min()) - pad, float(values.max()) + pad)
    axes[-1].legend(loc="lower right")
    return Figure(
        svg_of(figure),
        "Survival function S of the data (dots) and of the law, on the scale where the family "
        "named above each picture is a straight line.",
        "Survival function on the straight scales of several families.",
        frame,
        "survival",
    )


def _pieces(run: Run) -> Table:
    frame = run.read_table("pieces")
    rows = frame.to_dict("records")
    ends = [number(float(row["from"])) for row in rows[1:]] + ["on"]
    return Table(
        "The law in pieces: growth as size^power between two sizes",
        ("from size", "to", "growth at the lower end", "power"),
        tuple(
            (
                number(float(row["from"])),
                end,
                number(float(row["growth"])),
                number(float(row["power"])),
            )
            for row, end in zip(rows, ends, strict=True)
        ),
    )


def _table(run: Run) -> Table:
    frame: pandas.DataFrame = run.read_table("families")
    frame["limit"] = frame["limit"].astype(object).where(frame["limit"].notna(), "")
    return Table(
        "Best held-out likelihood first; the chosen family is marked",
        ("family", "parameters", "distance", "lost", "Vuong p", "mechanism"),
        tuple(
            (
                ("▸ " if row["best"] else "") + _plain(row["name"]),
                str(row["parameters"]) + (f" (limit: {row['limit']})" if row["limit"] else ""),
                number(float(row["ks"]), 2),
                number(float(row["lost"]), 3),
                number(float(row["vuong_p"]), 2),
                str(row["mechanism"]),
            )
            for row in frame.to_dict("records")
        ),
    )


def _dated(metrics: dict[str, object]) -> tuple[Table, ...]:
    cohorts = metrics.get("cohorts")
    if not isinstance(cohorts, list):
        return ()
    rows = []
    for law in cohorts:
        errors = law["standard_errors"]
        written = "; ".join(
            f"{name} = {number(value, 4)}"
            + (f" ± {number(errors[name], 2)}" if errors[name] is not None else "")
            for name, value in law["parameters"].items()
        )
        rows.append(
            (
                str(law["name"]),
                written,
                number(law["ks"], 2),
                number(law["p_value"], 2),
                number(law["criterion"], 4),
            )
        )
    return (
        Table(
            "Laws that carry the quantiles of one date to the next, the best first",
            ("law", "parameters", "distance", "chance of a larger misfit", "criterion"),
            tuple(rows),
        ),
    )


def _plain(name: object) -> str:
    return str(name).replace("_", " ")

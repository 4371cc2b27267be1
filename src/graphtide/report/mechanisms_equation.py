"""The page of ``mechanisms equation``: the law, how sure it is, and what it cannot say."""

from __future__ import annotations

import pandas

from graphtide.equation import Equation
from graphtide.report.content import Figure, Page, Section, Table, number
from graphtide.report.equation_residuals import (
    departures_section,
    inclusion_bars,
    network_section,
    residual_section,
)
from graphtide.report.figures import BASELINE, MODEL, canvas, formula, svg_of
from graphtide.report.network import moving_network
from graphtide.report.provenance import provenance
from graphtide.report.series import curves
from graphtide.run import Run

__all__ = ["equation_page", "law_picture", "terms_table"]


def equation_page(run: Run) -> Page:
    """Return the page of a found law."""
    metrics = run.read_metrics()
    equation = Equation.read(run.path / "equation.json")
    observed = run.read_trajectory("observed")
    has_prediction = (run.path / "predicted.npz").is_file()
    predicted = run.read_trajectory("predicted") if has_prediction else None
    error = metrics.get("relative_error_roll_out")
    lead = f"Read off {len(observed.times)} times of {len(observed.names)} nodes"
    if isinstance(error, float):
        lead += (
            f"; run from the first states, the law stays within {100 * error:.2g} % of the "
            "smoothed data on average."
        )
    else:
        lead += "; run from the first states, the law does not stay with the data."
    notes = run.read_json("notes.json")
    bars = inclusion_bars(run)
    law = Section(
        "The law",
        (),
        (terms_table(run),) if bars is None else (terms_table(run), bars),
        law=law_picture(equation),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
    )
    search = Section(
        "Why these terms",
        (_stopping(run),),
        (_elbow(run), _rivals(run)),
    )
    pictures = Section(
        "The law against the data",
        (),
        (
            curves(
                observed,
                predicted,
                forecast_from=None,
                caption="Readings, and the law run from the first smoothed states.",
                finding="Readings and the law's own curves for example nodes.",
                name="curves",
            ),
            moving_network(
                observed,
                caption="The network, coloured by the observed state.",
                finding="Observed states of all nodes through time.",
            ),
        ),
    )
    further = [network_section(run), departures_section(run), residual_section(run)]
    sections = (law, *(part for part in further if part is not None), search, pictures)
    return Page("The law behind the data", lead, sections, provenance(run))


def _stopping(run: Run) -> str:
    """Return where the search stopped: a distilled law, which names its run, has two more rules."""
    said = (
        "For each number of terms the best set was searched. The search stops where one more term "
        "lowers the logarithm of what is left unexplained by less than 0.2"
    )
    if "run" not in run.configuration:
        return said + "."
    return (
        said
        + ", or with fewer terms: where they leave no more than the ensemble's members differ, "
        "or where their law meets the readings kept from learning as well as the field does."
    )


def law_picture(equation: Equation) -> str:
    """Return the law as inline SVG, one line an equation, numbers to three digits."""
    return formula(equation.latex_lines(values=True, digits=3))


def terms_table(run: Run) -> Table:
    """Return the terms with coefficient, standard error and inclusion frequency."""
    frame = run.read_table("terms")
    return Table(
        "Terms; the last column is the share of repetitions with new noise that chose the term",
        ("term", "of", "coefficient", "standard error", "90 % interval", "chosen again"),
        tuple(
            (
                str(row["term"]),
                f"d{row['variable']}/dt",
                number(float(row["coefficient"]), 4),
                number(float(row["standard_error"]), 2),
                f"{number(float(row['low']), 4)} to {number(float(row['high']), 4)}",
                f"{100 * row['inclusion_frequency']:.0f} %"
                if row["inclusion_frequency"] == row["inclusion_frequency"]
                else "–",
            )
            for row in frame.to_dict("records")
        ),
    )


def _elbow(run: Run) -> Figure:
    frame = run.read_table("sizes")
    figure, (axis,) = canvas(width=6.5, height=2.8)
    for variable, rows in frame.groupby("variable", sort=False):
        axis.plot(rows["size"], rows["log_rss"], "o-", color=MODEL, markersize=4)
        chosen = rows[rows["chosen"]]
        axis.plot(chosen["size"], chosen["log_rss"], "o", color=BASELINE, markersize=9, zorder=3)
        last = rows.iloc[-1]
        axis.annotate(
            str(variable),
            (last["size"], last["log_rss"]),
            xytext=(6, 0),
            textcoords="offset points",
        )
    axis.set_xlabel("number of terms")
    axis.set_ylabel("log of share unexplained")
    axis.set_xticks(sorted(set(frame["size"])))
    return Figure(
        svg_of(figure),
        "What the best set of each size leaves unexplained; the large dot is the size chosen.",
        "Residual against number of terms, with the chosen size.",
        frame,
        "sizes",
    )


def _rivals(run: Run) -> Table:
    frame: pandas.DataFrame = run.read_table("rivals")
    if frame.empty:
        return Table(
            "Rivals: no other set of as many terms comes near", ("terms", "of", "log share"), ()
        )
    return Table(
        "Rivals: other sets of as many terms that explain nearly as much",
        ("terms", "of", "log share"),
        tuple(
            (str(row["terms"]), f"d{row['variable']}/dt", number(float(row["log_rss"]), 4))
            for row in frame.to_dict("records")
        ),
    )

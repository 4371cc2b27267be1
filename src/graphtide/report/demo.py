"""The page of ``graphtide demo``: real data learned, forecast and explained; a known law found."""

from __future__ import annotations

import numpy as np

from graphtide.equation import Equation
from graphtide.report.content import Page, Section, Table, number
from graphtide.report.dynamics_fit import halves_figure, last_training_time
from graphtide.report.mechanisms_equation import law_picture, terms_table
from graphtide.report.network import moving_network
from graphtide.report.provenance import provenance
from graphtide.report.series import curves
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["demo_page"]


def demo_page(run: Run) -> Page:
    """Return the page of the demonstration."""
    income = Run.open(run.path / "income_fit")
    law = Run.open(run.path / "income_law")
    heat = Run.open(run.path / "heat_law")
    return Page(
        "Eighty years of incomes in 48 states, and the law behind them",
        "The yearly income per head of 48 neighbouring US states is learned until 1989, forecast "
        "for the twenty years after, and searched for its law. Then a law that is known is found "
        "again from noisy readings.",
        (
            _forecast(run, income),
            _learned(income),
            _income_law(law),
            _known_law(run, heat),
            _limits(),
        ),
        provenance(run),
    )


def _forecast(run: Run, income: Run) -> Section:
    table = run.read_table("income_forecast")
    best = table.loc[table["relative_error"].idxmin()]
    ours = table.loc[table["method"] == "graphtide"].iloc[0]
    if best["method"] == "graphtide":
        verdict = (
            f"The learned field forecasts best: it errs by {100 * ours['relative_error']:.1f} % of "
            "the mean income."
        )
    else:
        verdict = (
            f"The plain method '{best['method']}' forecasts best here, with an error of "
            f"{100 * best['relative_error']:.1f} % of the mean income; the learned field errs by "
            f"{100 * ours['relative_error']:.1f} %."
        )
    observed, predicted = income.read_trajectory("observed"), income.read_trajectory("predicted")
    start = last_training_time(observed, income.read_table("split")["role"].to_numpy())
    return Section(
        "Forecast of 1990-2009",
        (verdict,),
        (
            Table(
                "Errors over all states and the years 1990-2009",
                ("method", "relative error", "mean absolute error", "root mean square error"),
                tuple(
                    (
                        str(row["method"]),
                        f"{100 * row['relative_error']:.1f} %",
                        f"{number(float(row['mean_absolute_error']))} dollars",
                        f"{number(float(row['rmse']))} dollars",
                    )
                    for row in table.to_dict("records")
                ),
            ),
            curves(
                observed,
                predicted,
                forecast_from=start,
                caption="States from the poorest to the richest of 2009, on a logarithmic scale. "
                "The line starts from 1929 alone.",
                finding="Observed incomes and the learned curve of six states.",
                name="incomes",
                logarithmic=True,
            ),
            moving_network(
                _relative(observed),
                caption="Income relative to the mean of all states in the same year; states that "
                "share a border are joined. Each stands at the centre of its area.",
                finding="Incomes of neighbouring states draw together over eighty years.",
            ),
        ),
    )


def _learned(income: Run) -> Section:
    return Section(
        "What was learned",
        (
            "The field was learned on logarithms, so F and G are rates of growth: F is how fast a "
            "state grows by itself, G what a neighbour adds to that."
            if income.read_metrics().get("transform") == "log"
            else "F is what a state's income adds by itself, G what a neighbour adds to that.",
        ),
        (halves_figure(income),),
    )


def _income_law(law: Run) -> Section:
    notes = law.read_json("notes.json")
    observed = law.read_trajectory("observed")
    has_prediction = (law.path / "predicted.npz").is_file()
    return Section(
        "The law: growth, and exchange between neighbours?",
        (
            "Powers of a state's own income and exchange with its neighbours, in many forms, were "
            f"offered; the search read this from the data. Here x is {observed.units['x']}, so a "
            "constant is growth in proportion to size.",
        ),
        (
            terms_table(law),
            curves(
                observed,
                law.read_trajectory("predicted") if has_prediction else None,
                forecast_from=None,
                caption="The data, and the law run from its first year.",
                finding="Data and the law's own curves for six states.",
                name="income_law",
            ),
        ),
        law=law_picture(Equation.read(law.path / "equation.json")),
        notes=tuple(map(str, notes)) if isinstance(notes, list) else (),
    )


def _known_law(run: Run, heat: Run) -> Section:
    truth = run.read_json("truth.json")
    assert isinstance(truth, dict)  # written by the demonstration itself
    noise = float(truth["noise"])
    return Section(
        "A known law, found again",
        (
            f"Heat on a small-world network was simulated by {truth['equation']}, and noise of "
            f"{100 * noise:.0f} % of the states' spread was added to every reading. The search, "
            "which knows nothing of heat, gives:",
        ),
        (
            terms_table(heat),
            curves(
                heat.read_trajectory("observed"),
                heat.read_trajectory("predicted"),
                forecast_from=None,
                caption="Noisy readings, and the law that was found.",
                finding="Noisy readings and the found law's curves for six nodes.",
                name="heat_law",
            ),
        ),
        law=law_picture(Equation.read(heat.path / "equation.json")),
    )


def _limits() -> Section:
    return Section(
        "Honest limits",
        notes=(
            "Eighty-one yearly readings, and all states rise together: what a state does by itself "
            "and what its neighbours add can hardly be told apart, and the law is one of several "
            "that fit.",
            "Dollars are not corrected for prices; growth includes inflation, which changed after "
            "1989. No method here knows of prices, wars or policy.",
            "A border is a crude stand-in for exchange: commuting, migration and trade do not stop "
            "at the next state.",
            "The forecast is one split of one data set; it shows the method at work and proves no "
            "general advantage.",
        ),
    )


def _relative(observed: Trajectory) -> Trajectory:
    """Return incomes divided by their mean of the year, without a unit."""
    mean = np.nanmean(observed.states, axis=1, keepdims=True)
    shares = observed.states / mean
    return Trajectory(observed.times, shares, names=observed.names, graph=observed.graph)

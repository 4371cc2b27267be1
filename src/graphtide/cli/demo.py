"""The demonstration: the whole loop on real data, then a known law found again.

Per-capita incomes of 48 neighbouring US states, 1929-2009: learned until 1989, forecast for
1990-2009 beside two plain methods, and the law of growth and exchange between neighbours read off.
Then heat on a small-world graph with noisy readings, whose law is known: the same search must find
it, so that a reader sees the method at work.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas

from graphtide.cli.console import progress_bar
from graphtide.data import us_income
from graphtide.dynamics.fit import fit
from graphtide.dynamics.holdout import Holdout, last_value, linear_trend, relative_error
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.graph import Graph
from graphtide.mechanisms.regression import Discovery, discover
from graphtide.report import write_report
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["run_demo"]

LAST_YEAR_LEARNED = 1989
HEAT = "dx/dt = 0.5*sum_j A_ij*(x_j - x_i)"
HEAT_NOISE = 0.05
"""Standard deviation of the noise, as a share of the states' own."""


def run_demo(out: Path, *, seed: int, quiet: bool = False) -> dict[str, object]:
    """Run the demonstration into the folder ``out`` and return its figures.

    Args:
        out: folder of the run; it holds the runs ``income_fit``, ``income_law`` and ``heat_law``.
        seed: seed of everything random.
        quiet: show no progress.

    Raises:
        InputError: ``out`` is a folder that is not a run and not empty.
    """
    began = time.perf_counter()
    run = Run.create(out, kind="demo", configuration={"seed": seed})
    income = us_income()
    assert income.graph is not None  # our own data comes with its graph
    with progress_bar(quiet=quiet) as progress:
        forecast = _learn_income(run, income, income.graph, seed, _part(progress, 0.0, 0.4))
        law = _income_law(run, income, income.graph, seed, _part(progress, 0.4, 0.6))
        heat = _rediscover_heat(run, seed, _part(progress, 0.6, 0.9))
        progress(0.9, "drawing the pages")
    errors = {
        f"forecast_relative_error_{method}": float(error)
        for method, error in zip(forecast["method"], forecast["relative_error"], strict=True)
    }
    run.write_metrics(
        {
            **errors,
            "income_law": law.equation.text(values=True, digits=3),
            "heat_law_true": HEAT,
            "heat_law_found": heat.equation.text(values=True, digits=3),
            "seconds": time.perf_counter() - began,
        }
    )
    page = write_report(run)
    return {
        **errors,
        "income_law": law.equation.text(values=True, digits=3),
        "heat_law_true": HEAT,
        "heat_law_found": heat.equation.text(values=True, digits=3),
        "seconds": time.perf_counter() - began,
        "report": str(page.resolve()),
    }


def _part(
    progress: Callable[[float, str], None], begin: float, end: float
) -> Callable[[float, str], None]:
    """Return a progress callable for a part of the whole."""
    return lambda share, text: progress(begin + share * (end - begin), text)


def _learn_income(
    run: Run, income: Trajectory, borders: Graph, seed: int, progress: Callable[[float, str], None]
) -> pandas.DataFrame:
    """Learn until 1989, save the fit, and return the errors of 1990-2009 by method."""
    later = income.times > LAST_YEAR_LEARNED
    result = fit(
        income,
        borders,
        holdout=Holdout(interpolate=0, extrapolate=int(later.sum())),
        transform="auto",
        seed=seed,
        progress=progress,
    )
    result.save(run.sub("income_fit", kind="dynamics fit", configuration={"seed": seed}))
    learned, times = income.select(~later), income.times[later]
    forecasts = {
        "graphtide": result.predicted[0].states[later],
        "last value": last_value(learned.times, learned.states, times),
        "linear trend": linear_trend(learned.times, learned.states, times),
    }
    actual = income.states[later]
    table = pandas.DataFrame(
        [
            {
                "method": method,
                "relative_error": relative_error(states, actual),
                "mean_absolute_error": float(np.abs(states - actual).mean()),
                "rmse": float(np.sqrt(((states - actual) ** 2).mean())),
            }
            for method, states in forecasts.items()
        ]
    )
    run.write_table("income_forecast", table)
    return table


def _income_law(
    run: Run, income: Trajectory, borders: Graph, seed: int, progress: Callable[[float, str], None]
) -> Discovery:
    """Search the law of log income over all years among polynomial terms, and save it."""
    logarithm = Trajectory(
        income.times - income.times[0],
        np.log(income.states),
        variables=("x",),
        graph=borders,
        units={"time": "years after 1929", "x": "the natural logarithm of income in dollars"},
    )
    law = discover(logarithm, borders, terms="polynomial", seed=seed, progress=progress)
    law.save(run.sub("income_law", kind="mechanisms equation", configuration={"seed": seed}))
    return law


def _rediscover_heat(run: Run, seed: int, progress: Callable[[float, str], None]) -> Discovery:
    """Simulate heat with noisy readings, find its law again, and save it beside the truth."""
    network = Graph.from_source("small_world:100:4:0.3", seed=seed)
    start = np.random.default_rng(seed).uniform(0, 1, size=(network.node_count, 1))
    states = simulate(
        Equation.parse(HEAT), network, np.linspace(0, 5, 150), start, noise=HEAT_NOISE, seed=seed
    )
    law = discover(states, network, seed=seed, progress=progress)
    law.save(run.sub("heat_law", kind="mechanisms equation", configuration={"seed": seed}))
    run.write_json("truth.json", {"equation": HEAT, "noise": HEAT_NOISE})
    return law

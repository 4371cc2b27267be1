"""The command ``graphtide mechanisms distribution``: from sizes to the growth that makes them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources
from graphtide.cli.options import SeedOption
from graphtide.errors import InputError

__all__ = ["distribution"]


def distribution(
    samples: Annotated[
        Path, typer.Argument(metavar="SAMPLES", help="Table with a row for each unit; CSV.")
    ],
    column: Annotated[str, typer.Option(help="Column of sizes.")],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    date: Annotated[
        str | None,
        typer.Option(help="Column of dates: cross-sections of one cohort, which set the clock."),
    ] = None,
    discrete: Annotated[
        bool, typer.Option("--discrete", help="Sizes are counts (also found out by itself).")
    ] = False,
    ages: Annotated[
        str | None,
        typer.Option(help="Law of the ages, exponential:RATE, which sets the clock."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Column of weights: how many units a row stands for.")
    ] = None,
    observed: Annotated[
        str | None,
        typer.Option(help="Column that is 0 where a unit was still growing (right-censored)."),
    ] = None,
    entry: Annotated[
        str | None,
        typer.Option(help="Column of the size a unit had to reach to be seen (truncation)."),
    ] = None,
    families: Annotated[
        str | None, typer.Option(help="Names of families to compare, joined by commas; else all.")
    ] = None,
    bootstrap: Annotated[
        int, typer.Option(min=0, help="Samples drawn from the best law for its p-values.")
    ] = 39,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Find the distribution of sizes and the law of growth behind it; write a page."""
    from graphtide.mechanisms.distributions import Sample, explain_distribution
    from graphtide.mechanisms.distributions.reading import parse_ages, read_columns
    from graphtide.mechanisms.distributions.saving import metrics_of, save
    from graphtide.report import write_report
    from graphtide.run import Run

    Run.check_target(out)
    rate = None if ages is None else parse_ages(ages)
    if date is not None and (weights or observed or entry or ages):
        raise InputError(
            "--date stands alone: it takes neither --ages nor --weights, --observed or --entry"
        )
    table = read_columns(
        samples, column, dates=date, weights=weights, observed=observed, entry=entry
    )
    wanted = None if families is None else [name.strip() for name in families.split(",")]
    dates = table.others.pop("dates", None)
    sizes = table.values
    with progress_bar(quiet=json) as progress:
        found = explain_distribution(
            Sample.of(sizes, discrete=discrete, **table.others) if dates is None else sizes,
            dates=dates,
            age_rate=rate,
            discrete=discrete,
            families=wanted,
            repetitions=bootstrap,
            seed=seed,
            progress=progress,
        )
    configuration = {
        **describe_sources(samples=samples),
        "column": column,
        "date": date,
        "discrete": discrete,
        "ages": ages,
        "weights": weights,
        "observed": observed,
        "entry": entry,
        "families": families,
        "seed": seed,
    }
    run = Run.create(out, kind="mechanisms distribution", configuration=configuration)
    save(found, run)
    page = write_report(run)
    metrics = {**metrics_of(found), "missing_rows": table.missing, "report": str(page)}
    if not json:
        metrics = _for_reading(metrics)
    show_metrics(metrics, json=json, title="the law of growth")


def _for_reading(metrics: dict[str, object]) -> dict[str, object]:
    """Return the figures with the families as one line each."""
    families = metrics["families"]
    assert isinstance(families, list)  # metrics_of made it
    shown = dict(metrics)
    shown["families"] = [
        f"{f['name']}: distance {f['ks']:.3g}, held-out log-likelihood "
        f"{f['held_out_log_likelihood']:.6g}" + (f" ({f['limit']})" if f["limit"] else "")
        for f in families
    ]
    cohorts = metrics.get("cohorts")
    if isinstance(cohorts, list):
        shown["cohorts"] = [
            f"{c['name']}: distance {c['ks']:.3g}, criterion {c['criterion']:.4g}" for c in cohorts
        ]
    return shown

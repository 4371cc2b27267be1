"""The command ``graphtide mechanisms growth``: the law behind a growth curve, and its forecast."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources

__all__ = ["growth"]


def growth(
    curve: Annotated[
        Path,
        typer.Argument(
            metavar="CURVE",
            help="CSV: a time (number or date), then the size at that time (cumulative).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    size: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the size; without it, the second."),
    ] = None,
    links: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Column of the number of links, for a network."),
    ] = None,
    horizon: Annotated[
        int, typer.Option(min=1, help="Number of steps beyond the curve to forecast.")
    ] = 20,
    origin: Annotated[
        float | None,
        typer.Option(
            help="When growth began: the power law and NetTide count time from it. Without it, one "
            "step before the first time.",
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Find the law of a growth curve, compare laws by a held-out tail, and forecast."""
    from graphtide.mechanisms.growth import explain_growth
    from graphtide.mechanisms.growth_curve import read_curve
    from graphtide.report import write_report
    from graphtide.run import Run

    Run.check_target(out)
    readings = read_curve(curve, size=size, links=links)
    with progress_bar(quiet=json) as progress:
        result = explain_growth(readings, horizon=horizon, origin=origin, progress=progress)
    configuration = {
        **describe_sources(curve=curve),
        "size": size,
        "links": links,
        "horizon": horizon,
        "origin": origin,
    }
    run = Run.create(out, kind="mechanisms growth", configuration=configuration)
    result.save(run)
    page = write_report(run)
    metrics = {**result.metrics, "report": str(page)}
    if not json:
        metrics = _short(metrics)
    show_metrics(metrics, json=json, title="the law of growth")


def _short(metrics: dict[str, object]) -> dict[str, object]:
    """Return the figures that a terminal has room for; the page and --json hold all."""
    laws, forecast = metrics["laws"], metrics["forecast"]
    assert isinstance(laws, list)
    assert isinstance(forecast, dict)
    errors = {law["name"]: law["relative_error_held_out"] for law in laws}
    last = {name: values[-1] for name, values in forecast.items()}
    kept = {k: v for k, v in metrics.items() if k not in {"laws", "forecast", "plain_methods"}}
    kept = {k: v for k, v in kept.items() if v != []}
    return {**kept, "held_out_errors": errors, "forecast_at_the_end": last}

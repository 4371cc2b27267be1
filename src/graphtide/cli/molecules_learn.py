"""The command ``graphtide molecules learn``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.options import SeedOption

__all__ = ["learn"]

_NAMED = 5


def learn(
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="Molecules with measured values: .csv, .tsv or .sdf, also .gz; or esol, "
            "qm9_sample (inside the package).",
        ),
    ],
    target: Annotated[
        list[str],
        typer.Option(
            metavar="NAME",
            help="Column to predict: numbers, or 0 and 1 for classes; repeatable, labels may miss.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    smiles: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column that holds the SMILES.")
    ] = None,
    split: Annotated[
        str,
        typer.Option(
            help="What is held out for the test: random, scaffold, cluster (similarity), time or "
            "column."
        ),
    ] = "random",
    split_column: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Column of times, or of train, validation and test."),
    ] = None,
    minutes: Annotated[
        float, typer.Option(min=0.0, help="Time for the networks; 0 makes none.")
    ] = 5.0,
    epochs: Annotated[
        int | None,
        typer.Option(min=0, help="Passes of each network instead of the minutes, for equal runs."),
    ] = None,
    level: Annotated[float, typer.Option(help="Share of intervals that should cover.")] = 0.9,
    workers: Annotated[int, typer.Option(min=1, help="Processes for the descriptors.")] = 1,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn a property f(G) from a table; the same command goes on where it was interrupted."""
    from graphtide.cli.inputs import describe_sources
    from graphtide.cli.resumable import begin, checkpoints, finish
    from graphtide.errors import InputError
    from graphtide.molecules.prediction.learning import (
        LearnSettings,
        check_settings,
        learn_properties,
        split_table,
    )
    from graphtide.molecules.prediction.table import property_table
    from graphtide.molecules.sources import read_source
    from graphtide.report import write_report
    from graphtide.run import Run

    Run.check_target(out)
    settings = LearnSettings(split, split_column, minutes, epochs, level, seed, workers)
    check_settings(settings)
    lines = read_source(table, column=smiles)
    if not lines.columns:
        raise InputError(f"{table} holds molecules alone; a column to predict was expected beside")
    values = property_table(lines, target)
    split_table(values, settings)
    configuration = {
        **describe_sources(table=table),
        "smiles": smiles,
        "target": list(target),
        **settings.configuration(),
    }
    with progress_bar(quiet=json) as progress:
        run = begin(out, kind="molecules learn", configuration=configuration)
        metrics = learn_properties(
            values, settings, run, checkpoints=checkpoints(out), progress=progress
        )
    finish(run)
    metrics["report"] = str(write_report(run))
    if not json:
        found = [f"line {one.line}: {one.reason}" for one in values.notices]
        more = len(found) - _NAMED
        metrics["notices"] = found[:_NAMED] + ([f"and {more} more"] if more > 0 else [])
    else:
        metrics["notices"] = [f"line {one.line}: {one.reason}" for one in values.notices]
    show_metrics(metrics, json=json, title="molecules learn")

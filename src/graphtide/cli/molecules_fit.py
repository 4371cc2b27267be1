"""The command ``graphtide molecules fit``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.options import DeviceOption, SeedOption

__all__ = ["fit"]


def fit(
    corpus: Annotated[
        str,
        typer.Argument(
            metavar="CORPUS",
            help="Molecules: .smi, .csv, .sdf, each also .gz; or qm9_sample, zinc250k_sample "
            "(inside the package), qm9, zinc250k, moses (once `data get` has them).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    model: Annotated[
        str, typer.Option(help="construction, flow_matching or flow.")
    ] = "construction",
    minutes: Annotated[float, typer.Option(help="Time for training on this machine.")] = 15.0,
    steps: Annotated[
        int | None,
        typer.Option(min=1, help="Steps of training instead of the minutes, for equal runs."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of a table that holds the SMILES.")
    ] = None,
    mixtures: Annotated[
        str,
        typer.Option(help="Of molecules in several pieces: take the largest, split, or skip."),
    ] = "largest",
    most_atoms: Annotated[
        int | None, typer.Option(min=1, help="Set larger molecules aside (heavy atoms).")
    ] = None,
    random_orders: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share of batches in random orders (construction)."),
    ] = 0.0,
    cell: Annotated[
        str,
        typer.Option(
            help="Of the recurrent network: gru, or differential, whose state flows between "
            "actions; slower (construction)."
        ),
    ] = "gru",
    properties: Annotated[
        str,
        typer.Option(
            help="Properties to condition samples on, by commas: qed, logp, or numeric columns "
            "(flow_matching)."
        ),
    ] = "",
    samples: Annotated[
        int, typer.Option(min=0, help="Molecules made afterwards, scored and shown.")
    ] = 1000,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Learn P(G) from molecules; the same command goes on where it was interrupted."""
    from graphtide.cli.inputs import describe_sources
    from graphtide.cli.resumable import begin, checkpoints, finish
    from graphtide.molecules.conditions import condition_values
    from graphtide.molecules.fitting import (
        FitSettings,
        check_settings,
        encode_lines,
        fit_generator,
    )
    from graphtide.molecules.sources import read_source
    from graphtide.report import write_report
    from graphtide.run import Run

    Run.check_target(out)
    settings = FitSettings(
        model,
        minutes,
        steps,
        mixtures,
        most_atoms,
        random_orders,
        cell,
        tuple(name.strip() for name in properties.split(",") if name.strip()),
        samples,
        seed,
        device,
    )
    check_settings(settings)
    lines = read_source(corpus, column=column)
    configuration = {
        **describe_sources(corpus=corpus),
        "column": column,
        **settings.configuration(),
    }
    with progress_bar(quiet=json) as progress:
        encoded = encode_lines(lines, settings, progress=progress)
        conditions = condition_values(settings.properties, encoded, lines)
        run = begin(out, kind="molecules fit", configuration=configuration)
        metrics = fit_generator(
            encoded,
            settings,
            run,
            conditions=conditions,
            checkpoint=checkpoints(out) / "checkpoint.safetensors",
            progress=progress,
        )
    finish(run)
    metrics["report"] = str(write_report(run))
    show_metrics(metrics, json=json, title="molecules fit")

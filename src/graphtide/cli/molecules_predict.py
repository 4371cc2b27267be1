"""The command ``graphtide molecules predict``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics

__all__ = ["predict"]


def predict(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `molecules learn`.")],
    molecules: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Molecules: .csv, .tsv, .smi, .txt or .sdf, each also .gz."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE", help="Table to write (.csv, .tsv, each also .gz).")
    ],
    smiles: Annotated[
        str | None, typer.Option(metavar="NAME", help="Column of a table that holds the SMILES.")
    ] = None,
    level: Annotated[float, typer.Option(help="Share of intervals that should cover.")] = 0.9,
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, help="Steps of the networks' message passing; those of training where not given."
        ),
    ] = None,
    json: JsonOption = False,
) -> None:
    """Predict each molecule of a file, with an interval and whether it is like those learned from.

    The output keeps the input's columns and order; a row that cannot be parsed stays, with empty
    values and a reason.
    """
    import time

    from graphtide.molecules.prediction import load_property_model
    from graphtide.molecules.prediction.intervals import check_level
    from graphtide.molecules.prediction.streaming import predict_file

    check_level(level)
    model = load_property_model(run)
    began = time.perf_counter()
    with progress_bar(quiet=json) as progress:
        counts = predict_file(
            model, molecules, out, column=smiles, level=level, steps=steps, progress=progress
        )
    metrics = {
        **counts,
        "targets": list(model.targets),
        "level": level,
        "out": str(out),
        "seconds": time.perf_counter() - began,
    }
    show_metrics(metrics, json=json, title="molecules predict")

"""The command ``graphtide molecules interpolate``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, show_metrics
from graphtide.errors import InputError

__all__ = ["interpolate"]


def interpolate(
    run: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run of `molecules fit --model flow`.")
    ],
    first: Annotated[str, typer.Argument(metavar="SMILES", help="Molecule at the beginning.")],
    last: Annotated[str, typer.Argument(metavar="SMILES", help="Molecule at the end.")],
    number: Annotated[int, typer.Option(min=2, help="Points, both ends included.")] = 11,
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Also write them (.smi, .csv, .sdf).")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Walk on the straight line between two molecules in the latent space of a flow."""
    from graphtide.molecules.files import check_format, write_molecules
    from graphtide.molecules.flow import Flow
    from graphtide.molecules.generator import load_generator
    from graphtide.run import Run

    if out is not None:
        check_format(out)
    model = load_generator(Run.open(run, kind="molecules fit"))
    if not isinstance(model, Flow):
        raise InputError(f"{run} holds a {model.kind} model; a flow has a latent space to walk in")
    path = model.interpolate(first, last, number)
    if out is not None:
        write_molecules(out, [smiles for smiles in path if smiles])
    metrics: dict[str, object] = {
        "path": list(path),
        "distinct": len(set(path)),
        "validity": sum(map(bool, path)) / number,
        "out": None if out is None else str(out),
    }
    show_metrics(metrics, json=json, title="molecules interpolate")

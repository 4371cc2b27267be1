"""The command ``graphtide molecules sample``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import parse_assignments
from graphtide.cli.options import DeviceOption, SeedOption

__all__ = ["sample"]


def sample(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run of `molecules fit`.")],
    out: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Molecules to write (.smi, .csv, .sdf, each also .gz)."),
    ],
    number: Annotated[int, typer.Option(min=1, help="How many to make.")] = 10_000,
    steps: Annotated[
        int | None, typer.Option(min=1, help="Steps of the sampler (flow_matching).")
    ] = None,
    scaffold: Annotated[
        str | None,
        typer.Option(metavar="SMILES", help="Fragment each must hold (flow_matching)."),
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=VALUE",
            help="Property that they should have, such as qed=0.9 (flow_matching); repeatable.",
        ),
    ] = None,
    temperature: Annotated[
        float | None,
        typer.Option(help="Below 1 the likely becomes likelier; 1 by default."),
    ] = None,
    stochasticity: Annotated[
        float | None,
        typer.Option(help="How much the chain takes back at each step (flow_matching)."),
    ] = None,
    distortion: Annotated[
        float | None,
        typer.Option(help="How much the steps crowd towards the end; 1 is even (flow_matching)."),
    ] = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="How hard conditions are followed; 1 is plain (flow_matching)."),
    ] = None,
    correct: Annotated[
        bool,
        typer.Option(
            help="Correct what came out invalid or in pieces (flow_matching, flow); what was "
            "corrected is counted."
        ),
    ] = True,
    device: DeviceOption = "auto",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Make new molecules; those that came out neither valid nor whole are counted, not written."""
    import numpy as np

    from graphtide.molecules.files import check_format, write_molecules
    from graphtide.molecules.generator import load_generator
    from graphtide.molecules.learning import chosen_device
    from graphtide.molecules.sampling import SamplingOptions
    from graphtide.run import Run

    check_format(out)
    wanted = parse_assignments(condition or [], option="--condition")
    model = load_generator(Run.open(run, kind="molecules fit")).to(chosen_device(device))
    options = SamplingOptions(temperature, stochasticity, distortion, guidance, correct)
    sampler = options.sampler(model)
    with progress_bar(quiet=json) as progress:
        made = sampler(
            number,
            seed=seed,
            steps=steps,
            scaffold=scaffold,
            condition=wanted or None,
            progress=progress,
        )
    valid = [smiles for smiles in made.smiles if smiles]
    write_molecules(out, valid)
    metrics = {
        "number": number,
        "validity": len(valid) / number,
        "validity_before_correction": float(np.mean(made.valid_before_correction)),
        "uniqueness": len(set(valid)) / len(valid) if valid else None,
        "molecules_per_second": number / max(made.seconds, 1e-9),
        "out": str(out),
        "seconds": made.seconds,
    }
    show_metrics(metrics, json=json, title="molecules sample")

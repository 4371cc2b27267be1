"""Command ``graphtide mechanisms distil``: the law that a learned field holds."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics

if TYPE_CHECKING:
    from graphtide.run import Run
    from graphtide.vector_field import VectorField

__all__ = ["distil"]


def distil(
    run_folder: Annotated[
        Path, typer.Argument(metavar="RUN", help="A run of `dynamics fit` (not of a latent model).")
    ],
    out: Annotated[Path, typer.Option(metavar="RUN2", help="Folder to write.")],
    terms: Annotated[
        str, typer.Option(help="Candidate terms: all, or polynomial (powers and products only).")
    ] = "all",
    json: JsonOption = False,
) -> None:
    """Read the law out of a learned field; write equation.json and a page."""
    import numpy as np

    from graphtide.dynamics.holdout import kept_readings
    from graphtide.errors import InputError
    from graphtide.mechanisms.distil import distil as read_out
    from graphtide.mechanisms.distil import field_sample
    from graphtide.report import write_report
    from graphtide.run import Run

    source = Run.open(run_folder, kind="dynamics fit")
    Run.check_target(out)
    if out.resolve() == run_folder.resolve():
        raise InputError(f"--out {out} is the run itself: choose another folder")
    field, members = _fields(source)
    visited = source.read_trajectory("predicted")
    graph = source.read_graph()
    roles = np.asarray(source.read_table("split")["role"])
    readings = kept_readings(source.read_trajectory("observed").states, roles)
    with progress_bar(quiet=json) as progress:
        sample = field_sample(field, visited, graph, members, readings)
        discovery = read_out([sample], terms=terms, progress=progress)
    configuration = {"run": str(run_folder), "terms": terms}
    run = Run.create(out, kind="mechanisms equation", configuration=configuration)
    discovery.save(run)
    page = write_report(run)
    metrics = {
        "equation": discovery.equation.text(values=True, digits=4),
        **discovery.metrics,
        "members": len(members),
        "notes": list(discovery.notes),
        "report": str(page),
    }
    show_metrics(metrics, json=json, title="the law in the field")


def _fields(run: Run) -> tuple[VectorField, list[VectorField]]:
    """Return the field of a run and the members of its ensemble.

    Raises:
        InputError: the model has no field in the states themselves, or one that changes with time.
    """
    import copy

    import torch

    from graphtide.dynamics.fields import LearnedField
    from graphtide.dynamics.intervals import Intervals
    from graphtide.dynamics.neural import MessagePassingField, set_output
    from graphtide.dynamics.prediction import load_field
    from graphtide.errors import InputError

    field = load_field(run)
    if isinstance(field, LearnedField):
        if field.transform != "none":
            raise InputError(
                f"{run.path} was learned on logarithms of the states; fit it with --transform none"
            )
        return field, []
    if not isinstance(field, MessagePassingField):
        raise InputError(
            f"{run.path} holds a latent model, which has no law in the states: fit it with "
            "--model message_passing, edge or closed_form"
        )
    if field.surroundings.count:
        raise InputError(
            f"{run.path} sees attributes, inputs or the time; the library of terms knows only "
            "states"
        )
    members: list[VectorField] = []
    if (run.path / "intervals.safetensors").is_file():
        saved = Intervals.restore(run.read_tensors("intervals"))
        for output in saved.members.get("output", ()):
            member = copy.deepcopy(field)
            set_output(member, torch.tensor(output))
            members.append(member)
    return field, members

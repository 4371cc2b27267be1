"""Command ``graphtide molecules score``: generated molecules against real ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.options import SeedOption

if TYPE_CHECKING:
    from graphtide.molecules.metrics import Metric, Scores

__all__ = ["score"]

_NAMED = 5
"""Lines without a molecule that are named on the screen."""


def score(
    molecules: Annotated[
        Path,
        typer.Argument(
            metavar="MOLECULES", help="Generated molecules: .smi, .csv, .tsv or .sdf, also .gz."
        ),
    ],
    reference: Annotated[
        str,
        typer.Option(
            metavar="FILE",
            help="Real molecules to compare with, best unseen by the model: a file, or a set by "
            "name as `molecules fit` takes it (qm9_sample).",
        ),
    ],
    train: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="Molecules that the model has seen, for novelty."),
    ] = None,
    before_correction: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The same molecules before any repair."),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="How many were generated: the first ones are scored; where the file holds fewer, "
            "those missing count as failed.",
        ),
    ] = None,
    reference_size: Annotated[
        int, typer.Option(min=2, help="Most molecules of the reference that are used.")
    ] = 10_000,
    stereo: Annotated[bool, typer.Option("--stereo", help="Tell stereoisomers apart.")] = False,
    beside: Annotated[
        str | None,
        typer.Option(
            metavar="SET",
            help="Put published figures of other models beside: qm9, zinc250k or moses.",
        ),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes.")] = 1,
    out: Annotated[
        Path | None, typer.Option(metavar="RUN", help="Folder to write, with a page.")
    ] = None,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Score generated molecules: validity, novelty, FCD and more, each with its floor."""
    from graphtide.data.fetch import cache_folder
    from graphtide.errors import InputError
    from graphtide.molecules.files import read_molecules
    from graphtide.molecules.metrics import score as score_molecules
    from graphtide.molecules.metrics.published import PUBLISHED
    from graphtide.molecules.metrics.saving import save_scores
    from graphtide.molecules.sources import read_source
    from graphtide.report import write_report
    from graphtide.run import Run

    if out is not None:
        Run.check_target(out)
    if beside is not None and beside not in PUBLISHED:
        raise InputError(f"--beside {beside}: {', '.join(PUBLISHED)} are known")
    generated = read_molecules(molecules)
    before = None if before_correction is None else read_molecules(before_correction)
    with progress_bar(quiet=json) as progress:
        scores = score_molecules(
            generated,
            read_source(reference),
            train=None if train is None else read_source(train),
            before_correction=before,
            number=number,
            reference_size=reference_size,
            stereo=stereo,
            workers=workers,
            seed=seed,
            cache=cache_folder() / "scores",
            progress=progress,
        )
    metrics: dict[str, object] = dict(scores.metrics())
    metrics["unparseable_lines"] = _unparseable(scores, generated.source)
    metrics["notes"] = list(scores.notes)
    if out is not None:
        configuration = {
            "molecules": str(molecules),
            "reference": reference,
            "train": train,
            "before_correction": None if before_correction is None else str(before_correction),
            "number": number,
            "reference_size": reference_size,
            "stereo": stereo,
            "beside": beside,
            "seed": seed,
        }
        run = Run.create(out, kind="molecules score", configuration=configuration)
        save_scores(scores, run)
        metrics["report"] = str(write_report(run))
    if json:
        show_metrics(metrics, json=True, title="")
        return
    counts = ("number", "valid", "unparseable", "unparseable_lines", "reference_number")
    rows = {name: metrics[name] for name in counts if metrics[name] != []}
    rows |= {
        entry.definition.label: _line(entry) for entry in scores.entries if entry.value is not None
    }
    rows |= {name: metrics[name] for name in ("notes", "report") if metrics.get(name)}
    show_metrics(rows, json=False, title="scores")


def _unparseable(scores: Scores, source: str) -> list[str]:
    """Return the first lines that hold no molecule, and how many more there are."""
    named = [f"{source}, line {line}: {text}" for line, text in scores.unparseable[:_NAMED]]
    more = len(scores.unparseable) - _NAMED
    return [*named, f"and {more} more"] if more > 0 else named


def _line(entry: Metric) -> str:
    """Return a figure with its error, its floor, and which direction is better."""
    text = f"{entry.value:.4g}"
    if entry.standard_error:
        text += f" ± {entry.standard_error:.1g}"
    remarks = [] if entry.floor is None else [f"real against real {entry.floor:.3g}"]
    if entry.definition.direction != "neither":
        remarks.append(f"{entry.definition.direction} is better")
    return f"{text}  ({', '.join(remarks)})" if remarks else text

"""The command ``graphtide molecules optimize``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.options import SeedOption

if TYPE_CHECKING:
    from graphtide.molecules.objectives import Objective

__all__ = ["optimize"]


def optimize(
    start: Annotated[
        Path,
        typer.Option(metavar="FILE", help="Molecules to begin from (.smi, .csv, .sdf, or .gz)."),
    ],
    objective: Annotated[
        list[str],
        typer.Option(
            metavar="F",
            help="To raise: qed, plogp, similarity:SMILES, a task by name, a RUN of `molecules "
            "learn`, module:function, or a formula such as '0.7*qed + 0.3*plogp'; given twice, "
            "both are kept apart (Pareto).",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    similarity: Annotated[
        float | None,
        typer.Option(
            help="Improve each start within its own neighbourhood: least Tanimoto similarity "
            "(Morgan, radius 2, 2,048 bits). Without it all starts are one population."
        ),
    ] = None,
    keep: Annotated[
        str | None, typer.Option(metavar="SMARTS", help="Substructure that must stay.")
    ] = None,
    most_atoms: Annotated[
        int | None, typer.Option(min=1, help="Heavy atoms of the largest molecule allowed.")
    ] = 38,
    sa_limit: Annotated[
        float | None, typer.Option(help="Highest synthetic accessibility (1 easy to 10).")
    ] = None,
    pains: Annotated[bool, typer.Option("--pains", help="Refuse PAINS patterns.")] = False,
    minimum: Annotated[
        list[str] | None,
        typer.Option(metavar="F=VALUE", help="Least value of another objective, as qed=0.5."),
    ] = None,
    budget: Annotated[
        int,
        typer.Option(min=1, help="Calls of the objective in all, the starts included."),
    ] = 10_000,
    method: Annotated[str, typer.Option(help="auto, local, genetic, latent or guided.")] = "auto",
    generator: Annotated[
        list[Path] | None,
        typer.Option(metavar="RUN", help="A trained flow or flow_matching model; repeatable."),
    ] = None,
    column: Annotated[
        str | None, typer.Option(help="Column of a table that holds the SMILES.")
    ] = None,
    time_limit: Annotated[
        float | None,
        typer.Option(help="Seconds one molecule may take; a function of your own has 60."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Calls, or leads, at a time.")] = 1,
    backend: Annotated[
        str,
        typer.Option(help=r"Where they run: processes, or ray (pip install 'graphtide\[ray]')."),
    ] = "processes",
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Turn molecules into better ones; every call is counted and logged, and a run goes on."""
    import time

    from graphtide.cli.inputs import describe_sources
    from graphtide.cli.resumable import begin, checkpoints, finish
    from graphtide.errors import InputError
    from graphtide.molecules.files import read_molecules
    from graphtide.molecules.objectives import Filters
    from graphtide.molecules.optimization.choosing import MethodChoice
    from graphtide.molecules.optimization.evaluation import check_backend
    from graphtide.molecules.optimization.starts import read_leads
    from graphtide.molecules.optimization.workflow import (
        OptimizationPlan,
        read_objective,
        run_plan,
    )
    from graphtide.report import write_report
    from graphtide.run import Run

    began = time.perf_counter()
    Run.check_target(out)
    wanted = read_objective(objective)
    least = tuple(_minimum(text) for text in minimum or [])
    filters = Filters(
        pains=pains,
        accessibility=sa_limit,
        most_atoms=most_atoms,
        keep=keep,
        similarity=similarity or 0.0,
        at_least=least,
    )
    leads = read_leads(read_molecules(start, column=column), filters)
    each = similarity is not None
    if budget < 2 * len(leads.smiles):
        raise InputError(
            f"--budget {budget}: {len(leads.smiles)} starts need a call each; at least "
            f"{2 * len(leads.smiles)} calls were expected"
        )
    if time_limit is not None and not time_limit > 0:
        raise InputError(f"--time-limit {time_limit:g}: more than 0 seconds was expected")
    choice = MethodChoice(method, tuple(generator or ()), objective[0])
    plan = OptimizationPlan(
        wanted,
        filters,
        choice,
        budget,
        each,
        seed=seed,
        workers=workers,
        backend=check_backend(backend),
        time_limit=time_limit,
    )
    configuration = {
        **describe_sources(start=start),
        "objective": wanted.name,
        "similarity": similarity,
        "keep": keep,
        "most_atoms": most_atoms,
        "sa_limit": sa_limit,
        "pains": pains,
        "minimum": {part.name: value for part, value in least},
        "budget": budget,
        "method": method,
        "generator": [str(path) for path in generator or ()],
        "seed": seed,
        "time_limit": time_limit,
    }
    run = begin(out, kind="molecules optimize", configuration=configuration)
    checkpoints(out).mkdir(exist_ok=True)
    with progress_bar(quiet=json) as progress:
        metrics = run_plan(plan, leads, run, progress=progress)
    finish(run)
    metrics = {**metrics, "seconds": time.perf_counter() - began}
    metrics["report"] = str(write_report(run))
    if not json:
        top = metrics.pop("top_10")
        assert isinstance(top, list)  # it is made by `run_plan`
        metrics["top_10"] = [f"{one['value']:.4g}  {one['smiles']}" for one in top]
    show_metrics(metrics, json=json, title="molecules optimize")


def _minimum(text: str) -> tuple[Objective, float]:
    from graphtide.errors import InputError
    from graphtide.molecules.objectives import Pareto, parse_objective

    name, equals, number = text.rpartition("=")
    try:
        least = float(number)
    except ValueError:
        equals = ""
        least = 0.0
    if not equals or not name.strip():
        raise InputError(f"--minimum {text}: objective=number was expected, such as qed=0.5")
    found = parse_objective(name.strip())
    if isinstance(found, Pareto):
        raise InputError(f"--minimum {text}: one objective was expected")
    return found, least

"""The command ``graphtide mechanisms spread``: the law behind cascades on a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources

__all__ = ["spread"]


def spread(
    cascades: Annotated[
        Path,
        typer.Argument(
            metavar="CASCADES",
            help="CSV with a row an infection, in order of time within each cascade: "
            "cascade,node,time[,parent][,recovery]. Empty: no parent (a beginning, or not known); "
            "recovery not seen.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    graph: Annotated[
        str | None,
        typer.Option(
            metavar="G",
            help="The network: a file of edges or a generator. Without it, the network is inferred "
            "from the cascades.",
        ),
    ] = None,
    until: Annotated[
        float | None,
        typer.Option(help="End of observation; without it, the last event of each cascade."),
    ] = None,
    seeds: Annotated[
        int,
        typer.Option(
            min=0,
            help="Also choose this many nodes from which the law would reach the most (si without "
            "recovery reaches all, and sis is taken without reinfection).",
        ),
    ] = 0,
    runs: Annotated[int, typer.Option(min=1, help="Stochastic runs of the law found.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of everything random.")] = 0,
    directed: Annotated[
        bool, typer.Option("--directed", help="Read each row of an edge list as one direction.")
    ] = False,
    json: JsonOption = False,
) -> None:
    """Find the rates of spread, who infected whom, and the shapes of cascades."""
    from graphtide.graph import Graph
    from graphtide.mechanisms.cascades import read_cascades
    from graphtide.mechanisms.spread import explain_spread
    from graphtide.report import write_report
    from graphtide.run import Run

    Run.check_target(out)
    network = None
    if graph is not None:
        network = Graph.from_source(graph, directed=directed, seed=seed)
    seen = read_cascades(cascades, network)
    with progress_bar(quiet=json) as progress:
        result = explain_spread(
            seen,
            network,
            until=until,
            runs=runs,
            influential=seeds,
            seed=seed,
            progress=progress,
        )
    configuration = {
        **describe_sources(cascades=cascades, graph=graph),
        "directed": directed,
        "until": until,
        "seeds": seeds,
        "runs": runs,
        "seed": seed,
    }
    run = Run.create(out, kind="mechanisms spread", configuration=configuration)
    result.save(run)
    page = write_report(run)
    show_metrics({**result.metrics, "report": str(page)}, json=json, title="the law of spread")

"""The command ``graphtide mechanisms spread``: the law behind cascades or states on a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources
from graphtide.errors import InputError

__all__ = ["spread"]


def spread(
    cascades: Annotated[
        Path,
        typer.Argument(
            metavar="CASCADES",
            help="CSV with a row an infection, in order of time within each cascade: "
            "cascade,node,time[,parent][,infectious][,recovery]. Empty: no parent (a beginning, or "
            "not known); not seen. Or states of nodes read now and then, 0 or 1: time,node1,node2, "
            "... for who is infectious, or time,node,S,I,R, or time,node,S,E,I,R.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    graph: Annotated[
        str | None,
        typer.Option(
            metavar="G",
            help="The network: a file of edges or a generator. Without it, the network is inferred "
            "from the cascades; states of nodes need one.",
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
    """Find the rates of spread; of cascades also who infected whom, and their shapes."""
    from graphtide.graph import Graph
    from graphtide.mechanisms.cascades import read_cascades
    from graphtide.mechanisms.spread import explain_spread
    from graphtide.mechanisms.spread_series import explain_series
    from graphtide.report import write_report
    from graphtide.run import Run
    from graphtide.trajectory import Trajectory

    Run.check_target(out)
    network = None
    if graph is not None:
        network = Graph.from_source(graph, directed=directed)
    if _holds_states(cascades):
        if network is None:
            raise InputError(
                f"{cascades} holds states of nodes: their law needs a network, --graph"
            )
        if until is not None:
            raise InputError("--until belongs to cascades; states end with their last reading")
        states = Trajectory.read(cascades, graph=network)
        with progress_bar(quiet=json) as progress:
            result = explain_series(
                states, network, runs=runs, influential=seeds, seed=seed, progress=progress
            )
    else:
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


def _holds_states(path: Path) -> bool:
    """Return whether a file holds states of nodes: its first column is the time, or it is no table.

    Raises:
        InputError: the file cannot be read.
    """
    import csv

    from graphtide.files import read_text

    if not path.name.removesuffix(".gz").endswith(".csv"):
        return True
    columns = [cell.strip() for cell in next(csv.reader(read_text(path).splitlines()), [])]
    return columns[:1] == ["time"] and "cascade" not in columns

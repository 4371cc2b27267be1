"""Commands ``graphtide mechanisms``: the law behind what was observed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.distilling import distil
from graphtide.cli.dynamics import DirectedOption, GraphOption, SeedOption, StatesArgument
from graphtide.cli.inputs import describe_sources

__all__ = ["app"]

app = typer.Typer(
    help="Find the law: the differential equation behind what was observed.",
    no_args_is_help=True,
)


@app.callback()
def _mechanisms() -> None:
    """Find the law: the differential equation behind what was observed."""


@app.command()
def equation(
    states: StatesArgument,
    graph: GraphOption,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    terms: Annotated[
        str, typer.Option(help="Candidate terms: all, or polynomial (powers and products only).")
    ] = "all",
    seed: SeedOption = 0,
    directed: DirectedOption = False,
    json: JsonOption = False,
) -> None:
    """Find the differential equation behind the states of nodes; write equation.json and a page."""
    from graphtide.graph import Graph
    from graphtide.mechanisms.regression import discover
    from graphtide.report import write_report
    from graphtide.run import Run
    from graphtide.trajectory import Trajectory

    Run.check_target(out)
    network = Graph.from_source(graph, directed=directed, seed=seed)
    trajectory = Trajectory.read(states, graph=network)
    with progress_bar(quiet=json) as progress:
        discovery = discover(trajectory, network, terms=terms, seed=seed, progress=progress)
    configuration = {
        **describe_sources(states=states, graph=graph),
        "directed": directed,
        "terms": terms,
        "seed": seed,
    }
    run = Run.create(out, kind="mechanisms equation", configuration=configuration)
    discovery.save(run)
    page = write_report(run)
    metrics = {
        "equation": discovery.equation.text(values=True, digits=4),
        **discovery.metrics,
        "notes": list(discovery.notes),
        "report": str(page),
    }
    show_metrics(metrics, json=json, title="the law")


app.command()(distil)

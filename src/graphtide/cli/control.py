"""The command ``graphtide dynamics control``: steer a network to a wanted state."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources, parse_assignments
from graphtide.cli.options import DirectedOption, SeedOption

__all__ = ["control"]


def control(
    source: Annotated[
        str,
        typer.Argument(
            metavar="EQUATION|RUN",
            help="Name in the catalogue, an equation.json, a text such as 'dx/dt = ...', or a run "
            "of `dynamics fit`.",
        ),
    ],
    target: Annotated[
        str,
        typer.Option(
            metavar="FILE|SPEC",
            help="Wanted states: a table node,x[,y...] (what is missing may be anything); a number "
            "for all nodes; or high or low, the steady state reached from high or low states.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN2", help="Folder to write.")],
    graph: Annotated[
        str | None,
        typer.Option(
            "--graph",
            metavar="G",
            help="File of edges or a generator, as for `simulate`; without it, the run's own.",
        ),
    ] = None,
    start: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|SPEC",
            help="States to begin from, written like the target; without it, low for a target "
            "high, high for low, else a sensible start.",
        ),
    ] = None,
    drivers: Annotated[
        str,
        typer.Option(
            help="How many nodes are driven (chosen by what they are worth), a file of their "
            "names, or auto: as few as arrive."
        ),
    ] = "auto",
    horizon: Annotated[float, typer.Option(help="Time in which the target is to be reached.")] = (
        5.0
    ),
    bound: Annotated[
        float | None, typer.Option(help="Largest size of an input; without it, none.")
    ] = None,
    sparsity: Annotated[
        float, typer.Option(min=0.0, help="Price of |u| beside that of u^2: inputs become zero.")
    ] = 0.0,
    tolerance: Annotated[
        float, typer.Option(help="Distance that counts as arrival, as a share of the way.")
    ] = 0.05,
    intervals: Annotated[
        int, typer.Option(min=1, help="Intervals on each of which the inputs are constant.")
    ] = 16,
    variable: Annotated[
        str | None, typer.Option(help="The variable that inputs act on; the first by default.")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    directed: DirectedOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Steer an equation or a learned field to a wanted state by inputs at few nodes."""
    import time

    import numpy as np

    from graphtide.dynamics.analysis.law import Law
    from graphtide.dynamics.control.workflow import control_law, named_state, read_drivers
    from graphtide.errors import InputError
    from graphtide.graph import Graph
    from graphtide.report import write_report
    from graphtide.run import Run

    began = time.perf_counter()
    Run.check_target(out)
    network = None if graph is None else Graph.from_source(graph, directed=directed)
    values = parse_assignments(param or [], option="--param")
    law = Law.read(source, network, parameters=values, seed=seed)
    if variable is not None and variable not in law.variables:
        raise InputError(f"--variable {variable}: the law has {', '.join(law.variables)}")
    nodes = read_drivers(drivers, law.graph)
    if not 0.0 < tolerance < 1.0:
        raise InputError(f"--tolerance {tolerance:g}: a share between 0 and 1 was expected")
    wanted = named_state(law, target, option="--target", seed=seed)
    opposite = {"high": "low", "low": "high"}.get(target)
    begun = opposite if start is None else start
    first = (
        law.start(seed) if begun is None else named_state(law, begun, option="--start", seed=seed)
    )
    if not np.isfinite(first).all():
        missing = law.graph.names[int(np.argwhere(~np.isfinite(first))[0, 0])]
        raise InputError(f"--start {begun}: the state of node '{missing}' is missing")
    with progress_bar(quiet=json) as progress:
        result = control_law(
            law,
            wanted,
            first,
            drivers=nodes,
            horizon=horizon,
            bound=bound,
            sparsity=sparsity,
            tolerance=tolerance,
            intervals=intervals,
            variable=0 if variable is None else law.variables.index(variable),
            progress=progress,
        )
    configuration = {
        **describe_sources(source=source, graph=graph, target=target, start=begun, drivers=drivers),
        "law": law.description,
        "parameters": values,
        "directed": directed,
        "horizon": horizon,
        "bound": bound,
        "sparsity": sparsity,
        "tolerance": tolerance,
        "intervals": intervals,
        "seed": seed,
    }
    run = Run.create(out, kind="dynamics control", configuration=configuration)
    result.save(run)
    page = write_report(run)
    metrics = {**result.metrics, "seconds": time.perf_counter() - began, "report": str(page)}
    if not json:
        names = result.metrics["drivers"]
        assert isinstance(names, list)  # it is made above
        more = f" and {len(names) - 8} more" if len(names) > 8 else ""
        metrics["drivers"] = ", ".join(names[:8]) + more
    show_metrics(metrics, json=json, title="control")

"""The command ``graphtide dynamics analyse``: stability, robustness and complexity of a law."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources, parse_assignments
from graphtide.cli.options import DirectedOption, SeedOption
from graphtide.errors import InputError

__all__ = ["analyse"]


def analyse(
    source: Annotated[
        str,
        typer.Argument(
            metavar="EQUATION|RUN",
            help="A run of `fit`; or a name in the catalogue, an equation.json, a run with one, or "
            "the text of an equation.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN2", help="Folder to write.")],
    graph: Annotated[
        str | None,
        typer.Option(
            metavar="G", help="Network: a file of edges or a generator; without it, the run's own."
        ),
    ] = None,
    what: Annotated[
        str, typer.Option(help="Parts, by commas: stability, robustness, complexity, resilience.")
    ] = "stability,robustness,complexity",
    vary: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=LOW:HIGH",
            help="Follow the fixed points along a parameter (edge_weight scales all weights); "
            "repeatable.",
        ),
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    directed: DirectedOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Say where a law leads and how surely: fixed points, their stability, what it is sensitive to.

    A law is an equation, or a field learned from data. A run of `classify` or
    `forecast` is attacked: what its accuracy becomes when what it sees changes a little.
    """
    import time

    from graphtide.dynamics.analysis.law import Law
    from graphtide.dynamics.analysis.parts import analyse as analyse_law
    from graphtide.dynamics.analysis.parts import checked_parts
    from graphtide.graph import Graph
    from graphtide.report import write_report
    from graphtide.run import Run

    began = time.perf_counter()
    Run.check_target(out)
    kind = Run.open(source).kind if Path(source).is_dir() else ""
    if kind in _ATTACKED:
        if graph or vary or param or directed:
            raise InputError(
                f"{source} is a {_ATTACKED[kind]}: it takes no --graph, --vary, --param or "
                "--directed"
            )
        _attack(source, out, seed=seed, json=json)
        return
    names = checked_parts(what)
    ranges = parse_ranges(vary or [])
    if ranges and "stability" not in names:
        raise InputError("--vary follows fixed points: it needs --what stability")
    values = parse_assignments(param or [], option="--param")
    network = None if graph is None else Graph.from_source(graph, directed=directed)
    law = Law.read(source, network, parameters=values, seed=seed)
    with progress_bar(quiet=json) as progress:
        results = analyse_law(law, names, vary=ranges, seed=seed, progress=progress)
    configuration = {
        **describe_sources(source=source, graph=graph),
        "what": ",".join(names),
        "vary": ", ".join(vary or []),
        "param": ", ".join(param or []),
        "directed": directed,
        "seed": seed,
    }
    run = Run.create(out, kind="dynamics analyse", configuration=configuration)
    metrics: dict[str, object] = {
        "law": law.description,
        "nodes": law.graph.node_count,
        "edges": law.graph.edge_count,
        **{name: result.metrics() for name, result in results.items()},
        "seconds": time.perf_counter() - began,
    }
    run.write_metrics(metrics)
    run.write_graph(law.graph)
    for result in results.values():
        for name, table in result.tables().items():
            run.write_table(name, table)
    page = write_report(run)
    metrics["report"] = str(page)
    show_metrics(metrics if json else _short(metrics), json=json, title="analyse")


_ATTACKED = {"dynamics classify": "classifier", "dynamics forecast": "forecaster"}
"""Kinds of runs that are attacked, and what they are."""


def _attack(source: str, out: Path, *, seed: int, json: bool) -> None:
    """Measure what small changes of its inputs do to a trained network; write the run."""
    import time

    from graphtide.report import write_report
    from graphtide.run import Run

    began = time.perf_counter()
    trained_run = Run.open(source)
    if trained_run.kind == "dynamics classify":
        from graphtide.dynamics.classify.attack import attack
        from graphtide.dynamics.classify.reloading import load

        name, found = "attack", attack(load(trained_run), seed=seed)
    else:
        from graphtide.dynamics.forecast.attack import attack_forecaster
        from graphtide.dynamics.forecast.reloading import load as load_forecaster

        name = "forecast_attack"
        found = attack_forecaster(load_forecaster(trained_run), seed=seed)
    configuration = {"source": source, "seed": seed}
    run = Run.create(out, kind="dynamics analyse", configuration=configuration)
    graph = trained_run.read_graph()
    metrics: dict[str, object] = {
        "law": f"A trained {_ATTACKED[trained_run.kind]}",
        "nodes": graph.node_count,
        "edges": graph.edge_count,
        name: found.metrics(),
        "seconds": time.perf_counter() - began,
    }
    run.write_metrics(metrics)
    run.write_graph(graph)
    for file, table in found.tables().items():
        run.write_table(file, table)
    metrics["report"] = str(write_report(run))
    show_metrics(metrics if json else _short(metrics), json=json, title="analyse")


def parse_ranges(texts: list[str]) -> dict[str, tuple[float, float]]:
    """Return ``{"b": (0.0, 10.0)}`` from texts such as ``b=0:10`` (several joined by commas).

    Raises:
        InputError: a text is not ``name=low:high`` with low < high, or a name is given twice.
    """
    ranges: dict[str, tuple[float, float]] = {}
    for text in (part.strip() for joined in texts for part in joined.split(",")):
        name, equals, rest = (piece.strip() for piece in text.partition("="))
        first, colon, second = (piece.strip() for piece in rest.partition(":"))
        if not (name and equals and colon):
            raise InputError(f"--vary {text}: NAME=LOW:HIGH was expected, such as --vary b=0:10")
        try:
            low, high = float(first), float(second)
        except ValueError:
            raise InputError(f"--vary {text}: LOW and HIGH must be numbers") from None
        if not (-float("inf") < low < high < float("inf")):
            raise InputError(f"--vary {text}: LOW must lie below HIGH, both finite")
        if name in ranges:
            raise InputError(f"--vary {text}: '{name}' is given twice")
        ranges[name] = (low, high)
    return ranges


def _short(metrics: dict[str, object]) -> dict[str, object]:
    """Return what a terminal has room for: the findings of each part; --json holds all."""
    short: dict[str, object] = {}
    for name, value in metrics.items():
        if isinstance(value, dict):
            found = value.get("findings", [])
            short[name] = " ".join(map(str, found)) if isinstance(found, list) else str(found)
        else:
            short[name] = value
    return short

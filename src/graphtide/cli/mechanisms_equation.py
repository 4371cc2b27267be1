"""Command ``graphtide mechanisms equation``: the differential equation behind node series."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources
from graphtide.cli.options import DirectedOption, SeedOption

if TYPE_CHECKING:
    from graphtide.graph import Graph
    from graphtide.mechanisms.known import KnownSeries
    from graphtide.trajectory import Trajectory

__all__ = ["equation"]


def equation(
    states: Annotated[
        list[Path],
        typer.Argument(
            metavar="STATES...",
            help="Tables of states, one a trajectory: time,node1,node2,... or time,node,x[,y...]; "
            "CSV, npz or NetCDF.",
        ),
    ],
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    graph: Annotated[
        list[str] | None,
        typer.Option(
            "--graph",
            metavar="G",
            help="File of edges or a generator such as karate; given once for all trajectories, "
            "or once for each in their order.",
        ),
    ] = None,
    terms: Annotated[
        str,
        typer.Option(help="Candidate terms: all, polynomial, or none but those of --library."),
    ] = "all",
    library: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Further candidates, one term a line, such as x^2/(1 + x^2) or "
            "sum_j A_ij*sin(x_j - x_i).",
        ),
    ] = None,
    node_effects: Annotated[
        str,
        typer.Option(
            metavar="TERMS",
            help="Terms whose coefficients differ from node to node, such as 1 or 1,x; none; "
            "auto takes them in where nothing else explains the nodes.",
        ),
    ] = "auto",
    robust: Annotated[
        str,
        typer.Option(
            help="Learn on the nodes that follow one law and name the others: on, off, or auto "
            "where the plain law leaves too many nodes unexplained."
        ),
    ] = "auto",
    infer_graph: Annotated[
        bool,
        typer.Option(
            "--infer-graph",
            help="The network is unknown: infer it with the law and write edges.csv with scores.",
        ),
    ] = False,
    inputs: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Known inputs: time,u[,v...] for all nodes, or time,node,u[,v...]; once for all "
            "tables of states, or once for each.",
        ),
    ] = None,
    delay: Annotated[
        str | None,
        typer.Option(metavar="TAU", help="Let states a time TAU ago act; scan finds TAU."),
    ] = None,
    symbolic: Annotated[
        bool,
        typer.Option(
            "--symbolic",
            help="Add candidates found by symbolic regression (the extra `symbolic`), for laws "
            "that no library holds.",
        ),
    ] = False,
    seed: SeedOption = 0,
    directed: DirectedOption = False,
    json: JsonOption = False,
) -> None:
    """Find the differential equation behind the states of nodes; write equation.json and a page."""
    from graphtide.errors import InputError
    from graphtide.mechanisms.network import infer_network
    from graphtide.mechanisms.regression import discover
    from graphtide.mechanisms.symbolic import symbolic_terms
    from graphtide.mechanisms.user_terms import read_terms
    from graphtide.report import write_report
    from graphtide.run import Run
    from graphtide.trajectory import Trajectory

    Run.check_target(out)
    if infer_graph and (inputs or delay):
        raise InputError("--infer-graph is not combined with --inputs or --delay")
    if infer_graph and graph:
        raise InputError("--graph and --infer-graph exclude each other")
    if infer_graph:
        trajectories, graphs = [Trajectory.read(path) for path in states], []
    else:
        trajectories, graphs = _read(states, graph or [], directed=directed)
    _same_variables(states, trajectories)
    variables = trajectories[0].variables
    further = read_terms(library, variables) if library is not None else []
    network = None
    with progress_bar(quiet=json) as progress:
        if infer_graph:
            network = infer_network(
                trajectories, terms=terms, library=further, seed=seed, progress=progress
            )
            graphs = [network.graph]
        if symbolic:
            progress(0.0, "symbolic regression")
            known = {term.text for term in further}
            found = symbolic_terms(trajectories, graphs, seed=seed)
            further += [term for term in found if term.text not in known]
        discovery = discover(
            trajectories,
            graphs,
            terms=terms,
            library=further,
            node_effects=_effects(node_effects),
            robust=robust,
            inputs=_inputs(inputs or [], trajectories),
            delay=_delay(delay),
            seed=seed,
            progress=progress,
        )
    configuration = {
        **_sources(states, graph or [], inputs or [], library),
        "directed": directed,
        "terms": terms,
        "node_effects": node_effects,
        "robust": robust,
        "infer_graph": infer_graph,
        "delay": delay,
        "symbolic": symbolic,
        "seed": seed,
    }
    run = Run.create(out, kind="mechanisms equation", configuration=configuration)
    discovery.save(run)
    inferred = {}
    if network is not None:
        run.write_table("edges", network.table())
        inferred = {"network": network.summary()}
        run.write_metrics({**run.read_metrics(), **inferred})
    page = write_report(run)
    metrics: dict[str, Any] = {
        "equation": discovery.equation.text(values=True, digits=4),
        **discovery.metrics,
        **inferred,
        "notes": list(discovery.notes),
        "report": str(page),
    }
    if not json:
        joined = ("nodes_that_do_not_follow", "node_effects")
        metrics |= {name: ", ".join(map(str, metrics[name])) or "none" for name in joined}
    show_metrics(metrics, json=json, title="the law")


def _read(
    states: list[Path], graph: list[str], *, directed: bool
) -> tuple[list[Trajectory], list[Graph]]:
    """Return the trajectories and a graph for each; files named twice are one graph."""
    from graphtide.errors import InputError
    from graphtide.graph import Graph
    from graphtide.trajectory import Trajectory

    if not graph:
        raise InputError(
            "--graph is missing; give the network, or --infer-graph where it is unknown"
        )
    if len(graph) not in (1, len(states)):
        raise InputError(
            f"--graph is given {len(graph)} times for {len(states)} tables of states; once for "
            "all, or once for each, was expected"
        )
    known = {text: Graph.from_source(text, directed=directed) for text in dict.fromkeys(graph)}
    graphs = [known[text] for text in (graph if len(graph) > 1 else graph * len(states))]
    read = [Trajectory.read(path, graph=g) for path, g in zip(states, graphs, strict=True)]
    return read, graphs


def _inputs(paths: list[Path], trajectories: list[Trajectory]) -> list[list[KnownSeries]]:
    """Return the inputs of each trajectory."""
    from graphtide.errors import InputError
    from graphtide.mechanisms.known import read_inputs

    if not paths:
        return []
    if len(paths) not in (1, len(trajectories)):
        raise InputError(
            f"--inputs is given {len(paths)} times for {len(trajectories)} tables of states; once "
            "for all, or once for each, was expected"
        )
    each = paths if len(paths) > 1 else paths * len(trajectories)
    read = [read_inputs(path, own) for path, own in zip(each, trajectories, strict=True)]
    names = [[series.name for series in own] for own in read]
    for path, own in zip(each, names, strict=True):
        if own != names[0]:
            raise InputError(f"{path} has the inputs {', '.join(own)}, not {', '.join(names[0])}")
    return read


def _delay(text: str | None) -> float | Literal["scan"] | None:
    """Return what --delay says."""
    import math

    from graphtide.errors import InputError

    if text is None or text == "scan":
        return text
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not (math.isfinite(value) and value > 0):
        raise InputError(f"--delay {text}: a positive number or scan was expected")
    return value


def _same_variables(states: list[Path], read: list[Trajectory]) -> None:
    from graphtide.errors import InputError

    for path, trajectory in zip(states, read, strict=True):
        if trajectory.variables != read[0].variables:
            raise InputError(
                f"{path} has the variables {', '.join(trajectory.variables)}; those of {states[0]} "
                f"are {', '.join(read[0].variables)}"
            )


def _effects(text: str) -> list[str] | Literal["auto"]:
    """Return the terms of --node-effects."""
    from graphtide.errors import InputError

    if text == "auto":
        return "auto"
    if text == "none":
        return []
    parts = [part.strip() for part in text.split(",")]
    if not all(parts):
        raise InputError(f"--node-effects {text}: a term is empty; write them as 1,x")
    return parts


def _sources(
    states: list[Path], graph: list[str], inputs: list[Path], library: Path | None
) -> dict[str, object]:
    """Return the sources with their hashes; those given several times as lists."""
    described: dict[str, object] = {}
    for name, given in (("states", states), ("graph", graph), ("inputs", inputs)):
        each = [describe_sources(**{name: source}) for source in given]
        for key in dict.fromkeys(key for part in each for key in part):
            values = [part.get(key) for part in each]
            described[key] = values[0] if len(values) == 1 else values
    return {**described, **describe_sources(library=library)}

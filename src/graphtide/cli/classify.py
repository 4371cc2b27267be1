"""The command ``graphtide dynamics classify``: classes or values of nodes from some known ones."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources
from graphtide.cli.options import DirectedOption

if TYPE_CHECKING:
    from graphtide.dynamics.classify import NodeTask

__all__ = ["classify"]


def classify(
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="DATA",
            help="npz with edges, features, labels, train, validation, test; or give --graph, "
            "--features and --labels.",
        ),
    ] = None,
    graph: Annotated[
        str | None, typer.Option("--graph", metavar="G", help="File of edges, or a generator.")
    ] = None,
    features: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Table node,f1,f2,...: a row for each node.")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Table node,label[,part] with part train, validation or test; labels may be "
            "missing.",
        ),
    ] = None,
    regression: Annotated[
        bool, typer.Option("--regression", help="Labels are numbers to predict, not classes.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="How many networks are trained.")] = 5,
    depth: Annotated[
        float | None, typer.Option(help="Depth (time) of the diffusion; chosen where not given.")
    ] = None,
    diffusion: Annotated[
        str, typer.Option(help="diffusion (fixed weights of edges) or attention.")
    ] = "diffusion",
    seed: Annotated[int, typer.Option("--seed", min=0, help="The first seed.")] = 0,
    directed: DirectedOption = False,
    json: JsonOption = False,
) -> None:
    """Tell the class or the value of every node from some that are known.

    Interrupted (Ctrl-C), the same command goes on where it was.
    """
    import time

    from graphtide.cli.resumable import begin, checkpoints, finish
    from graphtide.dynamics.classify import classify as classify_nodes
    from graphtide.dynamics.classify.classify import check
    from graphtide.report import write_report
    from graphtide.run import Run

    began = time.perf_counter()
    Run.check_target(out)
    check(seeds=seeds, depth=depth, diffusion=diffusion)
    task = _read(data, graph, features, labels, regression=regression, directed=directed)
    choices = {"seeds": seeds, "depth": depth, "diffusion": diffusion}
    configuration = {
        **describe_sources(data=data, graph=graph, features=features, labels=labels),
        "regression": regression,
        **choices,
        "seed": seed,
    }
    run = begin(out, kind="dynamics classify", configuration=configuration)
    with progress_bar(quiet=json) as progress:
        result = classify_nodes(
            task,
            seeds=seeds,
            depth=depth,
            diffusion=diffusion,
            first_seed=seed,
            folder=checkpoints(out),
            progress=progress,
        )
    result.save(run)
    page = write_report(run)
    finish(run)
    metrics = result.metrics
    figures = {"seconds": time.perf_counter() - began, "report": str(page)}
    if json:
        show_metrics({**metrics, **figures}, json=True, title="classify")
        return
    name = "r2" if task.is_regression else "accuracy"
    shown: dict[str, object] = {f"{name} on test nodes": _with_deviation(metrics, name)}
    baselines = metrics["baselines"]
    assert isinstance(baselines, dict)
    for baseline, values in baselines.items():
        shown[f"{name} of {baseline.replace('_', ' ')}"] = _with_deviation(values, name)
    shown |= {
        f"{name} of the mean over seeds": metrics[f"{name}_of_mean"],
        "depth": metrics["depth"],
        "seeds": seeds,
        "predictions": str(out / "predictions.csv"),
        **figures,
    }
    show_metrics(shown, json=False, title="classify")


def _with_deviation(values: dict[str, object], name: str) -> str:
    deviation = values[f"{name}_deviation"]
    mean = values[name]
    return f"{mean:.4f}" if deviation is None else f"{mean:.4f} (deviation {deviation:.4f})"


def _read(
    data: Path | None,
    graph: str | None,
    features: Path | None,
    labels: Path | None,
    *,
    regression: bool,
    directed: bool,
) -> NodeTask:
    from graphtide.dynamics.classify import read_task, read_task_npz
    from graphtide.errors import InputError
    from graphtide.graph import Graph

    if data is not None:
        if graph is not None or features is not None or labels is not None:
            raise InputError(f"{data} holds everything: leave --graph, --features, --labels out")
        return read_task_npz(data)
    if graph is None or features is None or labels is None:
        raise InputError("give an npz file, or --graph, --features and --labels together")
    network = Graph.from_source(graph, directed=directed)
    return read_task(network, features, labels, regression=regression)

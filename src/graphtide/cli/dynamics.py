"""Commands ``graphtide dynamics``: simulate, fit and predict the states of nodes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from graphtide.cli.analyse import analyse
from graphtide.cli.classify import classify
from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.control import control
from graphtide.cli.forecast import forecast
from graphtide.cli.inputs import parse_assignments
from graphtide.cli.options import DirectedOption, GraphOption, SeedOption, StatesArgument

__all__ = ["app"]

app = typer.Typer(
    help="Simulate dynamics on a graph, learn them from states, and predict.",
    no_args_is_help=True,
)

TimesText = Annotated[
    str,
    typer.Option(
        "--times",
        help="START:STOP:COUNT, or a file with one time a line. "
        "A law of the catalogue has times of its own.",
    ),
]


@app.command()
def simulate(
    equation: Annotated[
        str,
        typer.Argument(
            metavar="EQUATION",
            help="Name in the catalogue, an equation.json, a run, or a text such as "
            "'dx/dt = sum_j A_ij*(x_j - x_i)'.",
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Table to write: states of nodes (.csv, .npz, .nc); with --stochastic, numbers of "
            "nodes (.csv): mean, 5, 50 and 95 % quantiles of the runs, and the mean field.",
        ),
    ],
    graph: GraphOption = "single",
    times: TimesText | None = None,
    start: Annotated[
        Path | None, typer.Option(metavar="FILE", help="States at the first time: node,x[,y...].")
    ] = None,
    param: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Set a parameter; repeatable.")
    ] = None,
    noise: Annotated[
        float,
        typer.Option(min=0.0, help="Gaussian noise on the readings, as a share of their spread."),
    ] = 0.0,
    seed: SeedOption = 0,
    method: Annotated[str, typer.Option(help="Numerical method; auto chooses.")] = "auto",
    stochastic: Annotated[
        bool,
        typer.Option(
            "--stochastic",
            help="Simulate si, sis, sir or seir event by event instead of its mean field.",
        ),
    ] = False,
    runs: Annotated[int, typer.Option(min=1, help="Number of stochastic runs.")] = 100,
    all_runs: Annotated[
        bool, typer.Option("--all-runs", help="Write run,time,S,I,... of each run instead.")
    ] = False,
    cascades: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Also write each infection of each stochastic run: cascade,node,time,parent,"
            "recovery, as `mechanisms spread` reads it.",
        ),
    ] = None,
    directed: DirectedOption = False,
    json: JsonOption = False,
) -> None:
    """Simulate an equation on a graph and write the states at the times asked for."""
    import time

    from graphtide.dynamics.catalogue import default_times, resolve
    from graphtide.dynamics.simulate import simulate as simulate_equation
    from graphtide.graph import Graph
    from graphtide.trajectory import parse_times, read_start

    began = time.perf_counter()
    law = resolve(equation).with_parameters(**parse_assignments(param or [], option="--param"))
    network = Graph.from_source(graph, directed=directed)
    when = default_times(law) if times is None else parse_times(times)
    first = None if start is None else read_start(start, network, law.variables)
    if stochastic or all_runs or cascades is not None:
        from graphtide.cli.stochastic import refuse_mixture, simulate_runs

        refuse_mixture(stochastic=stochastic, noise=noise, method=method)
        with progress_bar(quiet=json) as progress:
            metrics = simulate_runs(
                law,
                network,
                when,
                first,
                runs=runs,
                all_runs=all_runs,
                out=out,
                cascades=cascades,
                seed=seed,
                progress=progress,
            )
        metrics["seconds"] = time.perf_counter() - began
        show_metrics(metrics, json=json, title="simulate")
        return
    with progress_bar(quiet=json) as progress:
        progress(0.0, f"simulating {network.node_count} nodes")
        trajectory = simulate_equation(
            law, network, when, first, method=method, noise=noise, seed=seed
        )
    trajectory.write(out)
    metrics = {
        "equation": law.text(),
        "nodes": network.node_count,
        "edges": network.edge_count,
        "times": len(when),
        "out": str(out),
        "seconds": time.perf_counter() - began,
    }
    show_metrics(metrics, json=json, title="simulate")


@app.command()
def fit(
    states: StatesArgument,
    graph: GraphOption,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    model: Annotated[
        str,
        typer.Option(
            help="closed_form, or a neural model with intervals: message_passing, edge, no_graph, "
            "latent (NDCN's), latent_no_embedding, latent_no_graph, latent_no_control."
        ),
    ] = "closed_form",
    holdout: Annotated[
        str,
        typer.Option(
            help="Shares of the times kept from learning: interpolate=0.2,extrapolate=0.2. "
            "A number of 1 or more counts times."
        ),
    ] = "interpolate=0.2,extrapolate=0.2",
    transform: Annotated[
        str,
        typer.Option(
            help="Of the closed form: none, log (states that grow by shares of themselves), or "
            "auto."
        ),
    ] = "none",
    loss: Annotated[
        str, typer.Option(help="Of a neural model: square, l1 or gaussian (noise learned).")
    ] = "square",
    warm_start: Annotated[
        str,
        typer.Option(
            help="Of a neural model: weak (least squares), closed_form, or auto: a closed form "
            "where one can be fitted."
        ),
    ] = "auto",
    ensemble: Annotated[
        int, typer.Option(min=0, help="Members of a neural model's ensemble, for its intervals.")
    ] = 8,
    level: Annotated[
        float, typer.Option(help="Level of the intervals whose coverage is measured.")
    ] = 0.9,
    inputs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Known inputs u(t), a table like STATES.")
    ] = None,
    attributes: Annotated[
        str, typer.Option(help="Attributes of the graph's nodes that the model sees, by commas.")
    ] = "",
    with_time: Annotated[bool, typer.Option("--with-time", help="Let F and G see the time.")] = (
        False
    ),
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with an interrupted training in RUN.")
    ] = False,
    seed: SeedOption = 0,
    directed: DirectedOption = False,
    json: JsonOption = False,
) -> None:
    """Learn how the states of nodes change, and test it on times kept from learning."""
    from graphtide.cli.fitting import FitOptions, fit_states

    options = FitOptions(
        states, graph, out, model, holdout, transform, loss, warm_start, ensemble, level, inputs,
        attributes, with_time, resume, seed, directed,
    )  # fmt: skip
    metrics, interrupted = fit_states(options, json=json)
    show_metrics(metrics, json=json, title="fit")
    if interrupted:
        raise KeyboardInterrupt


@app.command()
def predict(
    source: Annotated[
        str, typer.Argument(metavar="RUN", help="A fitted run; or what `simulate` takes.")
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Table to write (.csv, .npz, .nc).")],
    times: Annotated[
        str | None,
        typer.Option(help="START:STOP:COUNT or a file; without it, the times of the run's data."),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="States at the first time; without it, the run's own."),
    ] = None,
    graph: Annotated[
        str | None,
        typer.Option(metavar="G2", help="Another graph; without it, the run's own."),
    ] = None,
    level: Annotated[
        float | None,
        typer.Option(help="Add intervals of this level, such as 0.9 (neural models)."),
    ] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Known inputs u(t); without it, the run's own."),
    ] = None,
    readings: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Newer readings for a run of `forecast`: what comes after the last one.",
        ),
    ] = None,
    directed: DirectedOption = False,
    seed: SeedOption = 0,
    json: JsonOption = False,
) -> None:
    """Predict states: at other times, from another start, on another graph; or what comes next."""
    from graphtide.cli.prediction import predict_states
    from graphtide.graph import Graph

    network = None if graph is None else Graph.from_source(graph, directed=directed)
    metrics = predict_states(
        source,
        out=out,
        times=times,
        start=start,
        graph=network,
        level=level,
        inputs=inputs,
        readings=readings,
        seed=seed,
    )
    show_metrics(metrics, json=json, title="predict")


app.command()(forecast)
app.command()(classify)
app.command()(analyse)
app.command()(control)

"""The command ``graphtide dynamics forecast``: from the last readings of a network to the next."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from graphtide.cli.console import JsonOption, progress_bar, show_metrics
from graphtide.cli.inputs import describe_sources
from graphtide.cli.options import DirectedOption, GraphOption, SeedOption, StatesArgument

if TYPE_CHECKING:
    from graphtide.dynamics.forecast import Forecast

__all__ = ["forecast"]


def forecast(
    states: StatesArgument,
    graph: GraphOption,
    out: Annotated[Path, typer.Option(metavar="RUN", help="Folder to write.")],
    history: Annotated[int, typer.Option(help="Readings that a forecast sees.")] = 12,
    horizon: Annotated[int, typer.Option(help="Readings that it says.")] = 12,
    split: Annotated[
        float, typer.Option(help="Share of the times before the split; the rest tests.")
    ] = 0.8,
    period: Annotated[
        int | None,
        typer.Option(help="Readings to a cycle: 288 for days at 5 minutes, 52 for years of weeks."),
    ] = None,
    model: Annotated[
        str,
        typer.Option(
            help="auto chooses on held-out windows; or direct_network, graph_ode_rnn, combination "
            "(of both), or the name of a baseline."
        ),
    ] = "auto",
    missing: Annotated[
        float | None,
        typer.Option(help="Number that stands for a missing reading, such as 0 in traffic tables."),
    ] = None,
    level: Annotated[float, typer.Option(help="Share that the intervals should hold.")] = 0.9,
    recurrent: Annotated[
        bool, typer.Option(help="Train the recurrent baselines (RNN-, GRU-, LSTM-GNN), too.")
    ] = True,
    seed: SeedOption = 0,
    directed: DirectedOption = False,
    json: JsonOption = False,
) -> None:
    """Forecast the next readings of all nodes from the last ones, and test it beside baselines.

    Interrupted (Ctrl-C), the same command goes on where it was.
    """
    import time

    from graphtide.cli.resumable import begin, checkpoints, finish
    from graphtide.dynamics.forecast import forecast as fit_forecast
    from graphtide.dynamics.forecast.forecast import check
    from graphtide.graph import Graph
    from graphtide.report import write_report
    from graphtide.run import Run
    from graphtide.trajectory import Trajectory

    began = time.perf_counter()
    Run.check_target(out)
    network = Graph.from_source(graph, directed=directed)
    trajectory = Trajectory.read(states)
    choices = {
        "history": history,
        "horizon": horizon,
        "split": split,
        "period": period,
        "model": model,
        "missing": missing,
        "level": level,
    }
    check(trajectory, network, **choices)
    configuration = {
        **describe_sources(states=states, graph=graph),
        "directed": directed,
        **choices,
        "recurrent": recurrent,
        "seed": seed,
    }
    run = begin(out, kind="dynamics forecast", configuration=configuration)
    with progress_bar(quiet=json) as progress:
        result = fit_forecast(
            trajectory,
            network,
            **choices,
            recurrent=recurrent,
            seed=seed,
            folder=checkpoints(out),
            progress=progress,
        )
    result.save(run)
    page = write_report(run)
    finish(run)
    seconds = time.perf_counter() - began
    if json:
        metrics = {**result.metrics, "seconds": seconds, "report": str(page)}
        show_metrics(metrics, json=True, title="forecast")
        return
    _show(result, trajectory.names, seconds, page)


def _show(result: Forecast, names: tuple[str, ...], seconds: float, page: Path) -> None:
    """Print errors by step beside the baselines, and the figures that are not by step."""
    from rich.console import Console
    from rich.table import Table

    horizon = result.windows.horizon
    steps = sorted({1, *(step for step in (3, 6, 12) if step < horizon), horizon})
    table = Table(title="errors on the test windows", title_justify="left", box=None)
    table.add_column("forecaster", style="bold", no_wrap=True)
    for name in ("MAE", "RMSE", "MAPE %"):
        table.add_column(name, justify="right")
    words = " / ".join(map(str, steps))
    if horizon > 1:
        table.add_column(f"MAE at step {words}", justify="right")
        table.add_column(f"RMSE at step {words}", justify="right")
    rows = {f"{result.model} (chosen)": result.errors, **result.baselines}
    for name, errors in rows.items():
        mae, rmse, mape = errors.all
        cells = [name.replace("_", " "), f"{mae:.4g}", f"{rmse:.4g}", f"{100 * mape:.3g}"]
        if horizon > 1:
            cells += [
                " / ".join(f"{values[step - 1]:.3g}" for step in steps)
                for values in (errors.mae, errors.rmse)
            ]
        table.add_row(*cells)
    Console().print(table)
    figures: dict[str, object] = {
        "model": result.model,
        "coverage": f"{100 * result.coverage.mean():.1f} % "
        f"(wanted {100 * result.level:g} %; {100 * result.coverage.min():.1f} to "
        f"{100 * result.coverage.max():.1f} % by step)",
        "test windows": len(result.windows.part("test")),
        "nodes": len(names),
    }
    if result.isolated:
        figures["without an edge"] = ", ".join(result.isolated)
    figures |= {"seconds": seconds, "report": str(page)}
    show_metrics(figures, json=False, title="forecast")

"""What ``graphtide dynamics predict`` does with a fitted run, or with an equation."""

from __future__ import annotations

import time
from pathlib import Path

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory, parse_times, read_start

__all__ = ["predict_states"]


def predict_states(
    source: str,
    *,
    out: Path,
    times: str | None,
    start: Path | None,
    graph: Graph | None,
    level: float | None,
    inputs: Path | None,
    readings: Path | None,
    seed: int,
) -> dict[str, object]:
    """Predict with a run, or simulate an equation; write the table ``out``.

    Args:
        source: folder of a run, or what names an equation.
        out: the table to write.
        times: START:STOP:COUNT or a file; None takes the times of the run's data.
        start: file of the states at the first time; None takes the run's own.
        graph: another graph than the run's own.
        level: of the intervals that are added; None adds none.
        inputs: file of known inputs; None takes the run's own.
        readings: file of newer readings for a forecaster; None takes the run's own.
        seed: seed of the catalogue's start, where an equation has no other.

    Raises:
        InputError: the source is neither, or an equation comes without times, without a graph, or
            with a level or inputs.
    """
    began = time.perf_counter()
    folder = Path(source)
    run = Run.open(folder) if folder.is_dir() else None
    if run is not None and run.kind == "dynamics forecast":
        given = {"times": times, "start": start, "graph": graph, "level": level, "inputs": inputs}
        for name, value in given.items():
            if value is not None:
                raise InputError(f"{source} is a forecaster: it takes --readings, not --{name}")
        notes = _by_forecaster(run, readings, out)
        return {**notes, "out": str(out), "seconds": time.perf_counter() - began}
    if readings is not None:
        raise InputError(f"--readings needs a run of `dynamics forecast`; {source} is none")
    if run is not None and run.kind == "dynamics fit":
        trajectory, notes = _by_learned_field(
            run, times=times, start=start, graph=graph, level=level, inputs=inputs
        )
    elif level is not None or inputs is not None:
        name = "--level" if level is not None else "--inputs"
        raise InputError(f"{name} needs a run of a neural model; {source} is none")
    else:
        trajectory, notes = _by_equation(
            source, run=run, times=times, start=start, graph=graph, seed=seed
        )
    trajectory.write(out)
    return {
        "nodes": len(trajectory.names),
        "times": len(trajectory.times),
        **notes,
        "out": str(out),
        "seconds": time.perf_counter() - began,
    }


def _by_forecaster(run: Run, readings: Path | None, out: Path) -> dict[str, object]:
    """Forecast what comes after the last reading, and write the table."""
    from graphtide.dynamics.forecast.reloading import load
    from graphtide.dynamics.forecast.result import forecast_table
    from graphtide.files import write_table

    forecaster = load(run)
    newer = None if readings is None else Trajectory.read(readings)
    coming = forecaster.coming(newer)
    table = forecast_table(
        forecaster.trajectory, coming.times, coming.said, coming.lower, coming.upper
    )
    write_table(out, table)
    return {
        "model": forecaster.name,
        "nodes": len(forecaster.trajectory.names),
        "times": len(coming.times),
        "first_time": float(coming.times[0]),
        "level": forecaster.intervals.level,
    }


def _by_learned_field(
    run: Run,
    *,
    times: str | None,
    start: Path | None,
    graph: Graph | None,
    level: float | None,
    inputs: Path | None,
) -> tuple[Trajectory, dict[str, object]]:
    from rich.console import Console

    from graphtide.dynamics.fit import load_field, predict

    network = run.read_graph() if graph is None else graph
    variables = load_field(run).variables
    prediction = predict(
        run,
        times=None if times is None else parse_times(times),
        start=None if start is None else read_start(start, network, variables),
        graph=graph,
        level=level,
        inputs=None if inputs is None else Trajectory.read(inputs, graph=network),
    )
    if prediction.warning is not None:
        Console(stderr=True, soft_wrap=True).print(
            f"warning: {prediction.warning}", highlight=False
        )
    notes: dict[str, object] = {
        "outside_share": prediction.outside,
        "unseen_pairs_share": prediction.unseen_pairs,
        "warning": prediction.warning,
    }
    if level is None:
        return prediction.trajectory, notes
    assert prediction.half_width is not None  # a level was asked for
    width = float(2.0 * prediction.half_width.mean())
    notes = {**notes, "level": level, "mean_interval_width": width}
    return prediction.with_bounds(), notes


def _by_equation(
    source: str,
    *,
    run: Run | None,
    times: str | None,
    start: Path | None,
    graph: Graph | None,
    seed: int,
) -> tuple[Trajectory, dict[str, object]]:
    from graphtide.dynamics.catalogue import resolve
    from graphtide.dynamics.simulate import simulate

    equation = resolve(source)
    observed = None if run is None else run.read_trajectory("observed")
    if graph is None:
        if run is None:
            raise InputError(f"{source} is an equation: give --graph, the network it runs on")
        graph = run.read_graph()
    if times is None and observed is None:
        raise InputError(f"{source} is an equation: give --times START:STOP:COUNT")
    when = observed.times if times is None and observed is not None else parse_times(str(times))
    if start is not None:
        first = read_start(start, graph, equation.variables)
    elif observed is not None and observed.names == graph.names:
        first = observed.states[0]
    else:
        first = None
    return simulate(equation, graph, when, first, seed=seed), {"equation": equation.text()}

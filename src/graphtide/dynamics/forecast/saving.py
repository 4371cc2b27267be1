"""What a forecast leaves in its run: figures, tables, the test forecasts, the weights."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas

from graphtide.dynamics.forecast.combination import networks_of
from graphtide.run import Run
from graphtide.trajectory import Trajectory

if TYPE_CHECKING:
    from graphtide.dynamics.forecast.forecast import Forecast

__all__ = ["save"]


def save(result: Forecast, run: Run) -> None:
    """Write a forecast into a run.

    Files: metrics.json; forecast.csv (the readings that come next); errors.csv (by method and
    step); test.safetensors (forecasts of the test windows, float32, and their first targets);
    observed.npz; graph.npz; weights of networks, one file each, and training.csv.
    """
    windows = result.windows
    run.write_metrics(result.metrics)
    run.write_graph(result.graph)
    names, variables = result.trajectory.names, result.trajectory.variables
    observed = Trajectory(
        windows.times,
        windows.readings,
        variables=variables,
        names=names,
        units=result.trajectory.units,
    )
    run.write_trajectory("observed", observed)
    run.write_table("forecast", _next_table(result))
    run.write_table("errors", _error_table(result))
    run.write_tensors(
        "test",
        {
            "first_target": windows.part("test"),
            "predicted": result.predicted.astype(np.float32),
            "lower": result.lower.astype(np.float32),
            "upper": result.upper.astype(np.float32),
        },
    )
    lines = []
    for number, member in enumerate(networks_of(result.forecaster)):
        assert member.network is not None  # it was fitted
        state = member.network.state_dict()
        name = f"network_{number}"
        run.write_tensors(name, {key: value.cpu().numpy() for key, value in state.items()})
        lines += [
            {"file": name, "network": member.name, "fit": stage, **asdict(epoch)}
            for stage, history in member.histories.items()
            for epoch in history
        ]
    if lines:
        run.write_table("training", pandas.DataFrame(lines))


def _next_table(result: Forecast) -> pandas.DataFrame:
    """Return rows (time, node, variable, forecast, lower, upper) of the readings to come."""
    windows, names = result.windows, result.trajectory.names
    variables = result.trajectory.variables
    step = windows.times[1] - windows.times[0]
    times = windows.times[-1] + step * np.arange(1, windows.horizon + 1)
    said, lower, upper = result.next
    shape = said.shape
    frame = {
        "time": np.broadcast_to(times[:, None, None], shape).ravel(),
        "node": np.broadcast_to(np.array(names, dtype=object)[:, None], shape).ravel(),
        "variable": np.broadcast_to(np.array(variables, dtype=object), shape).ravel(),
        "forecast": said.ravel(),
        "lower": lower.ravel(),
        "upper": upper.ravel(),
    }
    if len(variables) == 1:
        del frame["variable"]
    return pandas.DataFrame(frame)


def _error_table(result: Forecast) -> pandas.DataFrame:
    rows = []
    for name, errors in {result.model: result.errors, **result.baselines}.items():
        rows += [
            {"model": name, "step": j + 1, "mae": errors.mae[j], "rmse": errors.rmse[j],
             "mape": errors.mape[j]}
            for j in range(len(errors.mae))
        ]  # fmt: skip
    return pandas.DataFrame(rows)

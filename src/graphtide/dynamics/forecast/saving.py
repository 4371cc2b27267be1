"""What a forecast leaves in its run: figures, tables, the test forecasts, the forecaster itself."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
import pandas

from graphtide.dynamics.forecast.baselines import Autoregression, VectorAutoregression
from graphtide.dynamics.forecast.combination import networks_of
from graphtide.dynamics.forecast.learned import LEARNED
from graphtide.run import Run
from graphtide.trajectory import Trajectory

if TYPE_CHECKING:
    from graphtide.dynamics.forecast.forecast import Forecast

__all__ = ["forecast_table", "save"]


def save(result: Forecast, run: Run) -> None:
    """Write a forecast into a run.

    Files: metrics.json; forecast.csv (the readings that come next); errors.csv (by method and
    step); test.safetensors (forecasts of the test windows, float32, and their first targets);
    observed.npz; graph.npz; forecaster.json and forecaster.safetensors (see `reloading`); weights
    of networks, one file each, and training.csv.
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
    times = windows.times_after(windows.horizon)
    run.write_table("forecast", forecast_table(result.trajectory, times, *result.next))
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
    run.write_json("forecaster.json", _described(result))
    intervals = result.intervals
    tensors = {"scale": intervals.scale, "low": intervals.low, "high": intervals.high}
    if isinstance(result.forecaster, Autoregression | VectorAutoregression):
        tensors["weight"] = result.forecaster.weight
    run.write_tensors("forecaster", tensors)
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


def _described(result: Forecast) -> dict[str, object]:
    """Return what rebuilds windows and forecaster beside the tensors, for JSON."""
    windows = result.windows
    networks = [
        {
            "name": member.name,
            "seed": member.seed,
            "settings": asdict(member.settings or LEARNED[member.name][1]),
        }
        for member in networks_of(result.forecaster)
    ]
    return {
        "model": result.model,
        "history": windows.history,
        "horizon": windows.horizon,
        "validation_start": windows.validation_start,
        "split": windows.split,
        "period": windows.period,
        "mean": windows.mean.tolist(),
        "deviation": windows.deviation.tolist(),
        "level": result.level,
        "missing": result.missing,
        "networks": networks,
    }


def forecast_table(
    trajectory: Trajectory,
    times: np.ndarray,
    said: np.ndarray,
    lower: np.ndarray,
    upper: np.ndarray,
) -> pandas.DataFrame:
    """Return rows (time, node, variable, forecast, lower, upper) of forecasts (h, N, D).

    The variable is left out where there is only one.
    """
    names, variables, shape = trajectory.names, trajectory.variables, said.shape
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

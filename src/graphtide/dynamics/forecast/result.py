"""What a forecast found, and what it leaves in its run: figures, tables, the forecaster itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas

from graphtide.dynamics.forecast.baselines import Autoregression, Forecaster, VectorAutoregression
from graphtide.dynamics.forecast.combination import networks_of
from graphtide.dynamics.forecast.errors import Errors
from graphtide.dynamics.forecast.intervals import Intervals
from graphtide.dynamics.forecast.learned import LEARNED
from graphtide.dynamics.forecast.windows import Windows
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["Forecast", "forecast_table"]


@dataclass(frozen=True, slots=True, eq=False)
class Forecast:
    """What `forecast` returns.

    Args:
        model: name of the forecaster that was chosen.
        windows: the readings and the windows over them.
        graph: N nodes.
        predicted: (B, h, N, D) of the test windows.
        lower: lower ends of their intervals.
        upper: upper ends of their intervals.
        errors: of the chosen forecaster on the test windows.
        baselines: the same for each baseline by name.
        coverage: (h,) share of the readings within their intervals, by step.
        coverage_fixed: (h,) the same where widths do not follow the misses.
        validation: mean absolute error on the validation windows, by name.
        next: the h readings after the last one, and the ends of their intervals, each (h, N, D).
        intervals: widths as they are after the last reading.
        isolated: nodes of the readings that no edge names.
        level: share that the intervals should hold.
        seconds: by forecaster, time of its fits.
        trajectory: what was given.
        missing: number that stood for a missing reading, if any.
        forecaster: the chosen one, fitted.
    """

    model: str
    windows: Windows
    graph: Graph
    predicted: np.ndarray
    lower: np.ndarray
    upper: np.ndarray
    errors: Errors
    baselines: Mapping[str, Errors]
    coverage: np.ndarray
    coverage_fixed: np.ndarray
    validation: Mapping[str, float]
    next: tuple[np.ndarray, np.ndarray, np.ndarray]
    intervals: Intervals
    isolated: tuple[str, ...]
    level: float
    seconds: Mapping[str, float]
    trajectory: Trajectory
    missing: float | None
    forecaster: Forecaster

    @property
    def metrics(self) -> dict[str, object]:
        """Figures by name, as they are printed and written."""
        windows = self.windows
        return {
            "model": self.model,
            **self.errors.metrics(),
            "coverage": float(self.coverage.mean()),
            "coverage_by_step": self.coverage.tolist(),
            "coverage_without_following": float(self.coverage_fixed.mean()),
            "level": self.level,
            "baselines": {name: errors.metrics() for name, errors in self.baselines.items()},
            "validation_mae": dict(self.validation),
            "seconds_by_model": dict(self.seconds),
            "nodes": windows.node_count,
            "history": windows.history,
            "horizon": windows.horizon,
            "train_windows": len(windows.part("whole_train")),
            "test_windows": len(windows.part("test")),
            "isolated_nodes": list(self.isolated),
        }

    def save(self, run: Run) -> None:
        """Write a forecast into a run.

        Files: metrics.json; forecast.csv (the readings that come next); errors.csv (by method and
        step); test.safetensors (forecasts of the test windows, float32, and their first targets);
        observed.npz; graph.npz; forecaster.json and forecaster.safetensors (see `reloading`);
        weights of networks, one file each, and training.csv.
        """
        windows = self.windows
        run.write_metrics(self.metrics)
        run.write_graph(self.graph)
        names, variables = self.trajectory.names, self.trajectory.variables
        observed = Trajectory(
            windows.times,
            windows.readings,
            variables=variables,
            names=names,
            units=self.trajectory.units,
        )
        run.write_trajectory("observed", observed)
        times = windows.times_after(windows.horizon)
        run.write_table("forecast", forecast_table(self.trajectory, times, *self.next))
        run.write_table("errors", _error_table(self))
        run.write_tensors(
            "test",
            {
                "first_target": windows.part("test"),
                "predicted": self.predicted.astype(np.float32),
                "lower": self.lower.astype(np.float32),
                "upper": self.upper.astype(np.float32),
            },
        )
        run.write_json("forecaster.json", _described(self))
        intervals = self.intervals
        tensors = {"scale": intervals.scale, "low": intervals.low, "high": intervals.high}
        if isinstance(self.forecaster, Autoregression | VectorAutoregression):
            tensors["weight"] = self.forecaster.weight
        run.write_tensors("forecaster", tensors)
        lines = []
        for number, member in enumerate(networks_of(self.forecaster)):
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

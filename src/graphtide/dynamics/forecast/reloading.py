"""Read a forecaster back from its run, and forecast from newer readings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from graphtide.dynamics.forecast.baselines import (
    Autoregression,
    Forecaster,
    HistoryMean,
    LastValue,
    SeasonalMean,
    VectorAutoregression,
)
from graphtide.dynamics.forecast.combination import Combination, networks_of
from graphtide.dynamics.forecast.intervals import Intervals
from graphtide.dynamics.forecast.learned import LearnedForecaster, Settings
from graphtide.dynamics.forecast.season import Season
from graphtide.dynamics.forecast.windows import Windows, regular_times
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["Coming", "Reloaded", "load"]


@dataclass(frozen=True, slots=True, eq=False)
class Coming:
    """The readings to come.

    Args:
        times: (h,) float64.
        said: (h, N, D).
        lower: (h, N, D) lower ends of their intervals.
        upper: (h, N, D) upper ends.
    """

    times: np.ndarray
    said: np.ndarray
    lower: np.ndarray
    upper: np.ndarray


@dataclass(frozen=True, slots=True, eq=False)
class Reloaded:
    """A forecaster as its run keeps it.

    Args:
        name: of the forecaster.
        forecaster: fitted to everything before the split.
        windows: over the readings it was tested on.
        graph: N nodes.
        trajectory: those readings.
        intervals: widths as they were after the last of them.
        missing: number that stood for a missing reading, if any.
    """

    name: str
    forecaster: Forecaster
    windows: Windows
    graph: Graph
    trajectory: Trajectory
    intervals: Intervals
    missing: float | None

    def coming(self, readings: Trajectory | None = None) -> Coming:
        """Forecast what comes after the last reading.

        Args:
            readings: newer ones, of the same nodes and variables, on the same grid of times; they
                replace those of the run where times meet, and what lies between counts as missing.
                None forecasts from the run's own.

        Raises:
            InputError: nodes or variables differ, or times do not fit the grid.
        """
        windows = self.windows if readings is None else self.with_readings(readings)
        _look_back(self.forecaster, Season.of(windows, windows.split))
        said = self.forecaster.predict(windows, np.array([len(windows.times)]))
        lower, upper = self.intervals.fixed(said)
        return Coming(windows.times_after(windows.horizon), said[0], lower[0], upper[0])

    def with_readings(self, readings: Trajectory) -> Windows:
        """Return windows over the run's readings and newer ones (see :meth:`coming`)."""
        known, windows = self.trajectory, self.windows
        unknown = sorted(set(known.names) - set(readings.names))
        if unknown:
            raise InputError(
                f"the forecaster needs readings of node '{unknown[0]}', which the new ones lack "
                f"({len(unknown)} of {len(known.names)} nodes are missing)"
            )
        if readings.variables != known.variables:
            raise InputError(
                f"the forecaster reads the variables {', '.join(known.variables)}; the new "
                f"readings have {', '.join(readings.variables)}"
            )
        column = {name: k for k, name in enumerate(readings.names)}
        states = readings.states[:, [column[name] for name in known.names]]
        if self.missing is not None:
            states = np.where(states == self.missing, np.nan, states)
        first, step = float(windows.times[0]), float(windows.times[1] - windows.times[0])
        place = (readings.times - first) / step
        number = np.round(place).astype(np.int64)
        wrong = np.flatnonzero((np.abs(place - number) > 1e-3) | (number < 0))
        if wrong.size:
            raise InputError(
                f"time {readings.times[wrong[0]]:g} of the new readings is not on the "
                f"forecaster's grid: {first:g} and every {step:g} after it"
            )
        count = int(number[-1]) + 1
        if count < windows.history:
            raise InputError(
                f"the new readings end {count} times after the run's first one; a history of "
                f"{windows.history} is needed"
            )
        full = np.full((count, *windows.readings.shape[1:]), np.nan)
        shared = min(count, len(windows.times))
        full[:shared] = windows.readings[:shared]
        full[number] = states
        if np.isnan(full[-windows.history :]).all():
            raise InputError(
                f"none of the last {windows.history} readings before the forecast is known"
            )
        return windows.extended(first + step * np.arange(count), full)


def load(run: Run) -> Reloaded:
    """Read the forecaster of a run of ``dynamics forecast``.

    Raises:
        InputError: the run holds no forecaster, or a file is damaged.
    """
    if not (run.path / "forecaster.json").is_file():
        raise InputError(f"{run.path} holds no forecaster; run `dynamics forecast` again")
    said = run.read_json("forecaster.json")
    if not isinstance(said, dict):
        raise InputError(f"{run.path / 'forecaster.json'} describes no forecaster")
    graph, trajectory = run.read_graph(), run.read_trajectory("observed")
    stored = run.read_tensors("forecaster")
    times, readings = regular_times(trajectory.times, trajectory.states)
    windows = Windows(
        times, readings, readings, int(said["history"]), int(said["horizon"]),
        int(said["validation_start"]), int(said["split"]), said["period"],
        np.array(said["mean"]), np.array(said["deviation"]),
    ).extended(times, readings)  # fmt: skip
    try:
        forecaster = _forecaster(run, said, windows, graph, stored)
    except RuntimeError as error:
        raise InputError(f"{run.path}: weights do not fit forecaster.json: {error}") from None
    intervals = Intervals(float(said["level"]), stored["scale"], stored["low"], stored["high"])
    return Reloaded(
        str(said["model"]), forecaster, windows, graph, trajectory, intervals, said["missing"]
    )


def _forecaster(
    run: Run, said: dict, windows: Windows, graph: Graph, stored: dict[str, np.ndarray]
) -> Forecaster:
    name = str(said["model"])
    season = Season.of(windows, windows.split)
    members: list[LearnedForecaster] = []
    for number, network in enumerate(said["networks"]):
        member = LearnedForecaster(
            network["name"], graph, seed=int(network["seed"]),
            settings=Settings(**network["settings"]),
        )  # fmt: skip
        member.season = season
        built = member.build(windows)
        weights = run.read_tensors(f"network_{number}")
        built.load_state_dict({key: torch.tensor(value) for key, value in weights.items()})
        members.append(member)
    if members:
        return _grouped(name, members)
    if name in ("autoregression", "graph_autoregression"):
        found = Autoregression(graph if name == "graph_autoregression" else None)
        found.weight = stored["weight"]
        return found
    if name == "vector_autoregression":
        vector = VectorAutoregression()
        vector.weight = stored["weight"]
        return vector
    if name == "seasonal_mean":
        seasonal = SeasonalMean()
        seasonal.season = season
        return seasonal
    return {"last_value": LastValue, "history_mean": HistoryMean}[name]()


def _look_back(forecaster: Forecaster, season: Season | None) -> None:
    """Let a forecaster see the cycles of other windows than those it was fitted to."""
    if isinstance(forecaster, SeasonalMean):
        forecaster.season = season
    for network in networks_of(forecaster):
        network.season = season


def _grouped(name: str, members: list[LearnedForecaster]) -> Forecaster:
    """Return the mean of members; those of one name are averaged first, as they were fitted."""
    kinds = list(dict.fromkeys(member.name for member in members))
    if len(kinds) > 1:
        parts = [_grouped(kind, [m for m in members if m.name == kind]) for kind in kinds]
        return Combination(parts, name)
    return members[0] if len(members) == 1 else Combination(members, name)

"""Forecast structured sequences: from the last k readings of a network to the next h.

    x(i..i+h-1) from x(i-k..i-1), for every i after the split

Plain forecasters, recurrent baselines and networks are fitted to the training windows and compared
on the validation windows; the one with the smallest mean absolute error there is chosen, fitted
anew to all windows before the split, and tested on those after it beside every baseline.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from graphtide.dynamics.forecast.alignment import align
from graphtide.dynamics.forecast.baselines import Forecaster, plain_forecasters
from graphtide.dynamics.forecast.combination import Combination, networks_of, trained
from graphtide.dynamics.forecast.errors import Errors
from graphtide.dynamics.forecast.intervals import Intervals, coverage
from graphtide.dynamics.forecast.result import Forecast
from graphtide.dynamics.forecast.windows import Windows, make_windows
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["MODELS", "Forecast", "check", "forecast"]

NETWORKS = ("direct_network", "graph_ode_rnn")
RECURRENT = ("rnn_gnn", "gru_gnn", "lstm_gnn")
PLAIN = (
    "last_value",
    "history_mean",
    "seasonal_mean",
    "autoregression",
    "graph_autoregression",
    "vector_autoregression",
)
MODELS = ("auto", *NETWORKS, "combination", *PLAIN, *RECURRENT)
"""What may be asked for; "combination" is the mean of both kinds of networks."""


@dataclass(slots=True)
class _Field:
    """The candidates with what they said on the validation windows."""

    windows: Windows
    progress: Callable[[float, str], None] | None
    said: dict[str, np.ndarray] = field(default_factory=dict)
    score: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def try_out(self, candidate: Forecaster) -> None:
        windows = self.windows
        began = time.perf_counter()
        numbers = windows.part("validation")
        if candidate.name == "combination":
            self.said[candidate.name] = candidate.predict(windows, numbers)
        else:
            candidate.fit(windows, windows.part("train"), numbers)
            self.said[candidate.name] = candidate.predict(windows, numbers)
        error = np.abs(self.said[candidate.name] - windows.targets(numbers)) / windows.deviation
        self.score[candidate.name] = float(np.nanmean(error))
        self.seconds[candidate.name] = time.perf_counter() - began


def forecast(
    trajectory: Trajectory,
    graph: Graph,
    *,
    history: int = 12,
    horizon: int = 12,
    split: float = 0.8,
    period: int | None = None,
    model: str = "auto",
    missing: float | None = None,
    level: float = 0.9,
    recurrent: bool = True,
    seed: int = 0,
    folder: Path | None = None,
    progress: Callable[[float, str], None] | None = None,
    device: str = "cpu",
) -> Forecast:
    """Choose, fit and test a forecaster beside the baselines.

    Args:
        trajectory: readings at regular times; missing ones are NaN.
        graph: the network; a few nodes of the readings may be without edges there.
        history: readings that a forecast sees.
        horizon: readings that it says.
        split: share of the times before the split; nothing after it is learned from.
        period: readings to a cycle (a day, a week); None for no season.
        model: a name of `MODELS`; "auto" chooses on the validation windows.
        missing: a number that stands for a missing reading, such as 0 in many traffic tables.
        level: share of the readings that the intervals should hold.
        recurrent: whether the recurrent baselines are trained, too.
        seed: of everything random.
        folder: where trainings are kept, so that an interrupted call goes on; None keeps nothing.
        progress: told the share done and what is being done.
        device: where networks run, such as "cuda".

    Raises:
        InputError: the readings, the graph or a number are not fit for it.
        ComputationError: a training diverged.
        KeyboardInterrupt: it was interrupted; trainings are kept in `folder`.
    """
    aligned, graph, isolated, windows = check(
        trajectory, graph, history=history, horizon=horizon, split=split, period=period,
        model=model, missing=missing, level=level,
    )  # fmt: skip
    plain = plain_forecasters(windows, graph)
    baselines = [*plain]
    if recurrent or model in RECURRENT:
        baselines += [
            trained(name, graph, seed=seed, folder=folder, device=device)
            for name in RECURRENT
            if recurrent or name == model
        ]
    names = NETWORKS if model in ("auto", "combination") else (model,)
    networks = [
        trained(name, graph, seed=seed, folder=folder, device=device)
        for name in names
        if name in NETWORKS
    ]
    candidates: list[Forecaster] = [*baselines, *networks]
    field = _Field(windows, progress)
    for number, candidate in enumerate(candidates):
        _tell(progress, 0.6 * number / len(candidates), f"fitting {candidate.name}")
        _follow(candidate, progress, 0.6 * number / len(candidates), 0.6 / len(candidates))
        field.try_out(candidate)
    if len(networks) > 1:
        candidates.append(Combination(networks))
        field.try_out(candidates[-1])
    chosen = _choice(candidates, field.score, model)
    tested = _final_fits(windows, [*baselines, chosen], field, progress)
    return _tested(
        windows, graph, chosen, tested, field, aligned, isolated, level,
        missing, [candidate.name for candidate in baselines],
    )  # fmt: skip


_NEEDS = {
    "seasonal_mean": "a period (--period), and a whole cycle before the validation windows",
    "graph_autoregression": "a graph with edges",
    "vector_autoregression": "fewer nodes: its weights grow with their square",
}


def check(
    trajectory: Trajectory,
    graph: Graph,
    *,
    history: int,
    horizon: int,
    split: float,
    period: int | None,
    model: str,
    missing: float | None,
    level: float,
) -> tuple[Trajectory, Graph, tuple[str, ...], Windows]:
    """Return aligned readings and graph, isolated nodes and windows; refuse what does not fit.

    Raises:
        InputError: as :func:`forecast`.
    """
    if model not in MODELS:
        raise InputError(f"'{model}' is no model; known are {', '.join(MODELS)}")
    if not 0 < level < 1:
        raise InputError(f"level must lie between 0 and 1; it is {level:g}")
    aligned, graph, isolated = align(trajectory, graph)
    windows = make_windows(
        aligned, history=history, horizon=horizon, split=split, period=period, missing=missing
    )
    known = {candidate.name for candidate in plain_forecasters(windows, graph)}
    if model in PLAIN and model not in known:
        raise InputError(f"model {model} needs {_NEEDS[model]}")
    return aligned, graph, isolated, windows


def _choice(candidates: list[Forecaster], score: Mapping[str, float], model: str) -> Forecaster:
    by_name = {candidate.name: candidate for candidate in candidates}
    if model != "auto":
        return by_name[model]
    return by_name[min(score, key=lambda name: score[name])]


def _final_fits(
    windows: Windows,
    candidates: list[Forecaster],
    field: _Field,
    progress: Callable[[float, str], None] | None,
) -> dict[str, np.ndarray]:
    """Fit to all windows before the split; return what each says of the test windows."""
    tested: dict[str, np.ndarray] = {}
    share = 0.4 / len(candidates)
    for number, candidate in enumerate(candidates):
        if candidate.name in tested:
            continue
        _tell(progress, 0.6 + share * number, f"last fit of {candidate.name}")
        _follow(candidate, progress, 0.6 + share * number, share)
        began = time.perf_counter()
        candidate.fit(windows, windows.part("whole_train"), None)
        spent = time.perf_counter() - began
        field.seconds[candidate.name] = field.seconds.get(candidate.name, 0.0) + spent
        tested[candidate.name] = candidate.predict(windows, windows.part("test"))
    return tested


def _tested(
    windows: Windows,
    graph: Graph,
    chosen: Forecaster,
    tested: Mapping[str, np.ndarray],
    field: _Field,
    trajectory: Trajectory,
    isolated: tuple[str, ...],
    level: float,
    missing: float | None,
    baselines: list[str],
) -> Forecast:
    observed = windows.targets(windows.part("test"))
    predicted = tested[chosen.name]
    held_out = windows.targets(windows.part("validation")) - field.said[chosen.name]
    intervals = Intervals.of(held_out, level)
    lower, upper, last = intervals.following(predicted, observed)
    coming = chosen.predict(windows, np.array([len(windows.times)]))
    ends = last.fixed(coming)
    return Forecast(
        model=chosen.name,
        windows=windows,
        graph=graph,
        predicted=predicted,
        lower=lower,
        upper=upper,
        errors=Errors.of(predicted, observed),
        baselines={name: Errors.of(tested[name], observed) for name in baselines},
        coverage=coverage(lower, upper, observed),
        coverage_fixed=coverage(*intervals.fixed(predicted), observed),
        validation=field.score,
        next=(coming[0], ends[0][0], ends[1][0]),
        intervals=last,
        isolated=isolated,
        level=level,
        seconds=field.seconds,
        trajectory=trajectory,
        missing=missing,
        forecaster=chosen,
    )


def _tell(progress: Callable[[float, str], None] | None, share: float, text: str) -> None:
    if progress is not None:
        progress(share, text)


def _follow(
    candidate: Forecaster,
    progress: Callable[[float, str], None] | None,
    start: float,
    length: float,
) -> None:
    """Let a network report its epochs within its stretch of the bar."""
    if progress is None:
        return
    networks = networks_of(candidate)
    for number, network in enumerate(networks):
        begin, span = start + length * number / len(networks), length / len(networks)
        network.progress = lambda share, text, begin=begin, span=span, name=network.name: progress(
            begin + span * share, f"{name}: {text}"
        )

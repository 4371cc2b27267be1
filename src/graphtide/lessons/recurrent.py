"""Lesson: a recurrent network is a differential equation that is read off at irregular times.

    plain          h <- tanh(U h + W [x, mask, gap] + b)     at each time
    residual       h <- h + f(h, [x, mask, gap])             at each time
    differential   dh/dt = f(h) between readings, a gated update at each (ODE-RNN)

Series of two sines at irregular times: some values are missing, and eight entries in a row. Each
network says the value at each time before it is read. The step of the trained differential network
within a gap is then halved again and again.
"""

from __future__ import annotations

import itertools

import numpy as np
import pandas
import torch
from torch import Tensor

from graphtide.lessons.lesson import Lesson, Progress, descend, parameter_count, part_of
from graphtide.lessons.sines import (
    WARM_UP,
    Forecaster,
    Readings,
    gaps_of,
    sine_mixtures,
    square_error,
)
from graphtide.nn.recurrent import (
    DifferentialCell,
    PlainCell,
    RecurrentNetwork,
    ResidualCell,
    Series,
)

__all__ = ["teach"]

HIDDEN = 32
GAP = 8
EXAMPLES = 3
STEPS = (1, 2, 4, 8, 16)
METHODS = ("euler", "midpoint", "rk4")
TRAINED = "midpoint"


def teach(seed: int = 0, *, descents: int = 150, progress: Progress) -> Lesson:
    """Train the three networks and compare them where nothing was read.

    Args:
        seed: of the series and of all weights.
        descents: of the training of each network.
        progress: told how far the work is.
    """
    generator = torch.Generator().manual_seed(seed)
    train = sine_mixtures(200, generator, missing=0.2, gap=GAP)
    test = sine_mixtures(300, generator, missing=0.2, gap=GAP)
    torch.manual_seed(seed)
    models = {
        "plain": Forecaster(RecurrentNetwork(PlainCell(1, HIDDEN))),
        "residual": Forecaster(RecurrentNetwork(ResidualCell(1, HIDDEN))),
        "differential": Forecaster(
            RecurrentNetwork(DifferentialCell(1, HIDDEN), steps=1, method=TRAINED)
        ),
    }
    spread = float(test.truth.std())
    rows, seconds = [], {}
    ends = {"plain": (0.0, 0.15), "residual": (0.15, 0.3), "differential": (0.3, 0.9)}
    for name, model in models.items():
        part = part_of(progress, *ends[name])
        seconds[name] = descend(
            model,
            lambda model=model: square_error(model, train, read_only=True),
            steps=descents,
            rate=0.01,
            progress=lambda share, name=name, part=part: part(share, f"training: {name}"),
        )
        with torch.no_grad():
            error = (model(test.series) - test.truth)[:, WARM_UP:]
        read = test.series.mask[:, WARM_UP:, 0]
        rows.append(
            {
                "network": name,
                "parameters": parameter_count(model),
                "error_read": _relative(error[read], spread),
                "error_missing": _relative(error[~read], spread),
                "seconds": seconds[name],
            }
        )
    progress(0.95, "halving steps")
    horizon = _by_time_since_reading(models, test, spread)
    halving = _halve(models["differential"], test, spread)
    arrays = _examples(models, test)
    metrics: dict[str, object] = {}
    for row in rows:
        metrics[f"relative_error_read_{row['network']}"] = row["error_read"]
        metrics[f"relative_error_missing_{row['network']}"] = row["error_missing"]
    step = halving[halving["method"] == TRAINED].set_index("steps")["relative_error"].to_dict()
    metrics["relative_error_differential_step_halved"] = step[2]
    tables = {"networks": pandas.DataFrame(rows), "horizon": horizon, "halving": halving}
    return Lesson(metrics, tables, arrays)


def _relative(error: Tensor, spread: float) -> float:
    return float(error.square().mean().sqrt()) / spread


def _by_time_since_reading(
    models: dict[str, Forecaster], test: Readings, spread: float
) -> pandas.DataFrame:
    """Return errors by the time that has passed since the last value that was read."""
    times, mask = test.series.times, test.series.mask[..., 0]
    past = torch.where(mask, times, -torch.inf).cummax(1).values
    since = (times[:, 1:] - past[:, :-1])[:, WARM_UP - 1 :]  # (B, T - warm-up)
    bounds = [0.0, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.0, 3.0]
    rows = []
    for name, model in models.items():
        with torch.no_grad():
            error = (model(test.series) - test.truth)[:, WARM_UP:]
        for low, high in itertools.pairwise(bounds):
            inside = (since > low) & (since <= high)
            rows.append(
                {
                    "network": name,
                    "since": 0.5 * (low + high),
                    "values": int(inside.sum()),
                    "relative_error": _relative(error[inside], spread),
                }
            )
    return pandas.DataFrame(rows)


@torch.no_grad()
def _halve(model: Forecaster, test: Readings, spread: float) -> pandas.DataFrame:
    """Return error, and distance to the limit of no step, by method and steps a gap."""

    def run(steps: int | None, method: str, tolerance: float = 1e-4) -> Tensor:
        network = RecurrentNetwork(
            model.network.cell,  # pyright: ignore[reportArgumentType]
            steps=steps,
            method=method,
            relative_tolerance=tolerance,
            absolute_tolerance=tolerance,
        )
        return model.decode(network(series).before, gaps_of(series))[:, WARM_UP:]

    model.double()
    series = Series(test.series.times.double(), test.series.values.double(), test.series.mask)
    truth = test.truth[:, WARM_UP:]
    limit = run(None, "dormand_prince5", 1e-10)
    rows = []
    for method in METHODS:
        for steps in STEPS:
            said = run(steps, method)
            rows.append(
                {
                    "method": method,
                    "steps": steps,
                    "difference": _relative(said - limit, spread),
                    "relative_error": _relative(said - truth, spread),
                }
            )
    model.float()
    return pandas.DataFrame(rows)


@torch.no_grad()
def _examples(models: dict[str, Forecaster], test: Readings) -> dict[str, np.ndarray]:
    """Return truth, readings and what each network says on a fine grid, for a few series.

    A differential network passes through the times of the grid, at which nothing is read. The state
    of the others stays, and only their read-out is told the time since the last entry.
    """
    some = slice(0, EXAMPLES)
    series = Series(test.series.times[some], test.series.values[some], test.series.mask[some])
    share = torch.linspace(0.0, 1.0, 240)
    fine = series.times[:, :1] + share * (series.times[:, -1:] - series.times[:, :1])  # (B, K)
    waves = Readings(series, test.truth[some], test.waves[some])
    arrays = {
        "times": series.times.numpy(),
        "truth": waves.truth.numpy(),
        "read": series.mask[..., 0].numpy().astype(np.int8),
        "fine": fine.numpy(),
        "fine_truth": waves.value_at(fine).numpy(),
    }
    for name, model in models.items():
        said = _between(model, series, fine) if model.told_gap else _through(model, series, fine)
        arrays[f"said_{name}"] = said.numpy()
    return arrays


def _between(model: Forecaster, series: Series, fine: Tensor) -> Tensor:
    """Say values at times between entries from the state after the last entry before them."""
    after = model.network(series).after
    last = torch.searchsorted(series.times, fine, right=True).sub(1).clamp(0, series.times.shape[1])
    last = torch.where(last > 0, last - (series.times.gather(1, last) == fine).long(), last)
    states = after.gather(1, last[..., None].expand(-1, -1, after.shape[-1]))
    return model.decode(states, (fine - series.times.gather(1, last)).unsqueeze(-1))


def _through(model: Forecaster, series: Series, fine: Tensor) -> Tensor:
    """Say values at times that are added to each series as entries without a reading."""
    said = []
    for index in range(len(fine)):
        own = series.times[index]
        times, order = torch.cat([own, fine[index]]).sort()
        order = order[torch.cat([times.new_ones(1), times.diff()]) > 0]  # a time stands once
        nothing = torch.full_like(fine[index], torch.nan)
        values = torch.cat([series.values[index, :, 0], nothing])[order]
        mask = torch.cat([series.mask[index, :, 0], torch.zeros_like(nothing, dtype=torch.bool)])
        joined = torch.cat([own, fine[index]])[order]
        union = Series(joined[None], values[None, :, None], mask[order][None, :, None])
        place = torch.searchsorted(joined, fine[index])
        said.append(model(union)[0, place])
    return torch.stack(said)

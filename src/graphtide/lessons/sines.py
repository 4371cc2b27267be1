"""Mixtures of two sines on irregular times, and models that say the next value.

    x(t) = sum_m a_m sin(w_m t + p_m),   a in [0.3, 1], w in [0.6, 2], p in [0, 2 pi], m = 1, 2

Times between readings are exponential (mean 0.25, at least 0.02); what is missing is left out at
random, and where asked a whole stretch is. A model is asked for the value at each time before it
is read; it learns only from values that were read, and is tested on all.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from graphtide.nn.recurrent import RecurrentNetwork, Series

__all__ = [
    "WARM_UP",
    "Forecaster",
    "Readings",
    "gaps_of",
    "read_out",
    "sine_mixtures",
    "square_error",
]

WARM_UP = 8
"""Entries at the start of a series that are not asked for: too little is known."""


@dataclass(frozen=True, slots=True)
class Readings:
    """Series with missing values beside what is true of them.

    Args:
        series: B series of one variable.
        truth: all values, (B, T).
        waves: a, w and p of each sine, (B, 2, 3).
    """

    series: Series
    truth: Tensor
    waves: Tensor

    def value_at(self, times: Tensor) -> Tensor:
        """Return the true values at other times, (B, K) both."""
        return _mixture(self.waves, times)


def sine_mixtures(
    count: int,
    generator: torch.Generator,
    *,
    entries: int = 40,
    missing: float = 0.3,
    gap: int = 0,
    dtype: torch.dtype = torch.float32,
) -> Readings:
    """Draw series.

    Args:
        count: B.
        generator: of everything random.
        entries: T, times of each series.
        missing: share of values that are left out at random.
        gap: further entries that are left out in one stretch, past the warm-up.
        dtype: of times and values.
    """

    def draw(*shape: int) -> Tensor:
        return torch.rand(shape, generator=generator, dtype=dtype)

    between = (-0.25 * torch.log1p(-draw(count, entries))).clamp_min(0.02)
    times = between.cumsum(1)
    low = torch.tensor([0.3, 0.6, 0.0], dtype=dtype)
    high = torch.tensor([1.0, 2.0, 2.0 * math.pi], dtype=dtype)
    waves = low + (high - low) * draw(count, 2, 3)
    truth = _mixture(waves, times)
    read = draw(count, entries) >= missing
    if gap:
        first = WARM_UP + (draw(count, 1) * (entries - WARM_UP - gap)).long()
        place = torch.arange(entries)
        read &= (place < first) | (place >= first + gap)
    return Readings(Series(times, truth.unsqueeze(-1), read.unsqueeze(-1)), truth, waves)


class Forecaster(nn.Module):
    """Say the value at each time from the state before it is read.

    The states of a cell without a field have not moved since the time before, so the read-out is
    also told how long ago that was.

    Args:
        network: runs the cell.
    """

    def __init__(self, network: RecurrentNetwork) -> None:
        super().__init__()
        self.network = network
        self.told_gap = network.cell.field is None
        self.decoder = read_out(network.cell.hidden_size, told_gap=self.told_gap)

    def forward(self, series: Series) -> Tensor:
        """Return the expected values, (B, T)."""
        before = self.network(series).before  # (B, T, H)
        return self.decode(before, gaps_of(series))

    def decode(self, states: Tensor, gaps: Tensor) -> Tensor:
        """Return the values (B, T) that go with states (B, T, H) and the times passed (B, T, 1)."""
        read = torch.cat([states, gaps], dim=-1) if self.told_gap else states
        return self.decoder(read).squeeze(-1)


def read_out(hidden_size: int, *, told_gap: bool) -> nn.Sequential:
    """Return the network from a state (and the time passed) to a value."""
    size = hidden_size + told_gap
    return nn.Sequential(nn.Linear(size, hidden_size), nn.Tanh(), nn.Linear(hidden_size, 1))


def gaps_of(series: Series) -> Tensor:
    """Return the time since the entry before, zero for the first, (B, T, 1)."""
    gaps = series.times.diff(dim=1)
    return torch.cat([torch.zeros_like(gaps[:, :1]), gaps], dim=1).unsqueeze(-1)


def square_error(model: nn.Module, readings: Readings, *, read_only: bool) -> Tensor:
    """Return the mean square error past the warm-up, over the values read or over all."""
    error = (model(readings.series) - readings.truth)[:, WARM_UP:].square()
    asked = readings.series.mask[:, WARM_UP:, 0] if read_only else torch.ones_like(error)
    return (error * asked).sum() / asked.sum()


def _mixture(waves: Tensor, times: Tensor) -> Tensor:
    size, pace, phase = waves.unbind(-1)  # (B, 2) each
    return (
        size[:, :, None] * torch.sin(pace[:, :, None] * times[:, None] + phase[:, :, None])
    ).sum(1)

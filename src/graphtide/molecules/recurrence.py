"""The memory of the construction model: a gated recurrent unit, or its differential cousin.

The differential one lets the state flow by a gated field between two actions, dh/dt over one unit
of time, and takes in each action by a GRU's update (:class:`graphtide.nn.GatedDifferentialCell`).
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.nn.recurrent import GatedDifferentialCell, RecurrentNetwork, Series

__all__ = ["CellName", "DifferentialRecurrence", "make_recurrence"]

CellName = Literal["gru", "differential"]


class DifferentialRecurrence(nn.Module):
    """Layers of differential cells, called as `torch.nn.GRU` with ``batch_first``.

    Args:
        input_size: length of what it is told at each action.
        width: of the state of each layer.
        layers: number of layers; each is told the states of the one below.
    """

    def __init__(self, input_size: int, width: int, layers: int) -> None:
        super().__init__()
        self.width = width
        self.layers = nn.ModuleList(
            RecurrentNetwork(GatedDifferentialCell(size, width), steps=1, method="midpoint")
            for size in [input_size, *[width] * (layers - 1)]
        )

    def forward(self, told: Tensor, memory: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return the states after each action, (B, T, H), and the last of each layer, (L, B, H).

        Args:
            told: (B, T, D).
            memory: of the actions before, (L, B, H); None where there were none.
        """
        last = []
        for number, layer in enumerate(self.layers):
            start = None if memory is None else memory[number]
            told = self._states(layer, told, start)
            last.append(told[:, -1])
        return told, torch.stack(last)

    def _states(self, layer: nn.Module, told: Tensor, start: Tensor | None) -> Tensor:
        batch, count, size = told.shape
        # A time at which nothing is told comes first, from which the state before flows on.
        before = 0 if start is None else 1
        values = torch.cat([told.new_zeros(batch, before, size), told], dim=1)
        mask = torch.ones_like(values, dtype=torch.bool)
        mask[:, :before] = False
        times = torch.arange(before + count, device=told.device, dtype=told.dtype)
        series = Series(times.expand(batch, -1), values, mask)
        return layer(series, start).after[:, before:]


def make_recurrence(
    cell: CellName, input_size: int, width: int, layers: int, dropout: float
) -> nn.Module:
    """Return the memory of a construction model.

    Raises:
        InputError: the cell is unknown, or dropout is asked of one that has none.
    """
    if cell not in get_args(CellName):
        raise InputError(f"'{cell}' is no cell; known are {', '.join(get_args(CellName))}")
    if cell == "gru":
        return nn.GRU(input_size, width, layers, batch_first=True, dropout=dropout)
    if dropout:
        raise InputError("the differential cell takes no dropout")
    return DifferentialRecurrence(input_size, width, layers)

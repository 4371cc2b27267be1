"""RNN-, GRU- and LSTM-GNN: the recurrent baselines of sequences on graphs.

At each reading a node sees itself and the mean of its neighbours, u = [x, A x]; a recurrent network
that all nodes share runs over the history, and a linear layer says all steps from its last state.

Source: the temporal baselines of Zang, Wang, Neural dynamics on complex networks, KDD 2020, 4.2.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import torch
from torch import Tensor, nn

from graphtide.dynamics.forecast.networks import Inputs, Sizes
from graphtide.graph import Graph

__all__ = ["RecurrentGraphNetwork", "RecurrentKind"]

RecurrentKind = Literal["rnn", "gru", "lstm"]
_LAYERS: dict[RecurrentKind, Callable[..., nn.Module]] = {
    "rnn": nn.RNN,
    "gru": nn.GRU,
    "lstm": nn.LSTM,
}


class RecurrentGraphNetwork(nn.Module):
    """One recurrent layer on a node and the mean of its neighbours.

    Shapes:
        `Inputs` of B windows -> (B, h, N, D).

    Args:
        graph: N nodes.
        sizes: lengths.
        kind: of the recurrent layer.
    """

    def __init__(self, graph: Graph, sizes: Sizes, kind: RecurrentKind) -> None:
        super().__init__()
        self.graph, self.sizes = graph, sizes
        self.layer = _LAYERS[kind](2 * sizes.variables, sizes.width, batch_first=True)
        self.readout = nn.Linear(sizes.width, sizes.horizon * sizes.variables)

    @staticmethod
    def of(kind: RecurrentKind) -> Callable[[Graph, Sizes], nn.Module]:
        """Return what builds the network of a kind."""
        return lambda graph, sizes: RecurrentGraphNetwork(graph, sizes, kind)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return standardised forecasts."""
        history = inputs.history
        around = self.graph.operator("mean_adjacency", like=history) @ history
        readings = torch.cat([history, around], dim=-1).transpose(1, 2)  # (B, N, k, 2 D)
        batch, nodes = readings.shape[:2]
        states, _ = self.layer(readings.flatten(0, 1))
        shape = (batch, nodes, self.sizes.horizon, self.sizes.variables)
        return self.readout(states[:, -1]).view(shape).transpose(1, 2)

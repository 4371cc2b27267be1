"""Networks that forecast: what they add to a linear floor is learned from all nodes at once.

Both see, beside the k lags of a node, the lags of its neighbours in the given graph, A x, and those
of a learned one, R x, with

    R = Q K^T,   Q (N, r) of rows that add up to one,   K (N, r) of columns that add up to one:

r regions, each a weighted mean of nodes, from which every node draws its share; R is never formed.
With the place of the node (an embedding), the phase of the season, what the cycles alike did over
the horizon and how far the history is from theirs,

    x(i + j) = x(i - 1) + linear(lags)_j + network(...)_j .

`DirectNetwork` is a perceptron on all of it whose hidden states are exchanged once, over the graph
and another learned adjacency R',

    h <- h + gelu(W (h, A h, R' h)) .

`GraphOdeRnn` reads the history one by one: a state moves by a field on the graph between readings,
and a gated update takes each reading in,

    dh/dt = (1 - z(h)) (g(h) - h) - L h diag(a) - (I - R) h diag(b)

(gates as in GRU-ODE, diffusion over the given and the learned graph). At the last reading the state
joins the rest in a perceptron; the same field carries what comes out over the horizon, where it is
read off at each step.

Sources: Wu, Pan, Long, Jiang, Zhang, Graph WaveNet, IJCAI 2019 (a learned adjacency beside the
given one); Shao, Zhang, Wang, Wei, Xu, CIKM 2022 (identity of node and phase); Rubanova, Chen,
Duvenaud, NeurIPS 2019 (ODE-RNN).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.graph import Graph
from graphtide.nn.message_passing import Diffusion
from graphtide.nn.recurrent import DifferentialCell, GatedField, RecurrentNetwork, Series
from graphtide.ode.solve import solve

__all__ = ["DirectNetwork", "GraphOdeRnn", "Inputs", "Regions", "Sizes"]

_STEP = 3
"""Readings to a step of the path over the horizon."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What a network sees of B windows, standardised.

    Args:
        history: (B, k, N, D), filled.
        read: (B, k, N, D), one where a reading was made, else zero.
        phase: (B, F) sines and cosines of the phase of the season at the first target.
        alike: (B, k + h, N, D), what the cycles alike did, over history and horizon; None without
            a season.
    """

    history: Tensor
    read: Tensor
    phase: Tensor
    alike: Tensor | None


@dataclass(frozen=True, slots=True)
class Sizes:
    """Lengths that a network is built for.

    Args:
        history: k.
        horizon: h.
        variables: D.
        phase: F, sines and cosines.
        season: whether cycles alike are given.
        width: length of hidden states.
        embedding: length of a node's place.
        regions: r, rank of the learned adjacency.
        dropout: share of hidden units left out in training.
    """

    history: int
    horizon: int
    variables: int
    phase: int
    season: bool
    width: int
    embedding: int
    regions: int
    dropout: float

    @property
    def lags(self) -> int:
        """Number of lags of the node, its neighbours and its regions."""
        return 3 * self.history * self.variables

    @property
    def context(self) -> int:
        """Number of all inputs of a node beside its hidden state."""
        season = (self.history + self.horizon) * self.variables if self.season else 0
        return self.lags + self.embedding + self.phase + season


class Regions(nn.Module):
    """The learned adjacency R = Q K^T, see the header; cost N r for each column.

    Shapes:
        states (..., N, C) -> (..., N, C).

    Args:
        node_count: N.
        rank: r.
    """

    def __init__(self, node_count: int, rank: int) -> None:
        super().__init__()
        self.share = nn.Parameter(0.5 * torch.randn(node_count, rank))
        self.member = nn.Parameter(0.5 * torch.randn(node_count, rank))

    def forward(self, states: Tensor) -> Tensor:
        """Return R h."""
        member = torch.softmax(2.0 * self.member, dim=0)  # (N, r)
        share = torch.softmax(2.0 * self.share, dim=1)
        return share @ (member.mT @ states)


class _Floor(nn.Module):
    """Lags of node, neighbours and regions, and a linear forecast from them."""

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        super().__init__()
        self.graph, self.sizes = graph, sizes
        self.regions = Regions(graph.node_count, sizes.regions)
        self.place = nn.Parameter(0.1 * torch.randn(graph.node_count, sizes.embedding))
        self.linear = nn.Linear(sizes.lags, sizes.horizon * sizes.variables)
        with torch.no_grad():
            for parameter in self.linear.parameters():
                parameter.zero_()

    def forward(self, inputs: Inputs) -> tuple[Tensor, Tensor, Tensor]:
        """Return last readings (B, N, D), the linear change (B, N, h D), the context (B, N, C)."""
        history = inputs.history.transpose(1, 2).flatten(2)  # (B, N, k D)
        batch, nodes, _ = history.shape
        last = inputs.history[:, -1]  # (B, N, D)
        level = last.repeat(1, 1, self.sizes.history)
        operator = self.graph.operator("mean_adjacency", like=history)
        own = torch.cat([(history - level)[..., : -last.shape[-1]], last], dim=-1)
        lags = torch.cat([own, operator @ history - level, self.regions(history) - level], dim=-1)
        place = self.place.expand(batch, -1, -1)
        phase = inputs.phase[:, None].expand(-1, nodes, -1)
        parts = [lags, place, phase]
        if inputs.alike is not None:
            past, onward = inputs.alike.tensor_split([self.sizes.history], dim=1)
            unlike = torch.cat([inputs.history - past, onward - last[:, None]], dim=1)
            parts.append(unlike.transpose(1, 2).flatten(2))  # (B, N, (k + h) D)
        return last, self.linear(lags), torch.cat(parts, dim=-1)

    def forecast(self, last: Tensor, change: Tensor) -> Tensor:
        """Return last + change as (B, h, N, D)."""
        shape = (*change.shape[:2], self.sizes.horizon, self.sizes.variables)
        return last[:, None] + change.view(shape).transpose(1, 2)


class DirectNetwork(nn.Module):
    """Linear floor and a perceptron with one exchange on all that is known, all steps at once.

    Shapes:
        `Inputs` of B windows -> (B, h, N, D).

    Args:
        graph: N nodes.
        sizes: lengths.
    """

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        super().__init__()
        self.floor = _Floor(graph, sizes)
        width, targets = sizes.width, sizes.horizon * sizes.variables
        self.lift = _hidden(sizes.context, width, sizes.dropout)
        self.regions = Regions(graph.node_count, sizes.regions)
        self.exchange = _hidden(3 * width, width, sizes.dropout)
        self.network = _perceptron(width, width, targets, sizes.dropout, layers=1)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return standardised forecasts."""
        last, change, context = self.floor(inputs)
        hidden = self.lift(context)  # (B, N, width)
        operator = self.floor.graph.operator("mean_adjacency", like=hidden)
        around = torch.cat([hidden, operator @ hidden, self.regions(hidden)], dim=-1)
        hidden = hidden + self.exchange(around)
        return self.floor.forecast(last, change + self.network(hidden))


class GraphOdeRnn(nn.Module):
    """Graph ODE-RNN over the history, its field over the horizon, on a linear floor.

    Shapes:
        `Inputs` of B windows -> (B, h, N, D).

    Args:
        graph: N nodes.
        sizes: lengths.
    """

    def __init__(self, graph: Graph, sizes: Sizes) -> None:
        super().__init__()
        self.floor = _Floor(graph, sizes)
        self.sizes = sizes
        width = sizes.width
        self.start = nn.Linear(sizes.embedding + sizes.phase, width)
        self.field = _GraphField(graph, self.floor.regions, width)
        cell = DifferentialCell(3 * sizes.variables, width, field=self.field)
        self.encoder = RecurrentNetwork(cell, method="euler")
        targets = sizes.horizon * sizes.variables
        self.join = _perceptron(
            width + sizes.context, 2 * width, targets + width, sizes.dropout, layers=2
        )
        self.readout = nn.Linear(width, sizes.variables)

    def forward(self, inputs: Inputs) -> Tensor:
        """Return standardised forecasts."""
        last, change, context = self.floor(inputs)
        batch, steps, nodes, variables = inputs.history.shape
        width = self.sizes.width
        graph, regions = self.floor.graph, self.floor.regions
        operator = graph.operator("mean_adjacency", like=inputs.history)
        around = torch.cat([operator @ inputs.history, regions(inputs.history)], dim=-1)
        readings = torch.cat([inputs.history, around], dim=-1)  # (B, k, N, 3 D)
        read = torch.cat([inputs.read, torch.ones_like(around)], dim=-1)
        times = torch.arange(steps, dtype=readings.dtype, device=readings.device)
        series = Series(
            times.expand(batch * nodes, -1),
            readings.transpose(1, 2).reshape(batch * nodes, steps, 3 * variables),
            read.transpose(1, 2).reshape(batch * nodes, steps, 3 * variables) > 0.5,
        )
        lags, season = self.sizes.lags, self.sizes.embedding + self.sizes.phase
        start = torch.tanh(self.start(context[..., lags : lags + season]))
        states = self.encoder(series, start.reshape(batch * nodes, width)).after[:, -1]
        joined = self.join(torch.cat([states.view(batch, nodes, width), context], dim=-1))
        direct, onward = joined.split([joined.shape[-1] - width, width], dim=-1)
        path = solve(
            self.field,
            states.view(batch, nodes, width) + onward,
            torch.from_numpy(_knots(self.sizes.horizon)),
            method="euler",
        ).states  # (knots, B, N, H)
        between = _interpolation(self.sizes.horizon).to(path)  # (h, knots)
        carried = torch.einsum("jk,kbnd->bjnd", between, self.readout(path))
        return self.floor.forecast(last, change + direct) + carried


class _GraphField(nn.Module):
    """dh/dt of the header for states (..., H) whose rows run over windows and nodes."""

    def __init__(self, graph: Graph, regions: Regions, width: int) -> None:
        super().__init__()
        self.graph, self.regions, self.width = graph, regions, width
        self.gates = GatedField(width)
        self.diffusion = Diffusion(width, rate=0.1)
        self.log_rate = nn.Parameter(torch.full((width,), -2.3))

    def forward(self, time: Tensor, states: Tensor) -> Tensor:
        by_node = states.reshape(-1, self.graph.node_count, self.width)
        change = self.gates(time, by_node) + self.diffusion(time, by_node, self.graph)
        change = change + (self.regions(by_node) - by_node) * self.log_rate.exp()
        return change.reshape(states.shape)


def _perceptron(size: int, width: int, out: int, dropout: float, *, layers: int) -> nn.Sequential:
    """Return hidden layers with dropout and a last layer that starts small."""
    parts = [_hidden(size if layer == 0 else width, width, dropout) for layer in range(layers)]
    last = nn.Linear(width, out)
    with torch.no_grad():
        last.weight.mul_(0.1)
        last.bias.zero_()
    return nn.Sequential(*parts, last)


def _hidden(size: int, width: int, dropout: float) -> nn.Sequential:
    """Return a hidden layer with dropout."""
    return nn.Sequential(nn.Linear(size, width), nn.GELU(), nn.Dropout(dropout))


def _knots(horizon: int) -> np.ndarray:
    """Return the times, in readings after the last one, at which the path is worked out."""
    return np.linspace(0.0, horizon, 1 + -(-horizon // _STEP))


def _interpolation(horizon: int) -> Tensor:
    """Return the weights (h, knots) of the knots at each step, linear between them."""
    knots = _knots(horizon)
    rows = [np.interp(np.arange(1, horizon + 1), knots, row) for row in np.eye(len(knots))]
    return torch.from_numpy(np.stack(rows, axis=1))

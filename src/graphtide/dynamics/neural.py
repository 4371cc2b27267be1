"""A neural field on a graph, in the states themselves, so that it runs on any graph.

    dx_i/dt = F(x_i, z_i) + sum_j A_ij G(x_i, x_j)

F is a perceptron; z_i are attributes of the node, known inputs and the time. G is factorised,

    G(x_i, x_j) = sum_r U_r(x_i) V_r(x_j),   so   sum_j A_ij G = sum_r U_r(x_i) (A V_r(x))_i,

which costs two perceptrons of nodes and one sparse product and no work on edges (U_r is linear in
the hidden units of x_i, V_r a hidden unit of x_j); or a full perceptron of every edge's two ends
and its weight. All hidden layers are tanh of states scaled to [-1, 1] over what was seen, so far
away the field is constant in them. The rate is linear in the output weights: `design` gives its
columns, and least squares their best values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.dynamics.fields import OPERATORS, Coupling
from graphtide.dynamics.surroundings import Inputs, Surroundings
from graphtide.dynamics.visited import FieldOfStates, Visited
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.sparse import SparseMatrix

__all__ = [
    "MESSAGES",
    "BoundField",
    "MessageKind",
    "MessagePassingField",
    "output_of",
    "set_output",
]

MessageKind = Literal["factorised", "edge", "none"]
MESSAGES = get_args(MessageKind)


class MessagePassingField(FieldOfStates):
    """F and G as perceptrons.

    Args:
        visited: range and pairs of the states seen; the scale of all layers.
        variables: D names.
        message: "factorised", "edge", or "none" (an ablation: no graph).
        width: hidden units of F, and of G on edges.
        pair_width: hidden units of each factor of G.
        layers: hidden layers.
        coupling: "sum" over neighbours, or their "mean".
        surroundings: what else F and G see; None for nothing.
        edge_weights: whether G on edges sees their weights (they multiply it in any case).
        scale: size of the rates, shape (D,).
        gathered: mean of sum_j A_ij over the nodes seen, by which messages are scaled.

    Raises:
        InputError: a number is out of its range, or the kind of message is unknown.
    """

    def __init__(
        self,
        visited: Visited,
        *,
        variables: tuple[str, ...],
        message: MessageKind = "factorised",
        width: int = 32,
        pair_width: int = 12,
        layers: int = 1,
        coupling: Coupling = "sum",
        surroundings: Surroundings | None = None,
        edge_weights: bool = False,
        scale: np.ndarray | None = None,
        gathered: float = 1.0,
    ) -> None:
        super().__init__(variables, visited)
        if message not in MESSAGES:
            raise InputError(f"'{message}' is no kind of message; known are {', '.join(MESSAGES)}")
        if min(width, pair_width, layers) < 1:
            raise InputError("width, pair_width and layers must be at least 1")
        count = len(variables)
        self.message: MessageKind = message
        self.width, self.pair_width, self.layers = width, pair_width, layers
        self.coupling: Coupling = coupling
        self.edge_weights = edge_weights and message == "edge"
        self.surroundings = surroundings or Surroundings()
        self.scale: Tensor
        self.gathered: Tensor
        like = visited.low
        ones = np.ones(count)
        self.register_buffer("scale", like.new_tensor(ones if scale is None else scale))
        self.register_buffer("gathered", like.new_tensor(gathered))
        seen = count + self.surroundings.count
        self.own_hidden = _perceptron(seen, width, layers, like)
        self.own = nn.Parameter(like.new_zeros(width + 1, count))
        if message == "factorised":
            self.receiver_hidden = _perceptron(seen, pair_width, layers, like)
            self.sender_hidden = _perceptron(seen, pair_width, layers, like)
            self.pair = nn.Parameter(like.new_zeros(pair_width + 1, pair_width + 1, count))
        elif message == "edge":
            self.edge_hidden = _perceptron(2 * seen + self.edge_weights, width, layers, like)
            self.pair = nn.Parameter(like.new_zeros(width + 1, count))
        else:
            self.register_parameter("pair", None)

    def forward(
        self, time: Tensor, states: Tensor, graph: Graph, inputs: Inputs | None = None
    ) -> Tensor:
        """Return d(states)/dt, shape (..., N, D), for times of shape () or (...)."""
        return self.on(graph, inputs)(time, states)

    def on(self, graph: Graph, inputs: Inputs | None = None) -> BoundField:
        """Return the right-hand side on one graph.

        Raises:
            InputError: attributes or inputs that the field sees are missing.
        """
        return BoundField(self, graph, inputs)

    def spread_hidden(self, states: Tensor, generator: np.random.Generator) -> None:
        """Place the first hidden units over states that were seen, (M, D).

        Each unit bends at a state, half of them drawn from the data, half evenly from its range,
        over a width between a thirtieth of the range and all of it: a random basis in which least
        squares finds a field at once (extreme learning machine; Huang, Zhu, Siew, Neurocomputing
        70, 2006). Later layers keep the start they have.
        """
        scaled = self._scaled(states).cpu().numpy()
        for name, part in self.named_children():
            if isinstance(part, nn.Sequential) and name.endswith("hidden"):
                _spread(cast("nn.Linear", part[0]), scaled, generator)

    def _scaled(self, states: Tensor) -> Tensor:
        low, high = self.visited.low, self.visited.high
        half = 0.5 * torch.where(high > low, high - low, torch.ones_like(low))
        return (states - 0.5 * (low + high)) / half

    def distance(self, states: Tensor) -> Tensor:
        """Return how far the farthest of states (..., D) is from the range seen, in its widths."""
        return self.visited.distance(states)

    def self_values(self, states: Tensor) -> Tensor:
        """Return F at states (M, D), shape (M, D), in the middle of all surroundings."""
        hidden = self.own_hidden(self._in_the_middle(states))
        return (hidden @ self.own[:-1] + self.own[-1]) * self.scale

    def pair_values(self, receiving: Tensor, sending: Tensor) -> Tensor:
        """Return G at pairs of states (M, D), shape (M, D), in the middle of all surroundings."""
        if self.pair is None:
            return torch.zeros_like(receiving)
        own, other = self._in_the_middle(receiving), self._in_the_middle(sending)
        if self.message == "factorised":
            receiver = _with_one(self.receiver_hidden(own))
            sender = _with_one(self.sender_hidden(other))
            value = torch.einsum("ma,mb,abd->md", receiver, sender, self.pair)
        else:
            parts = [own, other]
            if self.edge_weights:
                parts.append(torch.ones_like(own[:, :1]))
            value = _with_one(self.edge_hidden(torch.cat(parts, dim=-1))) @ self.pair
        return value * self.scale / self.gathered

    def _in_the_middle(self, states: Tensor) -> Tensor:
        scaled = self._scaled(states)
        zeros = scaled.new_zeros(len(scaled), self.surroundings.count)
        return torch.cat([scaled, zeros], dim=-1)

    def description(self) -> dict[str, object]:
        """Return what is not numeric, as JSON holds it."""
        return {
            "format_version": 1,
            "model": "message_passing",
            "variables": list(self.variables),
            "message": self.message,
            "width": self.width,
            "pair_width": self.pair_width,
            "layers": self.layers,
            "coupling": self.coupling,
            "edge_weights": self.edge_weights,
            "surroundings": self.surroundings.description(),
        }

    @staticmethod
    def restore(
        description: Mapping[str, object], tensors: Mapping[str, np.ndarray]
    ) -> MessagePassingField:
        """Return the field that `description` and `tensors` were taken from.

        Raises:
            InputError: they are of another version, or a part is missing.
        """
        version = description.get("format_version")
        if version != 1:
            raise InputError(f"model.json has format_version {version}; 1 is known")
        try:
            seen = [tensors[f"visited.{name}"] for name in ("low", "high", "pairs")]
            surroundings = Surroundings.restore(
                cast("Mapping[str, object]", description["surroundings"]),
                tensors["surroundings.low"],
                tensors["surroundings.high"],
            )
            field = MessagePassingField(
                Visited(*seen),
                variables=tuple(map(str, cast("list[str]", description["variables"]))),
                message=cast("MessageKind", description["message"]),
                width=int(str(description["width"])),
                pair_width=int(str(description["pair_width"])),
                layers=int(str(description["layers"])),
                coupling=cast("Coupling", description["coupling"]),
                surroundings=surroundings,
                edge_weights=bool(description["edge_weights"]),
            )
            field.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
        except (KeyError, RuntimeError) as error:
            raise InputError(f"the saved field is damaged: {error}") from None
        return field


class BoundField:
    """The right-hand side of a neural field on one graph, its operators prepared."""

    def __init__(self, field: MessagePassingField, graph: Graph, inputs: Inputs | None) -> None:
        self.field, like = field, field.own
        self.output: Tensor | None = None
        self.operator: SparseMatrix = graph.operator(OPERATORS[field.coupling], like=like)
        self.around = field.surroundings.on(graph, inputs, like)
        self.weight: Tensor | None = None
        if field.edge_weights:
            value = graph.operator("adjacency", like=like).value
            self.weight = value[:, None] / value.abs().mean().clamp_min(1e-300)

    def weights(self) -> tuple[Tensor, Tensor | None]:
        """Return the output weights of F and G: the field's, or those of `output` (P, D)."""
        field = self.field
        if self.output is None:
            return field.own, field.pair
        own = self.output[: len(field.own)]
        if field.pair is None:
            return own, None
        return own, self.output[len(field.own) :].reshape(field.pair.shape)

    def __call__(self, time: Tensor, states: Tensor) -> Tensor:
        """Return d(states)/dt, shape (..., N, D)."""
        return self.rate(time, states, states)

    def rate(self, time: Tensor, own: Tensor, sent: Tensor) -> Tensor:
        """Return the rate of nodes in states ``own`` whose neighbours see ``sent``, (..., N, D)."""
        field, (own_weights, pair) = self.field, self.weights()
        seen = self._seen(time, own)
        rate = field.own_hidden(seen) @ own_weights[:-1] + own_weights[-1]
        if pair is None:
            return rate * field.scale
        sending = seen if sent is own else self._seen(time, sent)
        if field.message == "factorised":
            message = self.operator @ _with_one(field.sender_hidden(sending)) / field.gathered
            receiver = _with_one(field.receiver_hidden(seen))
            weight = torch.einsum("...a,abd->...bd", receiver, pair)
            return (rate + (weight * message[..., None]).sum(dim=-2)) * field.scale
        return (rate + self._gathered(self._edges(seen, sending) @ pair)) * field.scale

    def design(self, time: Tensor, states: Tensor) -> Tensor:
        """Return the columns in which the rate is linear, (..., N, P): rate = design @ output."""
        field = self.field
        seen = self._seen(time, states)
        parts = [_with_one(field.own_hidden(seen))]
        if field.message == "factorised":
            message = self.operator @ _with_one(field.sender_hidden(seen)) / field.gathered
            receiver = _with_one(field.receiver_hidden(seen))
            parts.append((receiver[..., :, None] * message[..., None, :]).flatten(-2))
        elif field.message == "edge":
            parts.append(self._gathered(self._edges(seen, seen)))
        return torch.cat(parts, dim=-1)

    def _seen(self, time: Tensor, states: Tensor) -> Tensor:
        scaled, around = self.field._scaled(states), self.around(time, states)
        return scaled if around is None else torch.cat([scaled, around], dim=-1)

    def _edges(self, receiving: Tensor, sending: Tensor) -> Tensor:
        """Return the hidden units of every edge, (..., E, H + 1)."""
        row, column = self.operator.row, self.operator.column
        parts = [receiving[..., row, :], sending[..., column, :]]
        if self.weight is not None:
            parts.append(self.weight.expand(*receiving.shape[:-2], -1, -1))
        return _with_one(self.field.edge_hidden(torch.cat(parts, dim=-1)))

    def _gathered(self, edges: Tensor) -> Tensor:
        weighted = self.operator.value[:, None] * edges
        return self.operator.sum_rows(weighted) / self.field.gathered


def output_of(field: MessagePassingField) -> Tensor:
    """Return the output weights in the order of `BoundField.design`, shape (P, D)."""
    if field.pair is None:
        return field.own
    return torch.cat([field.own, field.pair.reshape(-1, field.own.shape[1])])


def set_output(field: MessagePassingField, weights: Tensor) -> None:
    """Put output weights (P, D) in the order of `BoundField.design` into a field."""
    with torch.no_grad():
        field.own.copy_(weights[: len(field.own)])
        if field.pair is not None:
            field.pair.copy_(weights[len(field.own) :].reshape(field.pair.shape))


def _with_one(hidden: Tensor) -> Tensor:
    return torch.cat([hidden, torch.ones_like(hidden[..., :1])], dim=-1)


def _perceptron(inputs: int, width: int, layers: int, like: Tensor) -> nn.Sequential:
    parts: list[nn.Module] = []
    for layer in range(layers):
        size = inputs if layer == 0 else width
        parts += [nn.Linear(size, width, dtype=like.dtype, device=like.device), nn.Tanh()]
    return nn.Sequential(*parts)


def _spread(layer: nn.Linear, scaled: np.ndarray, generator: np.random.Generator) -> None:
    width, inputs = layer.weight.shape
    variables = scaled.shape[1]
    centres = generator.uniform(-1.05, 1.05, (width, inputs))
    from_data = generator.random(width) < 0.5
    for block in range(inputs // variables):  # both ends of an edge have states
        part = slice(block * variables, (block + 1) * variables)
        drawn = scaled[generator.integers(len(scaled), size=width)]
        centres[from_data, part] = drawn[from_data]
    direction = generator.standard_normal((width, inputs))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    reach = np.exp(generator.uniform(math.log(1.0 / 15.0), math.log(2.0), width))
    weight = direction / reach[:, None]
    with torch.no_grad():
        layer.weight.copy_(torch.as_tensor(weight))
        layer.bias.copy_(torch.as_tensor(-(weight * centres).sum(axis=1)))

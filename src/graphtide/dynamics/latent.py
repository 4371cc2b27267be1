"""The latent model of NDCN: encode the states, diffuse them on the graph, decode.

    h(0) = W_e tanh(E x(0)),   dh/dt = relu(Phi h W + b),   x(t) = D h(t)

Phi is a normalised Laplacian; W mixes the H channels and its sign is learned with it. Source: Zang,
Wang, Neural dynamics on complex networks, KDD 2020, equations (6)-(8). Its ablations are named by
what they leave out: the embedding (then H = D), the graph (Phi = 1), the control weights W.

States live in a space of their own, so there is no F and no G to read; the model is here to compare
with, and for what cannot be written in the states themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, cast, get_args

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.dynamics.euler_chain import euler_chain
from graphtide.dynamics.visited import FieldOfStates, Visited
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.ode.solve import Gradient, solve
from graphtide.sparse import SparseMatrix
from graphtide.vector_field import RightHandSide

__all__ = ["PARTS", "LatentDiffusionField", "Part"]

Part = Literal["embedding", "graph", "control"]
PARTS = get_args(Part)


class LatentDiffusionField(FieldOfStates):
    """A vector field of H channels a node, with an encoder and a decoder.

    Args:
        visited: range of the states seen, by which they are scaled to [-1, 1].
        variables: D names.
        hidden: H.
        without: parts that are left out.
        step: size of the Euler steps, in the unit of the times.

    Raises:
        InputError: a number is out of its range, or a part is unknown.
    """

    def __init__(
        self,
        visited: Visited,
        *,
        variables: tuple[str, ...],
        hidden: int = 20,
        without: Sequence[Part] = (),
        step: float = 0.05,
    ) -> None:
        super().__init__(variables, visited)
        unknown = [part for part in without if part not in PARTS]
        if unknown:
            raise InputError(f"'{unknown[0]}' is no part; known are {', '.join(PARTS)}")
        if hidden < 1 or not 0 < step < np.inf:
            raise InputError("hidden must be at least 1 and step positive")
        self.without, self.step = tuple(without), float(step)
        count, like = len(variables), visited.low
        self.hidden = count if "embedding" in without else hidden
        placed = {"dtype": like.dtype, "device": like.device}
        self.encoder: nn.Module = nn.Identity()
        self.decoder: nn.Module = nn.Identity()
        if "embedding" not in without:
            self.encoder = nn.Sequential(
                nn.Linear(count, hidden, **placed), nn.Tanh(), nn.Linear(hidden, hidden, **placed)
            )
            self.decoder = nn.Linear(hidden, count, **placed)
        self.control: nn.Module = nn.Identity()
        if "control" not in without:
            self.control = nn.Linear(self.hidden, self.hidden, **placed)

    def forward(self, time: Tensor, states: Tensor, graph: Graph) -> Tensor:
        """Return dh/dt for hidden states (..., N, H); the time plays no part."""
        return self.on(graph)(time, states)

    def on(self, graph: Graph) -> RightHandSide:
        """Return the right-hand side of the hidden states on one graph."""
        operator = self._operator(graph)
        spread = "graph" not in self.without

        def right_hand_side(time: Tensor, states: Tensor) -> Tensor:
            del time
            return torch.relu(self.control(operator @ states if spread else states))

        return right_hand_side

    def _operator(self, graph: Graph) -> SparseMatrix:
        kind = "random_walk_laplacian" if graph.directed else "symmetric_laplacian"
        return graph.operator(kind, like=self.visited.low)

    def roll_out(
        self, graph: Graph, times: np.ndarray, start: Tensor, *, gradient: Gradient = "direct"
    ) -> Tensor:
        """Return the states (T, N, D) from ``start`` (N, D) through ``times`` by Euler steps.

        With the gradient "direct" the whole model is stepped by `euler_chain`, whose gradient is
        written out by hand; the ablations, and the other gradients, go through `ode.solve`.
        """
        low, high = self.visited.low, self.visited.high
        half = 0.5 * torch.where(high > low, high - low, torch.ones_like(low))
        middle = 0.5 * (low + high)
        hidden = self.encoder((start - middle) / half)
        parameters = [p for p in self.control.parameters() if p.requires_grad]
        if len(times) == 1:
            return (self.decoder(hidden) * half + middle)[None]
        if (
            gradient == "direct"
            and isinstance(self.control, nn.Linear)
            and "graph" not in self.without
        ):
            moments = np.asarray(times, dtype=float).tolist()
            assert isinstance(self.control, nn.Linear)
            weight, bias = self.control.weight, self.control.bias
            states = euler_chain(self._operator(graph), hidden, weight, bias, moments, self.step)
            return self.decoder(states) * half + middle
        solution = solve(
            self.on(graph),
            hidden,
            times,
            method="euler",
            step=self.step,
            gradient=gradient,
            parameters=parameters,
        )
        return self.decoder(solution.states) * half + middle

    def description(self) -> dict[str, object]:
        """Return what is not numeric, as JSON holds it."""
        return {
            "format_version": 1,
            "model": "latent",
            "variables": list(self.variables),
            "hidden": self.hidden,
            "without": list(self.without),
            "step": self.step,
        }

    @staticmethod
    def restore(
        description: Mapping[str, object], tensors: Mapping[str, np.ndarray]
    ) -> LatentDiffusionField:
        """Return the model that `description` and `tensors` were taken from.

        Raises:
            InputError: they are of another version, or a part is missing.
        """
        version = description.get("format_version")
        if version != 1:
            raise InputError(f"model.json has format_version {version}; 1 is known")
        try:
            field = LatentDiffusionField(
                Visited(*(tensors[f"visited.{name}"] for name in ("low", "high", "pairs"))),
                variables=tuple(map(str, cast("list[str]", description["variables"]))),
                hidden=int(str(description["hidden"])),
                without=cast("list[Part]", description["without"]),
                step=float(str(description["step"])),
            )
            field.load_state_dict({name: torch.tensor(value) for name, value in tensors.items()})
        except (KeyError, RuntimeError) as error:
            raise InputError(f"the saved model is damaged: {error}") from None
        return field

"""What a learned field may see besides the states: attributes of nodes, known inputs, the time.

    z_i(t) = (a_i, u_i(t), t), each scaled to [-1, 1] over what was seen in training

Attributes come from the graph, so another graph brings its own. Inputs are series in time, joined
by straight lines between their readings and held before the first and after the last one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["Inputs", "Surroundings"]


@dataclass(frozen=True, slots=True, eq=False)
class Inputs:
    """Known inputs u(t) of the nodes of one graph.

    Args:
        times: shape (T,), increasing.
        values: shape (T, N, U).
        names: U names.
    """

    times: np.ndarray
    values: np.ndarray
    names: tuple[str, ...]

    @staticmethod
    def of(series: Trajectory) -> Inputs:
        """Return inputs from series without missing readings.

        Raises:
            InputError: a reading is missing.
        """
        missing = np.argwhere(np.isnan(series.states))
        if len(missing):
            k, i, d = missing[0]
            raise InputError(
                f"input '{series.variables[d]}' of node '{series.names[i]}' is missing at time "
                f"{series.times[k]:g}; inputs must be known at all their times"
            )
        return Inputs(series.times, series.states, series.variables)

    def at(self, time: Tensor) -> Tensor:
        """Return the inputs at times (...), shape (..., N, U), like the time's dtype."""
        return _between(time.new_tensor(self.times), time.new_tensor(self.values), time)


class Surroundings(nn.Module):
    """Which attributes, inputs and whether the time are seen, and how they are scaled.

    Args:
        attributes: names of the graph's numeric attributes of nodes.
        inputs: names of the inputs.
        uses_time: whether the field changes with time by itself.
        low: smallest value seen of each, in the order above, shape (K,).
        high: largest value seen.
    """

    def __init__(
        self,
        attributes: Sequence[str] = (),
        inputs: Sequence[str] = (),
        *,
        uses_time: bool = False,
        low: np.ndarray | None = None,
        high: np.ndarray | None = None,
    ) -> None:
        super().__init__()
        self.attributes, self.inputs, self.uses_time = tuple(attributes), tuple(inputs), uses_time
        count = len(self.attributes) + len(self.inputs) + uses_time
        ends = (np.zeros(count) if low is None else low, np.ones(count) if high is None else high)
        self.low: Tensor
        self.high: Tensor
        self.register_buffer("low", torch.tensor(ends[0], dtype=torch.float64))
        self.register_buffer("high", torch.tensor(ends[1], dtype=torch.float64))

    @property
    def count(self) -> int:
        """How many numbers a node sees."""
        return len(self.low)

    @staticmethod
    def seen(
        graphs: Sequence[Graph],
        times: Sequence[np.ndarray],
        attributes: Sequence[str],
        inputs: Sequence[Inputs | None],
        *,
        uses_time: bool,
    ) -> Surroundings:
        """Return the surroundings of trajectories, scaled to what they hold.

        Raises:
            InputError: a graph lacks an attribute or it is no number, or inputs differ in name.
        """
        known = next((u.names for u in inputs if u is not None), ())
        result = Surroundings(attributes, known, uses_time=uses_time)
        columns = []
        for graph, moments, given in zip(graphs, times, inputs, strict=True):
            result.check(given)
            node_part = result.node_values(graph)  # (N, K)
            parts = [node_part.min(axis=0), node_part.max(axis=0)]
            more = [np.empty(0), np.empty(0)]
            if given is not None:
                more = [given.values.min(axis=(0, 1)), given.values.max(axis=(0, 1))]
            ends = [[moments[0]], [moments[-1]]] if uses_time else [[], []]
            columns.append(
                [np.concatenate([p, m, e]) for p, m, e in zip(parts, more, ends, strict=True)]
            )
        low = np.min([c[0] for c in columns], axis=0)
        high = np.max([c[1] for c in columns], axis=0)
        return Surroundings(attributes, known, uses_time=uses_time, low=low, high=high)

    def check(self, inputs: Inputs | None) -> None:
        """Raise unless the inputs are the ones that the field sees.

        Raises:
            InputError: they are missing, others, or not wanted.
        """
        given = () if inputs is None else inputs.names
        if given != self.inputs:
            wanted = ", ".join(self.inputs) or "none"
            raise InputError(f"the inputs are {', '.join(given) or 'none'}; {wanted} were expected")

    def node_values(self, graph: Graph) -> np.ndarray:
        """Return the attributes of a graph's nodes, shape (N, K), float64.

        Raises:
            InputError: the graph lacks one, or it is no number.
        """
        result = []
        for name in self.attributes:
            if name not in graph.node_attributes:
                known = ", ".join(graph.node_attributes) or "none"
                raise InputError(f"the graph has no attribute '{name}' of nodes; it has {known}")
            try:
                values = np.asarray(graph.node_attributes[name], dtype=float)
            except ValueError:
                raise InputError(f"attribute '{name}' holds texts; numbers were expected") from None
            result.append(values.reshape(graph.node_count, -1)[:, 0])
            if not np.isfinite(result[-1]).all():
                raise InputError(f"attribute '{name}' is missing for some nodes")
        return np.stack(result, axis=1) if result else np.zeros((graph.node_count, 0))

    def on(self, graph: Graph, inputs: Inputs | None, like: Tensor) -> _Prepared:
        """Return what nodes of one graph see, prepared for calls with a time.

        Raises:
            InputError: as :meth:`check` and :meth:`node_values`.
        """
        self.check(inputs)
        if inputs is not None and inputs.values.shape[1] != graph.node_count:
            raise InputError(
                f"the inputs are of {inputs.values.shape[1]} nodes, the graph has "
                f"{graph.node_count}"
            )
        values = like.new_tensor(self.node_values(graph))
        if inputs is None:
            return _Prepared(self, values, None)
        series = like.new_tensor(inputs.times), like.new_tensor(inputs.values)
        return _Prepared(self, values, series)

    def description(self) -> dict[str, object]:
        """Return what is not numeric, as JSON holds it."""
        return {
            "attributes": list(self.attributes),
            "inputs": list(self.inputs),
            "uses_time": self.uses_time,
        }

    @staticmethod
    def restore(
        description: Mapping[str, object], low: np.ndarray, high: np.ndarray
    ) -> Surroundings:
        """Return the surroundings that `description` was taken from."""
        attributes, inputs = description["attributes"], description["inputs"]
        assert isinstance(attributes, list)
        assert isinstance(inputs, list)
        return Surroundings(
            attributes, inputs, uses_time=bool(description["uses_time"]), low=low, high=high
        )


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """What the nodes of one graph see."""

    parent: Surroundings
    attributes: Tensor  # (N, K)
    inputs: tuple[Tensor, Tensor] | None  # (T,), (T, N, U)

    def __call__(self, time: Tensor, states: Tensor) -> Tensor | None:
        """Return the scaled surroundings (..., N, K) for states (..., N, D); None where none."""
        parent = self.parent
        if not parent.count:
            return None
        shape = states.shape[:-1]  # (..., N)
        parts = [self.attributes.expand(*shape, -1)]
        moment = time.to(states.dtype)
        if self.inputs is not None:
            parts.append(_between(*self.inputs, moment).expand(*shape, -1))
        if parent.uses_time:
            parts.append(moment[..., None, None].expand(*shape, 1))
        low, high = parent.low.to(states), parent.high.to(states)
        width = torch.where(high > low, high - low, torch.ones_like(low))
        return 2.0 * (torch.cat(parts, dim=-1) - low) / width - 1.0


def _between(moments: Tensor, table: Tensor, time: Tensor) -> Tensor:
    """Return a table (T, N, U) at times (...), straight between its moments (T,)."""
    right = torch.searchsorted(moments, time.detach().contiguous()).clamp(1, len(moments) - 1)
    left = right - 1
    share = ((time - moments[left]) / (moments[right] - moments[left])).clamp(0.0, 1.0)
    return torch.lerp(table[left], table[right], share[..., None, None])

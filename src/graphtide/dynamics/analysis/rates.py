"""The rates of a law on one graph, whether it was written down or learned.

dx/dt = f(x, t; p) on the states x of all nodes, shape (N, D)
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import torch
from torch import Tensor

from graphtide.dynamics.analysis.edges import WeightedGraph
from graphtide.dynamics.fields import LearnedField
from graphtide.dynamics.neural import MessagePassingField
from graphtide.dynamics.surroundings import Inputs
from graphtide.equation import Equation
from graphtide.equation.expression import Symbol
from graphtide.errors import InputError
from graphtide.graph import Graph

if TYPE_CHECKING:
    from graphtide.equation.torch_backend import CompiledEquation
    from graphtide.vector_field import RightHandSide

__all__ = ["EDGE_WEIGHT", "Field", "Rates"]

Field: TypeAlias = LearnedField | MessagePassingField
"""A learned field in the states themselves."""

EDGE_WEIGHT = "edge_weight"
"""Name of the parameter that every law has: a factor on all weights of the graph, 1 by default."""

_NUMBA_FROM = 50_000
"""Nodes plus edges from which numbers alone come from the compiled loop, as in `simulate`."""


@dataclass(frozen=True, eq=False)
class Rates:
    """A right-hand side on one graph.

    Args:
        source: the equation, or the learned field.
        graph: the network, N nodes.
        factor: on all weights of the graph; it is in `graph` already.
        inputs: known inputs of a field that sees some.
        forcing: u(t), shape (N, D), added to the rates; None for nothing.
    """

    source: Equation | Field
    graph: Graph
    factor: float = 1.0
    inputs: Inputs | None = None
    forcing: Callable[[Tensor], Tensor] | None = None

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the D variables of a node."""
        return self.source.variables

    @property
    def shape(self) -> tuple[int, int]:
        """N nodes and D variables."""
        return self.graph.node_count, len(self.variables)

    @property
    def equation(self) -> Equation | None:
        """The equation; None where the law was learned."""
        return self.source if isinstance(self.source, Equation) else None

    @cached_property
    def _compiled(self) -> CompiledEquation:
        assert isinstance(self.source, Equation)
        return self.source.compile()

    @cached_property
    def _bound(self) -> RightHandSide:
        if isinstance(self.source, Equation):
            return self._compiled.on(self.graph)
        if isinstance(self.source, MessagePassingField):
            return self.source.on(self.graph, self.inputs)
        return self.source.on(self.graph)

    @cached_property
    def _fast(self) -> RightHandSide:
        large = self.graph.node_count + self.graph.edge_count >= _NUMBA_FROM
        if isinstance(self.source, Equation) and large:
            from graphtide.equation.numba_backend import FusedEquation

            return FusedEquation(self.source, self.graph)
        return self._bound

    def rate(
        self,
        states: Tensor,
        time: Tensor | float = 0.0,
        *,
        parameters: Mapping[str, Tensor] | None = None,
        weights: Tensor | None = None,
    ) -> Tensor:
        """Return d(states)/dt, differentiable by all arguments but the time, shape (..., N, D).

        Args:
            states: shape (..., N, D), float64.
            time: 0-dim.
            parameters: 0-dim tensors in place of some parameters' values.
            weights: tensor (E,) in place of the weights, in the order of `graph.adjacency`.

        Raises:
            InputError: a parameter is unknown.
        """
        moment = torch.as_tensor(time, dtype=states.dtype, device=states.device)
        if not parameters and weights is None:
            rates = self._bound(moment, states)
        else:
            rates = self._varied(moment, states, dict(parameters or {}), weights)
        return rates if self.forcing is None else rates + self.forcing(moment)

    def right_hand_side(self, time: Tensor, states: Tensor) -> Tensor:
        """Return d(states)/dt of time and states, as `graphtide.ode.solve` integrates it."""
        return self.rate(states, time)

    def numeric(self, time: Tensor, states: Tensor) -> Tensor:
        """Return d(states)/dt without gradients, from a compiled loop on large graphs."""
        with torch.no_grad():
            rates = self._fast(time, states)
        return rates if self.forcing is None else rates + self.forcing(time)

    def _varied(
        self,
        time: Tensor,
        states: Tensor,
        parameters: dict[str, Tensor],
        weights: Tensor | None,
    ) -> Tensor:
        equation = self.equation
        own = () if equation is None else tuple(equation.parameters)
        unknown = [name for name in parameters if name not in own and name != EDGE_WEIGHT]
        if unknown:
            raise InputError(f"the law has no parameter '{unknown[0]}'")
        if EDGE_WEIGHT in parameters and EDGE_WEIGHT not in own:
            plain = states.new_tensor(self.graph.adjacency.data) if weights is None else weights
            weights = plain * (parameters.pop(EDGE_WEIGHT) / self.factor)
        stand_in = None if weights is None else WeightedGraph(self.graph, weights)
        graph = self.graph if stand_in is None else stand_in.as_graph()
        if not isinstance(self.source, Equation):
            if isinstance(self.source, MessagePassingField):
                return self.source.on(graph, self.inputs)(time, states)
            return self.source.on(graph)(time, states)
        compiled = self._compiled
        given = compiled.node_values(self.graph, states)
        if stand_in is not None:
            degree = stand_in.in_degree(states)
            given[Symbol("degree", "k", "i")] = degree
            inverse = torch.where(degree == 0, torch.zeros_like(degree), 1.0 / degree)
            given[Symbol("degree", "1/k", "i")] = inverse
        wrapped = _Derivative(compiled)
        values = {f"compiled.values.{own.index(name)}": v for name, v in parameters.items()}
        result = torch.func.functional_call(wrapped, values, (time, states, graph, given))
        assert isinstance(result, Tensor)
        return result


class _Derivative(torch.nn.Module):
    """The derivative of a compiled equation, as a module whose parameters can be replaced."""

    def __init__(self, compiled: CompiledEquation) -> None:
        super().__init__()
        self.compiled = compiled

    def forward(
        self, time: Tensor, states: Tensor, graph: Graph, given: dict[Symbol, Tensor]
    ) -> Tensor:
        return self.compiled.derivative(time, states, graph, given)

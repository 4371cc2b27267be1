"""The VectorField: anything that maps time, states and a graph to d(states)/dt.

dx/dt = f(t, x, graph): a compiled equation, or a field learned from data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol, TypeAlias, runtime_checkable

if TYPE_CHECKING:
    from torch import Tensor

    from graphtide.graph import Graph

__all__ = ["RightHandSide", "VectorField"]

RightHandSide: TypeAlias = "Callable[[Tensor, Tensor], Tensor]"
"""What :func:`graphtide.ode.solve` integrates: (time, states) -> d(states)/dt."""


@runtime_checkable
class VectorField(Protocol):
    """A right-hand side for the states of a graph's nodes."""

    @property
    def variables(self) -> tuple[str, ...]:
        """Names of the D variables of a node."""
        ...

    def __call__(self, time: Tensor, states: Tensor, graph: Graph) -> Tensor:
        """Return d(states)/dt, shape (..., N, D), for states of that shape; time is 0-dim."""
        ...

    def on(self, graph: Graph) -> RightHandSide:
        """Return the right-hand side on one graph, its operators prepared."""
        ...

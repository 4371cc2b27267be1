"""Differential deep learning on graphs: a graph is the space, a differential equation is the model.

Importing the package loads nothing heavy: each public name is fetched from its module when it is
first used (PEP 562).

Example:
    >>> import graphtide
    >>> graph = graphtide.Graph.from_source("karate")
    >>> graph.node_count
    34
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from graphtide.version import __version__

if TYPE_CHECKING:
    from graphtide.equation import Equation
    from graphtide.errors import ComputationError, GraphtideError, InputError
    from graphtide.graph import Graph
    from graphtide.run import Run
    from graphtide.trajectory import Trajectory
    from graphtide.vector_field import VectorField

__all__ = [
    "ComputationError",
    "Equation",
    "Graph",
    "GraphtideError",
    "InputError",
    "Run",
    "Trajectory",
    "VectorField",
    "__version__",
]

_HOMES = {
    "ComputationError": "graphtide.errors",
    "Equation": "graphtide.equation",
    "Graph": "graphtide.graph",
    "GraphtideError": "graphtide.errors",
    "InputError": "graphtide.errors",
    "Run": "graphtide.run",
    "Trajectory": "graphtide.trajectory",
    "VectorField": "graphtide.vector_field",
}


def __getattr__(name: str) -> object:
    """Fetch a public name from the module that defines it."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'graphtide' has no attribute '{name}'")


def __dir__() -> list[str]:
    """List the public names."""
    return sorted(__all__)

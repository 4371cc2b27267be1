"""From a molecule G to a better G': the counted oracle, the methods, and the one loop."""

from graphtide.molecules.optimization.method import Method, optimize
from graphtide.molecules.optimization.oracle import Evaluation, Oracle

__all__ = ["Evaluation", "Method", "Oracle", "optimize"]

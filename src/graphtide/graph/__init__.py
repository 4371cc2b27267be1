"""Graphs: the space on which differential equations live."""

from graphtide.graph.graph import Graph, LaplacianKind, OperatorKind

__all__ = ["Graph", "LaplacianKind", "OperatorKind"]

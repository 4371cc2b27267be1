"""Equations of network dynamics: grammar, printing, and two back ends that evaluate them."""

from graphtide.equation.equation import Equation, Parameter

__all__ = ["Equation", "Parameter"]

"""The exact-likelihood flow on molecules."""

from graphtide.molecules.flow.fit import fit_flow
from graphtide.molecules.flow.model import Flow
from graphtide.molecules.flow.rows import FlowExamples

__all__ = ["Flow", "FlowExamples", "fit_flow"]

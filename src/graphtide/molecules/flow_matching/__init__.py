"""Discrete flow matching of molecules: a Markov chain whose forward equation moves P(G)."""

from graphtide.molecules.flow_matching.examples import FlowMatchingExamples
from graphtide.molecules.flow_matching.fitting import DENSE_LIMIT, fit_flow_matching
from graphtide.molecules.flow_matching.frames import frames
from graphtide.molecules.flow_matching.model import FlowMatching
from graphtide.molecules.flow_matching.sampler import Sampling

__all__ = [
    "DENSE_LIMIT",
    "FlowMatching",
    "FlowMatchingExamples",
    "Sampling",
    "fit_flow_matching",
    "frames",
]

"""Metrics of generated molecules: each with its definition, its floor and its standard error."""

from graphtide.molecules.metrics.definitions import DEFINITIONS, Definition
from graphtide.molecules.metrics.score import Metric, Scores, score

__all__ = ["DEFINITIONS", "Definition", "Metric", "Scores", "score"]

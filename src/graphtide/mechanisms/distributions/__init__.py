"""From a distribution to its mechanism: cross-sections explained by the growth that makes them."""

from graphtide.mechanisms.distributions.explain import explain_distribution
from graphtide.mechanisms.distributions.explanation import Explanation, FamilyResult
from graphtide.mechanisms.distributions.sample import Sample

__all__ = ["Explanation", "FamilyResult", "Sample", "explain_distribution"]

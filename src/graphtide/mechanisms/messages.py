"""Weak rows of what nodes would send each other, whether or not an edge joins them."""

from __future__ import annotations

import numpy as np

from graphtide.mechanisms.candidates import Candidate, message
from graphtide.mechanisms.rows import Sample

__all__ = ["message_rows", "messages_to"]


def message_rows(sample: Sample, term: Candidate) -> np.ndarray:
    """Return the weak rows of G(x_i, x_j) for every node i and every j, shape (W, N, N).

    Cost: M x N^2 numbers for each part that separates, and M x N at a time for others.
    """
    count = sample.graph.node_count
    states = sample.states()
    shape = next(iter(states.values())).shape
    value = sample.tests.value
    result = np.zeros((len(value), count, count))
    if term.separable and not term.reads:
        for own, other in term.separable:
            here = np.broadcast_to(own(states), shape)
            there = np.broadcast_to(other(states), shape)
            for i in range(count):
                result[:, i] += (value * here[:, i]) @ there
        return result
    for i in range(count):
        result[:, i] = messages_to(sample, term, i)
    return result


def messages_to(sample: Sample, term: Candidate, node: int) -> np.ndarray:
    """Return the weak rows of what every node would send to one, shape (W, N)."""
    states = sample.states()
    here = {name: series[:, [node]] + np.zeros_like(series) for name, series in states.items()}
    return sample.tests.value @ message(term, here, states, sample.graph, node)

"""Gaps in readings: filled along each series, and over the network where a node is never seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from graphtide.dynamics.regression import Sample
from graphtide.errors import InputError
from graphtide.graph import Graph

__all__ = ["completed", "monotone_filled"]

SWEEPS = 30


def monotone_filled(sample: Sample) -> Sample:
    """Return a sample whose gaps follow the monotone cubic of each series' own readings."""
    from scipy.interpolate import PchipInterpolator

    states, start = np.array(sample.states), np.array(sample.start)
    known = ~np.isnan(sample.observed)
    for i, d in zip(*np.nonzero(~known.all(axis=0)), strict=True):
        mine = np.flatnonzero(known[:, i, d])
        if len(mine) < 2:
            continue
        curve = PchipInterpolator(sample.times[mine], sample.observed[mine, i, d])
        inner = slice(mine[0], mine[-1] + 1)
        states[inner, i, d] = curve(sample.times[inner])
    return replace(sample, states=states, start=np.where(known[0], start, states[0]))


def completed(sample: Sample, graph: Graph) -> Sample:
    """Return a sample whose unseen nodes have, at each time, the mean of their neighbours' states.

    The means are taken again and again, so that they spread through groups of unseen nodes. Edges
    count in both directions, by the size of their weights; a node far from all seen ones gets the
    mean of all.

    Raises:
        InputError: no node was seen.
    """
    from scipy.sparse import csr_array

    unseen = np.asarray(np.isnan(sample.states).any(axis=(0, 2)))
    if not unseen.any():
        return sample
    if unseen.all():
        raise InputError("no node has a reading")
    weight = abs(graph.adjacency)
    weight = csr_array(weight + weight.T)[np.flatnonzero(unseen)]
    degree = np.asarray(weight.sum(axis=1)).ravel()
    states = np.array(sample.states)
    states[:, unseen] = np.nanmean(states[:, ~unseen], axis=1, keepdims=True)
    reached = np.asarray(degree > 0)
    for _ in range(SWEEPS):
        flat = np.moveaxis(states, 1, 0).reshape(states.shape[1], -1)
        mean = weight @ flat / np.where(reached, degree, 1.0)[:, None]
        mean = mean.reshape(-1, states.shape[0], states.shape[2])
        states[:, np.flatnonzero(unseen)[reached]] = np.moveaxis(mean[reached], 0, 1)
    start = np.where(unseen[:, None], states[0], sample.start)
    return replace(sample, states=states, start=start)

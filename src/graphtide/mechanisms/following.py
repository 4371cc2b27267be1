"""Which nodes follow a law? Each node's own readings against the path that the law gives it.

The neighbours' smoothed states are held and the node's start is free: one Newton step in the space
of paths (:mod:`graphtide.mechanisms.linearised`) gives the node's path, and its readings scatter
around it by their noise alone if the node follows. Without noise the weak form's residual tells.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.lawsearch import noisy
from graphtide.mechanisms.linearised import Linearised, readings_of
from graphtide.mechanisms.quasilinear import Model, weak_effects
from graphtide.mechanisms.rows import Sample

__all__ = ["NodeFit", "node_fits", "weak_shares"]

LEAST_EXPLAINED = 0.9
"""Least share of a node's motion that a law explains if the node follows it (without noise)."""
SMALL_SHARE = 0.01
"""What may always be left of a node's motion (without noise): quadrature on fast nodes."""
BEST, FAR_FROM_THE_BEST = 0.3, 100.0
"""Without noise, a node leaves at most a hundred times what the best three in ten do."""
CHANCE = 1e-4
"""How seldom a node that follows may be said not to."""
DOUBT = 0.02
"""How seldom a node that follows may be kept from learning, lest near misses bend the law."""
SMOOTHED_NEIGHBOURS = 1.1
"""Allowance on the misfit for what smoothing leaves in the neighbours' states."""


@dataclass(frozen=True, slots=True, eq=False)
class NodeFit:
    """How well each usable node of a sample follows a law.

    Attributes:
        nodes: numbers of the nodes, shape (n,).
        misfit: mean square of readings minus path in variances of a reading, shape (n, D); NaN
            without noise.
        unexplained: share of the weak form's left-hand side that the law leaves, shape (n, D).
        follows: shape (n,), bool.
        sure: shape (n,), bool: whether the node follows so well that the law is learned on it.
    """

    nodes: np.ndarray
    misfit: np.ndarray
    unexplained: np.ndarray
    follows: np.ndarray
    sure: np.ndarray


def node_fits(samples: Sequence[Sample], model: Model) -> list[NodeFit]:
    """Judge every usable node of every sample by a law."""
    return [_node_fit(sample, model) for sample in samples]


def weak_shares(sample: Sample, model: Model) -> np.ndarray:
    """Return the share of each node's left-hand side that a law leaves, shape (n, D).

    A node that hardly moves beside the others counts as if it moved a tenth of the usual.
    """
    result = []
    for d, terms in enumerate(model.terms):
        left = sample.left(d)
        energy = (left**2).sum(axis=0)
        if len(terms):
            left = left - sample.rows(terms) @ model.coefficients[d]
        moving = energy[energy > 0]
        floor = 0.01 * float(np.median(moving)) if moving.size else 1.0
        result.append((left**2).sum(axis=0) / np.maximum(energy, floor))
    return np.stack(result, axis=1)


def _node_fit(sample: Sample, model: Model) -> NodeFit:
    unexplained = weak_shares(sample, model)
    if sample.known:  # no path is fitted where known series act, so no node is judged by its own
        every = np.ones(len(sample.usable), dtype=bool)
        return NodeFit(sample.usable, np.full(unexplained.shape, np.nan), unexplained, every, every)
    if not noisy(sample):
        misfit = np.full(unexplained.shape, np.nan)
        # The nodes that follow best tell how exact the quadrature is.
        best = FAR_FROM_THE_BEST * np.quantile(unexplained, BEST, axis=0)
        follows = (unexplained <= np.clip(best, SMALL_SHARE, 1.0 - LEAST_EXPLAINED)).all(axis=1)
        sure = (unexplained <= np.clip(best, 1e-6, 1.0 - LEAST_EXPLAINED)).all(axis=1)
        flags = np.asarray(follows), np.asarray(sure)
        return NodeFit(sample.usable, misfit, unexplained, *flags)
    from scipy.stats import chi2

    misfit, count = _misfits(sample, model)
    flags = [
        np.all(misfit <= SMOOTHED_NEIGHBOURS * chi2.isf(chance, count) / count, axis=1)
        for chance in (CHANCE, DOUBT)
    ]
    return NodeFit(sample.usable, misfit, unexplained, *map(np.asarray, flags))


def _misfits(sample: Sample, model: Model) -> tuple[np.ndarray, np.ndarray]:
    """Return each node's misfit and its degrees of freedom, both (n, D)."""
    (readings,) = readings_of(sample)
    active = tuple(range(len(model.terms)))
    path = readings.first_path()
    own = weak_effects(sample, model)
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        part = Linearised.around(readings, path, model.terms, model.coefficients, active, own)
        source = np.zeros((*part.jacobian.shape[:3], 1))
        for d in active:
            source += (part.sources(d, model.terms[d]) @ model.coefficients[d])[..., None]
        shift = part.bend() + part.step_errors(model.terms, model.coefficients)
        known = part.values - part.rounding() - shift - part.responses(source)[..., 0]
        left = part.projected(known[..., None])[..., 0]  # (n, K D)
    by_variable = (left.reshape(len(left), -1, len(active)) ** 2).sum(axis=1)
    count = (readings.weight > 0).sum(axis=0)
    degrees = np.maximum(count - 1.0 - len(sample.effects), 1.0)
    return np.where(np.isfinite(by_variable), by_variable / degrees, np.inf), degrees

"""Starts from which an analysis searches: over the states that a law is used in.

For a learned field that is the range it was learned on; for an equation, what the catalogue's (or
uniform) random starts cover and reach.
"""

from __future__ import annotations

import numpy as np

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.catalogue import random_start

__all__ = ["range_of", "starts_of"]


def range_of(law: Law, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return the smallest and the largest states in which a law is used, each of shape (D,)."""
    if law.low is not None and law.high is not None:
        return law.low, law.high
    drawn = np.concatenate([law.start(seed + k) for k in range(8 if law.shape[0] < 1000 else 1)])
    return drawn.min(axis=0), drawn.max(axis=0)


def starts_of(law: Law, count: int, *, seed: int = 0) -> np.ndarray:
    """Return starts of shape (count, N, D), from all parts of the range.

    A third are random node by node over the whole range (an equation's: the catalogue's), a third
    have all nodes at one state, on an even grid from the lowest to the highest, and a third are
    random about one state each, within a fifth of the range.

    Args:
        law: the law.
        count: how many.
        seed: of their generator.
    """
    generator = np.random.default_rng((seed, 11))
    low, high = range_of(law, seed)
    width = high - low
    made = []
    for k in range(count):
        kind, share = k % 3, (k // 3) / max((count - 1) // 3, 1)
        level = low + share * width
        if kind == 0 and law.equation is not None:
            made.append(random_start(law.equation, law.graph, seed + k))
        elif kind == 0:
            made.append(generator.uniform(low, high, law.shape))
        elif kind == 1:
            made.append(np.broadcast_to(level, law.shape))
        else:
            centre = generator.uniform(low, high)
            near = centre + 0.1 * width * generator.uniform(-1.0, 1.0, law.shape)
            made.append(np.clip(near, low, high))
    return np.stack(made)

"""A priority queue of (time, node) for compiled loops: four children a node, in two arrays.

Four children halve the depth of a binary heap, and the four keys compared lie in one cache line
(LaMarca & Ladner, The influence of caches on the performance of heaps, 1996).
"""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["pop", "push", "replace_first"]

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def push(keys: np.ndarray, values: np.ndarray, size: int, key: float, value: int) -> None:
    """Add one entry to the first ``size``; the arrays need room for it."""
    hole = size
    while hole > 0:
        parent = (hole - 1) >> 2
        if keys[parent] <= key:
            break
        keys[hole] = keys[parent]
        values[hole] = values[parent]
        hole = parent
    keys[hole] = key
    values[hole] = value


@_compiled
def replace_first(keys: np.ndarray, values: np.ndarray, size: int, key: float, value: int) -> None:
    """Put an entry in the place of the earliest of ``size``."""
    hole = 0
    while True:
        child = 4 * hole + 1
        if child >= size:
            break
        least = child
        for other in range(child + 1, min(child + 4, size)):
            if keys[other] < keys[least]:
                least = other
        if keys[least] >= key:
            break
        keys[hole] = keys[least]
        values[hole] = values[least]
        hole = least
    keys[hole] = key
    values[hole] = value


@_compiled
def pop(keys: np.ndarray, values: np.ndarray, size: int) -> None:
    """Remove the earliest of ``size`` entries: ``size - 1`` are left."""
    if size > 1:
        replace_first(keys, values, size - 1, keys[size - 1], values[size - 1])

"""Tanimoto similarity of many fingerprints: compiled loops; import late, as it brings Numba."""

from __future__ import annotations

import numba
import numpy as np

__all__ = ["highest_and_total", "tanimoto"]

_compiled = numba.njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _bits(word: np.uint64) -> np.uint64:
    """Count the ones of a 64-bit word by halves."""
    word -= (word >> np.uint64(1)) & np.uint64(0x5555555555555555)
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)


@_compiled
def highest_and_total(
    first: np.ndarray, second: np.ndarray, same: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest and the summed similarity of each fingerprint to those of another set.

    Args:
        first: fingerprints as words of 64 bits, shape (n, w), uint64.
        second: those to compare with, shape (m, w).
        same: the sets are the same, and no fingerprint is compared with itself.

    Returns:
        highest: shape (n,), 0 where there is nothing to compare with.
        total: shape (n,).
    """
    ones_first = np.zeros(len(first), np.uint64)
    ones_second = np.zeros(len(second), np.uint64)
    for i in range(len(first)):
        for k in range(first.shape[1]):
            ones_first[i] += _bits(first[i, k])
    for j in range(len(second)):
        for k in range(second.shape[1]):
            ones_second[j] += _bits(second[j, k])
    highest, total = np.zeros(len(first)), np.zeros(len(first))
    for i in range(len(first)):
        for j in range(len(second)):
            if same and i == j:
                continue
            common = np.uint64(0)
            for k in range(first.shape[1]):
                common += _bits(first[i, k] & second[j, k])
            either = ones_first[i] + ones_second[j] - common
            similarity = common / either if either > 0 else 1.0
            total[i] += similarity
            highest[i] = max(highest[i], similarity)
    return highest, total


@_compiled
def tanimoto(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the similarity of each fingerprint to each of another set, float64 (n, m).

    Args:
        first: fingerprints as words of 64 bits, shape (n, w), uint64.
        second: those to compare with, shape (m, w).
    """
    ones_second = np.zeros(len(second), np.uint64)
    for j in range(len(second)):
        for k in range(second.shape[1]):
            ones_second[j] += _bits(second[j, k])
    found = np.empty((len(first), len(second)))
    for i in range(len(first)):
        ones = np.uint64(0)
        for k in range(first.shape[1]):
            ones += _bits(first[i, k])
        for j in range(len(second)):
            common = np.uint64(0)
            for k in range(first.shape[1]):
                common += _bits(first[i, k] & second[j, k])
            either = ones + ones_second[j] - common
            found[i, j] = common / either if either > 0 else 1.0
    return found

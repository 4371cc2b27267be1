"""Transient growth: how far a small push can grow before it dies out.

    gain(t) = |exp(J t)|_2 <= exp(w t),   w the largest eigenvalue of (J + J^T)/2

A stable linearisation that is not normal lets pushes grow at first; the worst push is the first
right singular vector of the propagator, found without forming it from products with exp(J t) and
its transpose. Source: Trefethen & Embree, Spectra and Pseudospectra, 2005, sections 14-17; the
propagator's action: Al-Mohy & Higham, SIAM J. Scientific Computing 33, 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.linalg
import scipy.sparse.linalg
from scipy.sparse import csr_array

from graphtide.dynamics.analysis.spectrum import numerical_abscissa

__all__ = ["Growth", "transient_growth"]

DENSE_UP_TO = 300


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """Gain of the worst push through time.

    Args:
        times: shape (T,).
        gain: shape (T,); 1 at time 0.
        abscissa: the logarithmic norm w, the steepest growth at the first moment.
        push: the worst push of length 1 for the time of the largest gain, shape (n,).
    """

    times: np.ndarray
    gain: np.ndarray
    abscissa: float
    push: np.ndarray

    @property
    def largest(self) -> float:
        """The largest gain."""
        return float(self.gain.max())

    @property
    def when(self) -> float:
        """The time of the largest gain."""
        return float(self.times[int(np.argmax(self.gain))])


def transient_growth(jacobian: csr_array, span: float, *, count: int | None = None) -> Growth:
    """Return the gain of the worst push through a span of time.

    Args:
        jacobian: J at a fixed point, shape (n, n).
        span: last time.
        count: how many times after 0; None takes fewer on larger systems.
    """
    size = jacobian.shape[0]
    if count is None:
        count = 40 if size <= DENSE_UP_TO else 10 if size <= 3000 else 4
    times = span * np.linspace(0.0, 1.0, count + 1) ** 1.5
    gains, pushes = [1.0], [np.eye(1, size).ravel()]
    whole = jacobian.toarray() if size <= DENSE_UP_TO else None
    for time in times[1:]:
        if whole is not None:
            _, values, right = scipy.linalg.svd(scipy.linalg.expm(whole * time))
            gains.append(float(values[0]))
            pushes.append(right[0])
            continue
        gain, push = _largest(csr_array(jacobian * time), pushes[-1] if len(pushes) > 1 else None)
        gains.append(gain)
        pushes.append(push)
    best = int(np.argmax(gains[1:])) + 1
    return Growth(times, np.array(gains), numerical_abscissa(jacobian), pushes[best])


def _largest(matrix: csr_array, start: np.ndarray | None) -> tuple[float, np.ndarray]:
    """Return the largest singular value of exp(M) and its right vector, by the power method."""
    size = matrix.shape[0]
    other, trace = csr_array(matrix.T), float(matrix.diagonal().sum())
    vector = np.random.default_rng(0).standard_normal(size) if start is None else start
    vector = vector / np.linalg.norm(vector)
    gain = 0.0
    for _ in range(60):
        ahead = scipy.sparse.linalg.expm_multiply(matrix, vector, traceA=trace)
        back = scipy.sparse.linalg.expm_multiply(other, ahead, traceA=trace)
        before, gain = gain, float(np.linalg.norm(ahead))
        length = float(np.linalg.norm(back))
        if length == 0.0:
            break
        vector = back / length
        if abs(gain - before) <= 1e-5 * gain:
            break
    return gain, vector

"""The controllability Gramian of a linear system, without ever forming it.

dx/dt = A x + B u over a horizon T has W = integral_0^T exp(A s) B B' exp(A' s) ds. The least energy
(integral of |u|^2) that takes the system from x_0 to x_T is d' W^-1 d with d = x_T - exp(A T) x_0,
spent by u(t) = B' exp(A' (T - t)) W^-1 d. W v costs one pass of exp(A' s) v backwards and one of
exp(A s) forwards through the nodes of a Gauss-Legendre rule; its spectrum comes by Lanczos, W^-1 d
by minimal residuals (MINRES). Directions whose eigenvalue is about zero cannot be reached: what is
left of d in them is reported, with the nearest state that can.

Drivers are chosen greedily: with those chosen so far, the dual y = (W + e I)^-1 d says how the
energy falls when node b is driven as well, -d(energy) = integral_0^T (exp(A' s) y)_b^2 ds, for all
nodes at once.

References:
    Kalman, Ho & Narendra, Contributions to Differential Equations 1 (1963) 189: the Gramian.
    Yan, Tsekenis, Barzel, Slotine, Liu & Barabasi, Nature Physics 11 (2015) 779: energy.
    Pasqualetti, Zampieri & Bullo, IEEE Trans. Control of Network Systems 1 (2014) 40.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.linalg import LinearOperator, cg, eigsh, expm_multiply, lsmr, minres

from graphtide.errors import ComputationError, InputError

__all__ = ["Gramian", "MinimumEnergy", "energy_drivers"]

_NODES = 8  # of the Gauss-Legendre rule on each panel
_PANEL = 4.0  # most length of a panel, in units of 1 / |A|


@dataclass(frozen=True, slots=True, eq=False)
class MinimumEnergy:
    """The input of least energy between two states.

    Attributes:
        energy: integral of |u|^2 over the horizon.
        unreached: share of the way, |x(T) - target| / |d|, that no input can go.
        nearest: (n,) the state reached; the target where `unreached` is about 0.
        dual: (n,) W^-1 d, from which the input at any time follows.
    """

    energy: float
    unreached: float
    nearest: np.ndarray
    dual: np.ndarray


class Gramian:
    """W of dx/dt = A x + B u over a horizon.

    Args:
        matrix: A, shape (n, n), dense or SciPy sparse.
        drivers: numbers of the states that have an input, (M,); column m of B is 1 at driver m.
        horizon: T, positive.

    Raises:
        InputError: a shape is wrong, a driver is no state, or the horizon is not positive.
    """

    def __init__(self, matrix: csr_array | np.ndarray, drivers: np.ndarray, horizon: float) -> None:
        self.matrix: csr_array = csr_array(matrix).astype(np.float64)
        n = self.matrix.shape[0]
        if self.matrix.shape != (n, n):
            raise InputError(f"the matrix has shape {self.matrix.shape}; a square was expected")
        self.drivers = np.unique(np.asarray(drivers, dtype=np.int64))
        if not self.drivers.size or self.drivers.min() < 0 or self.drivers.max() >= n:
            raise InputError(f"drivers must be numbers of states from 0 to {n - 1}, at least one")
        if not 0 < horizon < np.inf:
            raise InputError(f"the horizon is {horizon}; a positive number was expected")
        self.horizon = float(horizon)
        self.transposed = csr_array(self.matrix.T)
        norm = float(abs(self.matrix).sum(axis=0).max())
        panels = max(1, int(np.ceil(norm * horizon / _PANEL)))
        x, w = np.polynomial.legendre.leggauss(_NODES)
        width = horizon / panels
        self.times = (np.arange(panels)[:, None] + (x + 1) / 2).ravel() * width  # increasing
        self.weights = np.tile(w / 2 * width, panels)

    def adjoint(self, vector: np.ndarray) -> np.ndarray:
        """Return exp(A' s_k) v at the nodes s_k of the rule, shape (Q, n)."""
        found = []
        before, value = 0.0, np.asarray(vector, dtype=float)
        for time in self.times:
            value = self._flow(self.transposed, value, time - before)
            before = time
            found.append(value)
        return np.array(found)

    def product(self, vector: np.ndarray) -> np.ndarray:
        """Return W v, shape (n,)."""
        inputs = self.adjoint(vector)[:, self.drivers] * self.weights[:, None]
        total = np.zeros(self.matrix.shape[0])
        for k in range(len(self.times) - 1, -1, -1):
            total[self.drivers] += inputs[k]
            before = self.times[k - 1] if k else 0.0
            total = self._flow(self.matrix, total, self.times[k] - before)
        return total

    def operator(self) -> LinearOperator:
        """Return W as a SciPy operator."""
        n = self.matrix.shape[0]
        return _symmetric(n, self.product)

    def largest_eigenvalues(self, count: int = 6) -> np.ndarray:
        """Return the largest eigenvalues of W, decreasing: the directions that cost least.

        Raises:
            InputError: there are not that many beside one another (count < n is needed).
        """
        n = self.matrix.shape[0]
        if not 1 <= count < n:
            raise InputError(f"{count} eigenvalues of {n} states; at least 1 and less than {n}")
        start = np.random.default_rng(0).standard_normal(n)
        return np.sort(eigsh(self.operator(), k=count, v0=start, return_eigenvectors=False))[::-1]

    def minimum_energy(
        self, start: np.ndarray, target: np.ndarray, *, tolerance: float = 1e-8
    ) -> MinimumEnergy:
        """Return the least energy from a start to a target, both of shape (n,).

        Args:
            start: the state at time 0.
            target: the state wanted at the horizon.
            tolerance: of MINRES, relative to d.
        """
        target = np.asarray(target, dtype=float)
        drift = self._flow(self.matrix, np.asarray(start, dtype=float), self.horizon)
        way = target - drift
        size = float(np.linalg.norm(way))
        if size == 0.0:
            return MinimumEnergy(0.0, 0.0, drift, np.zeros_like(drift))
        dual = minres(self.operator(), way, rtol=tolerance, maxiter=4 * len(way))[0]
        gone = self.product(dual)
        if np.linalg.norm(way - gone) > 1e-3 * size:
            # W is singular for this way: the least-squares solution, and what is left is told.
            options = {"atol": tolerance, "btol": tolerance, "conlim": 0.0, "x0": dual}
            dual = lsmr(self.operator(), way, maxiter=4 * len(way), **options)[0]
            gone = self.product(dual)
        energy = float(dual @ gone)
        unreached = float(np.linalg.norm(way - gone)) / size
        return MinimumEnergy(energy, unreached, drift + gone, dual)

    def inputs(self, dual: np.ndarray, times: np.ndarray) -> np.ndarray:
        """Return u(t) = B' exp(A' (T - t)) y at increasing times within the horizon, (T, M)."""
        found = []
        before, value = 0.0, np.asarray(dual, dtype=float)
        for left in self.horizon - np.asarray(times, dtype=float)[::-1]:
            value = self._flow(self.transposed, value, left - before)
            before = left
            found.append(value[self.drivers])
        return np.array(found)[::-1]

    @staticmethod
    def _flow(matrix: csr_array, vector: np.ndarray, time: float) -> np.ndarray:
        if time == 0.0:
            return vector
        value = expm_multiply(matrix * time, vector)
        if not np.isfinite(value).all():
            raise ComputationError(
                "exp(A t) overflows within the horizon: the system is too unstable for it"
            )
        return value


def energy_drivers(
    matrix: csr_array | np.ndarray,
    start: np.ndarray,
    target: np.ndarray,
    horizon: float,
    count: int,
    *,
    damping: float = 1e-6,
) -> np.ndarray:
    """Return driver nodes chosen one by one so that the control energy falls most; (count,), int64.

    Args:
        matrix: A, shape (n, n).
        start: the state at time 0, shape (n,).
        target: the state wanted at the horizon, shape (n,).
        horizon: T.
        count: how many drivers, at most n.
        damping: e of (W + e I)^-1 as a share of the largest |W v| / |v| met, so that what cannot be
            reached yet has a finite price.

    Raises:
        InputError: the count is not between 1 and n, or an argument is wrong.
    """
    n = len(start)
    if not 1 <= count <= n:
        raise InputError(f"{count} drivers for {n} states; between 1 and {n} were expected")
    every = Gramian(matrix, np.arange(n), horizon)
    way = np.asarray(target, dtype=float) - every._flow(every.matrix, np.asarray(start), horizon)
    size = float(np.linalg.norm(way)) or 1.0
    shift = damping * float(np.linalg.norm(every.product(way))) / size
    chosen: list[int] = []
    dual = way / (shift or 1.0)
    for _ in range(count):
        fall = (every.weights[:, None] * np.square(every.adjoint(dual))).sum(axis=0)
        fall[chosen] = -np.inf
        chosen.append(int(np.argmax(fall)))
        part = Gramian(every.matrix, np.array(chosen), horizon)
        operator = _symmetric(n, lambda v, part=part: part.product(v) + shift * v)
        dual, _ = cg(operator, way, x0=dual, rtol=1e-4, atol=0.0, maxiter=60)
    return np.array(chosen, dtype=np.int64)


def _symmetric(size: int, product: Callable[[np.ndarray], np.ndarray]) -> LinearOperator:
    return LinearOperator((size, size), matvec=product, rmatvec=product, dtype=np.dtype(float))

"""Leading eigenvalues of a linearisation: those with the largest real parts, and their modes.

    J v = lambda v,   J = df/dx sparse (N D, N D)

Small systems are solved whole. Larger ones by Arnoldi's method on products with J (implicitly
restarted: Lehoucq, Sorensen, Yang, ARPACK Users' Guide, 1998). Where the wanted end of the spectrum
is crowded and Arnoldi does not settle, it is run on (J - s I)^(-1) with s to the right of the
spectrum's rightmost estimate, whose eigenvalues 1/(lambda - s) stand apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse.linalg
from numpy.typing import NDArray
from scipy.sparse import csr_array

from graphtide.dynamics.analysis.linear import factorised, scale_of_rates, shifted
from graphtide.errors import ComputationError

__all__ = ["Spectrum", "leading_eigenvalues", "numerical_abscissa"]

DENSE_UP_TO = 600
RESTARTS = 50
"""Restarts of the first Arnoldi run."""


@dataclass(frozen=True, slots=True, eq=False)
class Spectrum:
    """Eigenvalues with the largest real parts, in that order.

    Args:
        values: shape (K,), complex.
        modes: right eigenvectors as columns, shape (N D, K), complex, of length 1.
        whole: whether these are all N D of them.
        rate: the median rate (`linear.scale_of_rates`), against which zero is measured.
    """

    values: NDArray[np.complex128]
    modes: NDArray[np.complex128]
    whole: bool
    rate: float


def leading_eigenvalues(
    jacobian: csr_array, count: int = 10, *, block: int = 1, dense_up_to: int = DENSE_UP_TO
) -> Spectrum:
    """Return the eigenvalues of largest real part.

    Args:
        jacobian: shape (n, n).
        count: how many; small systems give all.
        block: number D of variables of a node, for the preconditioner.
        dense_up_to: unknowns up to which a system is small.

    Raises:
        ComputationError: neither run of Arnoldi's method settles.
    """
    size, rate = jacobian.shape[0], scale_of_rates(jacobian)
    if size <= dense_up_to or count >= size - 2:
        values, modes = np.linalg.eig(jacobian.toarray())
        return _sorted(values, modes, whole=True, rate=rate)
    start = np.random.default_rng(0).standard_normal(size)
    kept = min(size - 1, max(4 * count, 40))
    try:
        values, modes = scipy.sparse.linalg.eigs(
            jacobian, k=count, which="LR", v0=start, ncv=kept, maxiter=RESTARTS, tol=1e-8
        )
        return _sorted(values, modes, whole=False, rate=rate)
    except scipy.sparse.linalg.ArpackNoConvergence as stopped:
        known = np.asarray(stopped.eigenvalues, dtype=np.complex128)
    return _by_inverse(jacobian, count, block, known, start, rate)


def _by_inverse(
    jacobian: csr_array,
    count: int,
    block: int,
    known: NDArray[np.complex128],
    start: np.ndarray,
    rate: float,
) -> Spectrum:
    """Return the eigenvalues nearest to a shift at the right end of the spectrum."""
    right = float(known.real.max()) if len(known) else _right_end(jacobian, start)
    bound = _disc_bound(jacobian)
    shift = (bound if bound < right + rate else right) + 0.01 * rate
    solve = factorised(shifted(jacobian, shift), block=block, tolerance=1e-9)
    inverse = scipy.sparse.linalg.LinearOperator(
        jacobian.shape, matvec=lambda x: solve(np.asarray(x).ravel()), dtype=float
    )
    try:
        values, modes = scipy.sparse.linalg.eigs(
            inverse, k=count, which="LM", v0=start, ncv=max(3 * count, 30), maxiter=60, tol=1e-7
        )
    except scipy.sparse.linalg.ArpackNoConvergence as stopped:
        if len(stopped.eigenvalues) == 0:
            raise ComputationError(
                f"the leading eigenvalues of {jacobian.shape[0]} unknowns do not settle"
            ) from None
        values, modes = stopped.eigenvalues, stopped.eigenvectors
    found = shift + 1.0 / values
    return _sorted(found, modes, whole=False, rate=rate)


def _right_end(jacobian: csr_array, start: np.ndarray) -> float:
    """Return an estimate of the largest real part from one short Krylov space."""
    basis, image = [start / np.linalg.norm(start)], []
    for _ in range(30):
        vector = jacobian @ basis[-1]
        image.append(vector)
        known = np.array(basis)
        for _ in range(2):
            vector = vector - known.T @ (known @ vector)
        length = np.linalg.norm(vector)
        if length < 1e-12:
            break
        basis.append(vector / length)
    known = np.array(basis[: len(image)])
    return float(np.linalg.eigvals(known @ np.array(image).T).real.max())


def _disc_bound(jacobian: csr_array) -> float:
    """Return the right end of Gershgorin's discs, by rows or by columns."""
    middle = jacobian.diagonal()
    around = [abs(jacobian).sum(axis=axis) - np.abs(middle) for axis in (0, 1)]
    return float(min((middle + radius).max() for radius in around))


def numerical_abscissa(jacobian: csr_array) -> float:
    """Return the largest eigenvalue of (J + J^T)/2, the logarithmic 2-norm of J.

    |exp(J t)| <= exp(abscissa t), with that slope at t = 0 (Dahlquist 1958; Trefethen & Embree,
    Spectra and Pseudospectra, 2005, section 14).
    """
    symmetric = csr_array((jacobian + jacobian.T) / 2)
    size = symmetric.shape[0]
    if size <= DENSE_UP_TO:
        return float(np.linalg.eigvalsh(symmetric.toarray())[-1])
    start = np.random.default_rng(0).standard_normal(size)
    try:
        values = scipy.sparse.linalg.eigsh(
            symmetric, k=1, which="LA", v0=start, return_eigenvectors=False, tol=1e-8
        )
        return float(values[-1])
    except scipy.sparse.linalg.ArpackNoConvergence:
        return float(leading_eigenvalues(symmetric, 1).values[0].real)


def _sorted(values: np.ndarray, modes: np.ndarray, *, whole: bool, rate: float) -> Spectrum:
    known = values.astype(np.complex128)
    order = np.lexsort((-known.imag, -known.real))
    return Spectrum(known[order], modes[:, order].astype(np.complex128), whole, rate)

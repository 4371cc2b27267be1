"""Solve with a sparse Jacobian: directly where factors stay small, else by preconditioned GMRES.

    M x = b,   M = J - s I or a bordered J

Graphs that lie in a plane or on a line have a small bandwidth after the reverse Cuthill-McKee
ordering (1969), and their factors stay small; graphs that mix well do not, but on them the diagonal
blocks alone are a good preconditioner, as a walk forgets its start in a few steps.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.sparse
import scipy.sparse.linalg
from scipy.sparse import csc_array, csr_array

from graphtide.errors import ComputationError

__all__ = ["Solver", "factorised", "scale_of_rates", "shifted"]

Solver = Callable[[np.ndarray], np.ndarray]

DENSE_UP_TO = 400
DIRECT_UP_TO = 2_000
MOST_FILL = 40_000_000
"""Entries of a banded factor up to which a direct factorisation is tried."""


def shifted(jacobian: csr_array, shift: float) -> csr_array:
    """Return J - shift I."""
    size = jacobian.shape[0]
    return csr_array(jacobian - scipy.sparse.diags_array(np.full(size, shift)))


def scale_of_rates(jacobian: csr_array) -> float:
    """Return the median rate by which nodes forget a push: the median of the diagonal's size.

    Where most of it is zero, the mean size of the entries of a row.
    """
    middle = float(np.median(np.abs(jacobian.diagonal())))
    if middle > 0.0:
        return middle
    rows = abs(jacobian).sum(axis=1)
    return float(np.mean(rows)) or 1.0


def factorised(matrix: csr_array, *, block: int = 1, tolerance: float = 1e-10) -> Solver:
    """Return x = M^(-1) b as a function of b, shape (n,).

    Args:
        matrix: M, square.
        block: size of the diagonal blocks that precondition GMRES; it divides n, or n - 1 for a
            bordered matrix.
        tolerance: residual of GMRES relative to b.

    Raises:
        ComputationError: M is singular to working precision, or (when solving) GMRES stalls.
    """
    size = matrix.shape[0]
    if size <= DENSE_UP_TO:
        return _dense(matrix)
    if size <= DIRECT_UP_TO or size * _bandwidth(matrix) <= MOST_FILL:
        try:
            return scipy.sparse.linalg.splu(csc_array(matrix)).solve
        except RuntimeError:  # SuperLU's word for an exactly singular matrix
            raise ComputationError("the linear system is singular") from None
    return _iterative(matrix, block, tolerance)


def _dense(matrix: csr_array) -> Solver:
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", scipy.linalg.LinAlgWarning)
        factors = scipy.linalg.lu_factor(matrix.toarray(), check_finite=False)
    if np.abs(np.diag(factors[0])).min() == 0.0:
        raise ComputationError("the linear system is singular")

    def solve(right: np.ndarray) -> np.ndarray:
        result: np.ndarray = scipy.linalg.lu_solve(factors, right, check_finite=False)
        return result

    return solve


def _bandwidth(matrix: csr_array) -> int:
    order = scipy.sparse.csgraph.reverse_cuthill_mckee(csr_array(matrix), symmetric_mode=False)
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    entries = matrix.tocoo()
    if not entries.nnz:
        return 0
    return int(np.abs(place[entries.row] - place[entries.col]).max())


def _iterative(matrix: csr_array, block: int, tolerance: float) -> Solver:
    inverse = _inverse_of_blocks(matrix, block)

    def solve(right: np.ndarray) -> np.ndarray:
        found, flag = scipy.sparse.linalg.gmres(
            matrix, right, rtol=tolerance, restart=60, maxiter=20, M=inverse
        )
        residual = np.linalg.norm(matrix @ found - right)
        if flag and residual > 1e-3 * np.linalg.norm(right):
            raise ComputationError(
                f"GMRES stalls on {matrix.shape[0]} unknowns: the linear system is nearly singular"
            )
        return found

    return solve


def _inverse_of_blocks(matrix: csr_array, block: int) -> csr_array:
    """Return the inverse of the diagonal blocks of M (a border is scaled by itself)."""
    size = matrix.shape[0]
    whole = size - size % block
    count = whole // block
    entries = matrix.tocoo()
    inside = (entries.row // block == entries.col // block) & (
        np.maximum(entries.row, entries.col) < whole
    )
    row, column = entries.row[inside], entries.col[inside]
    blocks = np.zeros((count, block, block), dtype=matrix.dtype)
    np.add.at(blocks, (row // block, row % block, column % block), entries.data[inside])
    size_of = np.abs(blocks).max(axis=(1, 2))
    poor = np.abs(np.linalg.det(blocks)) <= 1e-12 * size_of**block
    blocks[poor] = np.eye(block) * np.where(size_of[poor] > 0, size_of[poor], 1.0)[:, None, None]
    parts = scipy.sparse.bsr_array(
        (np.linalg.inv(blocks), np.arange(count), np.arange(count + 1)), shape=(whole, whole)
    )
    if whole == size:
        return csr_array(parts)
    border = scipy.sparse.eye_array(size - whole)
    return csr_array(scipy.sparse.block_diag([parts, border]))

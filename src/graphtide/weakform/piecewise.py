"""Functions of one variable that are cubic between breakpoints and straight outside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

__all__ = ["PiecewiseBasis"]


@dataclass(frozen=True, slots=True, eq=False)
class PiecewiseBasis:
    """Functions of one variable, cubic between breakpoints and straight outside.

    Args:
        breakpoints: shape (M + 1,), increasing.
        table: shape (M + 2, 4, n): powers 0..3 of the distance to the left breakpoint for each of n
            functions; the first and the last piece are the straight lines outside (the first
            counts from the first breakpoint).
        roughness: shape (n, n): c' R c is the integral of the squared second derivative of
            sum_k c_k f_k, the range scaled to length 1.
    """

    breakpoints: np.ndarray
    table: np.ndarray
    roughness: np.ndarray

    @property
    def size(self) -> int:
        """Number of functions n."""
        return self.table.shape[2]

    @property
    def origins(self) -> np.ndarray:
        """The point each piece counts from, shape (M + 2,)."""
        return np.concatenate([self.breakpoints[:1], self.breakpoints])

    def evaluate(self, values: np.ndarray) -> np.ndarray:
        """Return the functions at ``values`` (...,), shape (..., n)."""
        return self._horner(self.table, values)

    def derivative(self, values: np.ndarray) -> np.ndarray:
        """Return the first derivatives at ``values`` (...,), shape (..., n)."""
        slopes = np.zeros_like(self.table)
        slopes[:, :3] = self.table[:, 1:] * np.array([[1.0], [2.0], [3.0]])
        return self._horner(slopes, values)

    def _horner(self, table: np.ndarray, values: np.ndarray) -> np.ndarray:
        result = np.empty((values.size, table.shape[2]))
        flat = np.ascontiguousarray(values, dtype=float).reshape(-1)
        _loop()(self.breakpoints, np.ascontiguousarray(table), flat, result)
        return result.reshape(*values.shape, table.shape[2])

    def combined(self, matrix: np.ndarray) -> PiecewiseBasis:
        """Return the m functions f @ matrix, with matrix of shape (n, m)."""
        rough = matrix.T @ self.roughness @ matrix
        return PiecewiseBasis(self.breakpoints, self.table @ matrix, rough)


@cache
def _loop() -> Callable[..., None]:
    """Compile the loop over values once; the compiled code is kept on disk.

    A value that is not a number takes the first piece and stays what it is.
    """
    import numba

    @numba.njit(cache=True, nogil=True)
    def horner(
        breakpoints: np.ndarray, table: np.ndarray, values: np.ndarray, result: np.ndarray
    ) -> None:
        for k in range(len(values)):
            piece, above = 0, len(breakpoints)
            while piece < above:
                middle = (piece + above) // 2
                if breakpoints[middle] < values[k]:
                    piece = middle + 1
                else:
                    above = middle
            step = values[k] - breakpoints[max(piece - 1, 0)]
            for f in range(table.shape[2]):
                high = table[piece, 3, f] * step + table[piece, 2, f]
                result[k, f] = (high * step + table[piece, 1, f]) * step + table[piece, 0, f]

    return horner

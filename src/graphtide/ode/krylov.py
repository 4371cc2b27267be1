"""GMRES without a matrix: solve M x = b where M is only known by its products with vectors.

    x = argmin over span{b, M b, ..., M^(m-1) b} of |b - M x|

Source: Saad, Schultz, GMRES, SIAM Journal on Scientific and Statistical Computing 7 (1986),
algorithm 4; twice-applied classical Gram-Schmidt after Giraud et al., Numerische Mathematik 101
(2005).
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["gmres"]


def gmres(
    product: Callable[[Tensor], Tensor],
    right: Tensor,
    *,
    tolerance: float,
    maximum_vectors: int = 60,
) -> tuple[Tensor, float, int]:
    """Solve M x = `right` from x = 0 in one cycle.

    Args:
        product: maps a vector (n,) to M times it.
        right: right-hand side b, shape (n,).
        tolerance: the cycle ends when |b - M x|_2 is at most this.
        maximum_vectors: Krylov vectors kept, so memory is `maximum_vectors` times n at most.

    Returns:
        The solution (n,), the residual's norm by the recurrence, and the number of products.
    """
    norm = float(torch.linalg.vector_norm(right))
    if norm <= tolerance or not math.isfinite(norm):
        return torch.zeros_like(right), norm, 0
    limit = min(maximum_vectors, right.numel())
    basis = right.new_empty((limit, right.numel()))  # (m, n), rows orthonormal
    basis[0] = right / norm
    columns: list[list[float]] = []  # upper triangle R of the Hessenberg matrix
    rotations: list[tuple[float, float]] = []
    reduced = [norm]
    while len(columns) < limit:
        known = basis[: len(columns) + 1]
        vector = product(known[-1])
        column = vector.new_zeros(known.shape[0])
        for _ in range(2):
            overlap = known @ vector
            vector = vector - overlap @ known
            column = column + overlap
        entries: list[float] = torch.cat([column, torch.linalg.vector_norm(vector)[None]]).tolist()
        last = entries.pop()
        for index, (cosine, sine) in enumerate(rotations):
            upper, lower = entries[index], entries[index + 1]
            entries[index] = cosine * upper + sine * lower
            entries[index + 1] = cosine * lower - sine * upper
        length = math.hypot(entries[-1], last)
        if length == 0.0 or not math.isfinite(length):
            break
        rotations.append((entries[-1] / length, last / length))
        entries[-1] = length
        columns.append(entries)
        cosine, sine = rotations[-1]
        reduced.append(-sine * reduced[-1])
        reduced[-2] *= cosine
        if abs(reduced[-1]) <= tolerance or last <= 1e-14 * length or len(columns) == limit:
            break
        basis[len(columns)] = vector / last
    weights = _back_substitution(columns, reduced)
    if not weights:
        return torch.zeros_like(right), norm, 1
    combination = torch.tensor(weights, dtype=right.dtype, device=right.device)
    solution = combination @ basis[: len(weights)]
    return solution, abs(reduced[len(weights)]), len(columns)


def _back_substitution(columns: list[list[float]], right: list[float]) -> list[float]:
    """Solve R w = right for the triangle whose column j holds its entries 0..j."""
    weights = right[: len(columns)]
    for index in reversed(range(len(columns))):
        weights[index] /= columns[index][index]
        for above in range(index):
            weights[above] -= columns[index][above] * weights[index]
    return weights

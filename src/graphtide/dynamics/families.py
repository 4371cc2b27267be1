"""Families of closed-form fields, from the plainest to the richest, and their numbers.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j), with F = sum_k f_k phi_k(x_i) and
G = sum_ab C_ab psi_a(x_i) chi_b(x_j), so that sum_j A_ij G = sum_ab C_ab psi_a(x_i) (A chi_b(x))_i:
functions of nodes and one sparse product, no work for each edge. The unknowns f and C enter
linearly. A family is three bases: phi (of the node itself), psi (of the receiving node), chi (of
the sending node).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array

from graphtide.weakform.piecewise import PiecewiseBasis
from graphtide.weakform.splines import (
    ProductBasis,
    fourier_basis,
    knots,
    polynomial_basis,
    saturating_basis,
    spline_basis,
)

__all__ = ["Coefficients", "Family", "NumericField", "aggregate", "families_for", "network_of"]


@dataclass(frozen=True, slots=True, eq=False)
class Family:
    """Three bases; P = n_self + n_receiver x n_sender unknowns for each variable.

    Args:
        name: short name for tables.
        self_basis: phi of F.
        receiver_basis: psi of G, of the node that receives.
        sender_basis: chi of G, of the node that sends.
        complexity: rank from plain to rich; of two families that fit alike the lower is kept.
    """

    name: str
    self_basis: ProductBasis
    receiver_basis: ProductBasis
    sender_basis: ProductBasis
    complexity: int

    @property
    def size(self) -> int:
        """Unknowns P for each variable."""
        return self.self_basis.size + self.receiver_basis.size * self.sender_basis.size

    @property
    def tables(self) -> tuple[PiecewiseBasis, PiecewiseBasis, PiecewiseBasis] | None:
        """The three bases where each is one table of functions of one variable, else None."""
        found = [table_of(b) for b in (self.self_basis, self.receiver_basis, self.sender_basis)]
        own, receiver, sender = found
        if own is None or receiver is None or sender is None:
            return None
        return own, receiver, sender

    @property
    def roughness(self) -> np.ndarray:
        """Penalty on the second derivatives of F and G, shape (P, P)."""
        own, receiver, sender = self.self_basis, self.receiver_basis, self.sender_basis
        penalty = np.zeros((self.size, self.size))
        penalty[: own.size, : own.size] = own.roughness
        penalty[own.size :, own.size :] = np.kron(receiver.roughness, np.eye(sender.size))
        penalty[own.size :, own.size :] += np.kron(np.eye(receiver.size), sender.roughness)
        return penalty

    def split(self, coefficients: Coefficients) -> tuple[np.ndarray, np.ndarray]:
        """Return (f (n_self, D), C (n_receiver, n_sender, D)) of coefficients (P, D)."""
        own, variables = self.self_basis.size, coefficients.shape[1]
        shape = (self.receiver_basis.size, self.sender_basis.size, variables)
        return coefficients[:own], coefficients[own:].reshape(shape)


Coefficients = np.ndarray
"""Unknowns of a family, shape (P, D)."""


class NumericField:
    """A family with its coefficients on a graph, in NumPy, for roll-outs during a fit.

    The pair part is factorised, C_d = U V', so that a field costs one sparse product of as many
    columns as C has rank.
    """

    def __init__(self, family: Family, coefficients: Coefficients, adjacency: csr_array) -> None:
        """Prepare the contracted functions."""
        self.adjacency = adjacency
        own, pair = family.split(coefficients)
        self.variables = own.shape[1]
        stacked = pair.transpose(2, 0, 1).reshape(-1, pair.shape[1])  # (D a, b)
        left, strength, right = np.linalg.svd(stacked, full_matrices=False)
        rank = max(1, int((strength > 1e-11 * max(strength[0], 1e-300)).sum()))
        left = (left[:, :rank] * strength[:rank]).reshape(self.variables, -1, rank)  # (D, a, r)
        self.rank = rank
        self._own = _Contracted(family.self_basis, own)
        merged = left.transpose(1, 0, 2).reshape(-1, self.variables * rank)
        self._receiver = _Contracted(family.receiver_basis, merged)
        self._sender = _Contracted(family.sender_basis, right[:rank].T)
        self.network = network_of(adjacency)

    @property
    def tables(self) -> tuple[PiecewiseBasis, PiecewiseBasis, PiecewiseBasis] | None:
        """The three contracted functions where each is a table and D is 1, else None."""
        own, receiver, sender = self._own.table, self._receiver.table, self._sender.table
        if self.variables > 1 or own is None or receiver is None or sender is None:
            return None
        return own, receiver, sender

    def __call__(self, states: np.ndarray) -> np.ndarray:
        """Return d(states)/dt for states (..., N, D)."""
        message = aggregate(self.adjacency, self._sender(states))  # (..., N, r)
        weight = self._receiver(states).reshape(*states.shape, self.rank)
        return self._own(states) + (weight * message[..., None, :]).sum(axis=-1)


class _Contracted:
    """The functions basis @ matrix; one table where there is one piecewise variable."""

    def __init__(self, basis: ProductBasis, matrix: np.ndarray) -> None:
        self.basis, self.matrix = basis, matrix
        table = table_of(basis)
        self.table = None if table is None else table.combined(matrix)

    def __call__(self, states: np.ndarray) -> np.ndarray:
        if self.table is not None:
            return self.table.evaluate(states[..., 0])
        return self.basis.evaluate(states) @ self.matrix


def table_of(basis: ProductBasis) -> PiecewiseBasis | None:
    """Return a basis of one variable that is one table and nothing else, or None."""
    factor = basis.factors[0]
    if len(basis.factors) > 1 or not isinstance(factor, PiecewiseBasis):
        return None
    columns = basis.index[:, 0]
    plain = len(columns) == factor.size and (columns == np.arange(factor.size)).all()
    return factor if plain else None


def network_of(adjacency: csr_array) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return row pointers, columns and entries as copies for compiled loops.

    Indices are unsigned, so that no loop asks whether they count from the end.
    """
    return (
        np.array(adjacency.indptr, dtype=np.uint64),
        np.array(adjacency.indices, dtype=np.uint64),
        np.array(adjacency.data, dtype=float),
    )


def aggregate(adjacency: csr_array, values: np.ndarray) -> np.ndarray:
    """Return sum_j A_ij values_j for values (..., N, n), by one sparse product."""
    if values.ndim == 2:
        return adjacency @ values
    count = values.shape[-2]
    columns = np.moveaxis(values, -2, 0)
    product = adjacency @ np.ascontiguousarray(columns).reshape(count, -1)
    return np.moveaxis(product.reshape(columns.shape), 0, -2)


def families_for(states: np.ndarray) -> list[Family]:
    """Return the families offered for observed ``states`` (M, D), plainest first."""
    low, high = states.min(axis=0), states.max(axis=0)
    margin = np.where(high > low, 1e-6 * (high - low), 1e-6 * np.maximum(np.abs(low), 1.0))
    low, high = low - margin, high + margin
    return (
        _scalar_families(states[:, 0], low[0], high[0])
        if states.shape[1] == 1
        else (_vector_families(states, low, high))
    )


def _scalar_families(values: np.ndarray, low: float, high: float) -> list[Family]:
    def power(degree: int) -> ProductBasis:
        return ProductBasis.of_one(polynomial_basis(low, high, degree))

    def spline(pieces: int, spacing: str) -> ProductBasis:
        return ProductBasis.of_one(spline_basis(knots(values, pieces, spacing)))  # pyright: ignore[reportArgumentType]

    half = max(float(np.median(values)) - low, 0.02 * (high - low))
    saturating = ProductBasis.of_one(saturating_basis(low, high, half, 4))
    phase = ProductBasis.of_one(fourier_basis(), constant=True)
    parts = [
        ("linear", power(1), power(1), power(1)),
        ("quadratic", power(3), power(2), power(2)),
        ("saturating", power(3), power(1), saturating),
        ("cubic", power(3), power(3), power(3)),
        ("trigonometric", phase, phase, phase),
        ("cubic x spline", power(3), power(1), spline(12, "geometric")),
        ("spline 3 x 4", power(3), spline(3, "quantile"), spline(4, "quantile")),
        ("spline 6 x 6", power(3), spline(6, "quantile"), spline(6, "quantile")),
        ("all spline", spline(6, "geometric"), spline(5, "geometric"), spline(5, "geometric")),
    ]
    return [Family(*part, complexity=rank) for rank, part in enumerate(parts)]


def _vector_families(states: np.ndarray, low: np.ndarray, high: np.ndarray) -> list[Family]:
    count = states.shape[1]
    cubic = tuple(polynomial_basis(low[d], high[d], 3) for d in range(count))

    def powers(degree: int) -> ProductBasis:
        return ProductBasis.total_degree(cubic, degree)

    def splines(pieces: int) -> ProductBasis:
        return ProductBasis.additive(
            tuple(spline_basis(knots(states[:, d], pieces, "quantile")) for d in range(count))
        )

    parts = [
        ("linear", powers(1), powers(1), powers(1)),
        ("cubic, linear coupling", powers(3), powers(1), powers(1)),
        ("cubic, quadratic coupling", powers(3), powers(1), powers(2)),
        ("splines", splines(6), powers(1), splines(6)),
    ]
    if count <= 3:
        parts.insert(3, ("cubic, full coupling", powers(3), powers(2), powers(2)))
    return [Family(*part, complexity=rank) for rank, part in enumerate(parts)]

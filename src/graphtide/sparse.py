"""Sparse products with their own backward: y = A x on CSR, never dense, never COO.

With g the gradient of y, the gradient of x is A^T g (a product with the transpose, which is made
once), and that of the stored value A_ij is the sum over columns of g_i x_j. Both are again such
products, so second derivatives work.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError

if TYPE_CHECKING:
    from scipy.sparse import csr_array

__all__ = ["SparseMatrix"]


class SparseMatrix:
    """A sparse matrix of shape (M, N) whose products with tensors can be differentiated.

    Made by :meth:`from_scipy`; ``row`` and ``column`` (both (E,), int64) and ``value`` (E,) list
    the stored entries, sorted by row. The structure (indices of the matrix and of its transpose) is
    shared by all matrices that :meth:`with_values` makes from one.
    """

    __slots__ = ("_compressed", "_structure", "_transposed", "value")

    def __init__(self, structure: _Structure, value: Tensor) -> None:
        """Join a structure with its values (use :meth:`from_scipy`)."""
        self._structure = structure
        self._transposed: SparseMatrix | None = None
        self.value = value
        # Fixed values keep their compressed form; learned ones are compressed in each call.
        self._compressed = None if value.requires_grad else structure.compress(value)

    @staticmethod
    def from_scipy(
        matrix: csr_array,
        *,
        dtype: torch.dtype = torch.float64,
        device: torch.device | str | None = None,
    ) -> SparseMatrix:
        """Return a SciPy sparse matrix as a SparseMatrix; doubled entries are summed.

        Cost: the matrix and its transpose are stored, 2 E (value + index).
        """
        from scipy.sparse import csr_array

        matrix = csr_array(matrix)
        matrix.sum_duplicates()
        structure = _Structure.of(matrix)
        # A copy: SciPy may share the graph's own weights, which are read-only.
        value = torch.from_numpy(np.array(matrix.data)).to(dtype)
        return SparseMatrix(structure, value).to(device=device, dtype=dtype)

    @property
    def shape(self) -> tuple[int, int]:
        """Numbers of rows and columns."""
        return self._structure.shape

    @property
    def row(self) -> Tensor:
        """Row of each stored entry, shape (E,), int64: the target node of an edge."""
        return self._structure.row

    @property
    def column(self) -> Tensor:
        """Column of each stored entry, shape (E,), int64: the source node of an edge."""
        return self._structure.column

    def with_values(self, value: Tensor) -> SparseMatrix:
        """Return a matrix of the same structure with other values, shape (E,), in stored order.

        Raises:
            InputError: the shape of ``value`` is another one.
        """
        if value.shape != self.value.shape:
            raise InputError(
                f"value has shape {tuple(value.shape)}; {tuple(self.value.shape)} was expected"
            )
        return SparseMatrix(self._structure, value)

    def to(
        self, *, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> SparseMatrix:
        """Return the matrix on another device or in another dtype (itself if nothing changes)."""
        value = self.value.to(device=device, dtype=dtype)
        if value is self.value:
            return self
        return SparseMatrix(self._structure.to(value.device), value)

    def transposed(self) -> SparseMatrix:
        """Return the transpose; no index is computed again."""
        if self._transposed is None or self.value.requires_grad:
            structure, order = self._structure.transposed()
            self._transposed = SparseMatrix(structure, self.value[order])
        return self._transposed

    def __matmul__(self, dense: Tensor) -> Tensor:
        """Return A x for x of shape (N,), (N, D) or (..., N, D), in the dtype of both.

        Leading dimensions are folded into the columns, so that one product serves a whole batch.

        Raises:
            InputError: x has another number of rows, or another dtype.
        """
        rows, columns = self.shape
        if dense.shape[-2 if dense.ndim > 1 else 0] != columns or dense.dtype != self.value.dtype:
            raise InputError(
                f"a ({rows}, {columns}) {self.value.dtype} matrix cannot multiply a tensor of "
                f"shape {tuple(dense.shape)} and {dense.dtype}"
            )
        if dense.ndim == 2:
            return self._product(dense)
        if dense.ndim == 1:
            return self._product(dense.unsqueeze(1)).squeeze(1)
        folded = dense.movedim(-2, 0)  # (N, ..., D)
        product = self._product(folded.reshape(columns, -1))
        return product.reshape(rows, *folded.shape[1:]).movedim(0, -2)

    def sum_rows(self, edge_values: Tensor) -> Tensor:
        """Sum what stands on the stored entries of each row: (..., E, D) -> (..., M, D).

        Stored values play no part; row i of the result is the sum over the entries with row i.
        """
        return self._structure.incidence(edge_values) @ edge_values

    def _product(self, dense: Tensor) -> Tensor:
        if torch.is_grad_enabled() and (dense.requires_grad or self.value.requires_grad):
            result: Tensor = _Product.apply(self.value, dense, self)  # pyright: ignore[reportAssignmentType]
            return result
        return self._plain_product(dense)

    def _plain_product(self, dense: Tensor) -> Tensor:
        compressed = self._compressed
        if compressed is None:
            compressed = self._structure.compress(self.value.detach())
        return torch.mm(compressed, dense)


class _Product(torch.autograd.Function):
    """y = A x; differentiable with respect to the stored values and x, as often as asked."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, dense: Tensor, matrix: SparseMatrix) -> Tensor:
        del value  # an argument so that autograd follows it; the matrix holds it
        ctx.matrix = matrix
        ctx.save_for_backward(dense)
        return matrix._plain_product(dense.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        (gradient,) = gradients
        (dense,) = ctx.saved_tensors
        matrix: SparseMatrix = ctx.matrix
        for_value = for_dense = None
        if ctx.needs_input_grad[1]:
            for_dense = matrix.transposed()._product(gradient)
        if ctx.needs_input_grad[0]:
            for_value = (gradient[matrix.row] * dense[matrix.column]).sum(dim=1)
        return for_value, for_dense, None


@dataclass(eq=False, slots=True)
class _Structure:
    """Where the entries of a sparse matrix stand; the transpose is worked out once, when needed."""

    shape: tuple[int, int]
    pointer: Tensor  # (M + 1,)
    row: Tensor  # (E,)
    column: Tensor  # (E,)
    _narrow: tuple[Tensor, Tensor] | None = None
    _transposed: tuple[_Structure, Tensor] | None = None
    _incidence: dict[tuple[torch.dtype, torch.device], SparseMatrix] = field(default_factory=dict)

    @staticmethod
    def of(matrix: csr_array) -> _Structure:
        """Return the structure of a canonical SciPy CSR matrix."""
        pointer = np.asarray(matrix.indptr, dtype=np.int64)
        return _Structure(
            shape=(int(matrix.shape[0]), int(matrix.shape[1])),
            pointer=torch.from_numpy(pointer),
            row=torch.from_numpy(np.repeat(np.arange(matrix.shape[0]), np.diff(pointer))),
            column=torch.from_numpy(np.asarray(matrix.indices, dtype=np.int64)),
        )

    def to(self, device: torch.device) -> _Structure:
        """Return the structure on a device."""
        if device == self.row.device:
            return self
        return _Structure(
            self.shape, self.pointer.to(device), self.row.to(device), self.column.to(device)
        )

    def compress(self, value: Tensor) -> Tensor:
        """Return torch's CSR tensor of these values; indices are 32 bits wide where they fit."""
        if self._narrow is None:
            fits = max(*self.shape, len(self.column)) < 2**31
            width = torch.int32 if fits else torch.int64
            self._narrow = (self.pointer.to(width), self.column.to(width))
        with warnings.catch_warnings():
            # Only the two products of this file are used of what torch calls beta.
            warnings.filterwarnings("ignore", message="Sparse CSR tensor support is in beta state")
            return torch.sparse_csr_tensor(
                *self._narrow, value, size=self.shape, check_invariants=False
            )

    def transposed(self) -> tuple[_Structure, Tensor]:
        """Return the structure of the transpose, and the order in which it holds the entries."""
        if self._transposed is None:
            order = torch.argsort(self.column, stable=True)
            counts = torch.bincount(self.column, minlength=self.shape[1])
            pointer = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
            swapped = (self.shape[1], self.shape[0])
            other = _Structure(swapped, pointer, self.column[order], self.row[order])
            self._transposed = (other, order)
        return self._transposed

    def incidence(self, like: Tensor) -> SparseMatrix:
        """Return the matrix (M, E) of ones that sums entries into their rows."""
        key = (like.dtype, like.device)
        if key not in self._incidence:
            count = len(self.column)
            number = torch.arange(count, device=self.row.device)
            structure = _Structure((self.shape[0], count), self.pointer, self.row, number)
            ones = torch.ones(count, dtype=like.dtype, device=like.device)
            self._incidence[key] = SparseMatrix(structure, ones)
        return self._incidence[key]

"""Sparse products equal dense ones, in value and in every derivative."""

import numpy as np
import pytest
import scipy.sparse
import torch

from graphtide.errors import InputError
from graphtide.sparse import SparseMatrix


def random_matrix(rows, columns, seed=0):
    generator = np.random.default_rng(seed)
    dense = generator.normal(size=(rows, columns)) * (generator.random((rows, columns)) < 0.4)
    return dense, SparseMatrix.from_scipy(scipy.sparse.csr_array(dense))


@pytest.mark.parametrize("shape", [(5,), (5, 1), (5, 3), (2, 5, 3), (2, 4, 5, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_product_equals_the_dense_one(shape, dtype):
    dense, matrix = random_matrix(7, 5)
    x = torch.randn(shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    expected = torch.from_numpy(dense).to(dtype) @ x
    torch.testing.assert_close(matrix.to(dtype=dtype) @ x, expected)


@pytest.mark.parametrize("shape", [(5,), (5, 3), (2, 5, 3)])
def test_first_and_second_derivatives(shape):
    _, matrix = random_matrix(7, 5)
    generator = torch.Generator().manual_seed(2)
    x = torch.randn(shape, dtype=torch.float64, generator=generator).requires_grad_()
    value = matrix.value.clone().requires_grad_()

    def product(value, x):
        return torch.sin(matrix.with_values(value) @ x)

    assert torch.autograd.gradcheck(product, (value, x))
    assert torch.autograd.gradgradcheck(product, (value, x))


def test_sum_rows_adds_what_reaches_each_node():
    _, matrix = random_matrix(7, 5)
    generator = torch.Generator().manual_seed(3)
    values = torch.randn(2, len(matrix.row), 3, dtype=torch.float64, generator=generator)
    expected = torch.zeros(2, 7, 3, dtype=torch.float64).index_add(1, matrix.row, values)
    torch.testing.assert_close(matrix.sum_rows(values), expected)
    assert torch.autograd.gradcheck(matrix.sum_rows, values.requires_grad_())


def test_gather_multiply_and_sum_is_the_product():
    _, matrix = random_matrix(6, 6)
    x = torch.randn(6, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    messages = matrix.value[:, None] * x[matrix.column]
    torch.testing.assert_close(matrix.sum_rows(messages), matrix @ x)


def test_transpose_and_doubled_entries():
    entries = scipy.sparse.coo_array(([1.0, 2.0, 4.0], ([0, 0, 1], [2, 2, 0])), shape=(2, 3))
    matrix = SparseMatrix.from_scipy(scipy.sparse.csr_array(entries))
    assert len(matrix.value) == 2
    x = torch.tensor([[1.0], [10.0]], dtype=torch.float64)
    assert (matrix.transposed() @ x).ravel().tolist() == [40.0, 0.0, 3.0]


def test_empty_matrix():
    matrix = SparseMatrix.from_scipy(scipy.sparse.csr_array((3, 3)))
    x = torch.ones(3, 2, dtype=torch.float64, requires_grad=True)
    product = matrix @ x
    product.sum().backward()
    assert product.abs().sum() == 0
    assert x.grad is not None
    assert x.grad.abs().sum() == 0


def test_wrong_shapes_are_named():
    _, matrix = random_matrix(7, 5)
    with pytest.raises(InputError, match=r"\(7, 5\) .* \(4, 2\)"):
        matrix @ torch.ones(4, 2, dtype=torch.float64)
    with pytest.raises(InputError, match=r"float32"):
        matrix @ torch.ones(5, 2)
    with pytest.raises(InputError, match=r"shape \(1,\)"):
        matrix.with_values(torch.ones(1, dtype=torch.float64))

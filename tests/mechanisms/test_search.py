"""The search on the Gram matrix finds planted laws, also those that hide from a forward search."""

import numpy as np
import pytest

from graphtide.mechanisms.search import (
    Support,
    best_supports,
    chosen_size,
    identities,
    rivals,
)


def problem(support, coefficients, noise=0.0, rows=400, columns=30, seed=0):
    generator = np.random.default_rng(seed)
    matrix = generator.normal(size=(rows, columns)) @ np.diag(
        10.0 ** generator.uniform(-3, 3, columns)
    )
    scale = np.linalg.norm(matrix, axis=0)
    target = (matrix[:, support] / scale[support]) @ coefficients
    target += noise * np.linalg.norm(target) / np.sqrt(rows) * generator.normal(size=rows)
    return matrix, target


@pytest.mark.parametrize("support", [[3], [1, 7], [0, 5, 9], [2, 4, 6, 8], [1, 2, 3, 4, 5, 6]])
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_planted_support_is_found_whatever_the_scales(support, noise):
    matrix, target = problem(support, np.ones(len(support)), noise)
    found = best_supports(matrix.T @ matrix, matrix.T @ target, target @ target)
    size = chosen_size(found)
    assert found[size].terms == tuple(support)


def test_terms_that_help_only_together_are_found():
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(500, 20))
    # Column 4 hides column 3 nearly completely: neither helps alone, their difference is all.
    matrix[:, 4] = matrix[:, 3] + 1e-3 * generator.normal(size=500)
    target = 1000 * (matrix[:, 3] - matrix[:, 4]) + 0.01 * generator.normal(size=500)
    found = best_supports(matrix.T @ matrix, matrix.T @ target, target @ target)
    assert found[1].log_residual > np.log(0.9)  # the best single term explains next to nothing
    assert found[chosen_size(found)].terms == (3, 4)


def test_residual_is_that_of_least_squares():
    matrix, target = problem([1, 2], np.array([1.0, -2.0]), noise=0.5)
    found = best_supports(matrix.T @ matrix, matrix.T @ target, target @ target, most_terms=3)
    for support in found[1:]:
        columns = matrix[:, support.terms]
        left = target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]
        assert support.log_residual == pytest.approx(np.log(left @ left / (target @ target)))


def test_pure_noise_gives_no_law():
    generator = np.random.default_rng(2)
    matrix, target = generator.normal(size=(2000, 20)), generator.normal(size=2000)
    found = best_supports(matrix.T @ matrix, matrix.T @ target, target @ target)
    assert chosen_size(found) == 0


def test_elbow_reads_the_mean_gain_of_further_terms():
    curve = [0.0, -0.02, -0.6, -5.0, -5.1, -5.15]
    supports = [Support(tuple(range(k)), value) for k, value in enumerate(curve)]
    assert chosen_size(supports) == 3


def test_linear_identity_between_columns_is_named():
    generator = np.random.default_rng(3)
    matrix = generator.normal(size=(100, 6))
    matrix[:, 5] = 2 * matrix[:, 1] - matrix[:, 3]
    (relation,) = identities(matrix.T @ matrix)
    assert set(relation) == {1, 3, 5}
    scaled = {column: factor / relation[5] for column, factor in relation.items()}
    assert scaled == pytest.approx({5: 1.0, 1: -2.0, 3: 1.0}, rel=1e-5)


def test_a_near_copy_of_a_term_is_a_rival():
    generator = np.random.default_rng(4)
    matrix = generator.normal(size=(300, 8))
    matrix[:, 6] = matrix[:, 2] + 0.01 * generator.normal(size=300)
    target = matrix[:, 2] + 0.3 * generator.normal(size=300)
    gram = (matrix.T @ matrix, matrix.T @ target, float(target @ target))
    found = best_supports(*gram)
    chosen = found[chosen_size(found)]
    assert {chosen.terms, *(rival.terms for rival in rivals(*gram, chosen))} >= {(2,), (6,)}

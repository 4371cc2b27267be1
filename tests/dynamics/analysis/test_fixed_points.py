"""Fixed points, their kinds, eigenvalues and basins against what is known in closed form."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_array

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.search import search
from graphtide.dynamics.analysis.spectrum import leading_eigenvalues, numerical_abscissa
from graphtide.graph import Graph

ONE = Graph.from_source("single")


def test_consensus_dies_out_at_the_algebraic_connectivity() -> None:
    graph = Graph.from_source("grid:5:6")
    found = search(Law.read("heat", graph), count=6)
    laplacian = np.linalg.eigvalsh(graph.laplacian().toarray())
    assert found.continuum
    (point,) = found.points
    np.testing.assert_allclose(point.spectrum.values[0], 0.0, atol=1e-12)
    np.testing.assert_allclose(point.spectrum.values[1].real, -laplacian[1], rtol=1e-10)
    assert (found.settled == 0).all()


def test_an_epidemic_takes_off_at_one_over_the_largest_eigenvalue() -> None:
    graph = Graph.from_source("barabasi_albert:60:3")
    radius = float(np.linalg.eigvalsh(graph.adjacency.toarray())[-1])
    for factor, kind in ((0.98, "stable node"), (1.02, "saddle")):
        law = Law.read("sis", graph, parameters={"beta": factor / radius, "delta": 1.0})
        points = search(law, count=6).points
        healthy = min(points, key=lambda p: float(np.abs(p.states).max()))
        assert healthy.kind == kind
        np.testing.assert_allclose(healthy.leading.real, factor - 1.0, rtol=1e-8)
        assert any(p.stable and p.states.min() > 1e-6 for p in points) == (factor > 1)


@pytest.mark.parametrize(
    ("text", "kinds"),
    [
        ("dx/dt = x - x^3", ["stable node", "stable node", "unstable node"]),
        ("dx/dt = -0.1*x - y, dy/dt = x - 0.1*y", ["stable focus"]),
        ("dx/dt = 0.1*x - y, dy/dt = x + 0.1*y", ["unstable focus"]),
        ("dx/dt = x, dy/dt = -2*y", ["saddle"]),
        ("dx/dt = y, dy/dt = -x", ["centre"]),
    ],
)
def test_kinds(text: str, kinds: list[str]) -> None:
    points = search(Law.read(text, ONE)).points
    assert sorted(p.kind for p in points) == sorted(kinds)


def test_basins_of_the_double_well_are_told_apart() -> None:
    law = Law.read("dx/dt = x - x^3", ONE).with_forcing(None)
    found = search(law, count=9)
    assert {round(float(found.points[k].states[0, 0])) for k in found.settled} <= {-1, 1}


def test_no_fixed_point_and_starts_that_run_off() -> None:
    found = search(Law.read("dx/dt = 1 + x^2", ONE), count=3)
    assert found.points == ()
    assert (found.settled == -2).all()


def test_phases_that_turn_together_are_at_rest_in_their_frame() -> None:
    law = Law.read("kuramoto", Graph.from_source("complete:6"), parameters={"k": 0.3})
    found = search(law, count=6)
    np.testing.assert_allclose(found.drift, [0.5], rtol=1e-6)
    in_phase = [p for p in found.points if p.spectrum.values[1].real < -1e-6]
    # J = -k L at equal phases: all rates but the common shift's are k N.
    np.testing.assert_allclose(in_phase[0].spectrum.values[1:].real, -0.3 * 6, rtol=1e-8)


def test_arnoldi_and_the_shifted_inverse_agree_with_the_whole_spectrum() -> None:
    graph = Graph.from_source("grid:30:25")
    jacobian = csr_array(-graph.laplacian())
    wanted = np.sort(np.linalg.eigvalsh(jacobian.toarray()))[::-1][:10]
    found = leading_eigenvalues(jacobian, 10)
    assert not found.whole
    np.testing.assert_allclose(found.values.real, wanted, atol=1e-6)
    residual = jacobian.toarray() @ found.modes - found.modes * found.values
    assert np.abs(residual).max() < 1e-5


def test_a_lopsided_matrix_has_its_rightmost_eigenvalues_found() -> None:
    generator = np.random.default_rng(0)
    entries = generator.random((700, 700)) * (generator.random((700, 700)) < 0.02)
    matrix = csr_array(entries - np.diag(generator.uniform(1.0, 3.0, 700)))
    every = np.linalg.eigvals(matrix.toarray())
    wanted = every[np.argsort(-every.real)][:6]
    found = leading_eigenvalues(matrix, 6)
    np.testing.assert_allclose(found.values.real, wanted.real, rtol=1e-6)
    symmetric = (matrix + matrix.T).toarray() / 2
    np.testing.assert_allclose(
        numerical_abscissa(matrix), np.linalg.eigvalsh(symmetric)[-1], rtol=1e-6
    )

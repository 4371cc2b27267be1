"""Growth, sensitivity, worst cases and complexity against closed forms and finite differences."""

from __future__ import annotations

import numpy as np
import scipy.linalg
from scipy.sparse import csr_array

from graphtide.dynamics.analysis.complexity import description_length, effective_dimension
from graphtide.dynamics.analysis.fixed_points import newton
from graphtide.dynamics.analysis.growth import _largest, transient_growth
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.robustness import robustness
from graphtide.dynamics.analysis.sensitivity import steady_sensitivity, timed_sensitivity
from graphtide.dynamics.analysis.worst_case import worst_case
from graphtide.equation import Equation
from graphtide.equation.equation import Parameter
from graphtide.graph import Graph

TEXT = "dx/dt = 1 - x - 0.2*x^2 + r*sum_j A_ij*x_j/(1 + x_j), r = 0.3"


def test_a_shear_grows_before_it_decays_as_its_formula_says() -> None:
    shear = csr_array(np.array([[-1.0, 20.0], [0.0, -2.0]]))
    growth = transient_growth(shear, 4.0, count=60)
    wanted = [np.linalg.norm(scipy.linalg.expm(shear.toarray() * t), 2) for t in growth.times]
    np.testing.assert_allclose(growth.gain, wanted, rtol=1e-10)
    assert growth.largest > 4.0
    assert (growth.gain <= np.exp(growth.abscissa * growth.times) * (1 + 1e-12)).all()
    normal = transient_growth(csr_array(np.diag([-1.0, -2.0])), 4.0, count=10)
    np.testing.assert_allclose(normal.largest, 1.0)


def test_the_gain_without_the_propagator_is_the_one_with_it() -> None:
    generator = np.random.default_rng(1)
    matrix = generator.normal(size=(40, 40)) / 4 - 2 * np.eye(40)
    gain, push = _largest(csr_array(matrix), None)
    _, values, right = scipy.linalg.svd(scipy.linalg.expm(matrix))
    np.testing.assert_allclose(gain, values[0], rtol=1e-4)
    np.testing.assert_allclose(abs(push @ right[0]), 1.0, rtol=1e-2)


def _moved(law: Law, start: np.ndarray, node: int, push: float) -> float:
    import torch

    forcing = np.zeros(law.shape)
    forcing[node] = push
    found = newton(law.with_forcing(lambda _: torch.from_numpy(forcing)), start)
    assert found is not None
    return float(found[0].mean())


def test_the_adjoint_at_rest_is_what_differences_say() -> None:
    law = Law.read(TEXT, Graph.from_source("barabasi_albert:12:2"))
    found = newton(law, np.ones(law.shape))
    assert found is not None
    known, h = steady_sensitivity(law, found[0]), 1e-5
    for node in (0, 7):
        wanted = (_moved(law, found[0], node, h) - _moved(law, found[0], node, -h)) / (2 * h)
        np.testing.assert_allclose(known.nodes[node, 0], wanted, rtol=1e-6)
    for name, value in law.parameters.items():
        ends = []
        for shift in (h, -h):
            there = newton(law.with_parameters({name: value + shift}), found[0])
            assert there is not None
            ends.append(float(there[0].mean()))
        np.testing.assert_allclose(known.parameters[name], (ends[0] - ends[1]) / (2 * h), rtol=1e-6)
    # A factor on all weights changes each of them by itself.
    total = float((known.edges * law.graph.adjacency.data).sum())
    np.testing.assert_allclose(total, known.parameters["edge_weight"], rtol=1e-10)


def test_the_gradient_through_time_is_what_differences_say() -> None:
    law = Law.read(TEXT, Graph.from_source("path:5"))
    start = np.full(law.shape, 0.3)
    known, h = timed_sensitivity(law, start, 1.5), 1e-4

    def outcome(law: Law, start: np.ndarray) -> float:
        times = np.array([0.0, 1.5])
        return float(law.solve(start, times, relative_tolerance=1e-10)[-1].mean())

    moved = start.copy()
    moved[2] += h
    np.testing.assert_allclose(
        known.nodes[2, 0], (outcome(law, moved) - outcome(law, start)) / h, rtol=1e-3
    )
    above = outcome(law.with_parameters({"r": 0.3 + h}), start)
    np.testing.assert_allclose(known.parameters["r"], (above - outcome(law, start)) / h, rtol=1e-3)


def test_the_worst_push_of_a_linear_law_is_its_singular_vector() -> None:
    law = Law.read("dx/dt = -x + 9*y, dy/dt = -2*y", Graph.from_source("single"))
    worst = worst_case(law, np.zeros((1, 2)), radius=0.5, span=0.8)
    matrix = scipy.linalg.expm(0.8 * np.array([[-1.0, 9.0], [0.0, -2.0]]))
    np.testing.assert_allclose(worst.displacement, 0.5 * np.linalg.norm(matrix, 2), rtol=1e-3)
    assert np.linalg.norm(worst.push) <= 0.5 * (1 + 1e-9)
    assert worst.displacement >= worst.random.max()


def test_a_continuum_is_looked_at_through_time() -> None:
    found = robustness(Law.read("heat", Graph.from_source("path:4")))
    assert found.point is None
    assert found.sensitivity.through_time
    # The mean is kept: it depends on every node's start by one part in four.
    np.testing.assert_allclose(found.sensitivity.nodes, 0.25, rtol=1e-5)


def test_dimension_and_description_length() -> None:
    generator = np.random.default_rng(0)
    plane = generator.normal(size=(4000, 2)) @ np.linalg.qr(generator.normal(size=(9, 2)))[0].T
    np.testing.assert_allclose(effective_dimension(plane)[0], 2.0, rtol=0.01)
    short = Equation.parse("dx/dt = -x")
    long = Equation.parse("dx/dt = -x + sum_j A_ij*sin(x_j - x_i)^3")
    assert description_length(short) < description_length(long)
    law = Equation.parse("dx/dt = -r*x")
    vague = description_length(law.with_parameters(r=Parameter(1.0, 0.5)))
    sharp = description_length(law.with_parameters(r=Parameter(1.0, 0.5 / 1024)))
    np.testing.assert_allclose(sharp - vague, np.log2(2049 / 3), rtol=1e-9)

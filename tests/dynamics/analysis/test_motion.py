"""Branches, cycles, Lyapunov exponents and synchronisation against the literature's values."""

from __future__ import annotations

import numpy as np
import pytest

from graphtide.dynamics.analysis.continuation import follow_branch
from graphtide.dynamics.analysis.cycles import limit_cycle
from graphtide.dynamics.analysis.fixed_points import newton
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.lyapunov import kaplan_yorke_dimension, lyapunov_exponents
from graphtide.dynamics.analysis.stability import stability
from graphtide.dynamics.analysis.synchronisation import master_stability
from graphtide.errors import InputError
from graphtide.graph import Graph

ONE = Graph.from_source("single")
LORENZ = "dx/dt = 10*(y - x), dy/dt = x*(r - z) - y, dz/dt = x*y - 8/3*z"


def _branch(text, name, value, start, low, high, graph=ONE):
    law = Law.read(text, graph, parameters={name: value})
    found = newton(law, np.array(start, dtype=float))
    assert found is not None
    return follow_branch(law, name, found[0], low, high)


def test_the_saddle_node_is_a_fold_at_zero() -> None:
    branch = _branch("dx/dt = r + x^2", "r", -1.0, [[-1.0]], -2.0, 1.0)
    (fold,) = branch.special
    assert fold.kind == "fold"
    np.testing.assert_allclose(fold.parameter, 0.0, atol=1e-9)
    np.testing.assert_allclose(branch.states[:, 0, 0] ** 2, -branch.parameter, atol=1e-8)
    np.testing.assert_allclose(branch.parameter[[0, -1]], -2.0)


def test_the_normal_form_of_hopf() -> None:
    text = "dx/dt = r*x - y - x*(x^2 + y^2), dy/dt = x + r*y - y*(x^2 + y^2)"
    (hopf,) = _branch(text, "r", -0.5, [[0.0, 0.0]], -1.0, 1.0).special
    assert hopf.kind == "hopf"
    np.testing.assert_allclose([hopf.parameter, hopf.frequency], [0.0, 1.0], atol=1e-8)


def test_lorenz_loses_its_fixed_points_in_a_hopf_point() -> None:
    # sigma (sigma + b + 3) / (sigma - b - 1) = 470/19 (Sparrow, The Lorenz Equations, 1982).
    branch = _branch(LORENZ, "r", 15.0, [[6.0, 6.0, 14.0]], 5.0, 30.0)
    (hopf,) = branch.special
    assert hopf.kind == "hopf"
    np.testing.assert_allclose(hopf.parameter, 470.0 / 19.0, rtol=1e-8)


def test_the_epidemic_threshold_is_a_branch_point() -> None:
    graph = Graph.from_source("barabasi_albert:40:3")
    radius = float(np.linalg.eigvalsh(graph.adjacency.toarray())[-1])
    branch = _branch("sis", "beta", 0.01, np.zeros((40, 1)), 0.0, 0.2, graph)
    first = next(s for s in branch.special if s.of_stability)
    assert first.kind == "branch point"
    np.testing.assert_allclose(first.parameter, 1.0 / radius, rtol=1e-6)


@pytest.mark.slow
def test_phases_on_a_complete_graph_lock_where_kuramoto_says() -> None:
    # Locked states end in a fold at the least u / mean sqrt(1 - (w/u)^2), u the mean field's pull
    # (Mirollo & Strogatz, Physica D 205, 2005); all phases may be turned together, a continuum.
    frequency = np.linspace(-0.9, 0.9, 10)
    graph = Graph.from_source("complete:10").with_node_attributes(omega=frequency)
    text = "dtheta/dt = omega_i + k*sum_j A_ij*sin(theta_j - theta_i)"
    branch = _branch(text, "k", 0.3, np.arcsin(frequency / 2.8)[:, None], 0.05, 0.31, graph)
    u = np.linspace(0.9, 3.0, 100_001)
    mean = np.sqrt(1.0 - (frequency[:, None] / u) ** 2).mean(axis=0)
    first = next(s for s in branch.special if s.of_stability)
    assert first.kind == "fold"
    np.testing.assert_allclose(10 * first.parameter, (u / mean).min(), rtol=1e-6)


def test_a_branch_refuses_what_it_cannot_follow() -> None:
    law = Law.read("dx/dt = r + x^2", ONE, parameters={"r": -1.0})
    with pytest.raises(InputError, match="not inside the range"):
        follow_branch(law, "r", np.array([[-1.0]]), 0.0, 1.0)


@pytest.mark.slow
def test_van_der_pols_cycle_and_the_family_of_the_prey() -> None:
    law = Law.read("dx/dt = y, dy/dt = (1 - x^2)*y - x", ONE)
    start = law.solve(np.array([[1.0, 0.0]]), np.array([0.0, 30.0]))[-1]
    cycle = limit_cycle(law, start, 100.0)
    assert cycle is not None
    assert cycle.attracting
    np.testing.assert_allclose(cycle.period, 6.6632868593, rtol=1e-6)
    np.testing.assert_allclose(cycle.amplitude[0], 2.00862, rtol=1e-3)
    family = Law.read("predator_prey", ONE)
    orbit = limit_cycle(family, np.array([[1.5, 1.0]]), 100.0)
    assert orbit is not None
    assert not orbit.attracting


def test_lorenz_exponents_have_their_sum_their_zero_and_their_dimension() -> None:
    law = Law.read(LORENZ, ONE, parameters={"r": 28.0})
    starts = np.array([1.0, 1.0, 20.0]) + np.random.default_rng(0).normal(size=(300, 1, 3))
    found = lyapunov_exponents(law, starts, span=6.0, transient=6.0, step=0.015)
    # The divergence is constant; the largest is 0.9056 (Sprott, Chaos and Time-Series Analysis).
    np.testing.assert_allclose(found.values.sum(), -(10.0 + 1.0 + 8.0 / 3.0), rtol=1e-4)
    assert abs(found.values[0] - 0.9056) < 4.0 * found.standard_error[0]
    assert abs(found.values[0] - 0.9056) < 0.1
    assert found.chaotic
    dimension = kaplan_yorke_dimension(found.values)
    assert dimension is not None
    assert abs(dimension - 2.062) < 0.02


def test_linear_decay_has_its_rates_as_exponents() -> None:
    graph = Graph.from_source("complete:70")  # more unknowns than are treated whole
    law = Law.read("dx/dt = -0.2*x + 0.02*sum_j A_ij*(x_j - x_i)", graph)
    starts = np.random.default_rng(0).normal(size=(2, 70, 1))
    found = lyapunov_exponents(law, starts, span=20.0, transient=20.0, step=0.1, count=2)
    np.testing.assert_allclose(found.values, [-0.2, -0.2 - 0.02 * 70], rtol=1e-4)


def test_the_master_stability_function_of_linear_coupling_in_all_variables() -> None:
    # With coupling e (x_j - x_i) of every variable, Lambda(g) = Lambda(0) - e g exactly.
    text = (
        "dx/dt = y + e*sum_j A_ij*(x_j - x_i), dy/dt = (1 - x^2)*y - x + e*sum_j A_ij*(y_j - y_i)"
    )
    graph = Graph.from_source("ring:7")
    law = Law.read(text, graph, parameters={"e": 0.5})
    found = master_stability(law, np.array([2.0, 0.0]), span=10.0, step=0.05, points=6)
    np.testing.assert_allclose(found.exponent, found.exponent[0] - 0.5 * found.argument, atol=1e-3)
    values = np.linalg.eigvalsh(graph.laplacian().toarray())
    np.testing.assert_allclose([found.smallest, found.largest], values[[1, -1]], rtol=1e-8)
    with pytest.raises(InputError, match="still feel their neighbours"):
        master_stability(Law.read("gene", graph), np.array([1.0]), span=1.0, step=0.1)


@pytest.mark.slow
def test_a_cycle_born_at_a_hopf_point_is_told_in_words() -> None:
    law = Law.read("dx/dt = y, dy/dt = (m - x^2)*y - x", ONE, parameters={"m": 1.0})
    found = stability(law, vary={"m": (-1.0, 2.0)}, starts=3)
    said = " ".join(map(str, found.metrics()["findings"]))  # pyright: ignore[reportArgumentType]
    assert "limit cycle of period 6.66" in said
    assert "Hopf point at m = " in said
    assert abs(next(s.parameter for s in found.branches[0].special)) < 1e-6

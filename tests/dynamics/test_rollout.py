"""Compiled roll-outs, sensitivities and designs against plain NumPy and exact solutions."""

import numpy as np
import pytest
from scipy.linalg import expm

from graphtide.dynamics.families import NumericField, aggregate, families_for, network_of
from graphtide.dynamics.kernels import design
from graphtide.dynamics.rollout import quick_sensitivities, roll_out, sensitivities
from graphtide.graph import Graph

GRAPH = Graph.from_source("barabasi_albert:30:3")
BOUND = np.array([-5.0]), np.array([15.0])
TIMES = np.linspace(0.0, 0.4, 9)
START = np.random.default_rng(1).uniform(0.0, 10.0, size=(30, 1))
FAMILIES = {family.name: family for family in families_for(START)}
TABULATED = [name for name in FAMILIES if name != "trigonometric"]


def relaxing(name):
    """Return a field near dx_i/dt = 3 - x_i/2 + small smooth coupling, and its coefficients."""
    family = FAMILIES[name]
    rng = np.random.default_rng(2)
    states = np.linspace(START.min(), START.max(), 50)[:, None]
    own = np.linalg.lstsq(family.self_basis.evaluate(states), 3.0 - 0.5 * states, rcond=None)[0]
    pair = 0.02 * rng.standard_normal((family.size - len(own), 1))
    coefficients = np.concatenate([own, pair])
    return family, coefficients, NumericField(family, coefficients, GRAPH.adjacency)


def test_diffusion_is_the_matrix_exponential():
    family = FAMILIES["linear"]
    coefficients = np.zeros((family.size, 1))
    pair = family.split(coefficients)[1]
    width = float(np.ptp(family.self_basis.factors[0].breakpoints))
    pair[0, 1], pair[1, 0] = width, -width
    field = NumericField(family, coefficients, GRAPH.adjacency)
    found = roll_out(field, TIMES, START, bound=BOUND, tolerance=1e-9)
    laplacian = np.diag(GRAPH.degree) - GRAPH.adjacency.toarray()
    true = np.array([expm(-laplacian * time) @ START for time in TIMES])
    assert found is not None
    assert np.abs(found.states - true).max() < 1e-6


@pytest.mark.parametrize("name", TABULATED)
def test_the_compiled_roll_out_takes_the_steps_of_the_plain_one(name):
    _, _, field = relaxing(name)
    compiled = roll_out(field, TIMES, START, bound=BOUND)
    plain = roll_out(lambda states: field(states), TIMES, START, bound=BOUND)
    assert field.tables is not None
    assert compiled is not None
    assert plain is not None
    assert [len(part) for part in compiled.grid] == [len(part) for part in plain.grid]
    assert np.abs(compiled.states - plain.states).max() < 1e-10
    assert np.abs(compiled.path - plain.path).max() < 1e-8


def test_a_roll_out_that_leaves_its_bound_is_lost():
    family, coefficients, _ = relaxing("linear")
    growing = NumericField(family, -5.0 * coefficients, GRAPH.adjacency)
    assert roll_out(growing, TIMES * 50, START, bound=BOUND) is None


@pytest.mark.parametrize("name", TABULATED)
def test_quick_sensitivities_converge_to_the_exact_ones_at_second_order(name):
    family, coefficients, field = relaxing(name)
    rollout = roll_out(field, TIMES, START, bound=BOUND, tolerance=1e-6)
    assert rollout is not None
    exact = sensitivities(family, coefficients, GRAPH.adjacency, START, rollout.grid)
    errors = []
    for parts in (2, 4):
        quick = quick_sensitivities(family, coefficients, GRAPH.adjacency, rollout, parts=parts)
        errors.append(np.abs(quick - exact).max())
    assert errors[-1] < 1e-3 * np.abs(exact).max()
    assert np.log2(errors[0] / errors[1]) == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("name", ["cubic", "spline 6 x 6", "trigonometric"])
def test_a_design_is_the_integral_of_the_terms(name):
    family = FAMILIES[name]
    rng = np.random.default_rng(3)
    states, weights = rng.uniform(0.0, 10.0, size=(4, 30, 1)), rng.uniform(size=4)
    pick = np.array([0, 3, 17])
    own = family.self_basis.evaluate(states[:, pick])
    receiver = family.receiver_basis.evaluate(states[:, pick])
    sender = family.sender_basis.evaluate(states)
    found = np.full((3, family.size), np.nan)
    design(network_of(GRAPH.adjacency), pick, weights, own, receiver, sender, found)
    message = aggregate(GRAPH.adjacency, sender)[:, pick]
    pair = np.einsum("q,qna,qnb->nab", weights, receiver, message).reshape(3, -1)
    expected = np.concatenate([np.einsum("q,qnf->nf", weights, own), pair], axis=1)
    assert found == pytest.approx(expected, rel=1e-12, abs=1e-12)

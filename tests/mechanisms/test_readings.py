"""Laws fitted to the readings themselves: paths that solve them, and choices at high noise."""

import time

import numpy as np
import pytest
from scipy.linalg import expm

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.graph import Graph
from graphtide.mechanisms.bootstrap import roll_out
from graphtide.mechanisms.candidates import evaluate
from graphtide.mechanisms.families import trial_terms
from graphtide.mechanisms.library import library
from graphtide.mechanisms.linearised import Linearised, phi_functions, readings_of
from graphtide.mechanisms.quasilinear import Model, fit_path
from graphtide.mechanisms.regression import discover
from graphtide.mechanisms.rows import prepare
from graphtide.mechanisms.selection import select
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("barabasi_albert:100:3", seed=1)


def readings(name, stop, noise, count=150, starts=None, seed=3):
    start = None
    if starts is not None:
        start = np.random.default_rng(seed).uniform(*starts, (100, 1))
    times = np.linspace(0, stop, count)
    law = CATALOGUE[name].equation
    return simulate(law, GRAPH, times, start, noise=noise, seed=seed, back_end="torch")


def model(variables, law):
    terms = {term.text: term for term in library(variables, "sum")}
    return Model(
        variables,
        tuple(tuple(terms[text] for text in law[v]) for v in variables),
        tuple(np.array(list(law[v].values())) for v in variables),
    )


def test_phi_functions_equal_the_exponential_of_an_augmented_matrix():
    generator = np.random.default_rng(0)
    z = 3.0 * generator.normal(size=(4, 3, 3))
    zeroth, first, second = phi_functions(z)
    for k in range(4):
        # exp of [[z, 1, 0], [0, 0, 1], [0, 0, 0]] holds phi_0, phi_1, phi_2 in its first row.
        augmented = np.zeros((9, 9))
        augmented[:3, :3] = z[k]
        augmented[:3, 3:6] = augmented[3:6, 6:] = np.eye(3)
        row = expm(augmented)[:3]
        np.testing.assert_allclose(
            np.hstack([zeroth[k], first[k], second[k]]), row, rtol=1e-8, atol=1e-10
        )


def test_responses_solve_their_equation():
    sample = prepare(readings("heat", 2.0, 0.05), GRAPH)
    heat = model(("x",), {"x": {"sum_j A_ij*(x_j - x_i)": 1.0}})
    (each,) = readings_of(sample)
    part = Linearised.around(each, each.first_path(), heat.terms, heat.coefficients, (0,))
    # The own derivative of diffusion is minus the degree.
    degree = GRAPH.degree
    np.testing.assert_allclose(
        part.jacobian[..., 0, 0], np.tile(-degree, (150, 1)), rtol=1e-6, atol=1e-6
    )
    # S' = -k S + t from S(0) = 0 is (t - (1 - exp(-k t)) / k) / k, exact for a source linear in t.
    t = each.times[:, None]
    source = np.broadcast_to(t, (150, 100))[..., None, None]
    expected = (t + np.expm1(-degree * t) / degree) / degree
    np.testing.assert_allclose(part.responses(source)[..., 0, 0], expected, atol=1e-9)
    np.testing.assert_allclose(part.transition[..., 0, 0], np.exp(-degree * t), atol=1e-9)


@pytest.mark.parametrize(
    ("name", "stop", "law"),
    [
        ("heat", 2.0, {"x": {"sum_j A_ij*(x_j - x_i)": 1.0}}),
        ("sis", 4.0, {"x": {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}}),
        (
            "sir",
            10.0,
            {
                "S": {"sum_j A_ij*(S_i*I_j)": -0.2},
                "I": {"sum_j A_ij*(S_i*I_j)": 0.2, "I": -0.5},
                "R": {"I": 0.5},
            },
        ),
    ],
)
def test_fitted_path_solves_the_law_and_leaves_the_noise(name, stop, law):
    observed = readings(name, stop, 0.2)
    sample = prepare(observed, GRAPH)
    variables = observed.variables
    # Coefficients to begin with are a fifth off.
    begun = model(variables, {v: {t: 0.8 * c for t, c in law[v].items()} for v in variables})
    fit = fit_path([sample], begun)
    for v, found in zip(variables, fit.model.coefficients, strict=True):
        np.testing.assert_allclose(found, list(law[v].values()), rtol=0.02)
    # 15,000 readings tell the mean square to 1.2 %; the smoother's noise is as sure.
    np.testing.assert_allclose(fit.misfits, 1.0, atol=0.05)
    rolled = roll_out(fit.model.equation(), sample, fit.paths[0][0])
    error = np.sqrt(((rolled - fit.paths[0]) ** 2).mean(axis=(0, 1)))
    assert (error < 0.1 * sample.smoothed.noise_sd).all()


def test_superfluous_and_exchanged_terms_are_put_right():
    sample = prepare(readings("heat", 2.0, 0.2), GRAPH)
    diffusion, tanh = "sum_j A_ij*(x_j - x_i)", "sum_j A_ij*(tanh(x_j - x_i))"
    begun = model(("x",), {"x": {diffusion: 1.1, tanh: -0.5}})
    found = select([sample], library(("x",), "sum"), begun, inner=True)
    assert [term.text for term in found.fit.model.terms[0]] == [diffusion]
    assert found.fit.model.coefficients[0][0] == pytest.approx(1.0, rel=0.02)


def test_no_law_is_taken_that_leaves_more_than_the_noise():
    sample = prepare(readings("gene", 4.0, 0.02), GRAPH)
    decay = model(("x",), {"x": {"x": -1.0}})
    without_neighbours = [c for c in library(("x",), "sum") if c.coupling == "none"]
    assert select([sample], without_neighbours, decay) is None


def test_slopes_are_derivatives_by_inner_parameters():
    sample = prepare(readings("gene", 4.0, 0.02), GRAPH)
    hill = trial_terms([sample])[0][4]
    assert hill.text.startswith("hill(x,")
    exponent, half = np.exp(hill.inner)
    x = np.linspace(0.5, 20, 30)[:, None] * np.ones(100)
    value, *slopes = evaluate([hill, *hill.slopes()], {"x": x}, GRAPH)
    # d/d log h and d/d log K of x^h / (K^h + x^h), with p the value.
    expected = value * (1 - value) * exponent * np.log(x / half)
    np.testing.assert_allclose(slopes[0], expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(slopes[1], -exponent * value * (1 - value), rtol=1e-4, atol=1e-7)


MUTUALISTIC = "sum_j A_ij*(x_i*x_j/(1 + "


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_mutualistic_law_with_shared_saturation_is_found(noise):
    observed = [
        readings("mutualistic", 2.5, noise, 300, (0.0, 0.5), seed=seed) for seed in range(3)
    ]
    began = time.process_time()
    found = discover(observed, GRAPH, inclusion_repetitions=0)
    assert time.process_time() - began < 10.0
    terms = {term.text: term.coefficient for term in found.laws[0].terms}
    coupling = next(text for text in terms if text.startswith(MUTUALISTIC))
    # x_i x_j / (5 + 0.9 x_i + 0.1 x_j) in the library's form.
    law = {"1": 0.1, "x": -1.0, "x^2": 1.2, "x^3": -0.2, coupling: 0.2}
    assert set(terms) == set(law)
    for text, value in law.items():
        assert terms[text] == pytest.approx(value, rel=0.1 if noise else 2e-3)
    own, other = (float(part.split("*")[0]) for part in coupling.split(" + ")[1:])
    assert own == pytest.approx(0.18, rel=0.05 if noise else 2e-3)
    assert other == pytest.approx(0.02, rel=0.2 if noise else 2e-2)


def test_several_variables_at_high_noise():
    observed = readings("fitzhugh_nagumo", 20.0, 0.2, 400)
    found = discover(observed, GRAPH, inclusion_repetitions=0)
    laws = {law.variable: {t.text: t.coefficient for t in law.terms} for law in found.laws}
    assert laws["x"] == pytest.approx(
        {"x": 2.0, "y": -1.0, "x^3": -1.0, "mean_j A_ij*(x_j)": -1.0}, rel=0.02
    )
    assert laws["y"] == pytest.approx({"1": 0.28, "x": 0.5, "y": -0.04}, rel=0.05)


def test_missing_readings_and_unseen_nodes_are_no_matter():
    observed = readings("sis", 4.0, 0.1)
    holes = observed.states.copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.2] = np.nan
    holes[:, 99] = np.nan
    found = discover(Trajectory(observed.times, holes, graph=GRAPH), GRAPH, inclusion_repetitions=0)
    terms = {term.text: term.coefficient for term in found.laws[0].terms}
    assert terms == pytest.approx(
        {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}, rel=0.05
    )

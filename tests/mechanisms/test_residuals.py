"""What a law leaves shows what is wrong with it: in which states and at which times."""

import numpy as np

from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.graph import Graph
from graphtide.mechanisms.quasilinear import Model
from graphtide.mechanisms.residuals import residuals_by_state, residuals_by_time
from graphtide.mechanisms.rows import prepare
from graphtide.mechanisms.user_terms import term_of

GRAPH = Graph.from_source("barabasi_albert:60:3", seed=2)


def sample_of(text, noise=0.01):
    start = np.random.default_rng(0).uniform(-2, 2, (60, 1))
    states = simulate(Equation.parse(text), GRAPH, np.linspace(0, 3, 100), start, noise=noise)
    return prepare(states, GRAPH)


def model(**terms):
    return Model(
        ("x",), (tuple(term_of(t, ("x",)) for t in terms),), (np.array(list(terms.values())),)
    )


def test_right_law_leaves_a_mean_of_zero_in_all_states():
    frame = residuals_by_state(sample_of("dx/dt = -x"), model(x=-1.0))
    z = frame["mean_residual"] / frame["standard_error"]
    assert (z.abs() < 5).all()
    assert frame["mean_residual"].abs().max() < 0.02


def test_a_missing_square_shows_against_the_state():
    frame = residuals_by_state(sample_of("dx/dt = -x - 0.2*x^2"), model(x=-1.0))
    # What is missing is -0.2 x^2, one factor for all states (units of the usual motion).
    shape = -(frame["state"] ** 2)
    assert np.corrcoef(frame["mean_residual"], shape)[0, 1] > 0.97
    assert (frame["mean_residual"] / frame["standard_error"]).min() < -10


def test_a_missing_force_shows_against_time():
    frame = residuals_by_time(sample_of("dx/dt = -x + sin(4*t)"), model(x=-1.0))
    assert np.corrcoef(frame["mean_residual"], np.sin(4 * frame["time"]))[0, 1] > 0.95

"""Known inputs and delays: planted ones are found, with their coefficients."""

import numpy as np
import pytest

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.known import KnownSeries, read_inputs
from graphtide.mechanisms.regression import discover
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("barabasi_albert:40:3", seed=2)
TIMES = np.linspace(0, 6, 160)


def test_a_series_is_straight_between_its_times():
    series = KnownSeries("u", np.array([0.0, 1.0, 3.0]), np.array([[0.0], [2.0], [0.0]]))
    np.testing.assert_allclose(
        series.at(np.array([0.0, 0.5, 1.0, 2.0, 3.0]), 2), np.outer([0, 1, 2, 1, 0], [1, 1])
    )


def test_an_input_is_found_with_its_coefficient():
    law = Equation.parse("dx/dt = -x + 0.7*sin(3*t) + 0.2*sum_j A_ij*(x_j - x_i)")
    start = np.random.default_rng(0).uniform(-1, 1, (40, 1))
    states = simulate(law, GRAPH, TIMES, start, noise=0.01, seed=1)
    force = KnownSeries("u", TIMES, np.sin(3 * TIMES)[:, None])
    found = discover(states, GRAPH, inputs=[[force]], inclusion_repetitions=0, repetitions=4)
    terms = {t.text: t.coefficient for t in found.laws[0].terms}
    expected = {"x": -1.0, "u": 0.7, "sum_j A_ij*(x_j - x_i)": 0.2}
    assert terms == pytest.approx(expected, rel=0.03)
    assert found.predicted is not None  # run with the input as it was
    assert np.abs(found.predicted - states.states).mean() < 0.05 * np.abs(states.states).mean()


def delayed_states(tau, noise):
    """Integrate x' = -1.6 x(t - tau) + 0.1 sum_j A_ij (x_j - x_i) by small steps of Heun's rule.

    Its oscillations show the delay; in a plain relaxation the past is a multiple of the present.
    """
    step = 6 / (159 * 20)
    behind = round(tau / step)
    weights = 0.1 * GRAPH.laplacian().toarray()
    x = np.zeros((159 * 20 + 1 + behind, 40))
    x[: behind + 1] = np.random.default_rng(3).uniform(-2, 2, 40)
    for k in range(behind, len(x) - 1):
        first = -1.6 * x[k - behind] - weights @ x[k]
        second = -1.6 * x[k + 1 - behind] - weights @ (x[k] + step * first)
        x[k + 1] = x[k] + step / 2 * (first + second)
    clean = x[behind::20]
    return clean + noise * clean.std() * np.random.default_rng(4).normal(size=clean.shape)


def test_a_delay_is_found_by_scanning():
    states = Trajectory(TIMES, delayed_states(0.8, 0.01))
    found = discover(states, GRAPH, delay="scan", inclusion_repetitions=0, repetitions=0)
    assert found.delay.delay == pytest.approx(0.8, abs=0.05)
    terms = {t.text: t.coefficient for t in found.laws[0].terms}
    assert terms == pytest.approx({"x_lag": -1.6, "sum_j A_ij*(x_j - x_i)": 0.1}, rel=0.05)


def test_no_delay_is_claimed_where_there_is_none():
    law = Equation.parse("dx/dt = -x + 0.2*sum_j A_ij*tanh(x_j)")
    start = np.random.default_rng(0).uniform(-1, 1, (40, 1))
    states = simulate(law, GRAPH, TIMES, start, noise=0.01, seed=1)
    found = discover(states, GRAPH, delay="scan", inclusion_repetitions=0, repetitions=0)
    assert found.delay.delay == 0.0
    assert not any("lag" in t.text for t in found.laws[0].terms)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("time,u\n0,1\n3,2\n", ["0 to 3", "0 to 6"]),
        ("time,x\n0,1\n6,2\n", ["'x'", "variable"]),
        ("time,u\n0,1\n3,\n6,2\n", ["no value at time 3"]),
        ("time,node,u\n0,0,1\n6,0,2\n", ["node '1'", "no input"]),
        ("time,k_i\n0,1\n6,2\n", ["k_i"]),
        ("u\n1\n2\n", ["time"]),
    ],
)
def test_bad_inputs(tmp_path, content, words):
    path = tmp_path / "u.csv"
    path.write_text(content)
    with pytest.raises(InputError) as caught:
        read_inputs(path, Trajectory(TIMES, np.zeros((160, 40))))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize(("delay", "sentence"), [(-1.0, "not positive"), (5.9, "leaves")])
def test_bad_delays(delay, sentence):
    states = Trajectory(TIMES, delayed_states(0.8, 0.01))
    with pytest.raises(InputError, match=sentence):
        discover(states, GRAPH, delay=delay)


def test_a_delay_too_short_to_be_seen_is_refused():
    # No law of the library is as good as the slope over the delay, which is true of any series.
    law = Equation.parse("dx/dt = -x + 0.5*sum_j A_ij*exp(-x_j)*sin(5*x_j)")
    states = simulate(law, GRAPH, np.linspace(0.0, 6.0, 151), seed=0)
    found = discover(states, GRAPH, delay=0.04, inclusion_repetitions=0, repetitions=0)
    assert not any("_lag" in t.text for t in found.laws[0].terms)
    assert found.delay.delay == 0.0
    assert found.delay.refused == 0.04
    assert any("too short to be seen" in note for note in found.notes)


def test_a_delay_that_no_term_needs_is_said():
    states = simulate(CATALOGUE["gene"].equation, GRAPH, np.linspace(0.0, 6.0, 121), seed=0)
    found = discover(states, GRAPH, delay=1.0, inclusion_repetitions=0, repetitions=0)
    assert not any("_lag" in t.text for t in found.laws[0].terms)
    assert any("1 ago explain nothing more" in note for note in found.notes)

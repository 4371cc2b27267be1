"""Fits of noisy readings: the field must be nearer to the truth than the readings are."""

import numpy as np
import pytest

from graphtide.dynamics.fit import fit
from graphtide.dynamics.holdout import relative_error
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

MUTUALISTIC = "dx/dt = 0.1 + x*(1 - x/5)*(x - 1) + sum_j A_ij*x_i*x_j/(5 + 0.9*x_j + 0.1*x_i)"


@pytest.mark.parametrize(
    ("law", "highest", "times", "limit"),
    [
        ("dx/dt = sum_j A_ij*(x_j - x_i)", 10.0, 60, 0.005),
        # Rates spread over two orders of magnitude: most nodes settle between the first readings.
        (MUTUALISTIC, 20.0, 80, 0.02),
    ],
)
def test_a_roll_out_has_a_fraction_of_the_noise(law, highest, times, limit):
    graph = Graph.from_source("barabasi_albert:80:3")
    start = np.random.default_rng(3).uniform(0.0, highest, size=(graph.node_count, 1))
    clean = simulate(Equation.parse(law), graph, np.linspace(0, 3, times), start)
    noise = 0.05 * np.abs(clean.states).mean()
    states = clean.states + noise * np.random.default_rng(4).standard_normal(clean.states.shape)
    states[0] = clean.states[0]
    result = fit(Trajectory(clean.times, states, graph=graph), graph, exact_start=True)
    for role in ("interpolate", "extrapolate"):
        chosen = result.roles[0] == role
        error = relative_error(result.predicted[0].states[chosen], clean.states[chosen])
        assert error < limit, role
    (found,) = result.metrics["noise"]
    assert found == pytest.approx(noise, rel=0.15)

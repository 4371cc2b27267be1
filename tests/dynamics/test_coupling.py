"""Means over neighbours: learned where sums cannot explain them, and kept through files."""

import numpy as np
import pytest

from graphtide.dynamics.fit import fit
from graphtide.dynamics.prediction import integrate, load_field
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.graph import Graph
from graphtide.run import Run


@pytest.mark.parametrize("coupling", ["sum", "mean"])
def test_the_coupling_of_a_network_with_unequal_degrees_is_found(tmp_path, coupling):
    graph = Graph.from_source("barabasi_albert:60:2", seed=0)
    law = Equation.parse(f"dx/dt = -0.5*x + 2*{coupling}_j A_ij*(x_j - x_i)")
    start = np.random.default_rng(0).uniform(0, 5, (60, 1))
    times = np.linspace(0, 2, 60)
    result = fit(simulate(law, graph, times, start), graph, seed=0)
    assert result.metrics["coupling"] == coupling
    assert result.metrics["relative_error_extrapolation"] < 1e-3
    run = Run.create(tmp_path / "run", kind="dynamics fit", configuration={})
    result.save(run)
    other = Graph.from_source("small_world:40:4:0.5", seed=1)
    begin = np.random.default_rng(1).uniform(0.5, 4.5, (40, 1))
    predicted = integrate(load_field(run), other, times, begin)
    true = simulate(law, other, times, begin).states
    assert np.abs(predicted - true).mean() < 1e-2 * np.abs(true).mean()

"""What a field has seen: every pair of its own data, and few of another network's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphtide.dynamics.fit import fit
from graphtide.dynamics.prediction import integrate, predict
from graphtide.dynamics.simulate import simulate
from graphtide.dynamics.visited import share_of_unseen_pairs, visited_pairs
from graphtide.equation import Equation
from graphtide.errors import ComputationError
from graphtide.graph import Graph
from graphtide.run import Run

HEAT = Equation.parse("dx/dt = sum_j A_ij*(x_j - x_i)")


@given(st.integers(0, 2**32 - 1), st.integers(1, 3))
def test_nothing_of_what_was_seen_is_unseen(seed, variables):
    graph = Graph.from_source("small_world:20:4:0.3", seed=seed % 100)
    states = np.random.default_rng(seed).normal(size=(5, 20, variables))
    low, high = states.min(axis=(0, 1)), states.max(axis=(0, 1))
    seen = visited_pairs([(graph.adjacency, states)], low, high)
    assert share_of_unseen_pairs(graph.adjacency, states, seen, low, high) == 0.0


def test_pairs_that_never_met_are_counted():
    """On a path 0 - 1 - 2 with ends at 0 and the middle at 1, equal neighbours are never seen."""
    path = Graph.from_source("path:3")
    apart = np.array([[[0.0], [1.0], [0.0]]])
    low, high = np.zeros(1), np.ones(1)
    seen = visited_pairs([(path.adjacency, apart)], low, high)
    alike = np.array([[[1.0], [1.0], [0.0]]])  # two of four pairs are (1, 1)
    assert share_of_unseen_pairs(path.adjacency, alike, seen, low, high) == 0.5


def test_a_prediction_tells_of_pairs_that_were_never_seen(tmp_path):
    """Neighbours that were nearly alike say nothing of neighbours far apart."""
    ring = Graph.from_source("ring:60")
    smooth = np.sin(np.arange(60) * 2 * np.pi / 60)[:, None]
    result = fit(simulate(HEAT, ring, np.linspace(0, 20, 40), smooth), ring, seed=0)
    run = Run.create(tmp_path / "run", kind="dynamics fit", configuration={})
    result.save(run)
    same = predict(run)
    assert (same.outside, same.warning) == (0.0, None)
    rough = np.random.default_rng(0).permutation(smooth)
    other = predict(run, start=rough, times=np.linspace(0, 0.5, 5))
    assert other.outside == 0.0
    assert other.unseen_pairs > 0.1
    assert "pairs" in other.warning


def test_a_prediction_that_runs_off_is_lost_at_once():
    """Between its two readings growth looks like dx/dt = 2 x, and without end it stays so."""
    graph = Graph.from_source("ring:20")
    law = Equation.parse("dx/dt = 2*x + 0.1*sum_j A_ij*(x_j - x_i)")
    start = np.random.default_rng(0).uniform(1, 2, (20, 1))
    result = fit(simulate(law, graph, np.linspace(0, 1, 40), start), graph, seed=0)
    true = simulate(law, graph, np.array([0.0, 2.0]), start).states
    near = integrate(result.field, graph, np.array([0.0, 2.0]), start)
    assert np.abs(near - true).max() < 1e-3 * np.abs(true).max()
    with pytest.raises(ComputationError, match=r"lost: at time [4-6]"):
        integrate(result.field, graph, np.array([0.0, 100.0]), start)

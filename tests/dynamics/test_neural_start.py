"""Where training begins: starts of unseen nodes, and a closed form that is doubted."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphtide.dynamics import neural_fit
from graphtide.dynamics.neural import MessagePassingField
from graphtide.dynamics.neural_data import NeuralSettings
from graphtide.dynamics.neural_task import TrainingSettings
from graphtide.dynamics.problem import Problem
from graphtide.dynamics.segments import Learner
from graphtide.dynamics.visited import CELLS, Visited
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

LOW, HIGH = np.array([-1.0, 5.0]), np.array([3.0, 5.5])
GRAPH = Graph.from_source("small_world:30:4:0.3@1")
TIMES = np.linspace(0.0, 2.0, 41)


def learner(guess):
    seen = Visited(LOW, HIGH, np.ones((2, CELLS, CELLS), dtype=bool))
    field = MessagePassingField(seen, variables=("x", "y"), message="none", width=3)
    return Learner(field, [guess], np.ones(2), LOW, HIGH)


@given(st.lists(st.floats(0.05, 0.95), min_size=4, max_size=4))
def test_a_guess_within_the_range_is_where_an_unseen_node_starts(shares):
    guess = LOW + (HIGH - LOW) * np.array(shares).reshape(2, 2)
    made = learner(guess)
    np.testing.assert_allclose(made.start(0).detach().numpy(), guess, rtol=1e-6)


@given(st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_no_step_takes_a_start_out_of_the_range(shares):
    made = learner(np.tile((LOW + HIGH) / 2, (2, 1)))
    with torch.no_grad():
        made.share[0].copy_(torch.tensor(shares).reshape(2, 2))
    start = made.start(0).detach().numpy()
    assert ((start >= LOW - 1e-6) & (start <= HIGH + 1e-6)).all()


def heat(times, start):
    value, vector = np.linalg.eigh(GRAPH.laplacian().toarray())
    return np.exp(-0.6 * np.outer(times, value)) @ (vector * (vector.T @ start)).T


@pytest.mark.parametrize(("asked", "begins"), [("auto", "weak"), ("closed_form", "closed_form")])
def test_a_closed_form_that_errs_is_left_unless_it_was_asked_for(monkeypatch, asked, begins):
    states = heat(TIMES, np.random.default_rng(5).uniform(0.0, 4.0, 30))
    right = neural_fit.teacher_paths

    def of_other_nodes(*given):
        found = right(*given)
        moved = [replace(s, states=np.roll(s.states, 7, axis=1)) for s in found.samples]
        return Problem(tuple(moved), found.noise, found.seed)

    monkeypatch.setattr(neural_fit, "teacher_paths", of_other_nodes)
    result = neural_fit.fit_neural(
        Trajectory(TIMES, states, graph=GRAPH),
        GRAPH,
        settings=NeuralSettings(
            start=asked,
            ensemble=0,
            training=TrainingSettings(weak_epochs=1, segment_epochs=0, iterations=3),
        ),
    )
    assert result.metrics["start"] == begins
    if asked == "auto":
        assert result.metrics["relative_error_extrapolation"] < 2e-3


def test_an_ensemble_that_runs_off_after_the_training_times_makes_no_intervals_of_nothing():
    # dx/dt = 2: by time 200 the states are fifty widths away from the range seen until time 2.
    times = np.concatenate([TIMES, np.linspace(10.0, 200.0, 20)])
    states = 2.0 * times[:, None] + np.random.default_rng(5).uniform(0.0, 4.0, 30)
    roles = np.where(times > 2.0, "extrapolate", "train")
    roles[5:35:6] = "interpolate"
    result = neural_fit.fit_neural(
        Trajectory(times, states, graph=GRAPH),
        GRAPH,
        settings=NeuralSettings(
            ensemble=4, training=TrainingSettings(weak_epochs=1, segment_epochs=0, iterations=3)
        ),
        holdout=roles,
    )
    assert result.metrics["ensemble"] == 0
    assert all(np.isfinite(spread).all() for spread in result.spreads)
    assert result.metrics["coverage_interpolation"] > 0.6

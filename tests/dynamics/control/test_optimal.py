"""Optimal control through the solver: against the analytic least energy, and on nonlinear laws."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.control import (
    Bounds,
    Gramian,
    Solver,
    additive,
    adjoint_drivers,
    diagnose,
    energy_drivers,
    feedback_vertex_set,
    free_motion,
    hold_nodes,
    receding_horizon,
    source_nodes,
    steer,
    tracking_cost,
)
from graphtide.errors import InputError
from graphtide.graph import Graph

RK4 = Solver("rk4")
TIMES = np.linspace(0.0, 2.0, 21)


def linear_right_hand_side(matrix):
    operator = torch.tensor(matrix)
    return lambda time, states: operator @ states


@pytest.fixture(scope="module")
def consensus():
    graph = Graph.from_source("small_world:8:4:0.2", seed=1)
    return -graph.laplacian().toarray() - 0.2 * np.eye(8)


@pytest.fixture(scope="module")
def gene():
    """The gene law with its dead state and its living one on a scale-free graph."""
    graph = Graph.from_source("barabasi_albert:40:2", seed=1)
    rhs = CATALOGUE["gene"].equation.compile().on(graph)
    alive = free_motion(rhs, np.full((40, 1), 20.0), np.array([0.0, 60.0]))[-1]
    return graph, rhs, np.zeros((40, 1)), alive


def test_energy_is_the_analytic_least(consensus):
    drivers = np.array([0, 4])
    gramian = Gramian(consensus, drivers, 2.0)
    target = gramian.product(np.random.default_rng(1).standard_normal(8))
    plan = steer(
        additive(linear_right_hand_side(consensus), drivers),
        np.zeros((8, 1)),
        target[:, None],
        TIMES,
        2,
        tolerance=0.002,
        solver=RK4,
    )
    assert plan.reached
    least = gramian.minimum_energy(np.zeros(8), target).energy
    assert plan.energy == pytest.approx(least, rel=0.02)


def test_sparsity_silences_inputs(consensus):
    drivers = np.arange(8)
    field = additive(linear_right_hand_side(consensus), drivers)
    target = np.full((8, 1), np.nan)
    target[2] = 1.0

    def plan(sparsity):
        return steer(field, np.zeros((8, 1)), target, TIMES[:9], 8, sparsity=sparsity, solver=RK4)

    dense, sparse = plan(0.0), plan(50.0)
    assert dense.reached
    assert sparse.reached
    loud = 0.02 * np.abs(dense.inputs).max()
    assert (np.abs(sparse.inputs) > loud).sum() < 0.4 * (np.abs(dense.inputs) > loud).sum()
    assert (sparse.inputs == 0.0).mean() > 0.1
    assert np.abs(sparse.inputs).sum() < 0.5 * np.abs(dense.inputs).sum()


def test_bounds_hold_and_make_it_dearer(consensus):
    field = additive(linear_right_hand_side(consensus), np.array([0]))
    target = np.full((8, 1), np.nan)
    target[0] = 1.0
    free = steer(field, np.zeros((8, 1)), target, TIMES, 1, solver=RK4)
    bound = 0.8 * float(np.abs(free.inputs).max())
    tight = steer(
        field, np.zeros((8, 1)), target, TIMES, 1, bounds=Bounds(-bound, bound), solver=RK4
    )
    assert free.reached
    assert tight.reached
    assert np.abs(tight.inputs).max() <= bound
    assert tight.energy > free.energy


def test_gene_network_is_brought_back_to_life_by_two_nodes_of_forty(gene):
    graph, rhs, dead, alive = gene
    times = np.linspace(0.0, 6.0, 13)
    drivers = adjoint_drivers(rhs, dead, alive, times, 2, bounds=Bounds(0.0, 20.0), solver=RK4)
    assert graph.degree[drivers].min() > graph.degree.mean()
    plan = steer(
        additive(rhs, drivers), dead, alive, times, 2, bounds=Bounds(0.0, 20.0), solver=RK4,
        tolerance=0.05, rounds=2,
    )  # fmt: skip
    assert plan.reached
    assert plan.inputs.min() >= 0.0
    later = free_motion(rhs, plan.states[-1], np.array([0.0, 60.0]))[-1]
    np.testing.assert_allclose(later, alive, rtol=1e-4)


def test_receding_horizon_arrives_with_a_wrong_model_and_noise(gene):
    graph, _, dead, alive = gene
    plant = CATALOGUE["gene"].equation.compile().on(graph)
    wrong = CATALOGUE["gene"].equation.with_parameters(b=1.05).compile().on(graph)
    drivers = np.argsort(-graph.degree)[:2]
    times = np.linspace(0.0, 6.0, 13)
    loop = receding_horizon(
        additive(wrong, drivers), additive(plant, drivers), dead, times, 2,
        tracking_cost(alive, energy=1e-4), horizon=4, bounds=Bounds(0.0, 20.0), iterations=6,
        measurement_noise=0.05, process_noise=0.02, floor=0.0, solver=RK4,
    )  # fmt: skip
    assert loop.distance(alive) < 0.1
    alone = free_motion(plant, dead, times[[0, -1]])[-1]
    assert np.linalg.norm(alone - alive) == pytest.approx(np.linalg.norm(dead - alive))


def test_holding_the_feedback_vertices_carries_the_rest():
    edges = np.array([(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (5, 4)]).T
    graph = Graph(edges, np.full(6, 3.0), node_count=6, directed=True)
    rhs = CATALOGUE["gene"].equation.compile().on(graph)
    alive = free_motion(rhs, np.full((6, 1), 5.0), np.array([0.0, 80.0]))[-1]
    held = np.union1d(feedback_vertex_set(graph), source_nodes(graph))
    assert len(held) == 2
    states = hold_nodes(rhs, np.zeros((6, 1)), alive, held, np.array([0.0, 40.0]))
    np.testing.assert_allclose(states[-1], alive, atol=1e-6)


@pytest.mark.parametrize(
    ("drivers", "span", "bound", "cause"),
    [
        ([1], 2.0, np.inf, "no_path"),
        ([0], 0.5, 1.3, "horizon"),
        ([0], 8.0, 0.5, "bounds"),
        ([0], 8.0, 5.0, "reached"),
    ],
)
def test_causes_of_failure_are_told_apart(drivers, span, bound, cause):
    # 0 decays and drives 1; node 0 is to be held up at 1.
    graph = Graph(np.array([[0], [1]]), node_count=2, directed=True, names=("a", "b"))
    rhs = linear_right_hand_side(np.array([[-1.0, 0.0], [1.0, -1.0]]))
    target = np.array([[1.0], [np.nan]])
    field, limits = additive(rhs, np.array(drivers)), Bounds(-bound, bound)
    times = np.linspace(0.0, span, 9)
    plan = steer(field, np.zeros((2, 1)), target, times, 1, bounds=limits, solver=RK4)
    found = diagnose(plan, field, rhs, graph, np.array(drivers), bounds=limits, solver=RK4)
    assert found.cause == cause
    if cause == "no_path":
        assert found.nodes.tolist() == [0]
        assert "1 node" in found.sentence
        assert "(a)" in found.sentence
    if cause == "horizon":
        assert found.horizon == pytest.approx(2.0)


def test_adjoint_rule_agrees_with_the_gramians_on_a_linear_system(consensus):
    target = np.zeros(8)
    target[3] = 1.0
    rhs = linear_right_hand_side(consensus)
    (by_adjoint,) = adjoint_drivers(rhs, np.zeros((8, 1)), target[:, None], TIMES, 1, solver=RK4)
    (by_energy,) = energy_drivers(consensus, np.zeros(8), target, 2.0, 1)
    assert by_adjoint == by_energy == 3


def test_wrong_arguments_are_refused(consensus):
    field = additive(linear_right_hand_side(consensus), np.array([0]))
    start = np.zeros((8, 1))
    with pytest.raises(InputError, match="the target has shape"):
        steer(field, start, np.zeros(8), TIMES, 1)
    with pytest.raises(InputError, match="the start is the target already"):
        steer(field, start, start, TIMES, 1)
    with pytest.raises(InputError, match="wants nothing"):
        steer(field, start, np.full((8, 1), np.nan), TIMES, 1)
    with pytest.raises(InputError, match="bounds must hold 0"):
        Bounds(1.0, 2.0)

"""Driver nodes: against an independent matching, brute force, and dense Gramians."""

import itertools

import networkx
import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

from graphtide.dynamics.control import (
    Gramian,
    energy_drivers,
    feedback_vertex_set,
    matching_drivers,
    maximum_matching,
    source_nodes,
    unreachable_nodes,
)
from graphtide.errors import InputError
from graphtide.graph import Graph


def directed(edges, count):
    index = np.array(edges, dtype=np.int64).reshape(-1, 2).T
    return Graph(index, node_count=count, directed=True)


def random_directed(count, mean_degree, seed):
    drawn = networkx.gnp_random_graph(count, mean_degree / count, seed=seed, directed=True)
    return directed(list(drawn.edges), count)


edge_lists = st.integers(2, 7).flatmap(
    lambda n: st.tuples(
        st.just(n),
        st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=14, unique=True),
    )
)


@pytest.mark.parametrize("mean_degree", [1.0, 2.0, 4.0])
def test_driver_count_is_that_of_networkx_matching(mean_degree):
    graph = random_directed(300, mean_degree, seed=3)
    bipartite = networkx.Graph()
    left = [("out", j) for j in range(300)]
    bipartite.add_nodes_from(left)
    bipartite.add_nodes_from(("in", i) for i in range(300))
    bipartite.add_edges_from((("out", int(a)), ("in", int(b))) for a, b in graph.edge_index.T)
    matched = len(networkx.bipartite.hopcroft_karp_matching(bipartite, left)) // 2
    assert len(matching_drivers(graph)) == max(1, 300 - matched)


def test_textbook_driver_counts():
    path = directed([(0, 1), (1, 2), (2, 3)], 4)
    star = directed([(0, 1), (0, 2), (0, 3)], 4)
    cycle = directed([(0, 1), (1, 2), (2, 0)], 3)
    assert matching_drivers(path).tolist() == [0]
    assert len(matching_drivers(star)) == 3  # the centre and all leaves but one
    assert len(matching_drivers(cycle)) == 1


@given(edge_lists)
def test_matched_edges_exist_and_matched_drivers_control(case):
    count, edges = case
    graph = directed(edges, count)
    matching = maximum_matching(graph)
    sources = matching[matching >= 0]
    assert len(set(sources)) == len(sources)
    assert all(graph.adjacency[i, j] != 0 for i, j in enumerate(matching) if j >= 0)
    # Structural controllability needs [A B] of full rank for random weights.
    weights = np.random.default_rng(0).uniform(1.0, 2.0, (count, count))
    drivers = np.flatnonzero(matching < 0)
    whole = np.concatenate([graph.adjacency.toarray() * weights, np.eye(count)[:, drivers]], 1)
    assert np.linalg.matrix_rank(whole) == count


@given(edge_lists)
def test_feedback_vertex_set_leaves_no_cycle_and_is_near_the_smallest(case):
    count, edges = case
    edges = [(a, b) for a, b in edges if a != b]
    found = feedback_vertex_set(directed(edges, count))
    whole = networkx.DiGraph(edges)
    whole.add_nodes_from(range(count))

    def acyclic(without):
        left = whole.copy()
        left.remove_nodes_from(without)
        return networkx.is_directed_acyclic_graph(left)

    assert acyclic(found)
    assert all(not acyclic(set(found) - {node}) for node in found)
    smallest = next(
        size
        for size in range(count + 1)
        if any(acyclic(nodes) for nodes in itertools.combinations(range(count), size))
    )
    assert smallest <= len(found) <= smallest + 1


def test_feedback_vertices_of_known_graphs():
    assert feedback_vertex_set(directed([(0, 1), (1, 2), (2, 0), (2, 3)], 4)).size == 1
    assert feedback_vertex_set(directed([(0, 0), (0, 1)], 2)).size == 0
    assert feedback_vertex_set(directed([(0, 0), (0, 1)], 2), self_loops=True).tolist() == [0]
    assert feedback_vertex_set(Graph.from_source("star:5")).tolist() == [0]
    assert source_nodes(directed([(0, 1), (2, 1), (1, 1)], 3)).tolist() == [0, 2]


@pytest.fixture(scope="module")
def linear():
    graph = Graph.from_source("small_world:12:4:0.2", seed=1)
    matrix = -graph.laplacian().toarray() - 0.2 * np.eye(12)
    return matrix, np.array([0, 4, 8]), 1.0


def dense_gramian(matrix, drivers, horizon):
    """Return W by Van Loan's block exponential."""
    n = len(matrix)
    actuators = np.eye(n)[:, drivers]
    block = np.block([[-matrix, actuators @ actuators.T], [np.zeros((n, n)), matrix.T]])
    power = scipy.linalg.expm(block * horizon)
    return power[n:, n:].T @ power[:n, n:]


def test_gramian_products_eigenvalues_and_energy(linear):
    matrix, drivers, horizon = linear
    gramian = Gramian(matrix, drivers, horizon)
    exact = dense_gramian(matrix, drivers, horizon)
    vector = np.random.default_rng(2).standard_normal(12)
    np.testing.assert_allclose(gramian.product(vector), exact @ vector, rtol=1e-7, atol=1e-9)
    largest = np.linalg.eigvalsh(exact)[::-1][:3]
    np.testing.assert_allclose(gramian.largest_eigenvalues(3), largest, rtol=1e-6)
    target = exact @ vector  # reachable whatever the rank of W in double precision
    found = gramian.minimum_energy(np.zeros(12), target)
    assert found.energy == pytest.approx(target @ np.linalg.solve(exact, target), rel=1e-5)
    assert found.unreached < 1e-6
    # The input itself spends that energy.
    times = np.linspace(0.0, horizon, 801)
    inputs = gramian.inputs(found.dual, times)
    assert np.trapezoid(np.square(inputs).sum(1), times) == pytest.approx(found.energy, rel=1e-3)


def test_what_cannot_be_reached_is_told(linear):
    _, _, horizon = linear
    apart = np.diag([-1.0, -1.0])
    found = Gramian(apart, np.array([0]), horizon).minimum_energy(np.zeros(2), np.array([3.0, 4.0]))
    assert found.unreached == pytest.approx(0.8)
    np.testing.assert_allclose(found.nearest, [3.0, 0.0], atol=1e-8)


def test_greedy_drivers_cost_little_more_than_the_best(linear):
    matrix, _, horizon = linear
    target = dense_gramian(matrix, np.arange(12), horizon) @ np.random.default_rng(4).normal(
        size=12
    )
    shift = 1e-3 * np.eye(12)

    def energy(drivers):
        return target @ np.linalg.solve(dense_gramian(matrix, drivers, horizon) + shift, target)

    chosen = energy_drivers(matrix, np.zeros(12), target, horizon, 2)
    every = sorted(energy(np.array(pair)) for pair in itertools.combinations(range(12), 2))
    assert energy(chosen) <= every[6]  # among the best tenth of the 66 pairs


def test_unreachable_nodes_follow_directions():
    graph = directed([(0, 1), (1, 2), (3, 2), (3, 4)], 6)
    assert unreachable_nodes(graph, np.array([0])).tolist() == [3, 4, 5]


def test_wrong_arguments_are_refused():
    with pytest.raises(InputError, match="drivers must be numbers of states"):
        Gramian(np.eye(2), np.array([2]), 1.0)
    with pytest.raises(InputError, match="horizon"):
        Gramian(np.eye(2), np.array([0]), 0.0)
    with pytest.raises(InputError, match="0 drivers for 2 states"):
        energy_drivers(np.eye(2), np.zeros(2), np.ones(2), 1.0, 0)

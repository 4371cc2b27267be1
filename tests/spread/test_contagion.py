"""Contagion against enumeration of live edges, and the choice of nodes against brute force."""

import itertools

import numpy as np
import pytest
from scipy.stats import ks_2samp

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.influence import maximise_influence
from graphtide.spread.contagion import Contagion, reverse_reachable, simulate_contagion
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start

# Edges 0 -> 1 (1), 1 -> 2 (2), 0 -> 2 (0.5), 2 -> 3 (1), 3 -> 1 (1).
SMALL = Graph(
    np.array([[0, 1, 0, 2, 3], [1, 2, 2, 3, 1]]), np.array([1.0, 2.0, 0.5, 1.0, 1.0]), directed=True
)


def reached(live, seeds):
    """Return the nodes reachable along live edges."""
    found, queue = set(seeds), list(seeds)
    while queue:
        node = queue.pop()
        for source, target in live:
            if source == node and target not in found:
                found.add(target)
                queue.append(target)
    return found


def exact(contagion, graph, seeds):
    """Return the probability that each node is reached, over all sets of live edges."""
    edges = list(zip(*graph.edge_index.tolist(), graph.edge_weight.tolist(), strict=True))
    chance = np.zeros(graph.node_count)
    if contagion.model == "independent_cascade":
        odds = [1.0 - (1.0 - contagion.strength) ** w for _, _, w in edges]
        for state in itertools.product((False, True), repeat=len(edges)):
            weight = np.prod([p if s else 1 - p for p, s in zip(odds, state, strict=True)])
            live = [(a, b) for (a, b, _), s in zip(edges, state, strict=True) if s]
            for node in reached(live, seeds):
                chance[node] += weight
        return chance
    # Linear threshold: each node keeps one of its in-edges, in proportion to their weights.
    choices = []
    for node in range(graph.node_count):
        mine = [(a, b, w / graph.degree[node]) for a, b, w in edges if b == node]
        choices.append(mine or [(-1, node, 1.0)])
    for state in itertools.product(*choices):
        weight = np.prod([w for _, _, w in state])
        for node in reached([(a, b) for a, b, _ in state], seeds):
            chance[node] += weight
    return chance


@pytest.mark.parametrize(
    "contagion", [Contagion("independent_cascade", 0.4), Contagion("linear_threshold")]
)
@pytest.mark.parametrize("seeds", [[0], [1], [0, 3]])
def test_contagion_equals_enumeration(contagion, seeds):
    runs = 10000
    result = simulate_contagion(contagion, SMALL, seeds, runs=runs, seed=1)
    true = exact(contagion, SMALL, seeds)
    error = np.sqrt(np.maximum(true * (1 - true), 0.0) / runs)
    seen = (result.round >= 0).mean(axis=0)
    assert (np.abs(seen - true) <= 4.5 * error + 1e-9).all(), (seen, true)


@pytest.mark.parametrize(
    "contagion",
    [Contagion("independent_cascade", 0.4), Contagion("linear_threshold"), Contagion("sir", 0.8)],
)
def test_reverse_reachable_sets_measure_influence(contagion):
    """A set reaches N times the share of reverse-reachable sets that it meets."""
    count = 20000
    offsets, nodes = reverse_reachable(contagion, SMALL, count, np.random.default_rng(0))
    assert (np.diff(offsets) >= 1).all()
    for node in range(SMALL.node_count):
        met = np.add.reduceat((nodes == node).astype(int), offsets[:-1]) > 0
        forward = simulate_contagion(contagion, SMALL, [node], runs=count, seed=2).size.mean()
        assert 4 * met.mean() == pytest.approx(forward, abs=4 * 4 * 0.5 * 2 / np.sqrt(count))


def test_sir_in_rounds_has_the_final_sizes_of_sir_in_time():
    graph = Graph.from_source("barabasi_albert:200:2", seed=0)
    law = EPIDEMIC_LAWS["sir"].equation(beta=0.5, gamma=1.0)
    timed = simulate_epidemic(
        law, graph, np.array([0.0, 1e4]), seeded_start(law, graph, [5]), runs=2000, seed=0
    )
    rounds = simulate_contagion(Contagion("sir", 0.5), graph, [5], runs=2000, seed=1)
    assert ks_2samp(timed.ever_infected, rounds.size).pvalue > 1e-3


def test_the_chosen_nodes_are_nearly_the_best():
    graph = Graph.from_source("barabasi_albert:14:1", seed=3)
    contagion = Contagion("independent_cascade", 0.3)
    found = maximise_influence(graph, contagion, 2, seed=0)
    reach = {
        pair: simulate_contagion(contagion, graph, pair, runs=2000, seed=9).size.mean()
        for pair in itertools.combinations(range(14), 2)
    }
    mine = reach[tuple(sorted(found.nodes.tolist()))]
    assert mine >= 0.97 * max(reach.values())
    assert found.reached[1] == pytest.approx(mine, abs=4 * found.standard_error[1] + 0.15)
    assert (np.diff(found.reached) >= 0).all()
    assert 1 - 1 / np.e - 0.05 <= found.guarantee <= 1.0
    # What is certified holds against the true optimum.
    assert mine >= found.guarantee * max(reach.values())


def test_a_star_is_best_begun_at_its_centre():
    graph = Graph.from_source("star:30")
    for contagion in (Contagion("independent_cascade", 0.3), Contagion("sir", 0.5)):
        found = maximise_influence(graph, contagion, 1, seed=0)
        assert found.nodes.tolist() == [int(np.argmax(graph.degree))]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Contagion("independent_cascade", 1.5), "strength of independent_cascade is 1.5"),
        (lambda: Contagion("sir", -1.0), "between 0 and inf"),
        (lambda: Contagion("rumour"), "'rumour' is no model"),
        (lambda: simulate_contagion(Contagion("sir"), SMALL, [7]), "numbered from 0"),
        (lambda: maximise_influence(SMALL, Contagion("sir"), 9), "between 1 and 4"),
    ],
)
def test_bad_contagions_are_one_sentence(make, message):
    with pytest.raises(InputError, match=message):
        make()

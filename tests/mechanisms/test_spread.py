"""Spread from cascades: rates that cover, the network found again, shapes, clear refusals."""

import numpy as np
import pandas
import pytest
from scipy.sparse import csr_array

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.cascade_shapes import cluster_shapes, likely_parents, shape_of
from graphtide.mechanisms.cascades import Cascade, Cascades, read_cascades
from graphtide.mechanisms.network_inference import infer_network
from graphtide.mechanisms.spread import explain_spread
from graphtide.mechanisms.spread_rates import Rate, fit_rates
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, seeded_start


def simulated(name, graph, rates, *, count, until, seed=0, seeds=None):
    """Return cascades of a law, each from one random node, seen until a time."""
    law = EPIDEMIC_LAWS[name].equation(**rates)
    generator = np.random.default_rng(seed)
    start = np.zeros((graph.node_count, len(law.variables)))
    runs = []
    for k in range(count):
        node = int(generator.integers(graph.node_count)) if seeds is None else seeds[k]
        start = seeded_start(law, graph, [node])
        result = simulate_epidemic(
            law, graph, np.array([0.0, until]), start, runs=1, seed=(seed, k), infections=True
        )
        runs += result.infections
    known = EPIDEMIC_LAWS[name]
    items = tuple(
        Cascade(
            str(k),
            run.node,
            run.time,
            np.full(len(run.node), -1),
            run.recovery,
            run.infectious if known.incubation else None,
        )
        for k, run in enumerate(runs)
    )
    return Cascades(items, graph.names, False, bool(known.recovery), bool(known.incubation))


RATES = {
    "si": {"beta": 0.4},
    "sir": {"beta": 0.4, "gamma": 0.7},
    "sis": {"beta": 0.3, "delta": 0.8},
    "seir": {"beta": 0.6, "sigma": 1.5, "gamma": 0.5},
}


@pytest.mark.parametrize("name", RATES)
def test_maximum_likelihood_rates_cover_the_truth(name):
    """z-scores over repetitions: mean 0, spread 1; weights and censoring included."""
    graph = Graph.from_source("barabasi_albert:40:2", seed=0)
    generator = np.random.default_rng(5)
    upper = np.triu(graph.adjacency.toarray()) * generator.uniform(0.5, 2.0, (40, 40))
    weighted = Graph.from_scipy(csr_array(upper + upper.T))
    scores = []
    for seed in range(12):
        cascades = simulated(name, weighted, RATES[name], count=25, until=2.5, seed=seed)
        rates = fit_rates(cascades, weighted, until=2.5)
        assert rates.law == name
        assert rates.unexplained == 0
        law = EPIDEMIC_LAWS[name]
        found = (rates.infection, rates.recovery, rates.incubation)
        fits = [
            (rate, RATES[name][parameter])
            for rate, parameter in zip(
                found, (law.infection, law.recovery, law.incubation), strict=True
            )
            if rate is not None
        ]
        assert len(fits) == len(RATES[name])
        scores += [(rate.value - true) / rate.standard_error for rate, true in fits]
        assert all(rate.low < rate.value < rate.high for rate, _ in fits)
    assert abs(np.mean(scores)) < 3.5 / np.sqrt(len(scores))
    assert 0.5 < np.std(scores) < 1.6


def test_rate_of_a_pair_by_hand():
    """Events over exposure: 1/2 of one cascade, 1/5 with one that recovers before it transmits."""
    pair = Graph.from_source("path:2")
    hit = Cascade(
        "a", np.array([0, 1]), np.array([0.0, 2.0]), np.array([-1, -1]), np.full(2, np.inf)
    )
    rates = fit_rates(Cascades((hit,), pair.names, False, False), pair)
    assert rates.infection.value == pytest.approx(0.5)
    missed = Cascade("b", np.array([0]), np.zeros(1), np.array([-1]), np.array([3.0]))
    both = Cascades((hit, missed), pair.names, False, True)
    rates = fit_rates(both, pair, until=4.0)
    assert rates.infection.value == pytest.approx(1.0 / (2.0 + 3.0))
    assert rates.recovery.value == pytest.approx(1.0 / (3.0 + 4.0 + 2.0))


def test_an_exposed_node_infects_nobody_and_its_incubation_counts():
    """0 infects 1 at 2, which is infectious at 5 and infects 2 at 6: exposures are 2 and 1."""
    chain = Graph.from_source("path:3")
    seen = Cascade(
        "a",
        np.arange(3),
        np.array([0.0, 2.0, 6.0]),
        np.full(3, -1),
        np.array([np.inf, 7.0, np.inf]),
        np.array([0.0, 5.0, np.inf]),
    )
    rates = fit_rates(Cascades((seen,), chain.names, False, True, True), chain, until=10.0)
    assert rates.law == "seir"
    assert rates.infection.value == pytest.approx(2.0 / 3.0)
    assert rates.incubation is not None
    assert rates.incubation.value == pytest.approx(1.0 / (3.0 + 4.0))  # node 2 waits from 6 to 10
    assert rates.recovery is not None
    assert rates.recovery.value == pytest.approx(1.0 / (10.0 + 2.0))


def test_poisson_interval_has_its_likelihood_ratio():
    rate = Rate.from_events(20.0, 10.0)
    for end in (rate.low, rate.high):
        ratio = 2.0 * (20.0 * np.log(rate.value / end) - 10.0 * (rate.value - end))
        assert ratio == pytest.approx(3.8415, abs=1e-3)


def test_fading_infectiousness_is_noticed_and_measured():
    """Recoveries hidden: sir shows as fading; si does not."""
    graph = Graph.from_source("barabasi_albert:60:3", seed=0)
    seen = simulated("sir", graph, {"beta": 0.4, "gamma": 1.0}, count=60, until=8.0, seed=1)
    hidden = tuple(
        Cascade(c.name, c.node, c.time, c.parent, np.full(len(c.node), np.inf)) for c in seen.items
    )
    rates = fit_rates(Cascades(hidden, graph.names, False, False), graph, until=8.0)
    assert rates.fading
    assert rates.law == "sir"
    assert 0.5 < rates.recovery.value < 2.0
    for seed in (2, 3, 4):
        steady = simulated("si", graph, {"beta": 0.4}, count=30, until=2.0, seed=seed)
        assert not fit_rates(steady, graph, until=2.0).fading


def test_the_network_is_found_from_its_cascades():
    graph = Graph.from_source("barabasi_albert:25:2", seed=0)
    cascades = simulated("sir", graph, {"beta": 0.5, "gamma": 0.6}, count=250, until=4.0)
    found = infer_network(cascades, until=4.0)
    true, kept = graph.adjacency.toarray() > 0, found.graph.adjacency.toarray() > 0
    assert (true & kept).sum() >= 0.95 * true.sum()
    assert (kept & ~true).sum() <= 0.05 * true.sum()
    error = (found.rate - 0.5) / found.standard_error
    right = true[found.target, found.source]
    assert 0.6 < np.std(error[right]) < 1.6
    # Relabelled nodes give the relabelled network.
    order = np.random.default_rng(0).permutation(25)
    items = tuple(
        Cascade(c.name, order[c.node], c.time, c.parent, c.recovery) for c in cascades.items
    )
    again = infer_network(Cascades(items, cascades.names, False, True), until=4.0)
    np.testing.assert_allclose(again.rates[np.ix_(order, order)], found.rates, atol=1e-8)


def wiener(parents):
    """Return the mean distance over pairs, by walking from every node."""
    import networkx

    tree = networkx.Graph([(k, p) for k, p in enumerate(parents) if p >= 0])
    lengths = [
        length
        for a, reached in networkx.all_pairs_shortest_path_length(tree)
        for b, length in reached.items()
        if a < b
    ]
    return np.mean(lengths)


def test_shapes_of_random_trees_agree_with_walking():
    generator = np.random.default_rng(0)
    for size in (2, 5, 30):
        parents = [-1, *(int(generator.integers(k)) for k in range(1, size))]
        shape = shape_of(np.array(parents), np.arange(size) * 0.5)
        assert shape.structural_virality == pytest.approx(wiener(parents))
        assert shape.size == size
        assert shape.duration == (size - 1) * 0.5
    forest = shape_of(np.array([-1, -1, 0, 0, 1, 2]), np.zeros(6))
    assert (forest.beginnings, forest.depth, forest.breadth) == (2, 2, 3)
    assert shape_of(np.array([-1]), np.zeros(1)).structural_virality == 0.0


def test_likeliest_parents_weigh_edges_and_lags():
    # Nodes 0 and 1 both point at 2, with weights 3 and 1.
    graph = Graph(np.array([[0, 1], [2, 2]]), np.array([3.0, 1.0]), directed=True)
    cascade = Cascade(
        "a", np.array([0, 1, 2]), np.array([0.0, 0.0, 2.0]), np.full(3, -1), np.full(3, np.inf)
    )
    parents, probability = likely_parents(cascade, graph)
    assert parents.tolist() == [-1, -1, 0]
    assert probability[2] == pytest.approx(0.75)
    late = Cascade(
        "b", cascade.node, np.array([0.0, 1.0, 2.0]), np.array([-1, -1, -1]), cascade.recovery
    )
    parents, probability = likely_parents(late, graph, fading=3.0)
    assert parents[2] == 1
    assert probability[2] == pytest.approx(np.exp(-3.0) / (np.exp(-3.0) + 3.0 * np.exp(-6.0)))


def test_patterns_separate_stars_from_chains():
    generator = np.random.default_rng(0)
    rows = []
    for k in range(40):
        size = int(generator.integers(30, 60))
        star = [-1] + [0] * (size - 1)
        chain = [-1, *range(size - 1)]
        rows.append(shape_of(np.array(star if k % 2 else chain), np.arange(size) * 1.0))
    table = pandas.DataFrame([{f: getattr(s, f) for f in s.__slots__} for s in rows])
    pattern = cluster_shapes(table)
    stars, chains = set(pattern[1::2]), set(pattern[::2])
    assert stars.isdisjoint(chains)
    assert len(set(cluster_shapes(table.head(5)))) == 1


def test_runs_of_the_law_cover_what_was_observed():
    graph = Graph.from_source("barabasi_albert:60:2", seed=0)
    cascades = simulated("sir", graph, {"beta": 0.5, "gamma": 0.6}, count=40, until=6.0)
    result = explain_spread(cascades, graph, until=6.0, runs=200)
    curves = result.curves
    error = curves.observed.std(axis=0) / np.sqrt(40) + curves.simulated.std(axis=0) / np.sqrt(200)
    distance = np.abs(curves.observed.mean(axis=0) - curves.simulated.mean(axis=0))
    assert (distance <= 4.0 * error + 0.5).all()
    assert (curves.mean_field[5:] > curves.simulated.mean(axis=0)[5:]).all()
    table = result.transmissions_table()
    assert table["probability"].dropna().between(0, 1).all()
    assert set(result.metrics["rates"]) == {"infection", "recovery"}


HEAD = "cascade,node,time,parent,recovery\n"
BAD = {
    "unknown node": ("a,0,0,,\na,stranger,1,,\n", r"row 3: node 'stranger' is not a node"),
    "out of order": ("a,0,2,,\na,1,1,,\n", r"row 3: time 1 follows 2 in cascade 'a'"),
    "no time": ("a,0,,,\n", r"row 2: the time is missing"),
    "twice": ("a,0,0,,\na,0,1,,\n", r"row 3: node '0' is infected again"),
    "late parent": ("a,0,0,,\na,1,1,2,\na,2,2,,\n", r"row 3: parent '2' was not infected before"),
    "unknown parent": ("a,0,0,,\na,1,1,x,\n", r"row 3: parent 'x' is not a node"),
    "early recovery": ("a,0,3,,1\n", r"row 2: the recovery at 1 comes before the infection at 3"),
    "text": ("a,0,soon,,\n", r"row 2, column 'time': 'soon' is not a number"),
}


BAD_ONSETS = {
    "early": ("a,0,3,2,\n", r"row 2: the beginning of infectiousness at 2 comes before the infec"),
    "never": ("a,0,3,,5\n", r"row 2: the node recovered at 5, but by then it was not infectious"),
    "late": ("a,0,3,6,5\n", r"row 2: the node recovered at 5, but by then it was not infectious"),
}


@pytest.mark.parametrize("name", BAD_ONSETS)
def test_impossible_beginnings_of_infectiousness_are_refused(tmp_path, name):
    rows, message = BAD_ONSETS[name]
    path = tmp_path / "cascades.csv"
    path.write_text("cascade,node,time,infectious,recovery\n" + rows)
    with pytest.raises(InputError, match=r"cascades.csv, " + message):
        read_cascades(path, Graph.from_source("path:3"))


@pytest.mark.parametrize("name", BAD)
def test_bad_cascades_name_file_and_row(tmp_path, name):
    rows, message = BAD[name]
    path = tmp_path / "cascades.csv"
    path.write_text(HEAD + rows)
    with pytest.raises(InputError, match=r"cascades.csv, " + message):
        read_cascades(path, Graph.from_source("karate"))


def test_what_cannot_be_told_is_refused(tmp_path):
    path = tmp_path / "cascades.csv"
    path.write_text("cascade,node\na,0\n")
    with pytest.raises(InputError, match="column 'time' is missing"):
        read_cascades(path)
    path.write_text("cascade,node,time\na,0,0\nb,3,0\n")
    karate = Graph.from_source("karate")
    alone = read_cascades(path, karate)
    with pytest.raises(InputError, match="the rate cannot be told"):
        fit_rates(alone, karate)
    with pytest.raises(InputError, match="observation ends at -1"):
        fit_rates(alone, karate, until=-1.0)
    path.write_text("cascade,node,time\na,0,0\na,1,1\n")
    with pytest.raises(InputError, match="several cascades"):
        infer_network(read_cascades(path))

"""Stochastic epidemics against exact truths: master equations, closed forms, mean-field limits."""

import itertools

import numpy as np
import pytest
from scipy.linalg import expm
from scipy.stats import kstest

from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.spread.epidemic import simulate_epidemic
from graphtide.spread.laws import EPIDEMIC_LAWS, law_of, rates_of, seeded_start

RATES = {
    "si": {"beta": 0.7},
    "sis": {"beta": 0.9, "delta": 0.6},
    "sir": {"beta": 0.9, "gamma": 0.6},
    "seir": {"beta": 0.9, "sigma": 1.3, "gamma": 0.6},
}
# A directed, weighted network of three nodes: 0 -> 1 (2), 1 -> 2 (0.5), 2 -> 0 (1), 0 -> 2 (0.7).
THREE = Graph(np.array([[0, 1, 2, 0], [1, 2, 0, 2]]), np.array([2.0, 0.5, 1.0, 0.7]), directed=True)


def marginals(name, graph, start, time):
    """Return the exact probability of each state of each node, by the master equation.

    The generator over all joint states is exponentiated; `start` is a tuple of letters.
    """
    law, rates = EPIDEMIC_LAWS[name], RATES[name]
    letters = law.compartments
    joint = list(itertools.product(letters, repeat=graph.node_count))
    number = {state: k for k, state in enumerate(joint)}
    infected = "E" if law.incubation else "I"
    after = "S" if law.reinfection else "R"
    generator = np.zeros((len(joint), len(joint)))
    weights = graph.adjacency.toarray()  # [target, source]
    for state, k in number.items():
        for i, letter in enumerate(state):
            moves = {}
            if letter == "S":
                force = sum(weights[i, j] for j, other in enumerate(state) if other == "I")
                moves[infected] = rates["beta"] * force
            elif letter == "E":
                moves["I"] = rates["sigma"]
            elif letter == "I" and law.recovery:
                moves[after] = rates[law.recovery]
            for to, rate in moves.items():
                reached = number[(*state[:i], to, *state[i + 1 :])]
                generator[k, reached] += rate
                generator[k, k] -= rate
    chance = expm(generator * time)[number[start]]
    return np.array(
        [
            [
                sum(p for p, s in zip(chance, joint, strict=True) if s[i] == letter)
                for letter in letters
            ]
            for i in range(graph.node_count)
        ]
    )


@pytest.mark.parametrize("name", EPIDEMIC_LAWS)
def test_every_law_follows_its_master_equation(name):
    """Node by node; 4.5 standard errors of a share over the runs (fixed seed)."""
    runs = 3000
    law = EPIDEMIC_LAWS[name].equation(**RATES[name])
    times = np.array([0.0, 0.4, 1.5])
    start = seeded_start(law, THREE, [0])
    result = simulate_epidemic(law, THREE, times, start, runs=runs, seed=1, nodes=True)
    letters = EPIDEMIC_LAWS[name].compartments
    for k in (1, 2):
        exact = marginals(name, THREE, ("I", "S", "S"), times[k])
        seen = result.nodes.states[k]
        if len(law.variables) == 1:
            seen = np.concatenate([1 - seen, seen], axis=1)
        error = np.sqrt(exact * (1 - exact) / runs)
        assert (np.abs(seen - exact) < 4.5 * error + 1e-12).all(), (name, letters, seen, exact)
        np.testing.assert_allclose(result.mean[k], seen.sum(axis=0), atol=1e-9)


def test_the_master_equation_itself_knows_the_wrong_rate():
    """The comparison above can fail: twice the rate of recovery is told apart."""
    law = EPIDEMIC_LAWS["sir"].equation(beta=0.9, gamma=1.2)
    start = seeded_start(law, THREE, [0])
    result = simulate_epidemic(
        law, THREE, np.array([0.0, 1.5]), start, runs=8000, seed=1, nodes=True
    )
    exact = marginals("sir", THREE, ("I", "S", "S"), 1.5)
    error = np.sqrt(exact * (1 - exact) / 8000)
    assert (np.abs(result.nodes.states[1] - exact) > 4.5 * error).any()


@pytest.mark.parametrize(("name", "weight"), [("sir", 1.0), ("sir", 2.5), ("seir", 1.0)])
def test_a_pair_transmits_with_beta_over_beta_plus_gamma(name, weight):
    pair = Graph(np.array([[0, 1], [1, 0]]), np.array([weight, weight]))
    law = EPIDEMIC_LAWS[name].equation(**RATES[name])
    beta, gamma = weight * RATES[name]["beta"], RATES[name]["gamma"]
    start = seeded_start(law, pair, [0])
    result = simulate_epidemic(law, pair, np.array([0.0, 1e6]), start, runs=8000, seed=2)
    exact = beta / (beta + gamma)
    error = np.sqrt(exact * (1 - exact) / 8000)
    assert abs((result.ever_infected == 2).mean() - exact) < 4 * error


def test_infections_carry_times_recoveries_and_sources():
    """On a pair under SI the second infection comes after an exponential time of rate beta."""
    pair = Graph.from_source("path:2")
    law = EPIDEMIC_LAWS["si"].equation(beta=2.0)
    start = seeded_start(law, pair, [1])
    result = simulate_epidemic(
        law, pair, np.array([1.0, 1e6]), start, runs=4000, seed=3, infections=True
    )
    waits = np.array([run.time[1] - 1.0 for run in result.infections])
    assert kstest(2.0 * waits, "expon").pvalue > 1e-3
    for run in result.infections:
        assert run.node.tolist() == [1, 0]
        assert run.source.tolist() == [-1, 1]
        assert np.isinf(run.recovery).all()


@pytest.mark.parametrize("name", ["sis", "sir", "seir"])
def test_recorded_infections_agree_with_the_counts(name):
    graph = Graph.from_source("barabasi_albert:200:3", seed=0)
    law = EPIDEMIC_LAWS[name].equation(**RATES[name])
    times = np.linspace(0.0, 4.0, 9)
    start = seeded_start(law, graph, [0, 5])
    result = simulate_epidemic(law, graph, times, start, runs=3, seed=0, infections=True)
    for counts, run in zip(result.counts, result.infections, strict=True):
        assert (np.diff(run.time) >= 0).all()
        assert (run.recovery > run.time).all()
        linked = run.source >= 0
        assert linked.sum() == len(run.node) - 2
        edges = graph.adjacency[run.node[linked], run.source[linked]]
        assert (edges > 0).all()
        susceptible = counts[:, 0]
        if name != "sis":
            infected = (run.time[:, None] <= times).sum(axis=0)
            np.testing.assert_array_equal(susceptible, graph.node_count - infected)
        sick = ((run.time[:, None] <= times) & (run.recovery[:, None] > times)).sum(axis=0)
        np.testing.assert_array_equal(
            counts[:, 1:].sum(axis=1) - (counts[:, -1] if name in ("sir", "seir") else 0), sick
        )


@pytest.mark.parametrize("name", EPIDEMIC_LAWS)
def test_runs_approach_the_mean_field_on_a_dense_graph(name):
    """On a complete graph of N nodes the mean of runs is the mean field up to O(1/N)."""
    distances = [mean_field_distance(name, count) for count in (20, 160)]
    assert distances[1] < 0.03
    assert distances[1] < distances[0] / 3


def mean_field_distance(name, count):
    """Return the largest distance between the mean of runs and the mean field, in shares."""
    graph = Graph.from_source(f"complete:{count}")
    rates = {**RATES[name], "beta": 2.0 / count}
    law = EPIDEMIC_LAWS[name].equation(**rates)
    times = np.linspace(0.0, 8.0, 9)
    start = seeded_start(law, graph, np.arange(count // 10))
    result = simulate_epidemic(law, graph, times, start, runs=16000 // count, seed=4)
    exact = simulate(law, graph, times, start).states.mean(axis=1)
    share = result.mean / count
    expected = np.concatenate([1 - exact, exact], axis=1) if len(law.variables) == 1 else exact
    # The epidemic moves by far more than the distances that are judged.
    assert np.ptp(share[:, 0]) > 0.2
    return float(np.abs(share - expected).max())


def test_the_result_depends_on_the_seed_and_not_on_the_threads():
    graph = Graph.from_source("barabasi_albert:300:3", seed=0)
    law = EPIDEMIC_LAWS["sis"].equation(beta=0.3, delta=1.0)
    times = np.linspace(0.0, 3.0, 7)
    start = seeded_start(law, graph, [0, 1, 2])
    one, two, other = (
        simulate_epidemic(law, graph, times, start, runs=7, seed=seed, threads=threads).counts
        for seed, threads in ((0, 1), (0, 3), (1, 1))
    )
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_a_start_of_probabilities_is_drawn_anew_for_each_run():
    graph = Graph(np.zeros((2, 0)), node_count=2000)
    law = EPIDEMIC_LAWS["seir"].equation(beta=1.0, sigma=1.0, gamma=1.0)
    start = np.tile([0.4, 0.3, 0.2, 0.1], (2000, 1))
    result = simulate_epidemic(law, graph, np.array([0.0]), start, runs=20, seed=0)
    np.testing.assert_allclose(result.mean[0] / 2000, start[0], atol=4 * 0.5 / np.sqrt(40000))
    assert len(set(result.counts[:, 0, 1])) > 1
    assert (result.ever_infected == result.counts[:, 0, 1:3].sum(axis=1)).all()


def test_tables_hold_every_run_or_their_quantiles():
    graph = Graph.from_source("karate")
    law = EPIDEMIC_LAWS["sir"].equation(beta=0.2, gamma=0.5)
    times = np.linspace(0.0, 5.0, 4)
    result = simulate_epidemic(law, graph, times, seeded_start(law, graph, [0]), runs=5, seed=0)
    table = result.table()
    assert list(table.columns) == ["run", "time", "S", "I", "R"]
    assert (table[["S", "I", "R"]].sum(axis=1) == 34).all()
    summary = result.summary()
    assert summary["I_mean"].iloc[-1] == pytest.approx(
        table[table["time"] == times[-1]]["I"].mean()
    )


def test_laws_are_recognised_by_their_equation():
    for name, law in EPIDEMIC_LAWS.items():
        assert law_of(law.equation(**RATES[name])).name == name
    assert rates_of(EPIDEMIC_LAWS["seir"].equation(**RATES["seir"])).incubation == 1.3


SIR = EPIDEMIC_LAWS["sir"].equation(beta=0.2, gamma=0.5)
KARATE = Graph.from_source("karate")
TIMES = np.array([0.0, 1.0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"equation": Equation.parse("dx/dt = -x")}, "si, sis, sir, seir"),
        ({"equation": SIR.with_parameters(beta=-1.0)}, "rate beta is -1"),
        ({"equation": EPIDEMIC_LAWS["sir"].equation(beta=1.0)}, "'gamma' has no value"),
        ({"times": np.array([1.0, 0.0])}, "times must increase"),
        ({"times": np.array([0.0, np.nan])}, "finite"),
        ({"start": np.zeros((34, 3))}, "node '0' adds up to 0"),
        ({"start": np.full((34, 3), 2.0)}, "S = 2"),
        ({"start": np.zeros((33, 3))}, r"\(34, 3\) was expected"),
        ({"runs": 0}, "0 runs"),
        (
            {"graph": Graph(np.array([[0], [1]]), np.array([-2.0]), node_count=34, directed=True)},
            "from '0' to '1' has weight -2",
        ),
    ],
)
def test_bad_input_is_one_sentence(change, message):
    arguments = {
        "equation": SIR,
        "graph": KARATE,
        "times": TIMES,
        "start": seeded_start(SIR, KARATE, [0]),
        **change,
    }
    with pytest.raises(InputError, match=message):
        simulate_epidemic(**arguments)


def test_seeds_must_be_nodes():
    with pytest.raises(InputError, match="numbered from 0"):
        seeded_start(SIR, KARATE, [34])

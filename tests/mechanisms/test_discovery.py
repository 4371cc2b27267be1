"""Known laws are found again: structure, coefficients within their errors, honest refusals."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.candidates import evaluate
from graphtide.mechanisms.library import library
from graphtide.mechanisms.regression import discover
from graphtide.run import Run
from graphtide.trajectory import Trajectory

BARABASI = Graph.from_source("barabasi_albert:100:3", seed=1)


def noisy(name, stop, noise, graph=BARABASI, count=150):
    times = np.linspace(0, stop, count)
    return simulate(CATALOGUE[name].equation, graph, times, noise=noise, seed=3)


LAWS = {
    "heat": (2.0, {"sum_j A_ij*(x_j - x_i)": 1.0}),
    "sis": (4.0, {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}),
    "lotka_volterra": (8.0, {"x": 0.5, "x^2": -0.5, "sum_j A_ij*(x_i*x_j)": -0.05}),
    "kuramoto": (8.0, {"1": 0.5, "sum_j A_ij*(sin(theta_j - theta_i))": 0.1}),
}


@pytest.mark.parametrize("name", LAWS)
@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_law_is_found_with_coefficients_within_their_errors(name, noise):
    stop, law = LAWS[name]
    found = discover(noisy(name, stop, noise), BARABASI, inclusion_repetitions=2)
    terms = {term.text: term for term in found.laws[0].terms}
    assert set(terms) == set(law)
    assert found.bias_corrected
    for text, value in law.items():
        assert terms[text].coefficient == pytest.approx(value, rel=0.05 if noise else 1e-4)
        # Without noise what is left is the quadrature on 150 times, about one part in 10^4.
        allowed = 4 * terms[text].standard_error + 2e-4 * abs(value)
        assert abs(terms[text].coefficient - value) < allowed
        assert terms[text].inclusion_frequency == 1.0


def test_two_trajectories_and_missing_readings():
    states = [noisy("sis", 4.0, 0.02), noisy("sis", 4.0, 0.02)]
    holes = states[0].states.copy()
    holes[np.random.default_rng(0).random(holes.shape) < 0.1] = np.nan
    found = discover([states[0].with_states(holes), states[1]], BARABASI, inclusion_repetitions=0)
    assert {term.text for term in found.laws[0].terms} == set(LAWS["sis"][1])


@pytest.mark.slow
def test_trajectories_on_graphs_of_different_sizes():
    graphs = [Graph.from_source("barabasi_albert:40:3"), Graph.from_source("small_world:50:4:0.1")]
    states = [
        simulate(CATALOGUE["sis"].equation, g, np.linspace(0, 5, 100), noise=0.01, seed=k)
        for k, g in enumerate(graphs)
    ]
    found = discover(states, graphs, inclusion_repetitions=0)
    terms = {t.text: t.coefficient for t in found.laws[0].terms}
    expected = {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}
    assert terms == pytest.approx(expected, rel=0.02)
    # Where no law follows the nodes, constants of theirs are not tried: they are of one graph.
    wrong = [
        Graph.from_source("barabasi_albert:40:3@7"),
        Graph.from_source("small_world:50:4:0.9@7"),
    ]
    assert discover(states, wrong, inclusion_repetitions=0).node_effects is None
    with pytest.raises(InputError, match=r"node effects \(1\) belong to the nodes of one graph"):
        discover(states, graphs, node_effects=["1"])


def test_irregular_times():
    times = np.sort(np.random.default_rng(1).uniform(0, 2, 150))
    states = simulate(CATALOGUE["heat"].equation, BARABASI, times, noise=0.02, seed=3)
    found = discover(states, BARABASI, inclusion_repetitions=0)
    assert [term.text for term in found.laws[0].terms] == ["sum_j A_ij*(x_j - x_i)"]


def test_several_variables():
    states = noisy("sir", 10.0, 0.02, count=200)
    found = discover(states, BARABASI, inclusion_repetitions=0)
    by_variable = {law.variable: {t.text for t in law.terms} for law in found.laws}
    assert by_variable == {
        "S": {"sum_j A_ij*(S_i*I_j)"},
        "I": {"sum_j A_ij*(S_i*I_j)", "I"},
        "R": {"I"},
    }


def test_relabelled_nodes_give_the_same_law():
    states = noisy("heat", 2.0, 0.05)
    order = np.random.default_rng(5).permutation(100)
    place = np.empty(100, dtype=int)
    place[order] = np.arange(100)
    graph = Graph(place[BARABASI.edge_index], BARABASI.edge_weight)
    moved = Trajectory(states.times, states.states[:, order], names=graph.names)
    laws = [
        discover(t, g, repetitions=0).laws[0].terms for t, g in ((states, BARABASI), (moved, graph))
    ]
    assert laws[0][0].coefficient == pytest.approx(laws[1][0].coefficient, rel=1e-9)


def test_candidates_equal_a_plain_double_loop():
    graph = Graph.from_source("erdos_renyi:8:0.4", seed=2)
    generator = np.random.default_rng(6)
    for variables in (("x",), ("x", "y")):
        for kind in ("sum", "mean"):
            candidates = library(variables, kind)
            states = {name: generator.uniform(0.1, 2, size=(1, 8)) for name in variables}
            values = evaluate(candidates, states, graph)[:, 0]
            start = np.stack([states[name][0] for name in variables], axis=1)
            for p, candidate in enumerate(candidates):
                others = {name: [(1.0, "1", None)] for name in variables[1:]}
                law = Equation.from_terms(
                    variables, {variables[0]: [(1.0, candidate.text, None)], **others}
                )
                rate = law.compile().on(graph)(
                    torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(start)
                )
                np.testing.assert_allclose(
                    values[p],
                    rate[:, 0].detach().numpy(),
                    rtol=1e-10,
                    atol=1e-12,
                    err_msg=candidate.text,
                )


def test_saved_run_holds_the_law(tmp_path):
    found = discover(noisy("heat", 2.0, 0.05), BARABASI, inclusion_repetitions=2)
    run = Run.create(tmp_path / "law", kind="mechanisms equation", configuration={})
    found.save(run)
    assert Equation.read(run.path / "equation.json") == found.equation
    assert list(run.read_table("terms")["term"]) == ["sum_j A_ij*(x_j - x_i)"]
    assert run.read_table("sizes")["chosen"].sum() == 1
    assert run.read_trajectory("predicted").states.shape == (150, 100, 1)
    assert all(isinstance(note, str) for note in run.read_json("notes.json"))


def test_regular_graphs_are_told_to_hide_the_degree():
    graph = Graph.from_source("ring:60")
    found = discover(noisy("heat", 2.0, 0.02, graph), graph, inclusion_repetitions=0)
    assert any("same in-degree 2" in note for note in found.notes)


@pytest.mark.parametrize(
    ("states", "sentence"),
    [
        (np.random.default_rng(0).random((19, 100)), "19 times are too few"),
        (np.ones((30, 100)), "nothing moves"),
    ],
)
def test_data_without_a_law_are_refused(states, sentence):
    with pytest.raises(InputError, match=sentence):
        discover(Trajectory(np.arange(len(states), dtype=float), states), BARABASI)

"""Wrong structure and differing nodes: the law is found beside them, and they are named."""

import numpy as np
import pytest

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.effects import parse_effects
from graphtide.mechanisms.following import node_fits
from graphtide.mechanisms.lawsearch import weak_fit
from graphtide.mechanisms.library import library
from graphtide.mechanisms.quasilinear import Model, fit_path
from graphtide.mechanisms.regression import discover
from graphtide.mechanisms.rows import prepare
from graphtide.mechanisms.trimmed import trimmed_law
from graphtide.trajectory import Trajectory
from graphtide.weakform.gram import node_gram

GRAPH = Graph.from_source("barabasi_albert:60:3", seed=4)
SIS = {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}


def observed(name, stop, noise, seed=3, graph=GRAPH):
    times = np.linspace(0, stop, 120)
    return simulate(CATALOGUE[name].equation, graph, times, noise=noise, seed=seed)


def undirected(pairs, count=60):
    edges = np.array(sorted(pairs)).T
    return Graph(np.concatenate([edges, edges[::-1]], axis=1), node_count=count)


def pairs_of(graph):
    return {(min(a, b), max(a, b)) for a, b in graph.edge_index.T.tolist()}


def law(variables, coefficients):
    terms = {term.text: term for term in library(variables, "sum")}
    return Model(
        variables,
        (tuple(terms[text] for text in coefficients),),
        (np.array(list(coefficients.values())),),
    )


def test_trimmed_search_finds_the_law_of_the_minority_that_shares_one():
    generator = np.random.default_rng(0)
    rows = generator.normal(size=(30, 50, 12))
    left = rows[:, :, [2, 7]] @ np.array([1.0, -0.5]) + 0.05 * generator.normal(size=(30, 50))
    wrong = np.arange(50) >= 20  # thirty of fifty follow laws of their own
    left[:, wrong] = np.einsum("wnp,np->wn", rows[:, wrong], generator.normal(size=(30, 12)))
    gram = node_gram(rows, left).scaled_nodes()
    found = trimmed_law(gram, np.ones(50), share=0.3, seed=1)
    assert found.terms == (2, 7)
    assert (found.kept < 20).all()
    # The plain search on the same nodes does not see it.
    assert trimmed_law(gram, np.ones(50), share=1.0, seed=1).terms != (2, 7)


@pytest.mark.parametrize("noise", [0.0, 0.02, 0.2])
def test_nodes_of_a_right_structure_follow_and_those_with_a_lost_edge_do_not(noise):
    states = observed("sis", 4.0, noise)
    (fit,) = node_fits([prepare(states, GRAPH)], law(("x",), SIS))
    assert fit.follows.all()
    if noise:  # mean square of white noise: one, to within its own scatter over 120 readings
        assert np.mean(fit.misfit) == pytest.approx(1.0, abs=0.05)
        assert np.std(fit.misfit) == pytest.approx(np.sqrt(2 / 119), rel=0.3)
    lost = sorted(pairs_of(GRAPH))[40]
    graph = undirected(pairs_of(GRAPH) - {lost})
    (fit,) = node_fits([prepare(Trajectory(states.times, states.states), graph)], law(("x",), SIS))
    assert set(fit.nodes[~fit.follows]) <= set(lost)
    if noise < 0.1:
        assert set(fit.nodes[~fit.follows]) == set(lost)


@pytest.mark.slow
def test_wrong_edges_switch_robust_mode_on_and_are_named():
    states = observed("sis", 4.0, 0.02)
    generator = np.random.default_rng(5)
    known = pairs_of(GRAPH)
    dropped = [sorted(known)[k] for k in generator.choice(len(known), 5, replace=False)]
    added = []
    while len(added) < 3:
        a, b = sorted(generator.choice(60, 2, replace=False).tolist())
        if (a, b) not in known:
            added.append((a, b))
    graph = undirected((known - set(dropped)) | set(added))
    wrong = Trajectory(states.times, states.states)
    found = discover(wrong, graph, inclusion_repetitions=0)
    assert found.robust
    assert {t.text: t.coefficient for t in found.laws[0].terms} == pytest.approx(SIS, rel=0.03)
    ends = [node for pair in [*dropped, *added] for node in pair]
    assert {s.node for s in found.suspects} <= set(ends)
    assert len(found.suspects) >= 0.8 * len(set(ends))
    # Where one edge alone is wrong at a node, it is the one proposed.
    wanted = {(n, *_other(pair, n)) for pair in dropped for n in pair}
    single = {s.node: s for s in found.suspects if ends.count(s.node) == 1 and s.neighbour}
    lost = [s for s in single.values() if (s.node, s.neighbour) in wanted]
    assert lost
    assert all(s.change == "add" for s in lost)
    spurious = {(n, *_other(pair, n)) for pair in added for n in pair}
    right = [s for s in single.values() if (s.node, s.neighbour) in wanted | spurious]
    assert len(right) >= 0.8 * len(single)
    assert any("do not follow the law" in note for note in found.notes)
    plain = discover(wrong, graph, robust="off", node_effects=(), inclusion_repetitions=0)
    assert not plain.robust
    assert {t.text for t in plain.laws[0].terms} != set(SIS)


def _other(pair, node):
    return (pair[1] if pair[0] == node else pair[0],)


def heterogeneous(noise):
    omega = np.random.default_rng(7).normal(0.5, 0.3, 60)
    graph = GRAPH.with_node_attributes(omega=omega)
    equation = Equation.parse("dtheta/dt = omega_i + 0.1*sum_j A_ij*sin(theta_j - theta_i)")
    start = np.random.default_rng(8).uniform(-2, 2, (60, 1))
    times = np.linspace(0, 8, 120)
    states = simulate(equation, graph, times, start, noise=noise, seed=2)
    return Trajectory(times, states.states, variables=("theta",)), omega


def test_projecting_node_effects_out_is_regression_with_a_column_for_each_node():
    states, _ = heterogeneous(0.02)
    sample = prepare(states, GRAPH).with_effects(parse_effects(["1"], ("theta",)))
    term = next(c for c in library(("theta",), "sum") if "sin(theta_j - theta_i)" in c.text)
    found = weak_fit([sample], 0, [term]).coefficients
    rows, own = sample.own_rows([term])[:, :, 0], sample.own_rows(sample.effects)[:, :, 0]
    left = sample.own_left(0)
    # The same weights as the projected rows are given.
    energy = (sample.left(0) ** 2).sum(axis=0)
    weight = 1 / np.sqrt(np.maximum(energy, 0.01 * np.median(energy)))
    dummies = np.einsum("wn,nm->wnm", own * weight, np.eye(60)).reshape(-1, 60)
    full = np.column_stack([(rows * weight).reshape(-1), dummies])
    expected = np.linalg.lstsq(full, (left * weight).reshape(-1), rcond=None)[0]
    assert found[0] == pytest.approx(expected[0], rel=1e-9)


@pytest.mark.parametrize("noise", [0.0, pytest.param(0.1, marks=pytest.mark.slow)])
def test_node_constants_are_taken_in_by_themselves_and_written_as_a_table(noise):
    states, omega = heterogeneous(noise)
    found = discover(states, GRAPH, inclusion_repetitions=0)
    assert {t.text for t in found.laws[0].terms} == {"sum_j A_ij*(sin(theta_j - theta_i))"}
    assert found.laws[0].terms[0].coefficient == pytest.approx(0.1, rel=0.05 if noise else 1e-3)
    table = found.node_effects.table(found.samples[0].observed.names)
    assert list(table["term"].unique()) == ["1"]
    error = table["value"].to_numpy() - omega
    if noise:
        assert np.std(error / table["standard_error"]) == pytest.approx(1.0, abs=0.4)
    np.testing.assert_allclose(table["value"], omega, atol=0.15 if noise else 2e-3)
    # The law with its constants can be simulated: it is an equation with a node attribute.
    assert found.equation.attributes == ("effect1",)
    assert found.predicted is not None
    assert np.nanmean(np.abs(found.predicted - states.states)) < (0.1 if noise else 1e-2) * 3


def test_path_fit_with_node_constants_leaves_the_noise():
    states, _ = heterogeneous(0.1)
    sample = prepare(states, GRAPH).with_effects(parse_effects(["1"], ("theta",)))
    fit = fit_path([sample], law(("theta",), {"sum_j A_ij*(sin(theta_j - theta_i))": 0.08}))
    assert fit.model.coefficients[0][0] == pytest.approx(0.1, rel=0.05)
    # 120 readings a node less a start and a constant each.
    assert fit.misfit == pytest.approx(118 / 120, abs=0.04)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (["a"], "'a' is no variable"),
        (["sum_j A_ij*x_j"], "sums over neighbours"),
        (["1", "1"], "given twice"),
        (["2"], "plain number"),
        (["x", "x^2", "x^3", "x^4", "1"], "too many"),
    ],
)
def test_bad_node_effects(text, sentence):
    with pytest.raises(InputError, match=sentence):
        parse_effects(text, ("x",))

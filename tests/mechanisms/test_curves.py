"""Free curves of a law against the functions that were planted, and terms read off expressions."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.graph import Graph
from graphtide.mechanisms.curve_terms import _candidates
from graphtide.mechanisms.curves import Curve, additive_curves
from graphtide.mechanisms.regression import discover
from graphtide.mechanisms.rows import prepare
from graphtide.mechanisms.symbolic import symbolic_terms

GRAPH = Graph.from_source("barabasi_albert:60:3", seed=0)


def curves_of(law, times):
    """Return the curves of the first variable, by place."""
    states = simulate(law, GRAPH, times, seed=0)
    (curves,) = additive_curves([prepare(states, GRAPH)])
    return {curve.place: curve for curve in curves}


def distance(curve, function):
    """Return the largest distance from a function up to a constant, as a share of its range."""
    true = function(curve.points)
    apart = curve.values - (true - true.mean())
    return np.abs(apart).max() / np.ptp(true)


def test_the_functions_of_a_gene_network_are_found_without_a_form():
    found = curves_of(CATALOGUE["gene"].equation, np.linspace(0.0, 6.0, 121))
    assert set(found) == {"own", "neighbour"}
    assert distance(found["own"], lambda x: -x) < 0.01
    assert distance(found["neighbour"], lambda x: x**2 / (1 + x**2)) < 0.25


def test_a_coupling_of_differences_is_told_from_one_of_neighbours():
    law = Equation.parse("dx/dt = 1 - x^2/(2 + x) + 0.05*sum_j A_ij*tanh(3*(x_j - x_i))")
    found = curves_of(law, np.linspace(0.0, 4.0, 201))
    assert set(found) == {"own", "difference"}
    assert distance(found["own"], lambda x: -(x**2) / (2 + x)) < 0.02
    assert distance(found["difference"], lambda x: 0.05 * np.tanh(3 * x)) < 0.1


def test_a_node_alone_has_no_curve_of_neighbours():
    states = simulate(
        Equation.parse("dx/dt = x - x^2"),
        Graph.from_source("single"),
        np.linspace(0, 6, 60),
        seed=0,
    )
    (curves,) = additive_curves([prepare(states, Graph.from_source("single"))])
    assert [curve.place for curve in curves] == ["own"]


@pytest.mark.parametrize(
    ("place", "text", "terms"),
    [
        ("own", "(2.0 + (3.0 * tanh((0.5 * s))))", ["tanh(0.5*x)"]),
        (
            "neighbour",
            "((-2.5) / (((1.5 * s) ^ 2) + 4.5))",
            ["sum_j A_ij/(0.5*x_j^2 + 1)"],
        ),
        (
            "difference",
            "((2.0 * s) + (0.3 * sin((4.0 * s))))",
            ["sum_j A_ij*(x_j - x_i)", "sum_j A_ij*sin(4*(x_j - x_i))"],
        ),
        ("own", "(7.0 + (0.0 * s))", []),
        (
            "own",
            "sin(((2.1 * s) + sin(((3.1 * s) + sin(((4.1 * s) + (5.1 * exp((6.1 * s)))))))))",
            [],
        ),
    ],
)
def test_an_expression_of_a_curve_becomes_terms(place, text, terms):
    curve = Curve(place, "x", np.array([0.0, 1.0]), np.array([0.0, 1.0]), ())
    assert sorted(t.text for t in _candidates(text, curve, ("x",))) == sorted(terms)


def test_constants_inside_a_term_move_without_changing_sign():
    curve = Curve("own", "x", np.array([0.0, 1.0]), np.array([0.0, 1.0]), ())
    (term,) = _candidates("sin(((-2.5) * s))", curve, ("x",))
    assert len(term.inner) == 1
    moved = term.moved(np.array([np.log(1.5)]))
    states = {"x": np.linspace(-1.0, 1.0, 5)[None]}
    sign = np.sign(moved.own(states)[0, -1] / np.sin(-3.75))
    assert moved.own(states) == pytest.approx(sign * np.sin(-3.75 * states["x"]))


@pytest.mark.peer
def test_a_law_with_functions_that_no_library_holds_is_found():
    law = Equation.parse("dx/dt = 1 - x^2/(2 + x) + 0.05*sum_j A_ij*tanh(3*(x_j - x_i))")
    states = simulate(law, GRAPH, np.linspace(0.0, 4.0, 301), noise=0.002, seed=0)
    further = symbolic_terms([states], [GRAPH], seed=0)
    found = discover(states, GRAPH, library=further, inclusion_repetitions=0, repetitions=0)
    true = law.compile().on(GRAPH)
    learned = found.equation.compile().on(GRAPH)
    visited = torch.tensor(states.states[::20])
    moment = torch.tensor(0.0)
    apart = torch.stack([learned(moment, x) - true(moment, x) for x in visited])
    size = torch.stack([true(moment, x) for x in visited])
    assert float(apart.square().mean().sqrt() / size.square().mean().sqrt()) < 0.01
    (coupling,) = [t for t in found.laws[0].terms if "A_ij" in t.text]
    assert coupling.coefficient == pytest.approx(0.05, rel=0.01)
    rate = float(coupling.text.removeprefix("sum_j A_ij*tanh(").split("*")[0])
    assert rate == pytest.approx(3.0, rel=0.01)

"""Symbolic regression offers candidates; the search decides. Without the extra it says so."""

import importlib.util

import numpy as np
import pytest

from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.regression import discover
from graphtide.mechanisms.symbolic import _terms, symbolic_terms

GRAPH = Graph.from_source("barabasi_albert:40:3", seed=1)


def test_an_expression_is_taken_apart_into_terms():
    text = "((1.5 * x) + ((0.3 * total0) - (2 * sin((2.5 * x)))))"
    assert [t.text for t in _terms(text, ("x",))] == ["x", "sum_j A_ij*x_j", "sin(2.5*x)"]
    # A factor that is a sum is opened; a function of a neighbour sum is no term of the search.
    assert [t.text for t in _terms("x * (total0 + 2)", ("x",))] == [
        "(sum_j A_ij*x_j)*x",
        "x",
    ]
    assert [t.text for t in _terms("0.1 * gap0", ("x",))] == ["sum_j A_ij*(x_j - x_i)"]
    assert _terms("sin(total0)", ("x",)) == []


def test_without_the_extra_it_says_which(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="extra `symbolic`"):
        symbolic_terms([], [])


@pytest.mark.peer
def test_a_function_outside_the_library_is_found():
    law = Equation.parse("dx/dt = -sin(2.5*x) + 0.1*sum_j A_ij*(x_j - x_i)")
    start = np.random.default_rng(0).uniform(-2, 2, (40, 1))
    states = simulate(law, GRAPH, np.linspace(0, 3, 150), start, noise=0.002, seed=1)
    further = symbolic_terms([states], [GRAPH], seed=1)
    found = discover(states, GRAPH, library=further, inclusion_repetitions=0, repetitions=0)
    (sine,) = [t.text for t in found.laws[0].terms if t.text.startswith("sin(")]
    rate = float(sine.removeprefix("sin(").split("*")[0])
    assert abs(rate) == pytest.approx(2.5, rel=0.01)

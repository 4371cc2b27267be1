"""Terms as text: they are evaluated as the equation's compiler does, and errors name the line."""

import contextlib

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.equation.expression import symbols
from graphtide.equation.grammar import parse_expression
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.candidates import evaluate, message
from graphtide.mechanisms.regression import discover
from graphtide.mechanisms.user_terms import read_terms, term_of

GRAPH = Graph.from_source("erdos_renyi:9:0.4", seed=1).with_node_attributes(
    omega=np.linspace(0.2, 1.8, 9)
)
STATES = np.random.default_rng(0).uniform(0.2, 1.5, (9, 2))

OWN = st.sampled_from(["x", "y", "x_i", "omega_i", "k_i", "1", "2.5"])
OTHER = st.sampled_from(["x", "x_i", "x_j", "y_j", "omega_j", "k_j", "0.5"])


def expressions(leaves):
    def grown(children):
        return st.one_of(
            st.tuples(children, st.sampled_from(["+", "-", "*"]), children).map(
                lambda t: f"({t[0]} {t[1]} {t[2]})"
            ),
            children.map(lambda c: f"sin({c})"),
            children.map(lambda c: f"{c}/(1 + abs({c}))"),
            children.map(lambda c: f"({c})^2"),
        )

    return st.recursive(leaves, grown, max_leaves=5)


def rates(text):
    law = Equation.from_terms(("x", "y"), {"x": [(1.0, text, None)], "y": [(1.0, "x", None)]})
    rate = law.compile().on(GRAPH)(torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(STATES))
    return rate[:, 0].detach().numpy()


def series():
    return {"x": STATES[None, :, 0], "y": STATES[None, :, 1]}


@given(expressions(OWN))
def test_own_terms_equal_the_compiled_equation(text):
    if not symbols(parse_expression(text, ("x", "y"))):  # a number
        return
    term = term_of(text, ("x", "y"))
    np.testing.assert_allclose(
        evaluate([term], series(), GRAPH)[0, 0], rates(text), rtol=1e-9, atol=1e-9
    )


@given(
    st.sampled_from(["sum", "mean"]), expressions(OTHER), st.sampled_from(["", "x*", "omega_i*"])
)
def test_coupling_terms_equal_the_compiled_equation(kind, body, factor):
    text = f"{factor}{kind}_j A_ij*({body})"
    if parse_expression(text, ("x", "y")) == parse_expression("0", ("x", "y")):
        return
    term = term_of(text, ("x", "y"))
    np.testing.assert_allclose(
        evaluate([term], series(), GRAPH)[0, 0], rates(text), rtol=1e-9, atol=1e-9
    )
    # What one node gets from each, weighted, adds up to its sum.
    here = {name: s[:, [3]] + 0 * s for name, s in series().items()}
    total = message(term, here, series(), GRAPH, 3)[0] @ GRAPH.adjacency[[3]].toarray()[0]
    share = 1.0 if kind == "sum" else 1 / GRAPH.degree[3]
    np.testing.assert_allclose(share * total, rates(text)[3], rtol=1e-9, atol=1e-9)


@given(st.text(max_size=30))
def test_any_text_is_a_term_or_a_clear_refusal(text):
    with contextlib.suppress(InputError):
        assert term_of(term_of(text, ("x",)).text, ("x",)).text


def test_file_of_terms(tmp_path):
    path = tmp_path / "terms.txt"
    path.write_text("# saturation\nx^2/(1 + x^2)\n\nsum_j A_ij*sin(x_j - x_i)  # coupling\n")
    assert [term.text for term in read_terms(path, ("x",))] == [
        "x^2/(1 + x^2)",
        "sum_j A_ij*sin(x_j - x_i)",
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("x\nx*(1 - \n", ["line 2", "bracket"]),
        ("x\n\na*x\n", ["line 3", "'a' is no variable"]),
        ("x\nx\n", ["line 2", "line 1"]),
        ("x\ny_j\n", ["line 2", "y_j"]),
        ("sum_j A_ij*x_j + x\n", ["line 1", "not one sum"]),
        ("3\n", ["line 1", "plain number"]),
        ("__import__('os')\n", ["line 1"]),
        ("# nothing\n", ["no term"]),
    ],
)
def test_bad_files_name_file_and_line(tmp_path, content, words):
    path = tmp_path / "terms.txt"
    path.write_text(content)
    with pytest.raises(InputError, match=r"terms\.txt") as caught:
        read_terms(path, ("x",))
    for word in words:
        assert word in str(caught.value)


def test_a_law_outside_the_house_library_is_found_with_the_users_term():
    graph = Graph.from_source("barabasi_albert:60:3", seed=1)
    equation = Equation.parse("dx/dt = -x + sum_j A_ij*x_j^5/(1 + x_j^5)")
    states = simulate(equation, graph, np.linspace(0, 4, 120), noise=0.02, seed=1)
    further = [term_of("sum_j A_ij*(x_j^5/(1 + x_j^5))", ("x",))]
    found = discover(states, graph, library=further, inclusion_repetitions=0)
    terms = {t.text: t.coefficient for t in found.laws[0].terms}
    assert terms == pytest.approx({"x": -1.0, further[0].text: 1.0}, rel=0.02)

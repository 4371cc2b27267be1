"""An unknown network is found with its law; one edge's message is what the law says."""

import numpy as np
import pytest

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.library import library
from graphtide.mechanisms.messages import message_rows
from graphtide.mechanisms.network import infer_network
from graphtide.mechanisms.regression import discover
from graphtide.mechanisms.rows import prepare
from graphtide.trajectory import Trajectory

GRAPH = Graph.from_source("barabasi_albert:16:2", seed=3)


def several(name, stop, noise, count, graph=GRAPH):
    times = np.linspace(0, stop, 80)
    law = CATALOGUE[name].equation
    made = [simulate(law, graph, times, noise=noise, seed=k) for k in range(count)]
    return [Trajectory(s.times, s.states, s.variables, s.names) for s in made]


def average_precision(truth, score):
    """Return the area under the precision-recall curve: the mean precision at each true edge."""
    truth = truth[np.argsort(-score, kind="stable")]
    precision = np.cumsum(truth) / np.arange(1, len(truth) + 1)
    return precision[truth].mean()


def test_network_and_law_are_found_from_the_same_readings():
    states = several("sis", 4.0, 0.01, 8)
    found = infer_network(states, terms="polynomial", seed=1)
    truth = GRAPH.adjacency.toarray() > 0
    off = ~np.eye(16, dtype=bool)
    assert average_precision(truth[off], found.score[off]) >= 0.95
    assert found.equal
    law = discover(states, found.graph, terms="polynomial", inclusion_repetitions=0).laws[0]
    terms = {t.text: t.coefficient for t in law.terms}
    expected = {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}
    assert terms == pytest.approx(expected, rel=0.1)
    table = found.table()
    assert list(table.columns) == ["source", "target", "weight", "score", "kept"]
    assert len(table) == 16 * 15
    assert table["score"].is_monotonic_decreasing
    assert table["kept"].sum() == found.graph.edge_count


def test_directions_are_found():
    pairs = np.array([[0, 1], [1, 2], [2, 3], [3, 4], [4, 5], [5, 0], [0, 3], [2, 5]]).T
    graph = Graph(pairs, node_count=6, directed=True)
    found = infer_network(several("heat", 2.0, 0.01, 5, graph), terms="polynomial", seed=0)
    assert (found.graph.adjacency.toarray() > 0).tolist() == (
        graph.adjacency.toarray() > 0
    ).tolist()


def test_messages_add_up_to_the_terms_of_the_library():
    sample = prepare(several("gene", 4.0, 0.02, 1)[0], GRAPH)
    weights = GRAPH.adjacency.toarray()
    for term in library(("x",), "sum"):
        if term.coupling == "sum":
            total = np.einsum("wij,ij->wi", message_rows(sample, term), weights)
            expected = sample.own_rows([term])[:, :, 0]
            np.testing.assert_allclose(total, expected, rtol=1e-9, atol=1e-9 * abs(expected).max())


def renamed(state):
    return Trajectory(state.times, state.states, state.variables, ("z", *state.names[1:]))


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda s: [s[0], renamed(s[1])], "different nodes"),
        (lambda s: s[:1], "give more tables"),
        (
            lambda s: [
                s[0].with_states(np.where(np.arange(16)[:, None] == 2, np.nan, s[0].states))
            ],
            "node '2' has no states",
        ),
        (lambda s: [Trajectory(s[0].times, s[0].states[:, :2])], "at least 3"),
    ],
)
def test_bad_input_for_an_unknown_network(spoil, sentence):
    with pytest.raises(InputError, match=sentence):
        infer_network(spoil(several("sis", 4.0, 0.01, 2)))

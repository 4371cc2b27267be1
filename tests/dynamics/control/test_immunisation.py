"""Immunisation: what the rules choose, and that epidemics stay smaller for it."""

import numpy as np
import pytest

from graphtide.dynamics.control import compare_immunisation, immunised_nodes
from graphtide.dynamics.control.immunisation import leading_pair, without_nodes
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.spread.laws import EPIDEMIC_LAWS


def test_every_rule_takes_the_centre_of_a_star_first():
    star = Graph.from_source("star:6")
    for rule in ("shield", "eigenvector", "adaptive_degree", "degree"):
        assert immunised_nodes(star, 1, rule).tolist() == [0]
    assert leading_pair(star)[0] == pytest.approx(np.sqrt(6))
    assert leading_pair(without_nodes(star, np.array([0])))[0] == 0.0


def test_shield_does_not_spend_both_ends_of_one_edge():
    # Two hubs joined to each other with leaves, and a third hub apart.
    edges = [(0, 1), *((0, k) for k in range(3, 9)), *((1, k) for k in range(9, 15))]
    edges += [(2, k) for k in range(15, 20)]
    index = np.array(edges).T
    graph = Graph(np.concatenate([index, index[::-1]], axis=1))
    assert immunised_nodes(graph, 1, "shield").tolist() == [0]
    assert set(immunised_nodes(graph, 3, "adaptive_degree")) == {0, 1, 2}


def test_targeted_immunisation_beats_random():
    graph = Graph.from_source("barabasi_albert:200:2", seed=2)
    law = EPIDEMIC_LAWS["sir"].equation(beta=0.4, gamma=1.0)
    found = compare_immunisation(law, graph, 10, times=np.array([0.0, 60.0]), runs=100)
    sizes, errors = found.final_size, found.standard_error
    for rule in ("shield", "adaptive_degree"):
        margin = 3 * np.hypot(errors[rule], errors["random"])
        assert sizes[rule] + margin < sizes["random"]
        assert found.eigenvalue[rule] < found.eigenvalue["random"]
    assert sizes["random"] < sizes["none"]
    assert found.best in found.nodes
    assert found.table()["rule"].iloc[0] == "none"


def test_wrong_numbers_are_refused():
    star = Graph.from_source("star:6")
    with pytest.raises(InputError, match="nodes to immunise"):
        immunised_nodes(star, 7)

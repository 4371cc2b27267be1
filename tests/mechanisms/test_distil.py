"""Distilling: the law of a field whose law is known, and how its uncertainty is told."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.dynamics.simulate import simulate
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.mechanisms.distil import distil, field_sample
from graphtide.ode.solve import solve

GRAPH = Graph.from_source("barabasi_albert:40:3", seed=0)
TIMES = np.linspace(0.0, 3.0, 40)


def visited(name):
    return simulate(CATALOGUE[name].equation, GRAPH, TIMES, seed=1, back_end="torch")


class Disturbed:
    """A field beside another one: its rates times a factor, plus a wiggle."""

    def __init__(self, field, factor, wiggle=0.0):
        self.field, self.factor, self.wiggle = field, factor, wiggle

    @property
    def variables(self):
        return self.field.variables

    def __call__(self, time, states, graph):
        return self.on(graph)(time, states)

    def on(self, graph):
        rhs = self.field.on(graph)

        def disturbed(time, states):
            return self.factor * rhs(time, states) + self.wiggle * (7.0 * states).sin()

        return disturbed


@pytest.mark.parametrize(
    ("name", "terms"),
    [
        ("sis", {"x": -1.0, "sum_j A_ij*(x_j)": 0.3, "sum_j A_ij*(x_i*x_j)": -0.3}),
        ("gene", {"x": -1.0, "sum_j A_ij*(hill(x_j, 2))": 1.0}),
    ],
)
def test_the_law_of_an_exact_field_is_found_exactly(name, terms):
    field = CATALOGUE[name].equation.compile()
    found = distil([field_sample(field, visited(name), GRAPH)])
    assert {t.text: t.coefficient for t in found.laws[0].terms} == pytest.approx(terms, rel=1e-6)
    assert found.metrics["relative_error_roll_out"] < 1e-4


def test_the_spread_of_the_ensemble_is_the_standard_error():
    field = CATALOGUE["sis"].equation.compile()
    factors = 1.0 + 0.05 * np.random.default_rng(0).standard_normal(12)
    members = [Disturbed(field, factor) for factor in factors]
    found = distil([field_sample(field, visited("sis"), GRAPH, members)])
    for term in found.laws[0].terms:
        expected = abs(term.coefficient) * factors.std(ddof=1)
        assert term.standard_error == pytest.approx(expected, rel=1e-3)


def test_what_the_members_do_not_agree_on_is_not_made_a_law():
    field = CATALOGUE["sis"].equation.compile()
    wavy = Disturbed(field, 1.0, wiggle=2e-3)
    generator = np.random.default_rng(3)
    members = [Disturbed(field, 1.0, wiggle=2e-3 * w) for w in generator.standard_normal(8)]
    alone = distil([field_sample(wavy, visited("sis"), GRAPH)])
    doubted = distil([field_sample(wavy, visited("sis"), GRAPH, members)])
    texts = {term.text for term in doubted.laws[0].terms}
    assert texts == {"x", "sum_j A_ij*(x_j)", "sum_j A_ij*(x_i*x_j)"}
    assert len(alone.laws[0].terms) > 3


def test_an_error_that_all_members_share_is_not_made_a_law_where_readings_tell():
    field = CATALOGUE["sis"].equation.compile()
    wavy = Disturbed(field, 1.0, wiggle=2e-3)
    rolled = solve(wavy.on(GRAPH), torch.tensor(visited("sis").states[0]), torch.tensor(TIMES))
    own = visited("sis").with_states(rolled.states.numpy())
    members = [wavy] * 4
    alone = distil([field_sample(wavy, own, GRAPH, members)])
    checked = distil([field_sample(wavy, own, GRAPH, members, visited("sis").states)])
    assert len(alone.laws[0].terms) > 3
    texts = {term.text for term in checked.laws[0].terms}
    assert texts == {"x", "sum_j A_ij*(x_j)", "sum_j A_ij*(x_i*x_j)"}


def test_states_that_do_not_fit_the_field_are_refused():
    field = CATALOGUE["sis"].equation.compile()
    states = visited("sis")
    with pytest.raises(InputError, match="at least 20"):
        field_sample(field, states.select(slice(0, 9)), GRAPH)
    with pytest.raises(InputError, match="the field's variables are x"):
        field_sample(CATALOGUE["sis"].equation.compile(), visited("kuramoto"), GRAPH)
    with pytest.raises(InputError, match="one reading is needed for each state"):
        field_sample(field, states, GRAPH, readings=np.zeros((3, 4)))
    with pytest.raises(InputError, match="no sample"):
        distil([])

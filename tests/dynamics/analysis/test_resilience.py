"""Resilience against the analytic folds of the one-dimensional reduction and linear noise."""

from functools import cached_property

import numpy as np
import pytest
import scipy.linalg

from graphtide.dynamics.analysis.damage import damage
from graphtide.dynamics.analysis.ensemble import half_width
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.reduction import (
    beta_effective,
    effective_state,
    jump_of,
    reduced_fold,
)
from graphtide.dynamics.analysis.resilience import resilience
from graphtide.dynamics.analysis.settling import settle
from graphtide.dynamics.analysis.warning import early_warning, node_worth
from graphtide.dynamics.catalogue import CATALOGUE
from graphtide.equation import Equation
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph


def law_of(name: str, source: str, **parameters: float) -> Law:
    equation = CATALOGUE[name].equation.with_parameters(**parameters)
    return Law.of(equation, Graph.from_source(source, seed=1))


def test_beta_of_a_regular_graph_is_its_degree_and_of_any_the_papers_formula():
    assert beta_effective(Graph.from_source("random_regular:20:4", seed=0)) == pytest.approx(4.0)
    graph = Graph(np.array([[0, 1, 2, 0], [1, 2, 0, 2]]), np.array([1.0, 2, 3, 4]), directed=True)
    incoming, outgoing = np.array([3.0, 1, 6]), np.array([5.0, 2, 3])
    expected = (outgoing * incoming).mean() / incoming.mean()
    assert beta_effective(graph) == pytest.approx(expected)
    states = np.array([[1.0], [2.0], [4.0]])
    assert effective_state(graph, states) == pytest.approx((5 + 4 + 12) / 10)


def test_gene_reduction_folds_at_two():
    # x' = -x + beta x^2 / (1 + x^2) keeps a living state where beta^2 > 4.
    law = law_of("gene", "random_regular:12:3")
    fold = reduced_fold(law, np.array([20.0]), np.linspace(5.0, 0.5, 19))
    assert fold is not None
    assert fold.position == pytest.approx(2.0, abs=2e-3)
    assert fold.before == pytest.approx(1.0, abs=0.1)
    assert fold.after == pytest.approx(0.0, abs=1e-6)


def test_mutualistic_reduction_loses_its_low_state_at_the_published_beta():
    law = law_of("mutualistic", "random_regular:12:3")
    fold = reduced_fold(law, np.array([0.0]), np.linspace(0.0, 12.0, 25))
    assert fold is not None
    assert fold.position == pytest.approx(6.97, abs=0.01)  # Gao et al. 2016, figure 3


@pytest.mark.slow
def test_the_members_of_an_ensemble_give_the_tipping_point_an_interval():
    """Members x' = -x + f sum A x^2 / (1 + x^2) on a graph of degree 4 tip at 1 - 1 / (2 f)."""
    factors = np.array([0.94, 0.98, 1.02, 1.06])

    class Learned(Law):
        @cached_property
        def members(self):
            text = "dx/dt = -x + sum_j A_ij*({f}*x_j**2/(1 + x_j**2))"
            return tuple(
                Law.of(Equation.parse(text.format(f=factor)), self.graph) for factor in factors
            )

    one = law_of("gene", "random_regular:12:4")
    found = resilience(Learned(one.source, one.graph), damages=(("weight", "random"),), points=5)
    branch = found.branches[0]
    folds = 1.0 - 2.0 / (4.0 * factors)
    assert branch.tip is not None
    assert branch.tip.position == pytest.approx(0.5, abs=3e-3)
    assert branch.tip_half_width == pytest.approx(float(half_width(folds)), rel=0.05)
    assert found.metrics()["tipping_weight_half_width"] == branch.tip_half_width
    assert "+-" in found.findings()[0]


@pytest.mark.slow
def test_a_regular_network_tips_where_its_reduction_does():
    law = law_of("gene", "random_regular:40:4")
    found = resilience(law, damages=(("weight", "random"),))
    metrics = found.metrics()
    # beta = 4 (1 - share) reaches 2 where half of the weight is lost.
    assert metrics["tipping_weight"] == pytest.approx(0.5, abs=2e-3)
    assert metrics["tipping_weight_reduced"] == pytest.approx(0.5, abs=2e-3)
    assert metrics["bistable_from_weight"] == 0.0
    assert metrics["beta_effective"] == pytest.approx(4.0)
    assert metrics["effective_state"] == pytest.approx(2.0 + np.sqrt(3.0), rel=1e-6)
    signs = found.tables()["resilience_warnings"]
    assert signs["recovery_rate"].is_monotonic_decreasing
    assert signs["variance"].is_monotonic_increasing
    assert signs["autocorrelation"].is_monotonic_increasing
    assert signs["recovery_rate"].iloc[-1] < 0.1 * signs["recovery_rate"].iloc[0]
    curves = found.tables()["resilience_curves"]
    beta = curves["beta_effective"].to_numpy()
    alive = beta > 2.0
    exact = (beta[alive] + np.sqrt(beta[alive] ** 2 - 4.0)) / 2.0
    np.testing.assert_allclose(curves["high"][alive], exact, rtol=1e-6)
    np.testing.assert_allclose(curves["reduced_high"][alive], exact, rtol=1e-6)
    np.testing.assert_allclose(curves["low"], 0.0, atol=1e-9)


def test_targeted_loss_tips_sooner_and_protection_later():
    law = law_of("gene", "barabasi_albert:60:3")
    found = resilience(law, damages=(("nodes", "random"), ("nodes", "targeted")), points=9)
    metrics = found.metrics()
    targeted, random = metrics["tipping_nodes_targeted"], metrics["tipping_nodes_random"]
    assert isinstance(targeted, float)
    assert isinstance(random, float)
    assert targeted < random
    kept = metrics["tipping_nodes_random_protected"]
    assert kept is None or kept > random
    assert len(found.protected) == 3
    assert list(found.tables()["resilience_nodes"]["node"][:3]) == metrics["protect"]


def test_noise_is_that_of_the_lyapunov_equation():
    law = law_of("mutualistic", "small_world:15:4:0.3")
    state = settle(law, np.full(law.shape, 20.0))
    signs = early_warning(law, state, lag=0.05)
    jacobian = law.jacobian(state).toarray()
    covariance = scipy.linalg.solve_continuous_lyapunov(jacobian, -np.eye(15))
    outgoing = law.graph.degree / law.graph.degree.sum()
    variance = outgoing @ covariance @ outgoing
    later = outgoing @ scipy.linalg.expm(jacobian * 0.05) @ covariance @ outgoing
    assert signs.eigenvalue == pytest.approx(np.linalg.eigvals(jacobian).real.max())
    assert signs.variance == pytest.approx(variance, rel=1e-2)
    assert signs.autocorrelation == pytest.approx(later / variance, rel=1e-2)


def test_worth_of_a_node_is_the_slope_of_the_mean_state():
    law = law_of("gene", "barabasi_albert:20:3")
    state = settle(law, np.full(law.shape, 20.0), tolerance=1e-12)
    worth = node_worth(law, state)
    graph, node, small = law.graph, 2, 1e-5
    weight = graph.edge_weight * np.where(graph.edge_index[0] == node, 1.0 + small, 1.0)
    changed = Graph(graph.edge_index, weight, node_count=20, directed=True)
    moved = settle(law.on(changed), state, tolerance=1e-12)
    slope = (effective_state(graph, moved) - effective_state(graph, state))[0] / small
    assert worth[node] == pytest.approx(slope, rel=1e-4)


def test_damage_removes_what_it_says():
    graph = Graph.from_source("star:5")
    assert damage(graph, "nodes", "targeted").at(1 / 6).edge_count == 0  # the centre went
    assert damage(graph, "edges", "random").at(0.4).edge_count == 6
    assert damage(graph, "weight").at(0.25).edge_weight.tolist() == [0.75] * 10
    centre = damage(graph, "nodes", "random", protected=np.array([0]))
    assert 0 not in centre.sequence
    with pytest.raises(InputError, match="no damage is called"):
        damage(graph, "hope", "random")  # pyright: ignore[reportArgumentType]


def test_a_continuous_loss_is_no_jump():
    # x' = -x + b x (1 - x): 1 - 1/b falls to 0 without a jump.
    law = Law.of(
        Equation.parse("dx/dt = -x + sum_j A_ij*x_j*(1 - x_i)"),
        Graph(np.zeros((2, 1), dtype=int), directed=True, node_count=1),
    )

    def branch(beta, state):
        scaled = Graph(np.zeros((2, 1), dtype=int), np.array([beta]), directed=True, node_count=1)
        found = settle(law.on(scaled), state)
        return float(found[0, 0]), found

    assert jump_of(branch, np.linspace(3.0, 1.2, 12), np.ones((1, 1))) is None


def test_what_never_rests_is_told():
    law = Law.of(
        Equation.parse("dx/dt = y, dy/dt = -x"), Graph(np.zeros((2, 0), dtype=int), node_count=1)
    )
    with pytest.raises(ComputationError, match="rest"):
        settle(law, np.ones((1, 2)), maximum_steps=50)


def test_a_large_network_that_dies_out_comes_to_rest():
    """Rates near the smallest numbers must not stop the iterations on more than 400 unknowns."""
    graph = Graph.from_source("erdos_renyi:500:0.004", seed=1)
    law = Law.of(CATALOGUE["gene"].equation, graph)
    rest = settle(law, np.full(law.shape, 3e-18))
    assert np.abs(rest).max() < 2e-18


def test_a_continuum_of_steady_states_is_not_called_bistable():
    found = resilience(law_of("heat", "random_regular:12:4"), points=4)
    assert found.continuum
    metrics = found.metrics()
    assert [metrics[f"bistable_from_{branch.name}"] for branch in found.branches] == [None] * 5
    assert len(found.findings()) == 1
    assert "continuum" in found.findings()[0]

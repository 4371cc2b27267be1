"""One law from an equation or a learned field: its derivatives against autograd's own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphtide.dynamics.analysis.law import EDGE_WEIGHT, Law
from graphtide.dynamics.fit import fit
from graphtide.dynamics.simulate import simulate
from graphtide.equation import Equation
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.run import Run

LAWS = (
    "heat",
    "mutualistic",
    "kuramoto",
    "fitzhugh_nagumo",
    "rossler",
    "swing",
    "newton_cooling",
    "dx/dt = -x + sum_j A_ij*x_j/k_j + t*sum_j A_ij*x_j*x_i/(1 + k_i)",
)


def _weighted_graph() -> Graph:
    generator = np.random.default_rng(0)
    matrix = generator.uniform(0.5, 2.0, (9, 9)) * (generator.random((9, 9)) < 0.4)
    matrix[0, 0] = 1.5  # a loop
    matrix[:, 8] = 0.3  # every node has a neighbour, for laws that divide by the degree
    from scipy.sparse import csr_array

    return Graph.from_scipy(csr_array(matrix))


@pytest.mark.parametrize("name", LAWS)
def test_every_derivative_is_autograds(name: str) -> None:
    law = Law.read(name, _weighted_graph())
    x, time = torch.tensor(law.start(1)), 0.7
    size = x.numel()
    full = torch.autograd.functional.jacobian(lambda s: law.rate(s, time), x)
    wanted = full.reshape(size, size).numpy()  # pyright: ignore[reportAttributeAccessIssue]
    unit = torch.eye(size, dtype=x.dtype).reshape(-1, *x.shape)
    forward = law.jacobian_product(x, unit, time).reshape(size, size).T.numpy()
    reverse = law.transposed_product(x, unit, time).reshape(size, size).numpy()
    dense = law.dense_jacobian(x.expand(2, *x.shape), time)[1][1].numpy()
    for found in (law.jacobian(x, time).toarray(), forward, reverse, dense):
        np.testing.assert_allclose(found, wanted, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", LAWS)
def test_parameters_and_weights_given_as_tensors_change_nothing_but_can_be_derived(
    name: str,
) -> None:
    law = Law.read(name, _weighted_graph())
    x = torch.tensor(law.start(1))
    weights = torch.tensor(law.graph.adjacency.data, requires_grad=True)
    given = {
        k: torch.tensor(v, dtype=x.dtype, requires_grad=True) for k, v in law.parameters.items()
    }
    plain = law.rate(x, 0.7)
    torch.testing.assert_close(law.rate(x, 0.7, parameters=given, weights=weights), plain)
    for parameter, value in law.parameters.items():
        step = 1e-5 * max(abs(value), 1.0)
        above = law.with_parameters({parameter: value + step}).rate(x, 0.7)
        below = law.with_parameters({parameter: value - step}).rate(x, 0.7)
        rates = law.rate(x, 0.7, parameters=given, weights=weights).sum()
        (slope,) = torch.autograd.grad(rates, given[parameter], materialize_grads=True)
        wanted = ((above - below) / (2 * step)).sum()
        torch.testing.assert_close(slope, wanted, rtol=1e-5, atol=1e-5)


def test_the_gradient_by_a_weight_is_the_message_of_its_edge() -> None:
    law = Law.of(Equation.parse("dx/dt = -x + sum_j A_ij*x_i*x_j^2"), _weighted_graph())
    x = torch.tensor(law.start(2))
    weights = torch.tensor(law.graph.adjacency.data, requires_grad=True)
    (slope,) = torch.autograd.grad(law.rate(x, weights=weights).sum(), weights)
    adjacency = law.graph.adjacency.tocoo()
    wanted = x[adjacency.row, 0] * x[adjacency.col, 0] ** 2
    torch.testing.assert_close(slope, wanted)


def test_a_learned_field_is_a_law_like_the_equation_it_was_learned_from(tmp_path: Path) -> None:
    graph = Graph.from_source("barabasi_albert:60:3")
    equation = Equation.parse("dx/dt = 1 - x - 0.1*sum_j A_ij*x_i*x_j")
    trajectory = simulate(equation, graph, np.linspace(0.0, 3.0, 40))
    run = Run.create(tmp_path / "run", kind="dynamics fit", configuration={})
    fit(trajectory, graph).save(run)
    learned, written = Law.read(str(run.path)), Law.of(equation, graph)
    x = torch.tensor(written.solve(written.start(), np.array([0.0, 1.0]))[-1])
    torch.testing.assert_close(learned.rate(x), written.rate(x), rtol=1e-3, atol=1e-3)
    np.testing.assert_allclose(
        learned.jacobian(x).toarray(), written.jacobian(x).toarray(), rtol=0.02, atol=0.02
    )
    assert learned.low is not None
    assert learned.outside(np.full((60, 1), 50.0)) == 1.0
    np.testing.assert_allclose(learned.start(), trajectory.states[0])
    double = learned.with_parameters({EDGE_WEIGHT: 2.0})
    np.testing.assert_allclose(double.graph.degree, 2.0 * graph.degree)
    with pytest.raises(InputError, match="has no parameter 'b'"):
        learned.with_parameters({"b": 1.0})


def test_a_law_refuses_what_it_cannot_be() -> None:
    graph = Graph.from_source("path:3")
    with pytest.raises(InputError, match="give --graph"):
        Law.read("heat")
    with pytest.raises(InputError, match="no parameter 'q'"):
        Law.read("heat", graph, parameters={"q": 1.0})
    with pytest.raises(InputError, match="has no value"):
        Law.read("dx/dt = -r*x", graph)

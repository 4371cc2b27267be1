"""Both back ends against a naive double loop over all pairs of nodes, and against each other."""

import numpy as np
import pytest
import torch

from graphtide.dynamics.catalogue import CATALOGUE, random_start
from graphtide.dynamics.simulate import with_default_attributes
from graphtide.equation import Equation
from graphtide.equation.expression import Aggregate, Symbol, evaluate
from graphtide.equation.numba_backend import FusedEquation, _balanced_blocks
from graphtide.errors import InputError
from graphtide.graph import Graph

EXTRA = {
    "time": "dx/dt = -x*cos(t) + t*sum_j A_ij*(x_j - x_i)",
    "constant": "dx/dt = 1, dy/dt = pi",
    "degree": "dx/dt = -x/k_i + sum_j A_ij*x_j/k_j + k_i*0.1 + sum_j A_ij",
    "mean": "dx/dt = mean_j A_ij*(x_j - x_i) + 2*mean_j exp(-abs(x_j - x_i))",
    "powers": "dx/dt = sum_j A_ij*((x_j - x_i)^3 + x_j^5*x_i^-2 + sqrt(x_j) + x_j^2.5)",
    "functions": "dx/dt = log(1 + x) + log1p(x) + sign(x - 1) + heaviside(x - 1) + tan(x/4) "
    "+ sum_j A_ij*(minimum(x_i, x_j) - maximum(0.5, x_j) + sigmoid(x_j - x_i) "
    "+ erfcx(3*(x_j - x_i)))",
    "angles": "dx/dt = sum_j A_ij*cos(2*(x_j - x_i) + 0.3)*x_j, dy/dt = sum_j A_ij*sin(y_j - x_i)",
    "attributes": "dx/dt = omega_i*x + sum_j A_ij*omega_j*tanh(x_j*omega_i)",
    "nested": "dx/dt = tanh(sum_j A_ij*x_j)^2 - (mean_j x_j)*sum_j A_ij*hill(x_j, 1.7, x_i)",
    "several": "dx/dt = sum_j A_ij*y_j*(x_j - x_i), dy/dt = sum_j A_ij*x_i*y_j/(1 + x_j + y_i)",
}
LAWS = {
    **{name: entry.equation for name, entry in CATALOGUE.items()},
    **{name: Equation.parse(text) for name, text in EXTRA.items()},
}


def make_graph(*, weighted: bool, nodes: int = 23) -> Graph:
    """Return a random directed graph with self-loops, a node without in-edges, one isolated."""
    rng = np.random.default_rng(5)
    dense = (rng.random((nodes, nodes)) < 0.25) * 1.0
    if weighted:
        dense *= rng.uniform(0.2, 2.0, dense.shape)
    dense[3] = 0.0
    dense[7], dense[:, 7] = 0.0, 0.0
    from scipy.sparse import csr_array

    graph = Graph.from_scipy(csr_array(dense))
    return graph.with_node_attributes(omega=rng.normal(size=nodes))


def naive(equation: Equation, graph: Graph, time: float, states: np.ndarray) -> np.ndarray:
    """Return d(states)/dt by a double loop over nodes and a dense matrix."""
    dense = graph.adjacency.toarray()
    degree = dense.sum(1)
    values = equation.parameter_values()

    def value_at(i: int, j: int | None):
        def value_of(part: Symbol | Aggregate) -> float:
            if isinstance(part, Aggregate):
                total = sum(
                    dense[i, n] * evaluate(part.message, value_at(i, n))
                    for n in range(len(dense))
                    if dense[i, n] != 0.0
                )
                if part.kind == "mean":
                    return total / degree[i] if degree[i] else 0.0
                return total
            n = i if part.node == "i" else j
            match part.kind:
                case "variable":
                    return states[n, equation.variables.index(part.name)]
                case "degree":
                    return degree[n]
                case "attribute":
                    return graph.node_attributes[part.name][n]
                case "time":
                    return time
            return values[part.name]

        return value_of

    return np.array(
        [[evaluate(e, value_at(i, None)) for e in equation.expressions] for i in range(len(dense))]
    )


def prepared(name: str, *, weighted: bool) -> tuple[Equation, Graph, np.ndarray]:
    equation = LAWS[name]
    graph = with_default_attributes(equation, make_graph(weighted=weighted))
    states = random_start(equation, graph, seed=3)
    return equation, graph, states


@pytest.mark.parametrize(
    ("name", "weighted"),
    [*((name, True) for name in LAWS), *((name, False) for name in ("gene", "sir", "mean"))],
)
def test_back_ends_equal_the_double_loop(name: str, weighted: bool) -> None:
    equation, graph, states = prepared(name, weighted=weighted)
    with np.errstate(all="ignore"):
        expected = naive(equation, graph, 0.7, states)
    time = torch.tensor(0.7, dtype=torch.float64)
    by_torch = equation.compile().on(graph)(time, torch.from_numpy(states))
    by_numba = FusedEquation(equation, graph)(time, torch.from_numpy(states))
    scale = np.abs(expected[np.isfinite(expected)]).max()
    np.testing.assert_allclose(by_torch.numpy(), expected, rtol=1e-10, atol=1e-12 * scale)
    np.testing.assert_allclose(by_numba.numpy(), expected, rtol=1e-10, atol=1e-12 * scale)


@pytest.mark.parametrize("name", ["mutualistic", "kuramoto", "sir", "rossler", "mean", "nested"])
def test_renaming_the_nodes_renames_the_answer(name: str) -> None:
    equation, graph, states = prepared(name, weighted=True)
    order = np.random.default_rng(1).permutation(graph.node_count)
    matrix = graph.adjacency[order][:, order]
    renamed = Graph.from_scipy(matrix).with_node_attributes(
        **{key: value[order] for key, value in graph.node_attributes.items()}
    )
    time = torch.tensor(0.0, dtype=torch.float64)
    field = equation.compile()
    here = field(time, torch.from_numpy(states), graph)[order]
    there = field(time, torch.from_numpy(states[order]), renamed)
    torch.testing.assert_close(here, there, rtol=1e-12, atol=1e-10)
    fused = FusedEquation(equation, renamed)(time, torch.from_numpy(states[order]))
    torch.testing.assert_close(here, fused, rtol=1e-12, atol=1e-10)


@pytest.mark.parametrize("name", ["mutualistic", "gene", "rossler", "functions", "several"])
def test_batches_of_states_and_float32(name: str) -> None:
    equation, graph, states = prepared(name, weighted=True)
    time = torch.tensor(0.0, dtype=torch.float64)
    rhs = equation.compile().on(graph)
    batch = torch.from_numpy(np.stack([states, 0.5 * states]).reshape(2, 1, *states.shape))
    whole = rhs(time, batch)
    torch.testing.assert_close(whole[1, 0], rhs(time, batch[1, 0]), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        whole, FusedEquation(equation, graph)(time, batch), rtol=1e-10, atol=1e-10
    )
    single = rhs(time, batch.float())
    assert single.dtype == torch.float32
    scale = whole.abs().nan_to_num().max()
    torch.testing.assert_close(
        single.double(), whole, rtol=1e-4, atol=1e-5 * float(scale), equal_nan=True
    )


@pytest.mark.parametrize("name", ["mutualistic", "gene", "kuramoto", "sir", "powers"])
def test_gradients_with_respect_to_states_and_parameters(name: str) -> None:
    equation, graph, states = prepared(name, weighted=True)
    field = equation.compile(trainable=True)
    time = torch.tensor(0.0, dtype=torch.float64)
    inputs = (torch.from_numpy(np.abs(states) + 0.1).requires_grad_(),)
    assert torch.autograd.gradcheck(lambda x: field(time, x, graph), inputs, atol=1e-5)
    parameters = list(field.parameters())
    for position, parameter in enumerate(parameters):
        total = field(time, inputs[0], graph).sin().sum()
        (slope,) = torch.autograd.grad(total, parameter)
        kept, width = parameter.item(), 1e-6
        totals = []
        for sign in (1, -1):
            with torch.no_grad():
                parameter.fill_(kept + sign * width)
                totals.append(field(time, inputs[0], graph).sin().sum().item())
                parameter.fill_(kept)
        difference = (totals[0] - totals[1]) / (2 * width)
        assert slope.item() == pytest.approx(difference, rel=1e-4, abs=1e-4), position


def test_trained_parameters_come_back_as_an_equation() -> None:
    field = Equation.parse("dx/dt = -k*x, k = 1").compile(trainable=True)
    with torch.no_grad():
        next(field.parameters()).fill_(2.5)
    assert field.current().text() == "dx/dt = -k*x, k = 2.5"
    assert not any(
        p.requires_grad for p in Equation.parse("dx/dt = -k*x, k = 1").compile().parameters()
    )


def test_not_a_number_stays_where_it_is() -> None:
    equation, graph, states = prepared("mutualistic", weighted=False)
    states[5] = np.nan
    time = torch.tensor(0.0, dtype=torch.float64)
    by_torch = equation.compile().on(graph)(time, torch.from_numpy(states))
    by_numba = FusedEquation(equation, graph)(time, torch.from_numpy(states))
    touched = (graph.adjacency.toarray()[:, 5] != 0) | (np.arange(graph.node_count) == 5)
    assert np.array_equal(np.isnan(by_numba.numpy()[:, 0]), touched)
    assert np.array_equal(np.isnan(by_torch.numpy()[:, 0]), touched)


def test_missing_inputs_are_named() -> None:
    graph = Graph.from_source("path:3")
    law = Equation.parse("dx/dt = omega_i - k*x")
    with pytest.raises(InputError, match="the parameter 'k' has no value"):
        law.compile()
    law = law.with_parameters(k=1.0)
    with pytest.raises(InputError, match="reads the node attribute 'omega'"):
        law.compile().on(graph)
    with pytest.raises(InputError, match="reads the node attribute 'omega'"):
        FusedEquation(law, graph)
    named = graph.with_node_attributes(omega=np.array(["a", "b", "c"]))
    with pytest.raises(InputError, match="not one number a node"):
        law.compile().on(named)
    short = graph.with_node_attributes(omega=np.ones(3))
    with pytest.raises(InputError, match="states have shape"):
        law.compile().on(short)(torch.tensor(0.0), torch.ones(4, 1))
    with pytest.raises(InputError, match="takes float64 states"):
        FusedEquation(law, short)(0.0, torch.ones(3, 1))


def test_large_graphs_run_in_parallel_blocks_of_equal_work() -> None:
    pointers = np.concatenate([[0], np.cumsum([50_000] + [5] * 40_000)])
    blocks = _balanced_blocks(pointers, 64)
    assert blocks[0] == 0
    assert blocks[-1] == 40_001
    assert np.all(np.diff(blocks) > 0)
    graph = Graph.from_source("barabasi_albert:8000:5", seed=1)
    law = CATALOGUE["gene"].equation
    states = torch.from_numpy(random_start(law, graph))
    time = torch.tensor(0.0, dtype=torch.float64)
    expected = law.compile().on(graph)(time, states)
    torch.testing.assert_close(
        FusedEquation(law, graph)(time, states), expected, rtol=1e-10, atol=1e-10
    )


def test_erfcx_is_that_of_scipy_far_out_on_both_back_ends():
    from scipy.special import erfcx

    x = np.array([-8.0, -1.0, 0.0, 0.3, 4.0, 24.9, 25.1, 300.0, 1e8])
    equation = Equation.parse("dx/dt = erfcx(x)")
    graph = Graph.from_source("erdos_renyi:9:0")
    states = torch.from_numpy(x)[:, None]
    for rhs in (equation.compile().on(graph), FusedEquation(equation, graph)):
        found = rhs(torch.tensor(0.0, dtype=torch.float64), states).numpy()[:, 0]
        np.testing.assert_allclose(found, erfcx(x), rtol=1e-12)

"""Graph layers whose depth is time: exact where they are linear, blind to names, not flat."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.nn.depth import Depth, as_continuous, refine
from graphtide.nn.message_passing import (
    AttentionDiffusion,
    Diffusion,
    ReactionDiffusion,
    dirichlet_energy,
)
from graphtide.nn.residual import ResidualNetwork

CHANNELS = 3
KINDS = ("laplacian", "symmetric_laplacian", "random_walk_laplacian")
GRAPH = Graph.from_source("barabasi_albert:30:2", seed=1)
NOW = torch.tensor(0.0, dtype=torch.float64)


def states_of(graph: Graph, *leading: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(3)
    shape = (*leading, graph.node_count, CHANNELS)
    return 0.5 * torch.randn(shape, generator=generator, dtype=torch.float64)


def layers() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    fields: dict[str, nn.Module] = {
        "diffusion": Diffusion(CHANNELS, rate=0.7),
        "attention": AttentionDiffusion(CHANNELS, heads=2, size=4),
        "source": ReactionDiffusion(Diffusion(CHANNELS), CHANNELS),
        "attention, source": ReactionDiffusion(AttentionDiffusion(CHANNELS), CHANNELS),
        "allen_cahn": ReactionDiffusion(Diffusion(CHANNELS), CHANNELS, "allen_cahn"),
        "fisher": ReactionDiffusion(Diffusion(CHANNELS), CHANNELS, "fisher", strength=0.2),
    }
    return {name: field.double() for name, field in fields.items()}


LAYERS = layers()
ALL = pytest.mark.parametrize("name", LAYERS)


def run(name: str, states: torch.Tensor, graph: Graph, **options) -> torch.Tensor:
    context = (graph, states) if "source" in name else (graph,)
    return Depth(LAYERS[name], **options)(states, *context)


def weighted(graph: Graph) -> Graph:
    """Return a directed graph of the same edges with positive weights of their own."""
    weight = np.random.default_rng(0).uniform(0.5, 2.0, graph.edge_count)
    return Graph(graph.edge_index, weight, directed=True)


@ALL
@pytest.mark.parametrize("graph", [GRAPH, weighted(GRAPH)], ids=["plain", "weighted, directed"])
def test_relabelled_nodes_give_the_same_answer(name, graph):
    order = torch.randperm(graph.node_count, generator=torch.Generator().manual_seed(5))
    place = torch.argsort(order).numpy()
    other = Graph(place[graph.edge_index], graph.edge_weight, directed=graph.directed)
    states = states_of(graph)
    options = {"interval": (0.0, 1.0), "steps": 4, "method": "rk4"}
    with torch.no_grad():
        torch.testing.assert_close(
            run(name, states[order], other, **options), run(name, states, graph, **options)[order]
        )


@ALL
def test_a_batch_of_states_and_a_union_of_graphs_are_solved_as_if_alone(name):
    states = states_of(GRAPH, 2)
    with torch.no_grad():
        alone = [run(name, part, GRAPH, steps=2, method="rk4") for part in states]
        batch = run(name, states, GRAPH, steps=2, method="rk4")
        union = run(
            name, states.flatten(0, 1), Graph.batch_of([GRAPH, GRAPH]), steps=2, method="rk4"
        )
    torch.testing.assert_close(batch, torch.stack(alone))
    torch.testing.assert_close(union, torch.cat(alone))


@ALL
def test_gradients_against_differences(name):
    graph = Graph.from_source("grid:2:3")
    states = states_of(graph).requires_grad_()
    field = LAYERS[name]
    source = (states_of(graph).sin().requires_grad_(),) if "source" in name else ()

    def rate(states, *source_and_parameters):
        given = dict(zip(names, source_and_parameters[len(source) :], strict=True))
        arguments = (NOW, states, graph, *source_and_parameters[: len(source)])
        return torch.func.functional_call(field, given, arguments)

    names = [key for key, _ in field.named_parameters()]
    parameters = [value.detach().clone().requires_grad_() for value in field.parameters()]
    assert torch.autograd.gradcheck(rate, (states, *source, *parameters))


@pytest.mark.parametrize("kind", KINDS)
def test_diffusion_is_the_matrix_exponential_of_the_laplacian(kind):
    rates = torch.tensor([0.3, 1.0, 2.0], dtype=torch.float64)
    field = Diffusion(CHANNELS, kind).double()
    with torch.no_grad():
        field.log_rate.copy_(rates.log())
    states = states_of(GRAPH)
    laplacian = GRAPH.operator(kind, like=states) @ torch.eye(30, dtype=torch.float64)
    depth = Depth(field, (0.0, 0.8), method="dormand_prince8", relative_tolerance=1e-11)
    exact = [torch.matrix_exp(-0.8 * r * laplacian) @ states[:, k] for k, r in enumerate(rates)]
    torch.testing.assert_close(depth(states, GRAPH), torch.stack(exact, dim=1), rtol=0, atol=1e-9)
    study = refine(depth, states, GRAPH, steps=(64, 128, 256, 512, 1024), method="heun")
    assert abs(study.order - 2.0) < 0.2


def test_source_ends_at_the_personalised_pagerank():
    """The steady state solves (r L + b) h = b s."""
    field = ReactionDiffusion(Diffusion(CHANNELS, rate=2.0), CHANNELS, strength=0.5).double()
    states = states_of(GRAPH)
    laplacian = torch.from_numpy(GRAPH.laplacian("random_walk").toarray())
    exact = torch.linalg.solve(2.0 * laplacian + 0.5 * torch.eye(30).double(), 0.5 * states)
    depth = Depth(field, (0.0, 60.0), method="dormand_prince5", relative_tolerance=1e-9)
    torch.testing.assert_close(depth(states, GRAPH, states), exact, rtol=0, atol=1e-6)


def test_attention_is_a_softmax_over_the_edges_of_each_row():
    graph = weighted(GRAPH)
    field, states = AttentionDiffusion(CHANNELS, heads=2, size=4).double(), 5.0 * states_of(graph)
    with torch.no_grad():
        scores = [
            (states @ q.T) @ (states @ k.T).T / 2.0
            for q, k in zip(field.query.weight.split(4), field.key.weight.split(4), strict=True)
        ]
        weights = torch.from_numpy(graph.adjacency.toarray())
        dense = sum(torch.softmax(score + weights.log(), dim=1) for score in scores) / 2
        rate = (dense - torch.eye(len(states))) @ states
        torch.testing.assert_close(field(NOW, states, graph), rate)
        matrix = graph.operator("adjacency", like=states)
        sums = matrix.sum_rows(field.attention(states, graph).unsqueeze(-1))
    torch.testing.assert_close(sums, torch.ones_like(sums))


def test_attention_of_large_scores_stays_finite_and_a_lonely_node_stays_put():
    graph = Graph(np.array([[0, 1, 1], [1, 0, 2]]), node_count=4, directed=True)
    field = AttentionDiffusion(CHANNELS).double()
    states = 1e4 * states_of(graph)
    rate = field(NOW, states, graph)
    assert torch.isfinite(rate).all()
    assert torch.equal(rate[3], torch.zeros(CHANNELS, dtype=torch.float64))
    torch.testing.assert_close(rate[2], states[1] - states[2])


@pytest.mark.parametrize("kind", ["laplacian", "random_walk_laplacian"])
def test_energy_falls_under_diffusion_and_does_not_vanish_with_a_source(kind):
    """Diffusion takes it towards zero; a source holds it where both balance."""
    states = states_of(GRAPH)
    times = np.linspace(0.0, 20.0, 41)
    plain = Diffusion(CHANNELS, kind).double()
    tight = {"relative_tolerance": 1e-8, "absolute_tolerance": 1e-10}  # below the last energy
    depth = Depth(plain, (0.0, 20.0), method="dormand_prince5", **tight)
    path = depth.trajectory(states, times, GRAPH)
    energy = dirichlet_energy(path.states, GRAPH)
    assert all(after < before for before, after in itertools.pairwise(energy.tolist()))
    assert float(energy[-1]) < 1e-4 * float(energy[0])
    kept = ReactionDiffusion(plain, CHANNELS, strength=0.5).double()
    resisting = Depth(kept, (0.0, 20.0), method="dormand_prince5")
    held = dirichlet_energy(resisting.trajectory(states, times, GRAPH, states).states, GRAPH)
    laplacian = GRAPH.operator(kind, like=states) @ torch.eye(30, dtype=torch.float64)
    steady = torch.linalg.solve(laplacian + 0.5 * torch.eye(30).double(), 0.5 * states)
    exact = float(dirichlet_energy(steady, GRAPH))
    assert float(held[-1]) == pytest.approx(exact, rel=1e-3)
    assert exact > 1e3 * float(energy[-1])


def test_energy_is_the_quadratic_form_of_the_laplacian():
    states = states_of(GRAPH, 2)
    laplacian = torch.from_numpy(GRAPH.laplacian().toarray())
    exact = torch.einsum("bnd,nm,bmd->b", states, laplacian, states)
    torch.testing.assert_close(dirichlet_energy(states, GRAPH), exact)


def test_a_residual_graph_network_is_read_as_a_differential_one():
    torch.manual_seed(2)
    blocks = [AttentionDiffusion(CHANNELS).double() for _ in range(4)]
    network, states = ResidualNetwork(blocks), states_of(GRAPH)
    depth = as_continuous(network)
    euler = depth.refined(steps=4, method="euler")
    torch.testing.assert_close(euler(states, GRAPH), network(states, GRAPH))
    study = refine(depth, states, GRAPH, steps=(16, 32, 64, 128, 256), method="rk4")
    assert abs(study.order - 4.0) < 0.2


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Diffusion(CHANNELS, "heat"), "'heat' is no kind of diffusion"),
        (lambda: Diffusion(0), "channels must be at least 1"),
        (lambda: Diffusion(2, rate=0.0), "rate must be positive"),
        (lambda: Diffusion(2, rate=math.nan), "rate must be positive"),
        (lambda: AttentionDiffusion(2, heads=0), "at least 1; they are 0 and 8"),
        (lambda: ReactionDiffusion(Diffusion(2), 2, "decay"), "'decay' is no kind of reaction"),
        (lambda: Diffusion(2)(NOW, torch.ones(30, 3), GRAPH), r"\(30, 3\); \(..., 30, 2\)"),
        (lambda: AttentionDiffusion(3)(NOW, torch.ones(29, 3), GRAPH), r"\(29, 3\)"),
        (lambda: run("source", states_of(GRAPH)[:, :2], GRAPH), "nodes, channels"),
        (lambda: LAYERS["source"](NOW, states_of(GRAPH), GRAPH), "'source' needs source"),
        (
            lambda: LAYERS["fisher"](NOW, states_of(GRAPH), GRAPH, states_of(GRAPH)),
            "'fisher' takes no source",
        ),
        (
            lambda: LAYERS["source"](NOW, states_of(GRAPH), GRAPH, torch.ones(3, CHANNELS)),
            r"source has shape \(3, 3\)",
        ),
        (lambda: dirichlet_energy(torch.ones(3), GRAPH), "was expected"),
        (
            lambda: LAYERS["attention"](
                NOW, states_of(GRAPH), Graph(GRAPH.edge_index, -np.ones(GRAPH.edge_count))
            ),
            "weights that are positive",
        ),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, message):
    with pytest.raises(InputError, match=message) as told:
        make()
    assert "\n" not in str(told.value)

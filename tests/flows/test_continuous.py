"""Continuous flow: its trace in every way, its gradients, its regularised paths."""

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.continuous import ContinuousFlow
from graphtide.flows.fields import AutogradField, MultilayerField, bind

DOUBLE = torch.float64
ACTIVATIONS = ("elu", "silu", "softplus", "tanh")


class Plain(nn.Module):
    """A field whose Jacobian only autograd knows."""

    def __init__(self, field: MultilayerField) -> None:
        super().__init__()
        self.field = field

    def forward(self, time: Tensor, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.field(time, x, condition)


class Linear(nn.Module):
    """dx/dt = A x."""

    def __init__(self, matrix: Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, time: Tensor, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x @ self.matrix.T


def field(dimension: int = 3, given: int = 0, **choices) -> MultilayerField:
    torch.manual_seed(0)
    made = MultilayerField(dimension, given, **{"hidden": (12, 10), **choices}).to(DOUBLE)
    with torch.no_grad():
        made.layers[-1].weight.mul_(20.0)
        made.layers[-1].bias.normal_()
    return made


def points(count: int = 6, dimension: int = 3) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, dimension, generator=generator, dtype=DOUBLE)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("hidden", [(9,), (9, 7), (9, 7, 8)], ids=str)
@pytest.mark.parametrize("given", [0, 2])
def test_closed_form_of_the_jacobian_equals_autograd(activation, hidden, given):
    own = field(3, given, hidden=hidden, activation=activation)
    x, condition = points(), (points(6, given) if given else None)
    clock = torch.tensor(0.3, dtype=DOUBLE)
    fast, slow = own.bind(condition), AutogradField(Plain(own), condition)
    value, jacobian = slow.jacobian(clock, x)
    noise = points(12)[6:]
    torch.testing.assert_close(fast.velocity(clock, x), value)
    torch.testing.assert_close(fast.jacobian(clock, x)[1], jacobian)
    trace = jacobian.diagonal(dim1=1, dim2=2).sum(-1)
    torch.testing.assert_close(fast.divergence(clock, x)[1], trace)
    torch.testing.assert_close(slow.divergence(clock, x)[1], trace)
    expected = torch.einsum("bij,bj->bi", jacobian, noise)
    torch.testing.assert_close(fast.product(clock, x, noise)[1], expected)
    expected = torch.einsum("bij,bi->bj", jacobian, noise)
    torch.testing.assert_close(slow.product(clock, x, noise)[1], expected)


def test_linear_field_is_a_matrix_exponential():
    matrix = torch.tensor([[0.3, -1.0], [0.8, -0.5]], dtype=DOUBLE)
    flow = ContinuousFlow(Linear(matrix), 2, relative_tolerance=1e-10, absolute_tolerance=1e-12)
    x = points(5, 2)
    z, log_det = flow(x)
    torch.testing.assert_close(z, x @ torch.matrix_exp(matrix).T, rtol=0.0, atol=1e-8)
    trace = torch.full((5,), -0.2, dtype=DOUBLE)
    torch.testing.assert_close(log_det, trace, rtol=0.0, atol=1e-8)


@pytest.mark.parametrize("plain", [False, True], ids=["own", "autograd"])
def test_hutchinson_is_unbiased(plain):
    made = field()
    part = Plain(made) if plain else made
    generator = torch.Generator().manual_seed(0)
    steps = {"method": "rk4", "step": 0.25}  # the path does not depend on the signs
    exact = ContinuousFlow(made, 3, trace="exact", **steps)
    estimate = ContinuousFlow(part, 3, trace="hutchinson", generator=generator, **steps)
    x = points(3)
    with torch.no_grad():
        z, wanted = exact(x)
        end, draws = estimate(x.expand(2_000, 3, 3))
    torch.testing.assert_close(end[0], z)
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - wanted).abs() < 4 * error).all())
    assert bool((error > 0).all())


def gradients(flow: ContinuousFlow, x: Tensor, condition: Tensor) -> list[Tensor]:
    inputs = [x.clone().requires_grad_(), condition.clone().requires_grad_()]
    z, log_det = flow(*inputs)
    back = flow.inverse(*inputs)
    loss = z.sin().sum() + log_det.sum() + back.square().sum()
    return list(torch.autograd.grad(loss, [*inputs, *flow.parameters()]))


@pytest.mark.parametrize("trace", ["exact", "hutchinson"])
@pytest.mark.parametrize("plain", [False, True], ids=["own", "autograd"])
def test_every_way_of_the_gradient_agrees(trace, plain):
    found = []
    for gradient in ("direct", "checkpointed", "adjoint"):
        made = field(given=2, frequencies=1)
        flow = ContinuousFlow(
            Plain(made) if plain else made,
            3,
            condition_dimension=2,
            trace=trace,
            gradient=gradient,
            relative_tolerance=1e-7,
            absolute_tolerance=1e-8,
            generator=torch.Generator().manual_seed(3),
        )
        found.append(gradients(flow, points(), points(6, 2)))
    for direct, checkpointed, adjoint in zip(*found, strict=True):
        torch.testing.assert_close(checkpointed, direct, rtol=1e-10, atol=1e-12)
        torch.testing.assert_close(adjoint, direct, rtol=1e-4, atol=1e-4)


def test_gradient_of_frozen_parameters_reaches_the_points():
    made = Plain(field())
    made.requires_grad_(requires_grad=False)
    flow = ContinuousFlow(made, 3, method="rk4", step=0.5)
    assert torch.autograd.gradcheck(flow, (points(2).requires_grad_(),))
    z, log_det = flow(points(2))
    assert not z.requires_grad
    assert not log_det.requires_grad


@pytest.mark.parametrize("plain", [False, True], ids=["own", "autograd"])
@torch.no_grad()
def test_costs_of_the_path_are_its_integrals(plain):
    """Simpson's rule on a fine path, with the Jacobian by autograd at each time."""
    made = field()
    flow = ContinuousFlow(
        Plain(made) if plain else made, 3, relative_tolerance=1e-9, absolute_tolerance=1e-10
    )
    x, times = points(), torch.linspace(0.0, 1.0, 101, dtype=DOUBLE)
    found = flow.regularised(x)
    path = flow.path(x, times)
    weights = torch.full((101,), 2.0, dtype=DOUBLE)
    weights[1::2], weights[0], weights[-1] = 4.0, 1.0, 1.0
    kinetic, norm = torch.zeros(6, dtype=DOUBLE), torch.zeros(6, dtype=DOUBLE)
    for weight, time, at in zip(weights / 300.0, times, path, strict=True):
        velocity, jacobian = AutogradField(made, None).jacobian(time, at)
        kinetic += weight * velocity.square().sum(-1)
        norm += weight * jacobian.square().sum((1, 2))
    torch.testing.assert_close(found.z, flow(x)[0], rtol=0.0, atol=1e-8)
    torch.testing.assert_close(found.log_abs_det, flow(x)[1], rtol=0.0, atol=1e-6)
    torch.testing.assert_close(found.kinetic_energy, kinetic, rtol=1e-6, atol=0.0)
    torch.testing.assert_close(found.jacobian_norm, norm, rtol=1e-6, atol=0.0)


@torch.no_grad()
def test_estimated_norm_of_the_jacobian_is_unbiased():
    made, x = field(), points(2)
    steps = {"method": "rk4", "step": 0.25}
    wanted = ContinuousFlow(made, 3, trace="exact", **steps).regularised(x).jacobian_norm
    generator = torch.Generator().manual_seed(0)
    flow = ContinuousFlow(made, 3, trace="hutchinson", generator=generator, **steps)
    draws = flow.regularised(x.expand(2_000, 2, 3)).jacobian_norm
    error = draws.std(0) / math.sqrt(len(draws))
    assert bool(((draws.mean(0) - wanted).abs() < 4 * error).all())


def test_penalty_straightens_the_paths():
    torch.manual_seed(0)
    lengths = []
    for weight in (0.0, 1.0):
        made = field(2)
        flow = ContinuousFlow(made, 2, method="rk4", step=0.5)
        optimiser = torch.optim.Adam(flow.parameters(), lr=1e-2)
        x = 0.5 * points(64, 2) + 1.0
        for _ in range(30):
            path = flow.regularised(x)
            loss = 0.5 * path.z.square().sum(-1) - path.log_abs_det
            cost = path.kinetic_energy + path.jacobian_norm
            optimiser.zero_grad()
            (loss + weight * cost).mean().backward()
            optimiser.step()
        lengths.append(float(flow.regularised(x).kinetic_energy.detach().mean()))
    assert lengths[1] < 0.8 * lengths[0]


@torch.no_grad()
def test_halving_the_step_converges_with_the_order_of_the_method():
    made, x = field(), points()
    values = [
        float(ContinuousFlow(made, 3, method="rk4", step=1.0 / steps)(x)[1].sum())
        for steps in (16, 32, 64, 128)
    ]
    changes = [abs(b - a) for a, b in itertools.pairwise(values)]
    orders = [math.log2(a / b) for a, b in itertools.pairwise(changes)]
    assert orders == pytest.approx([4.0, 4.0], abs=0.4)


def test_exact_trace_costs_one_layer_whatever_the_dimension():
    assert bind(field(), None).exact_dimension > 10_000
    assert bind(field(hidden=(8, 8, 8)), None).exact_dimension < 100


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"trace": "guess"}, "trace 'guess' is unknown"),
        ({"method": "guess"}, "method 'guess' is unknown"),
        ({"gradient": "reversible"}, "HamiltonianFlow"),
        ({"interval": (1.0, 1.0)}, "must have a length"),
    ],
    ids=str,
)
def test_bad_choices(choices, message):
    with pytest.raises(InputError, match=message):
        ContinuousFlow(None, 2, **choices)


def test_bad_fields_and_points():
    with pytest.raises(InputError, match="hidden layers"):
        MultilayerField(2, hidden=())
    with pytest.raises(InputError, match="unknown"):
        MultilayerField(2, activation="sine")
    with pytest.raises(InputError, match="both must be the same"):
        ContinuousFlow(_Wrong(), 2).inverse(torch.zeros(3, 2))
    with pytest.raises(InputError, match="empty"):
        ContinuousFlow(None, 2)(torch.zeros(0, 2))


class _Wrong(nn.Module):
    def forward(self, time: Tensor, x: Tensor, condition: Tensor | None = None) -> Tensor:
        return x[:, :1]

"""Residual flow: the bound of its Lipschitz constant, its inverse, its random series."""

import itertools

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from graphtide.errors import ComputationError, InputError
from graphtide.flows.lipschitz import LipschitzNetwork, spectral_bound
from graphtide.flows.residual import ResidualFlow

DOUBLE = torch.float64


def hard(dimension: int, scale: float = 5.0, **choices) -> ResidualFlow:
    """A flow whose raw weights are far above the bound, so that it is reached."""
    torch.manual_seed(0)
    flow = ResidualFlow(dimension, hidden=(24, 24), **choices).to(DOUBLE)
    with torch.no_grad():
        for parameter in flow.parameters():
            parameter.copy_(scale * torch.randn_like(parameter))
    return flow


def points(count: int, dimension: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, dimension, generator=generator, dtype=DOUBLE)


@given(
    rows=st.integers(1, 40),
    columns=st.integers(1, 40),
    seed=st.integers(0, 10_000),
    exponent=st.integers(-12, 12),
    rank_one=st.booleans(),
)
@pytest.mark.parametrize("dtype", [torch.float32, DOUBLE], ids=str)
def test_spectral_bound_encloses_the_norm(dtype, rows, columns, seed, exponent, rank_one):
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(rows, columns, generator=generator, dtype=DOUBLE)
    if rank_one:
        weight = weight[:, :1] * weight[:1]
    weight = (weight * 10.0**exponent).to(dtype)
    norm = float(torch.linalg.matrix_norm(weight.double(), ord=2))
    bound = float(spectral_bound(weight))
    loosest = min(rows, columns) ** (1.0 / 256.0)
    assert norm <= bound <= norm * loosest * (1.0 + 1e-3 * (dtype == torch.float32) + 1e-9)


def test_spectral_bound_of_equal_singular_values_and_of_nothing():
    assert float(spectral_bound(torch.eye(64))) == pytest.approx(64 ** (1 / 256), rel=1e-4)
    assert float(spectral_bound(torch.zeros(3, 4))) == pytest.approx(0.0, abs=1e-6)


def test_spectral_bound_has_its_gradient():
    weight = points(5, 3).requires_grad_()
    assert torch.autograd.gradcheck(spectral_bound, (weight,))


@pytest.mark.parametrize("lipschitz", [0.5, 0.97])
def test_lipschitz_constant_stays_below_the_bound(lipschitz):
    flow = hard(3, lipschitz=lipschitz)
    weights = flow.network.bound_weights()
    product = 1.0
    for weight in weights:
        product *= float(torch.linalg.matrix_norm(weight.detach(), ord=2))
    assert 0.9 * lipschitz < product <= lipschitz
    first, second = points(500, 3), points(500, 3).flip(0)
    ratio = (flow.network(first) - flow.network(second)).norm(dim=1) / (first - second).norm(dim=1)
    assert float(ratio.max().detach()) < lipschitz


def test_small_weights_are_left_as_they_are():
    network = LipschitzNetwork(2, hidden=(8, 8), lipschitz=0.9)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.mul_(1e-3)
    for used, layer in zip(network.bound_weights(), network.layers, strict=True):
        assert torch.equal(used, layer.weight)


@torch.no_grad()
def test_inverse_at_the_bound():
    flow = hard(3, lipschitz=0.98)
    x = 10.0 * points(200, 3)
    back = flow.inverse(flow(x)[0])
    # The error of the last iterate is at most L / (1 - L) times its change.
    assert float((back - x).abs().max()) < 49 * 20 * torch.finfo(DOUBLE).eps * float(x.abs().max())


def test_inverse_that_is_cut_off_says_so():
    flow = hard(2, lipschitz=0.95, maximum_iterations=2)
    with pytest.raises(ComputationError, match="2 iterations"):
        flow.inverse(points(5, 2))


def test_second_derivatives_of_the_inverse_are_refused():
    z = points(3, 2).requires_grad_()
    with pytest.raises(InputError, match="first derivatives only"):
        torch.autograd.grad(hard(2).inverse(z).sum(), z, create_graph=True)


def strong(**choices) -> ResidualFlow:
    """A flow of four dimensions whose Jacobian is near the bound in all directions."""
    flow = hard(4, scale=0.05, activation="softplus", **choices)
    with torch.no_grad():
        for layer in flow.network.layers:
            layer.weight += torch.eye(*layer.weight.shape, dtype=DOUBLE)
            layer.bias += 1.0
    return flow


def test_random_series_is_unbiased():
    """Means over the draws lie within four standard errors of the exact log-determinant."""
    choices = {"lipschitz": 0.9, "exact_terms": 1, "continuation": 0.6}
    exact = strong(**choices, trace="exact")
    generator = torch.Generator().manual_seed(0)
    series = strong(**choices, trace="hutchinson", generator=generator)
    x = points(3, 4)
    wanted = exact(x)[1].detach()
    with torch.no_grad():
        # One length of the series a call, signs of its own for each of 128 copies.
        draws = torch.stack([series(x.expand(128, 3, 4))[1].mean(0) for _ in range(500)])
    error = draws.std(0) / len(draws) ** 0.5
    assert bool(((draws.mean(0) - wanted).abs() < 4 * error).all())
    assert float((error / wanted.abs()).max()) < 0.1
    # Cutting the series after its first term without reweighting is seen as the bias it is.
    bound = series.network.bind(None)
    trace = bound.jacobian(bound.value(x)[1]).diagonal(dim1=1, dim2=2).sum(-1).detach()
    assert bool(((trace - wanted).abs() > 8 * error).any())


def test_gradient_of_the_random_series_is_unbiased():
    choices = {"lipschitz": 0.8, "exact_terms": 2}
    exact = strong(**choices, trace="exact")
    generator = torch.Generator().manual_seed(0)
    series = strong(**choices, trace="hutchinson", generator=generator)
    x = points(1, 4)
    weight = exact.network.layers[0].bias
    (wanted,) = torch.autograd.grad(exact(x)[1].sum(), weight)
    draws = torch.stack(
        [
            torch.autograd.grad(series(x.expand(64, 4))[1].mean(), series.network.layers[0].bias)[0]
            for _ in range(250)
        ]
    )
    error = draws.std(0) / len(draws) ** 0.5
    assert bool(((draws.mean(0) - wanted).abs() < 4 * error).all())
    assert float(wanted.norm()) > 10 * float(error.norm())


@torch.no_grad()
def test_refined_steps_tend_to_the_flow_of_the_field():
    """Euler's method: the difference to the solution of dx/dt = g(x) halves with the step."""
    flow, x = hard(2), points(10, 2)
    ends = [flow.refined(factor)(x) for factor in (8, 16, 32, 64)]
    for part in (0, 1):  # points, log-determinants
        changes = [float((b[part] - a[part]).norm()) for a, b in itertools.pairwise(ends)]
        assert changes[0] / changes[1] == pytest.approx(2.0, rel=0.1)
        assert changes[1] / changes[2] == pytest.approx(2.0, rel=0.1)
    refined = flow.refined(3)
    assert len(list(refined.parameters())) == len(list(flow.parameters()))
    torch.testing.assert_close(refined.inverse(refined(x)[0]), x, rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("lipschitz", [1.0, 1.5, 0.0, float("nan")])
def test_a_lipschitz_constant_that_is_not_below_one(lipschitz):
    with pytest.raises(InputError, match="between 0 and 1"):
        ResidualFlow(2, lipschitz=lipschitz)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"trace": "guess"}, "unknown"),
        ({"continuation": 1.0}, "continuation"),
        ({"step": 1.5}, "at most 1"),
        ({"exact_terms": 0}, "exact term"),
        ({"activation": "silu"}, "1-Lipschitz"),
        ({"hidden": ()}, "hidden layer"),
    ],
    ids=str,
)
def test_bad_choices(choices, message):
    with pytest.raises(InputError, match=message):
        ResidualFlow(2, **choices)

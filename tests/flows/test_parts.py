"""Couplings, mixing, actnorm and permutations: what is particular to each."""

import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from graphtide.errors import InputError
from graphtide.flows.coupling import AdditiveCoupling, AffineCoupling, alternating_mask
from graphtide.flows.flow import DiagonalNormal, Flow, StandardNormal
from graphtide.flows.mixing import ActNorm, Mixing, Permutation
from graphtide.flows.spline import SplineCoupling

DOUBLE = torch.float64
COUPLINGS = pytest.mark.parametrize("kind", [AdditiveCoupling, AffineCoupling, SplineCoupling])


@COUPLINGS
@torch.no_grad()
def test_kept_coordinates_pass_and_rows_do_not_mix(kind):
    mask = torch.tensor([False, True, True, False])
    flow = kind(mask)
    x = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))
    z = flow(x)[0]
    assert torch.equal(z[:, mask], x[:, mask])
    assert not torch.equal(z[:, ~mask], x[:, ~mask])
    torch.testing.assert_close(flow(x[2:3])[0], z[2:3])


@COUPLINGS
@pytest.mark.parametrize(
    "mask", [torch.ones(3, dtype=torch.bool), torch.zeros(3, dtype=torch.bool)]
)
def test_a_mask_that_keeps_all_or_nothing(kind, mask):
    with pytest.raises(InputError, match="keep some of its 3 coordinates"):
        kind(mask)


@COUPLINGS
def test_masks_and_conditioners_that_do_not_fit(kind):
    with pytest.raises(InputError, match="type bool"):
        kind(torch.ones(3))
    with pytest.raises(InputError, match="the conditioner gave shape"):
        kind(alternating_mask(4), nn.Linear(2, 1))(torch.zeros(5, 4))


def test_bad_choices():
    with pytest.raises(InputError, match="log_scale_bound"):
        AffineCoupling(alternating_mask(2), log_scale_bound=0.0)
    with pytest.raises(InputError, match="bound must be positive"):
        SplineCoupling(alternating_mask(2), bound=-1.0)
    with pytest.raises(InputError, match="bins"):
        SplineCoupling(alternating_mask(2), bins=1)
    with pytest.raises(InputError, match="at least 1"):
        Mixing(0)
    with pytest.raises(InputError, match="at least 1"):
        StandardNormal(0)
    with pytest.raises(InputError, match="must not be negative"):
        AdditiveCoupling(alternating_mask(2), nn.Identity(), condition_dimension=-1)
    with pytest.raises(InputError, match="once"):
        Permutation([0, 0, 2])


def test_log_scales_stay_within_their_bound():
    flow = AffineCoupling(alternating_mask(2), nn.Linear(1, 2), log_scale_bound=2.0)
    with torch.no_grad():
        flow.conditioner.weight.fill_(1e4)
        log_det = flow(torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))[1]
    assert log_det.tolist() == pytest.approx([2.0, -2.0])


@given(seed=st.integers(0, 1_000), scale=st.floats(0.1, 3.0))
@torch.no_grad()
def test_splines_rise_and_are_the_identity_outside(seed, scale):
    torch.manual_seed(seed)
    flow = SplineCoupling(alternating_mask(2), nn.Linear(1, 23), bound=3.0).to(DOUBLE)
    for parameter in flow.conditioner.parameters():
        parameter.copy_(scale * torch.randn_like(parameter))
    moved = torch.linspace(-4.0, 4.0, 801, dtype=DOUBLE)
    x = torch.stack([torch.zeros_like(moved), moved], dim=1)
    z, log_det = flow(x)
    assert bool((z[1:, 1] > z[:-1, 1]).all())
    outside = moved.abs() >= 3.0
    assert torch.equal(z[outside], x[outside])
    assert bool((log_det[outside] == 0).all())
    torch.testing.assert_close(flow.inverse(z), x, rtol=0.0, atol=1e-9)


@torch.no_grad()
def test_spline_starts_near_the_identity():
    flow = SplineCoupling(alternating_mask(2), nn.Linear(1, 23))
    for parameter in flow.conditioner.parameters():
        parameter.zero_()
    x = torch.randn(50, 2, generator=torch.Generator().manual_seed(0))
    z, log_det = flow(x)
    torch.testing.assert_close(z, x, rtol=0.0, atol=1e-5)
    assert float(log_det.abs().max()) < 1e-5


@torch.no_grad()
def test_mixing_begins_with_a_rotation_or_the_identity():
    matrix = Mixing(5, torch.Generator().manual_seed(0)).matrix()
    torch.testing.assert_close(matrix @ matrix.T, torch.eye(5), rtol=0.0, atol=1e-5)
    assert torch.equal(Mixing(5).matrix(), torch.eye(5))


@torch.no_grad()
def test_mixing_survives_its_state_dict():
    first, second = (Mixing(4, torch.Generator().manual_seed(seed)) for seed in (0, 1))
    second.load_state_dict(first.state_dict())
    assert torch.equal(first.matrix(), second.matrix())


@torch.no_grad()
def test_actnorm_takes_one_batch_and_no_other():
    generator = torch.Generator().manual_seed(0)
    norm = ActNorm(3)
    x = 3.0 * torch.randn(200, 3, generator=generator) + 5.0
    assert torch.equal(norm.eval()(x)[0], x)  # the identity until it has started
    z = norm.train()(x)[0]
    torch.testing.assert_close(z.mean(0), torch.zeros(3), rtol=0.0, atol=1e-5)
    torch.testing.assert_close(z.std(0), torch.ones(3), rtol=0.0, atol=1e-5)
    started = copy.deepcopy(norm.state_dict())
    norm(100.0 * x)
    assert all(torch.equal(value, started[key]) for key, value in norm.state_dict().items())
    loaded = ActNorm(3)
    loaded.load_state_dict(started)
    assert torch.equal(loaded(x[:2])[0], z[:2])  # it does not start again
    with pytest.raises(InputError, match="two points"):
        ActNorm(3)(x[:1])


@torch.no_grad()
def test_permutation_orders_coordinates():
    z, _ = Permutation([2, 0, 1])(torch.tensor([[10.0, 20.0, 30.0]]))
    assert z.tolist() == [[30.0, 10.0, 20.0]]


@torch.no_grad()
def test_bases_are_the_normal_distributions_they_say():
    base = DiagonalNormal(2).to(DOUBLE)
    base.mean.copy_(torch.tensor([1.0, -2.0]))
    base.log_deviation.copy_(torch.tensor([0.5, -1.0]))
    z = base.sample((20_000,), torch.Generator().manual_seed(0))
    expected = torch.distributions.Normal(base.mean, base.log_deviation.exp())
    torch.testing.assert_close(base.log_prob(z), expected.log_prob(z).sum(-1))
    torch.testing.assert_close(z.mean(0), base.mean, rtol=0.0, atol=0.05)
    torch.testing.assert_close(z.std(0), base.log_deviation.exp(), rtol=0.05, atol=0.0)


def test_samples_repeat_with_their_generator_and_carry_no_gradient():
    flow = Flow(AffineCoupling(alternating_mask(2)))
    first, second, third = (
        flow.sample(4, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)
    )
    assert torch.equal(first, second)
    assert not torch.equal(first, third)
    assert not first.requires_grad
    assert flow.rsample(4, torch.Generator().manual_seed(0)).requires_grad

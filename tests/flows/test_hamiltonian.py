"""Hamiltonian flow: volume, energy, order, reversible gradients, and couplings as its steps."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from graphtide.errors import InputError
from graphtide.flows.bijection import Composition
from graphtide.flows.coupling import AdditiveCoupling
from graphtide.flows.flow import Flow
from graphtide.flows.hamiltonian import HamiltonianFlow, Potential

DOUBLE = torch.float64
METHODS = pytest.mark.parametrize(("method", "order"), [("leapfrog", 2), ("yoshida4", 4)])


def flow(dimension: int = 4, frequencies: int = 0, given: int = 0, **choices) -> HamiltonianFlow:
    torch.manual_seed(0)
    parts = [
        Potential(dimension // 2, given, hidden=16, frequencies=frequencies).to(DOUBLE)
        for _ in range(2)
    ]
    with torch.no_grad():
        for part in parts:
            part.heights.abs_()  # a well: orbits stay where they are
    return HamiltonianFlow(dimension, *parts, condition_dimension=given, **choices)


def points(count: int = 6, dimension: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(count, dimension, generator=generator, dtype=DOUBLE)


@METHODS
def test_gradient_of_the_energy_is_the_field(method, order):
    bijection = flow(method=method)
    x = points().requires_grad_()
    (slope,) = torch.autograd.grad(bijection.energy(x).sum(), x)
    position, momentum = x.detach().chunk(2, dim=-1)
    clock = torch.zeros((), dtype=DOUBLE)
    fields = [bijection.potential(clock, position), bijection.kinetic(clock, momentum)]
    torch.testing.assert_close(slope, torch.cat(fields, dim=-1), rtol=0.0, atol=1e-12)


@METHODS
def test_volume_is_preserved(method, order):
    bijection = flow(method=method, interval=(0.0, 5.0), steps=40)
    x = points().requires_grad_()
    z = bijection(x)[0]
    rows = [torch.autograd.grad(z[:, i].sum(), x, retain_graph=True)[0] for i in range(4)]
    volume = torch.linalg.det(torch.stack(rows, dim=1))
    assert float((volume - 1.0).abs().max()) < 1e-10


@METHODS
@torch.no_grad()
def test_energy_error_does_not_grow_with_time(method, order):
    """A symplectic method keeps the energy within O(h^p) for exponentially long times."""
    x, errors = points(), []
    for length in (20.0, 200.0):
        bijection = flow(method=method, interval=(0.0, length), steps=int(4 * length))
        path = bijection.path(x)
        energy = bijection.energy(path)  # (steps + 1, B)
        errors.append(float((energy - energy[0]).abs().max()))
    assert 0 < errors[0] < 0.02 * float(energy[0].abs().max())
    assert errors[1] < 1.5 * errors[0]


@METHODS
@torch.no_grad()
def test_order(method, order):
    x = points()
    exact = flow(method="yoshida4", frequencies=1, steps=600, interval=(0.0, 2.0))(x)[0]
    counts = [12, 24, 48, 96]
    errors = [
        float(
            (
                flow(method=method, frequencies=1, steps=count, interval=(0.0, 2.0))(x)[0] - exact
            ).norm()
        )
        for count in counts
    ]
    slope = -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])
    assert slope == pytest.approx(order, abs=0.2)


@METHODS
def test_reversible_gradients_equal_direct_ones(method, order):
    x = points()
    condition = torch.randn(6, 3, generator=torch.Generator().manual_seed(2), dtype=DOUBLE)
    found = []
    for gradient in ("reversible", "direct"):
        bijection = flow(given=3, frequencies=1, method=method, steps=20, gradient=gradient)
        inputs = [x.clone().requires_grad_(), condition.clone().requires_grad_()]
        loss = (bijection(*inputs)[0].sin() + bijection.inverse(*inputs).cos()).sum()
        found.append(torch.autograd.grad(loss, [*inputs, *bijection.parameters()]))
    for reversible, direct in zip(*found, strict=True):
        assert float(direct.abs().max()) > 1e-6
        torch.testing.assert_close(reversible, direct, rtol=0.0, atol=1e-10)


def kept_bytes(gradient: str, steps: int) -> int:
    """Return the bytes that autograd keeps for the backward pass."""
    kept = 0

    def pack(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += tensor.numel() * tensor.element_size()
        return tensor

    bijection = flow(steps=steps, gradient=gradient)
    with saved_tensors_hooks(pack, lambda tensor: tensor):
        bijection(points(64).requires_grad_())[0].sum()
    return kept


def test_memory_of_reversible_gradients_is_constant_in_steps():
    assert kept_bytes("reversible", 256) == kept_bytes("reversible", 4) > 0
    assert kept_bytes("direct", 64) > 10 * kept_bytes("direct", 4)


@torch.no_grad()
def test_additive_couplings_are_the_half_pairs_of_a_leapfrog_step():
    """kick(h/2) drift(h/2), then its mirror drift(h/2) kick(h/2), with h = 0.7."""
    size = 0.7
    bijection = flow(interval=(0.0, size), steps=1)
    clock = torch.zeros((), dtype=DOUBLE)
    position_kept = torch.tensor([True, True, False, False])

    class Half(torch.nn.Module):
        def __init__(self, field: torch.nn.Module, sign: float) -> None:
            super().__init__()
            self.field, self.sign = field, sign

        def forward(self, kept: Tensor) -> Tensor:
            return self.sign * 0.5 * size * self.field(clock, kept)

    kick = AdditiveCoupling(position_kept, Half(bijection.potential, -1.0))
    drift = AdditiveCoupling(~position_kept, Half(bijection.kinetic, 1.0))
    pair, mirror = Composition([kick, drift]), Composition([drift, kick])
    x = points()
    stepped = bijection(x)[0]
    torch.testing.assert_close(mirror(pair(x)[0])[0], stepped, rtol=0.0, atol=1e-15)
    # The half pair by itself is half a step of symplectic Euler, in plain numbers.
    position, momentum = x.chunk(2, dim=-1)
    momentum = momentum - 0.5 * size * bijection.potential(clock, position)
    position = position + 0.5 * size * bijection.kinetic(clock, momentum)
    expected = torch.cat([position, momentum], dim=-1)
    torch.testing.assert_close(pair(x)[0], expected, rtol=0.0, atol=1e-15)
    assert not torch.allclose(pair(x)[0], stepped, atol=1e-3)


@METHODS
@torch.no_grad()
def test_the_whole_flow_is_a_stack_of_couplings(method, order):
    bijection = flow(frequencies=1, given=3, steps=5, method=method)
    couplings = bijection.as_couplings()
    assert len(couplings.parts) == {"leapfrog": 11, "yoshida4": 31}[method]
    x, condition = points(), torch.ones(3, dtype=DOUBLE)
    torch.testing.assert_close(
        couplings(x, condition)[0], bijection(x, condition)[0], rtol=0.0, atol=1e-13
    )
    shared = {id(parameter) for parameter in couplings.parameters()}
    assert shared == {id(parameter) for parameter in bijection.parameters()}


def test_halving_the_step_converges_to_one_likelihood():
    """The discrete density tends to that of the continuous flow with the method's order."""
    x, values = points(64), []
    for steps in (8, 16, 32, 64):
        bijection = flow(frequencies=1, steps=steps, interval=(0.0, 2.0))
        values.append(Flow(bijection).log_prob(x).mean().item())
    changes = np.abs(np.diff(values))
    assert changes[1:] == pytest.approx(changes[:-1] / 4.0, rel=0.15)


def test_second_derivatives_are_refused_where_they_would_be_wrong():
    x = points().requires_grad_()
    with pytest.raises(InputError, match="first derivatives only"):
        torch.autograd.grad(flow()(x)[0].sum(), x, create_graph=True)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"dimension": 3}, "even dimension"),
        ({"steps": 0}, "steps >= 1"),
        ({"interval": (1.0, 1.0)}, "interval"),
        ({"method": "rk4"}, "unknown"),
        ({"gradient": "adjoint"}, "unknown"),
    ],
    ids=str,
)
def test_bad_choices(choices, message):
    with pytest.raises(InputError, match=message):
        HamiltonianFlow(**{"dimension": 2, **choices})


def test_energy_needs_potentials():
    bijection = HamiltonianFlow(2, torch.nn.Identity(), torch.nn.Identity())
    with pytest.raises(InputError, match="Potential"):
        bijection.energy(torch.zeros(1, 2))
    with pytest.raises(InputError, match="empty"):
        flow(dimension=2)(torch.zeros(0, 2, dtype=DOUBLE))
    with pytest.raises(InputError, match="hidden"):
        Potential(1, hidden=0)

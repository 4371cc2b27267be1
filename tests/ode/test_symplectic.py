"""Laws of the symplectic methods: order, reversibility, area, energy, reversible gradient."""

import math
import tracemalloc

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode.symplectic import (
    LEAPFROG,
    YOSHIDA4,
    SeparableSystem,
    SymplecticMethod,
    solve_reversibly,
)

METHODS = pytest.mark.parametrize("method", [LEAPFROG, YOSHIDA4], ids=lambda method: method.name)
OMEGA = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)


def pendulum(drive: float = 0.0) -> SeparableSystem:
    """A pendulum whose length is driven in time."""
    return SeparableSystem(
        velocity=lambda time, momentum: momentum,
        force=lambda time, position: -torch.sin(position) * (1.0 + drive * torch.cos(time)),
    )


def march(
    method: SymplecticMethod,
    system: SeparableSystem,
    state: Tensor,
    span: tuple[float, float],
    count: int,
) -> Tensor:
    """Take `count` equal steps."""
    size, derivative = (span[1] - span[0]) / count, None
    for index in range(count):
        step = method.step(system, span[0] + index * size, state, derivative, size)
        state, derivative = step.state, step.derivative
    return state


def slope(method: SymplecticMethod) -> float:
    exact = solve_ivp(
        lambda time, state: [state[1], -np.sin(state[0]) * (1 + 0.3 * np.cos(time))],
        (0.0, 2.0), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14,
    ).y[:, -1]  # fmt: skip
    start = torch.tensor([1.0, 0.5], dtype=torch.float64)
    counts = [8, 16, 32, 64, 128]
    errors = [
        np.linalg.norm(march(method, pendulum(0.3), start, (0.0, 2.0), count).numpy() - exact)
        for count in counts
    ]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


@METHODS
def test_order(method):
    assert slope(method) == pytest.approx(method.order, abs=0.2)


def test_wrong_weights_lose_the_order():
    outer = YOSHIDA4.weights[0] + 0.01
    wrong = SymplecticMethod("wrong", 4, (outer, 1.0 - 2.0 * outer, outer))
    assert slope(wrong) == pytest.approx(2.0, abs=0.2)


@METHODS
@settings(deadline=None, max_examples=20)
@given(position=st.floats(-2.0, 2.0), momentum=st.floats(-2.0, 2.0), size=st.floats(0.01, 0.3))
def test_round_trip_is_exact_to_round_off(method, position, momentum, size):
    start = torch.tensor([[position, momentum]], dtype=torch.float64)
    end = march(method, pendulum(0.2), start, (0.0, 20 * size), 20)
    back = march(method, pendulum(0.2), end, (20 * size, 0.0), 20)
    assert torch.allclose(back, start, rtol=0.0, atol=1e-12)


@METHODS
def test_steps_keep_the_area(method):
    def flow(state: Tensor) -> Tensor:
        return march(method, pendulum(0.4), state, (0.0, 3.0), 6)

    start = torch.tensor([0.7, -0.4], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(flow, start)
    assert isinstance(jacobian, Tensor)
    assert torch.allclose(jacobian.T @ OMEGA @ jacobian, OMEGA, rtol=0.0, atol=1e-13)


@METHODS
def test_energy_does_not_drift(method):
    """The energy error over 20,000 steps is that of the first hundred (no secular growth)."""
    state = torch.tensor([1.0, 0.0], dtype=torch.float64)
    energies = []
    derivative = None
    for index in range(20000 if method is LEAPFROG else 6000):
        step = method.step(pendulum(), 0.1 * index, state, derivative, 0.1)
        state, derivative = step.state, step.derivative
        position, momentum = state.tolist()
        energies.append(0.5 * momentum**2 - math.cos(position))
    error = np.abs(np.array(energies) + math.cos(1.0))
    early, late = error[:100].max(), error[-1000:].max()
    assert late < 1.1 * early
    assert early < 0.1**method.order


@METHODS
def test_reversible_gradient_equals_direct(method):
    generator = torch.Generator().manual_seed(0)
    coupling = torch.randn(3, 3, generator=generator, dtype=torch.float64)
    coupling = ((coupling + coupling.T) / 2).requires_grad_()
    mass = torch.nn.Linear(3, 3, bias=False, dtype=torch.float64)
    system = SeparableSystem(
        velocity=lambda time, momentum: mass(momentum),
        force=lambda time, position: -torch.sin(position @ coupling) * (1.0 + 0.1 * time),
    )
    start = torch.randn(4, 6, generator=generator, dtype=torch.float64, requires_grad=True)
    wanted = (coupling, mass.weight, start)
    states = solve_reversibly(
        method, system, start, [0.0, 1.0, 2.5], [10, 20], [coupling, mass.weight]
    )
    middle = march(method, system, start, (0.0, 1.0), 10)
    end = march(method, system, middle, (1.0, 2.5), 20)
    assert torch.allclose(states, torch.stack([start, middle, end]), rtol=0.0, atol=1e-12)
    reversible = torch.autograd.grad(states.pow(3).sum(), wanted)
    direct = torch.autograd.grad(torch.stack([start, middle, end]).pow(3).sum(), wanted)
    for one, other in zip(reversible, direct, strict=True):
        assert torch.allclose(one, other, rtol=1e-9, atol=1e-9)


def test_parameters_of_modules_are_found():
    field = torch.nn.Linear(2, 2, dtype=torch.float64)
    system = SeparableSystem(velocity=lambda time, momentum: momentum, force=_Spring(field))
    states = solve_reversibly(
        LEAPFROG, system, torch.ones(1, 4, dtype=torch.float64), [0.0, 1.0], [4]
    )
    (gradient,) = torch.autograd.grad(states[-1].sum(), [field.weight])
    assert gradient.abs().sum() > 0


class _Spring(torch.nn.Module):
    def __init__(self, field: torch.nn.Linear) -> None:
        super().__init__()
        self.field = field

    def forward(self, time: Tensor, position: Tensor) -> Tensor:
        return -self.field(position)


class _SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """Count the bytes that autograd keeps for the backward pass."""

    def __init__(self) -> None:
        self.count = 0

        def pack(tensor: Tensor) -> Tensor:
            self.count += tensor.numel() * tensor.element_size()
            return tensor

        super().__init__(pack, lambda tensor: tensor)


def test_reversible_memory_does_not_grow_with_steps():
    start = torch.ones(1000, 2, dtype=torch.float64, requires_grad=True)
    kept, allocated = [], []
    for count in (10, 2000):
        with (saved := _SavedBytes()):
            states = solve_reversibly(YOSHIDA4, pendulum(), start, [0.0, 1.0], [count])
        kept.append(saved.count)
        tracemalloc.start()
        states[-1].sum().backward()
        allocated.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert kept[0] == kept[1] == 2 * start.numel() * 8  # the two outputs
    assert allocated[1] < allocated[0] + 200_000  # a list of its 12,001 shears would be 1 MB
    with (direct := _SavedBytes()):
        march(YOSHIDA4, pendulum(), start, (0.0, 1.0), 100)
    assert direct.count > 50 * kept[0]


def test_wrong_systems_are_refused():
    state = torch.ones(4, dtype=torch.float64)
    with pytest.raises(InputError, match="needs a SeparableSystem"):
        LEAPFROG.step(lambda time, state: state, 0.0, state, None, 0.1)
    with pytest.raises(InputError, match="even length"):
        LEAPFROG.step(pendulum(), 0.0, state[:3], None, 0.1)
    with pytest.raises(InputError, match="counts of steps"):
        solve_reversibly(LEAPFROG, pendulum(), state, [0.0, 1.0], [])


def test_second_derivatives_are_refused():
    start = torch.ones(2, dtype=torch.float64, requires_grad=True)
    states = solve_reversibly(LEAPFROG, pendulum(), start, [0.0, 1.0], [4])
    with pytest.raises(InputError, match="first derivatives only"):
        torch.autograd.grad(states[-1].pow(2).sum(), start, create_graph=True)

"""Laws of the implicit method: order, stiff reference problems, Krylov solver, gradients."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode import implicit
from graphtide.ode.implicit import EMBEDDED_WEIGHTS, STAGE_WEIGHTS, KennedyCarpenter4
from graphtide.ode.krylov import gmres


def field(time: Tensor, state: Tensor) -> Tensor:
    first, second = state
    return torch.stack([-first * second + torch.cos(time), first - 0.5 * second**2])


def march(rhs, state: Tensor, span: tuple[float, float], count: int) -> Tensor:
    method, derivative = KennedyCarpenter4(1e-11, 1e-12), None
    size = (span[1] - span[0]) / count
    for index in range(count):
        step = method.step(rhs, span[0] + index * size, state, derivative, size)
        assert torch.isfinite(step.error).all()
        state, derivative = step.state, step.derivative
    return state


def slope() -> float:
    exact = solve_ivp(
        lambda time, state: [-state[0] * state[1] + np.cos(time), state[0] - 0.5 * state[1] ** 2],
        (0.0, 2.0), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14,
    ).y[:, -1]  # fmt: skip
    start = torch.tensor([1.0, 0.5], dtype=torch.float64)
    counts = [4, 8, 16, 32, 64]
    errors = [
        np.linalg.norm(march(field, start, (0.0, 2.0), count).numpy() - exact) for count in counts
    ]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


def order_conditions(weights: tuple[Fraction, ...]) -> list[Fraction]:
    """Residuals of the order conditions, orders 1, 2, 3, 3, 4, 4, 4, 4, in exact arithmetic."""
    rows = [[*row, *[Fraction(0)] * (6 - len(row))] for row in STAGE_WEIGHTS]
    node = [sum(row, Fraction(0)) for row in rows]

    def apply(values: list[Fraction]) -> list[Fraction]:
        return [sum((a * v for a, v in zip(row, values, strict=True)), Fraction(0)) for row in rows]

    def total(values: list[Fraction]) -> Fraction:
        return sum((w * v for w, v in zip(weights, values, strict=True)), Fraction(0))

    square, cube = [c**2 for c in node], [c**3 for c in node]
    return [
        total([Fraction(1)] * 6) - 1,
        total(node) - Fraction(1, 2),
        total(square) - Fraction(1, 3),
        total(apply(node)) - Fraction(1, 6),
        total(cube) - Fraction(1, 4),
        total([c * a for c, a in zip(node, apply(node), strict=True)]) - Fraction(1, 8),
        total(apply(square)) - Fraction(1, 12),
        total(apply(apply(node))) - Fraction(1, 24),
    ]


def test_order_conditions_in_exact_arithmetic():
    assert order_conditions(STAGE_WEIGHTS[-1]) == [0] * 8
    embedded = order_conditions(EMBEDDED_WEIGHTS)
    assert embedded[:4] == [0] * 4
    assert all(embedded[4:])  # order 3 and no more, so the difference is an error estimate


def test_order():
    assert slope() == pytest.approx(4.0, abs=0.2)


def test_a_wrong_weight_loses_the_order(monkeypatch):
    last = list(implicit._SHARES[-1])
    last[2] *= 1.01
    monkeypatch.setattr(implicit, "_SHARES", (*implicit._SHARES[:-1], tuple(last)))
    assert slope() < 3.0


def test_l_stability():
    """A step of the test equation at h lambda = -1e8 leaves nothing of the state."""
    step = KennedyCarpenter4().step(
        lambda time, state: -1e8 * state, 0.0, torch.ones(1, dtype=torch.float64), None, 1.0
    )
    assert abs(float(step.state)) < 1e-6


@pytest.mark.parametrize("kind", ["differentiable", "detached", "refusing"])
def test_van_der_pol_step_by_either_jacobian(kind):
    """Products by autograd and by differences solve the same stage equations."""

    class Field:
        def __call__(self, time: Tensor, state: Tensor) -> Tensor:
            if kind == "refusing" and state.requires_grad:
                raise InputError("numbers only")
            state = state if kind == "differentiable" else state.detach()
            position, velocity = state
            return torch.stack([velocity, 1000.0 * (1 - position**2) * velocity - position])

    start = torch.tensor([2.0, -2.0 / 3000.0], dtype=torch.float64)
    exact = solve_ivp(
        lambda time, state: [state[1], 1000 * (1 - state[0] ** 2) * state[1] - state[0]],
        (0.0, 1.0), start.numpy(), method="Radau", rtol=1e-12, atol=1e-14,
    ).y[:, -1]  # fmt: skip
    end = march(Field(), start, (0.0, 1.0), 10)
    assert np.allclose(end.numpy(), exact, rtol=1e-8, atol=0.0)


def test_gmres_solves_what_a_dense_solver_solves():
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 40, generator=generator, dtype=torch.float64)
    matrix = matrix + 8 * torch.eye(40, dtype=torch.float64)
    right = torch.randn(40, generator=generator, dtype=torch.float64)
    solution, remainder, products = gmres(lambda v: matrix @ v, right, tolerance=1e-11)
    residual = torch.linalg.vector_norm(right - matrix @ solution)
    assert residual < 1e-10
    assert remainder == pytest.approx(float(residual), abs=1e-11)
    assert products <= 40


def test_gmres_ends_with_the_number_of_distinct_eigenvalues():
    values = torch.tensor([1.0, 3.0, 9.0], dtype=torch.float64).repeat(20)
    _, remainder, products = gmres(
        lambda v: values * v, torch.linspace(1, 2, 60, dtype=torch.float64), tolerance=1e-12
    )
    assert products == 3
    assert remainder < 1e-12


def test_gmres_of_zero_is_zero():
    solution, remainder, products = gmres(
        lambda v: v, torch.zeros(4, dtype=torch.float64), tolerance=0.0
    )
    assert not solution.any()
    assert (remainder, products) == (0.0, 0)


def test_a_step_newton_cannot_solve_is_rejected():
    step = KennedyCarpenter4().step(
        lambda time, state: torch.where(time > 0.0, torch.nan, 1.0) * state,
        0.0, torch.ones(1, dtype=torch.float64), None, 1.0,
    )  # fmt: skip
    assert torch.isinf(step.error).all()


def test_gradient_against_finite_differences():
    """The stages' gradient is that of the implicit function, also on stiff components."""
    generator = torch.Generator().manual_seed(0)
    rate = torch.rand(3, generator=generator, dtype=torch.float64, requires_grad=True)
    start = torch.randn(2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    stiff = torch.tensor([1.0, 30.0, 1000.0], dtype=torch.float64)

    def end(rate: Tensor, start: Tensor) -> Tensor:
        def rhs(time: Tensor, state: Tensor) -> Tensor:
            drive = torch.sin(rate[1] * state.roll(1, -1)) + rate[2] * torch.cos(time)
            return -(1 + rate[0]) * stiff * (state - drive)

        return march(rhs, start, (0.0, 1.0), 4)

    assert torch.autograd.gradcheck(end, (rate, start), eps=1e-5, atol=1e-7, rtol=1e-5)


def test_without_gradient_nothing_is_recorded():
    end = march(field, torch.ones(2, dtype=torch.float64), (0.0, 0.5), 2)
    assert not end.requires_grad


def test_second_derivatives_are_refused():
    start = torch.ones(1, dtype=torch.float64, requires_grad=True)
    end = march(lambda time, state: -(state**2), start, (0.0, 0.5), 1)
    with pytest.raises(InputError, match="first derivatives only"):
        torch.autograd.grad(end.sum(), start, create_graph=True)


def test_interpolation_inside_a_step():
    step = KennedyCarpenter4(1e-10, 1e-10).step(
        lambda time, state: torch.cos(time) * state, 0.0, torch.ones(1, dtype=torch.float64), None,
        0.2,
    )  # fmt: skip
    assert step.interpolate is not None
    assert float(step.interpolate(0.5)) == pytest.approx(math.exp(math.sin(0.1)), abs=2e-5)

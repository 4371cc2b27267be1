"""Laws of Runge-Kutta-Chebyshev: order, stability on a Laplacian, spectral radius, gradients."""

import math

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from graphtide.ode import stabilized
from graphtide.ode.stabilized import (
    RungeKuttaChebyshev,
    chebyshev_coefficients,
    spectral_radius,
    stage_count,
)


def field(time: Tensor, state: Tensor) -> Tensor:
    """A non-linear, non-autonomous pair."""
    first, second = state
    return torch.stack([-first * second + torch.cos(time), first - 0.5 * second**2])


def march(rhs, state: Tensor, span: tuple[float, float], count: int) -> Tensor:
    method, derivative = RungeKuttaChebyshev(), None
    size = (span[1] - span[0]) / count
    for index in range(count):
        step = method.step(rhs, span[0] + index * size, state, derivative, size)
        state, derivative = step.state, step.derivative
    return state


def slope() -> float:
    exact = solve_ivp(
        lambda time, state: [-state[0] * state[1] + np.cos(time), state[0] - 0.5 * state[1] ** 2],
        (0.0, 2.0), [1.0, 0.5], method="DOP853", rtol=1e-13, atol=1e-14,
    ).y[:, -1]  # fmt: skip
    start = torch.tensor([1.0, 0.5], dtype=torch.float64)
    counts = [16, 32, 64, 128, 256]
    errors = [
        np.linalg.norm(march(field, start, (0.0, 2.0), count).numpy() - exact) for count in counts
    ]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


def ring_laplacian(count: int, scale: float) -> Tensor:
    """Second differences on a ring, eigenvalues -scale * (2 - 2 cos), so radius 4 scale."""
    eye = torch.eye(count, dtype=torch.float64)
    return scale * (eye.roll(1, 0) + eye.roll(-1, 0) - 2 * eye)


def test_order():
    assert slope() == pytest.approx(2.0, abs=0.2)


@pytest.mark.parametrize("stages", [3, 7, 20])
def test_order_with_many_stages(stages, monkeypatch):
    monkeypatch.setattr(stabilized, "stage_count", lambda reach: stages)
    assert slope() == pytest.approx(2.0, abs=0.2)


def test_a_wrong_coefficient_loses_the_order(monkeypatch):
    def wrong(stages: int) -> stabilized.ChebyshevCoefficients:
        right = chebyshev_coefficients(stages)
        slopes = (*right.slope[:-1], right.slope[-1] * 1.01)
        return stabilized.ChebyshevCoefficients(
            right.node, right.previous, right.before, slopes, right.start_slope
        )

    monkeypatch.setattr(stabilized, "chebyshev_coefficients", wrong)
    assert slope() < 1.5


@pytest.mark.parametrize("stages", [2, 3, 5, 10, 50, 200])
def test_stability_function(stages):
    """R(z) agrees with exp(z) to z^2 and stays in the unit disc on the promised interval."""
    state = torch.linspace(-0.653 * (stages**2 - 1), 0.0, 2001, dtype=torch.float64)
    coefficients = chebyshev_coefficients(stages)
    start = torch.ones_like(state)

    def rhs(time: Tensor, values: Tensor) -> Tensor:
        return state * values

    value = stabilized._march(rhs, 0.0, start, rhs(start, start), 1.0, coefficients)
    assert value.abs().max() <= 1.0 + 1e-10
    assert coefficients.node[-1] == pytest.approx(1.0, abs=1e-12)
    small = torch.tensor([1e-3], dtype=torch.float64)
    got = stabilized._march(
        lambda time, values: -small * values, 0.0, start[:1], -small, 1.0, coefficients
    )
    assert abs(float(got) - math.exp(-1e-3)) < 1e-9


def test_long_steps_on_a_laplacian_are_stable():
    laplacian = ring_laplacian(64, 1000.0)
    start = torch.cos(torch.arange(64, dtype=torch.float64)) + torch.linspace(
        0, 1, 64, dtype=torch.float64
    )
    end = march(lambda time, state: laplacian @ state, start, (0.0, 50.0), 50)
    assert torch.isfinite(end).all()
    # The damping 2/13 holds |R| near 1 - (2/13)/3 = 0.95 inside the interval.
    before, after = (start - start.mean()).norm(), (end - start.mean()).norm()
    assert after < 0.96**50 * before
    assert end.mean() == pytest.approx(float(start.mean()), abs=1e-9)  # diffusion keeps the sum


def test_spectral_radius_of_a_laplacian():
    laplacian = ring_laplacian(50, 30.0)
    start = torch.ones(50, dtype=torch.float64)  # at rest: the derivative alone would see nothing
    radius, _, evaluations = spectral_radius(
        lambda time, state: laplacian @ state, 0.0, start, laplacian @ start
    )
    assert 0.85 * 120.0 < radius <= 120.0 * (1 + 1e-6)
    assert evaluations <= 50


def test_stage_count_is_the_least_stable_one():
    for reach in (0.1, 1.0, 10.0, 1e3, 1e5):
        stages = stage_count(reach)
        assert stages == 2 or 0.649 * (stages - 1) ** 2 < reach + 2.0
        assert reach <= 0.653 * (stages**2 - 1)


def test_too_many_stages_reject_the_step():
    step = RungeKuttaChebyshev().step(
        lambda time, state: -1e12 * state, 0.0, torch.ones(2, dtype=torch.float64), None, 1.0
    )
    assert step.error is not None
    assert torch.isinf(step.error).all()


def test_in_place_and_recorded_recurrences_agree():
    laplacian = ring_laplacian(20, 50.0)
    start = torch.sin(torch.arange(20, dtype=torch.float64))

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        return laplacian @ state - state**3

    plain = march(rhs, start.clone(), (0.0, 1.0), 5)
    recorded = march(rhs, start.clone().requires_grad_(), (0.0, 1.0), 5)
    assert recorded.requires_grad
    assert torch.allclose(plain, recorded, rtol=1e-13, atol=1e-13)


def test_steps_do_not_touch_the_state_they_start_from():
    start = torch.ones(3, dtype=torch.float64)
    derivative = -start
    RungeKuttaChebyshev().step(lambda time, state: -100 * state, 0.0, start, derivative, 1.0)
    assert torch.equal(start, torch.ones(3, dtype=torch.float64))
    assert torch.equal(derivative, -start)


def test_a_right_hand_side_may_return_its_argument():
    end = march(lambda time, state: state, torch.ones(1, dtype=torch.float64), (0.0, 1.0), 200)
    assert float(end) == pytest.approx(math.e, rel=1e-4)


def test_interpolation_meets_the_ends_and_is_accurate_inside():
    step = RungeKuttaChebyshev().step(
        lambda time, state: torch.cos(time) * state, 0.0, torch.ones(1, dtype=torch.float64), None,
        0.1,
    )  # fmt: skip
    assert step.interpolate is not None
    assert float(step.interpolate(0.0)) == 1.0
    assert torch.allclose(step.interpolate(1.0), step.state, rtol=1e-15)
    assert float(step.interpolate(0.5)) == pytest.approx(math.exp(math.sin(0.05)), abs=5e-5)


def test_gradient_against_finite_differences():
    generator = torch.Generator().manual_seed(0)
    rate = torch.rand(3, generator=generator, dtype=torch.float64, requires_grad=True)
    start = torch.randn(5, generator=generator, dtype=torch.float64, requires_grad=True)
    laplacian = ring_laplacian(5, 20.0)

    def end(rate: Tensor, start: Tensor) -> Tensor:
        def rhs(time: Tensor, state: Tensor) -> Tensor:
            return rate[0] * (laplacian @ state) + torch.sin(rate[1] * state) * rate[2] * time

        return march(rhs, start, (0.0, 1.0), 4)

    assert torch.autograd.gradcheck(end, (rate, start), eps=1e-6, atol=1e-7, rtol=1e-6)

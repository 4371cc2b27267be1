"""Stiff problems against SciPy, and the gradients of adaptive stiff and diffusive solves."""

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from graphtide.ode.solve import solve


def van_der_pol(time: Tensor, state: Tensor) -> Tensor:
    """The relaxation oscillator with mu = 1000."""
    position, velocity = state
    return torch.stack([velocity, 1000.0 * (1.0 - position**2) * velocity - position])


def robertson(time: Tensor, state: Tensor) -> Tensor:
    """Three reactions whose rates span nine decades."""
    first = -0.04 * state[0] + 1e4 * state[1] * state[2]
    third = 3e7 * state[1] ** 2
    return torch.stack([first, -first - third, third])


def exact(rhs, start: list[float], times: list[float], absolute: float) -> np.ndarray:
    return solve_ivp(
        lambda time, state: rhs(torch.tensor(time), torch.from_numpy(state)).numpy(),
        (times[0], times[-1]), start, method="Radau", t_eval=times, rtol=1e-11, atol=absolute,
    ).y.T  # fmt: skip


def test_van_der_pol():
    times = [0.0, 400.0, 800.0, 820.0]  # the first jump is near 807
    solution = solve(
        van_der_pol, torch.tensor([2.0, 0.0], dtype=torch.float64), times, structure="stiff",
        relative_tolerance=1e-7, absolute_tolerance=1e-9,
    )  # fmt: skip
    wanted = exact(van_der_pol, [2.0, 0.0], times, 1e-13)
    assert np.allclose(solution.states.numpy(), wanted, rtol=2e-5, atol=1e-9)
    assert solution.statistics.accepted < 1000


def test_robertson():
    times = [0.0, 1.0, 100.0, 1e4]
    start = [1.0, 0.0, 0.0]
    solution = solve(
        robertson, torch.tensor(start, dtype=torch.float64), times, structure="stiff",
        relative_tolerance=1e-7, absolute_tolerance=1e-12,
    )  # fmt: skip
    wanted = exact(robertson, start, times, 1e-15)
    assert np.allclose(solution.states.numpy(), wanted, rtol=1e-5, atol=1e-12)
    assert torch.allclose(solution.states.sum(1), torch.ones(4, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize("method", ["runge_kutta_chebyshev", "kennedy_carpenter4"])
def test_gradient_modes_agree(method):
    generator = torch.Generator().manual_seed(0)
    count = 12
    eye = torch.eye(count, dtype=torch.float64)
    laplacian = 40.0 * (eye.roll(1, 0) + eye.roll(-1, 0) - 2 * eye)
    rate = torch.tensor([0.7, 0.3], dtype=torch.float64, requires_grad=True)
    start = torch.rand(count, generator=generator, dtype=torch.float64, requires_grad=True)

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        return rate[0] * (laplacian @ state) + rate[1] * torch.sin(state)

    grown = []
    for gradient in ("direct", "checkpointed"):
        states = solve(
            rhs, start, [0.0, 0.3, 1.0], method=method, gradient=gradient,
            relative_tolerance=1e-6, absolute_tolerance=1e-8,
        ).states  # fmt: skip
        grown.append(torch.autograd.grad(states.square().sum(), (rate, start)))
    for one, other in zip(*grown, strict=True):
        assert torch.allclose(one, other, rtol=1e-6, atol=1e-6 * float(one.abs().max()))

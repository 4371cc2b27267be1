"""The choice of a method agrees with what the methods then cost."""

import numpy as np
import pytest
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode.auto import choose_method
from graphtide.ode.solve import solve
from graphtide.ode.symplectic import SeparableSystem


def hub_laplacian(leaves: int, scale: float) -> Tensor:
    """Diffusion on a star and a path through its leaves; its radius is scale * (leaves + 1)."""
    adjacency = torch.zeros(leaves + 1, leaves + 1, dtype=torch.float64)
    adjacency[0, 1:] = adjacency[1:, 0] = 1.0
    inner = torch.arange(1, leaves)
    adjacency[inner, inner + 1] = adjacency[inner + 1, inner] = 1.0
    return scale * (adjacency - torch.diag(adjacency.sum(1)))


@pytest.mark.parametrize(
    ("leaves", "scale", "tolerance"),
    [(30, 0.1, 1e-3), (30, 1.0, 1e-6), (100, 1.0, 1e-4), (100, 10.0, 1e-6), (300, 10.0, 1e-3)],
)
def test_diffusive_choice_is_near_the_cheaper_method(leaves, scale, tolerance):
    laplacian = hub_laplacian(leaves, scale)
    start = torch.from_numpy(np.random.default_rng(0).uniform(0, 25, leaves + 1))

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        return laplacian @ state

    chosen = choose_method("diffusive", rhs, start, (0.0, 2.0), tolerance)
    cost = {
        method: solve(
            rhs, start, [0.0, 2.0], method=method,
            relative_tolerance=tolerance, absolute_tolerance=tolerance,
        ).statistics.evaluations
        for method in ("dormand_prince5", "runge_kutta_chebyshev")
    }  # fmt: skip
    assert cost[chosen] <= 2.0 * min(cost.values())


def test_stiff_and_mild_diffusion_differ():
    start = torch.linspace(0, 1, 101, dtype=torch.float64)
    laplacian = hub_laplacian(100, 1.0)
    for scale, wanted in ((0.01, "dormand_prince5"), (100.0, "runge_kutta_chebyshev")):
        span = (5.0 * scale, 0.0)  # faster diffusion is a longer time
        assert choose_method("diffusive", lambda t, x: laplacian @ x, start, span, 1e-6) == wanted


def test_other_structures():
    state = torch.ones(2, dtype=torch.float64)

    def unmeasured(time: Tensor, state: Tensor) -> Tensor:
        raise ValueError

    span = (0.0, 1.0)
    assert choose_method("plain", unmeasured, state, span, 1e-6) == "dormand_prince5"
    assert choose_method("plain", unmeasured, state, span, 1e-10) == "dormand_prince8"
    assert choose_method("stiff", unmeasured, state, span, 1e-6) == "kennedy_carpenter4"
    assert choose_method("hamiltonian", unmeasured, state, span, 1e-6) == "yoshida4"
    system = SeparableSystem(unmeasured, unmeasured)
    assert choose_method("plain", system, state, span, 1e-6) == "yoshida4"
    with pytest.raises(InputError, match="known are plain, diffusive"):
        choose_method("chaotic", unmeasured, state, span, 1e-6)

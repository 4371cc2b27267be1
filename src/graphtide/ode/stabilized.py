"""Runge-Kutta-Chebyshev of order 2: an explicit method for diffusion, stable far along the axis.

    Y_0 = y,   Y_1 = y + m_1 h F_0,   F_j = f(t + c_j h, Y_j)
    Y_j = (1 - mu_j - nu_j) y + mu_j Y_{j-1} + nu_j Y_{j-2} + m_j h F_{j-1} + g_j h F_0,   j = 2..s

With s stages the step is stable for h rho <= 0.65 (s^2 - 1), rho the spectral radius of df/dy
(eigenvalues near the negative real axis): the cost of a stiff diffusion grows with the square root
of rho, where that of a classical explicit method grows with rho. Memory is five states whatever s
is.

Source: Sommeijer, Shampine, Verwer, RKC: an explicit solver for parabolic PDEs, Journal of
Computational and Applied Mathematics 88 (1998): coefficients (2.3)-(2.7), error estimate (2.8),
power method section 3.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor

from graphtide.ode.hermite import cubic_hermite
from graphtide.ode.stepping import RightHandSide, Step, clock

__all__ = ["RungeKuttaChebyshev", "chebyshev_coefficients", "spectral_radius"]

_SAFETY = 1.2  # the power method approaches the radius from below
_PERIOD = 25  # steps between two estimates
_MAXIMUM_STAGES = 1000


@dataclass(frozen=True, slots=True)
class ChebyshevCoefficients:
    """Hold the recurrence of a step; entry j of each tuple belongs to stage j."""

    node: tuple[float, ...]  # c_j
    previous: tuple[float, ...]  # mu_j
    before: tuple[float, ...]  # nu_j
    slope: tuple[float, ...]  # m_j
    start_slope: tuple[float, ...]  # g_j


class RungeKuttaChebyshev:
    """RKC of order 2 with as many stages as the step and the spectral radius ask for.

    The radius is estimated at the start, every 25 steps, and when a step is rejected; each estimate
    after the first begins from the last direction and takes two or three evaluations as a rule. An
    instance belongs to one solve. Gradients flow through the recurrence; the radius, which only
    sets the number of stages, is held constant by them.
    """

    name = "runge_kutta_chebyshev"
    order = 2
    error_order = 2
    adaptive = True

    def __init__(self) -> None:
        self._direction: Tensor | None = None
        self._radius: float | None = None
        self._estimated_at = math.nan
        self._last_time = math.nan
        self._age = 0
        self._stages: dict[
            tuple[float, float], int
        ] = {}  # shared by copies: a step repeats exactly

    def step(
        self,
        rhs: RightHandSide,
        time: float,
        state: Tensor,
        derivative: Tensor | None,
        size: float,
    ) -> Step:
        """Take one trial step; its error is infinite where it would need too many stages."""
        evaluations = 0
        if derivative is None:
            derivative = rhs(clock(time, state), state)
            evaluations += 1
        stages, used = self._stages.get((time, size)), 0
        if stages is None:
            radius, used = self._current_radius(rhs, time, state, derivative)
            stages = self._stages[time, size] = stage_count(radius * abs(size))
        if stages > maximum_stages(state.dtype):
            error = torch.full_like(state, math.inf)
            return Step(state, error, derivative, None, evaluations + used)
        after = _march(rhs, time, state, derivative, size, chebyshev_coefficients(stages))
        slope = rhs(clock(time + size, state), after)
        error = (0.8 * (state - after)).add(derivative + slope, alpha=0.4 * size)

        def interpolate(share: float) -> Tensor:
            return cubic_hermite(share, size, state, after, derivative, slope)

        return Step(after, error, slope, interpolate, evaluations + used + stages)

    def _current_radius(
        self,
        rhs: RightHandSide,
        time: float,
        state: Tensor,
        derivative: Tensor,
    ) -> tuple[float, int]:
        """Return the radius (with safety) for a step from `time` and the evaluations it took."""
        rejected = time == self._last_time and time != self._estimated_at
        self._age += time != self._last_time
        self._last_time = time
        if self._radius is not None and not rejected and self._age <= _PERIOD:
            return self._radius, 0
        radius, self._direction, evaluations = spectral_radius(
            rhs, time, state, derivative, self._direction
        )
        self._radius, self._estimated_at, self._age = _SAFETY * radius, time, 0
        return self._radius, evaluations


def stage_count(reach: float) -> int:
    """Return the least number of stages, at least 2, that is stable for `reach` = h rho."""
    return max(2, 1 + math.isqrt(math.ceil(1.54 * reach + 1.0))) if math.isfinite(reach) else 10**9


def maximum_stages(dtype: torch.dtype) -> int:
    """Return the most stages whose own round-off, s^2 units in the last place, stays below 1e-3."""
    return min(_MAXIMUM_STAGES, int(math.sqrt(1e-3 / torch.finfo(dtype).eps)))


@lru_cache(maxsize=256)
def chebyshev_coefficients(stages: int) -> ChebyshevCoefficients:
    """Return the coefficients of an RKC step of order 2 with `stages` >= 2 stages."""
    argument = 1.0 + (2.0 / 13.0) / stages**2  # w_0, with the damping 2/13
    value, first, second = [1.0, argument], [0.0, 1.0], [0.0, 0.0]  # T_j, T_j', T_j'' at w_0
    for _ in range(2, stages + 1):
        value.append(2 * argument * value[-1] - value[-2])
        first.append(2 * value[-2] + 2 * argument * first[-1] - first[-2])
        second.append(4 * first[-2] + 2 * argument * second[-1] - second[-2])
    scale = first[stages] / second[stages]  # w_1
    share = [0.0, 0.0, *(second[j] / first[j] ** 2 for j in range(2, stages + 1))]  # b_j
    share[0] = share[1] = share[2]
    node = [0.0, share[1] * scale]
    previous, before, slope, start_slope = [0.0] * 2, [0.0] * 2, [0.0, share[1] * scale], [0.0] * 2
    for j in range(2, stages + 1):
        previous.append(2 * argument * share[j] / share[j - 1])
        before.append(-share[j] / share[j - 2])
        slope.append(2 * scale * share[j] / share[j - 1])
        start_slope.append(-(1 - share[j - 1] * value[j - 1]) * slope[j])
        node.append(scale * second[j] / first[j])
    return ChebyshevCoefficients(*map(tuple, (node, previous, before, slope, start_slope)))


@torch.no_grad()
def spectral_radius(
    rhs: RightHandSide,
    time: float,
    state: Tensor,
    derivative: Tensor,
    direction: Tensor | None = None,
    *,
    tolerance: float = 0.01,
    maximum_iterations: int = 50,
) -> tuple[float, Tensor, int]:
    """Estimate the spectral radius of d rhs / d state by a nonlinear power method on differences.

    Args:
        rhs: right-hand side.
        time: where the Jacobian is meant, with `state`.
        state: any shape.
        derivative: rhs(time, state).
        direction: start of the iteration, such as the one returned last; by default `derivative`
            plus a fixed wave, so that a start in a slow mode or at rest still sees the fast ones.
        tolerance: relative change of the estimate at which the iteration ends.
        maximum_iterations: evaluations at most; one number is read from the device in each.

    Returns:
        The estimate (it approaches from below), the direction reached, and the evaluations taken.
    """
    at = clock(time, state)
    if direction is None:
        wave = torch.arange(1, state.numel() + 1, dtype=state.dtype, device=state.device)
        wave = torch.cos(2.4 * wave).reshape(state.shape)
        direction = _unit(derivative) + _unit(wave)
    size = torch.linalg.vector_norm(state)
    size = torch.where(size > 0, size, math.sqrt(state.numel()))
    length = math.sqrt(torch.finfo(state.dtype).eps) * size
    radius, evaluations, settled = 0.0, 0, False
    while not settled and evaluations < maximum_iterations:
        probe = torch.addcmul(state, _unit(direction), length)
        direction = rhs(at, probe) - derivative
        last, radius = radius, float(torch.linalg.vector_norm(direction) / length)
        evaluations += 1
        settled = not math.isfinite(radius) or abs(radius - last) <= tolerance * radius
    return radius, direction, evaluations


def _march(
    rhs: RightHandSide,
    time: float,
    state: Tensor,
    derivative: Tensor,
    size: float,
    coefficients: ChebyshevCoefficients,
) -> Tensor:
    """Run the recurrence; in place on two own buffers unless autograd has to record it."""
    recorded = torch.is_grad_enabled() and (state.requires_grad or derivative.requires_grad)
    before, current = state, torch.add(state, derivative, alpha=coefficients.slope[1] * size)
    spare: Tensor | None = None  # the buffer of Y_{j-2}, once that is our own
    for j in range(2, len(coefficients.node)):
        slope = rhs(clock(time + coefficients.node[j - 1] * size, state), current)
        recorded = recorded or (torch.is_grad_enabled() and slope.requires_grad)
        mu, nu = coefficients.previous[j], coefficients.before[j]
        following = before * nu if recorded or spare is None else spare.mul_(nu)
        parts = (
            (current, mu),
            (slope, coefficients.slope[j] * size),
            (state, 1.0 - mu - nu),
            (derivative, coefficients.start_slope[j] * size),
        )
        for part, weight in parts:
            if recorded:
                following = following.add(part, alpha=weight)
            else:
                following.add_(part, alpha=weight)
        spare = None if recorded else current
        before, current = current, following
    return current


def _unit(vector: Tensor) -> Tensor:
    """Return `vector` with length 1, or zeros for zeros."""
    length = torch.linalg.vector_norm(vector)
    return vector / length.clamp_min(torch.finfo(vector.dtype).tiny)

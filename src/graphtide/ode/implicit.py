"""Kennedy-Carpenter 4(3): an L-stable implicit method of order 4 for stiff systems, matrix-free.

    z_i = h g f(t + c_i h, b_i + z_i),   b_i = y + sum_{j<i} (a_ij / g) z_j,   g = 1/4,   i = 2..6
    y_new = b_6 + z_6,   error = sum_i (b_i - bhat_i) z_i / g

Why this one: its Newton iteration only needs the Jacobian to converge, not to be exact (a
Rosenbrock method loses its order with an inexact one), so products with it may come from autograd
or from differences and the linear systems may be solved by GMRES; its first stage is the last of
the step before (five solves a step); stage order 2 and L-stability keep it accurate on very stiff
terms.

The gradient is that of the solved stage equation (implicit function theorem): with J = df/dy there,
the backward pass solves (1 - h g J^T) u = v by the same GMRES; no Newton iterate is stored.

Source: Kennedy, Carpenter, Additive Runge-Kutta schemes for convection-diffusion-reaction
equations, Applied Numerical Mathematics 44 (2003), ARK4(3)6L[2]SA, implicit part. Newton's stopping
rule: Hairer, Wanner, Solving Ordinary Differential Equations II (1996), IV.8.
"""

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

import torch
from torch import Tensor

from graphtide.errors import ComputationError, InputError
from graphtide.ode.hermite import cubic_hermite
from graphtide.ode.krylov import gmres
from graphtide.ode.stepping import RightHandSide, Step, clock

__all__ = ["EMBEDDED_WEIGHTS", "STAGE_WEIGHTS", "KennedyCarpenter4"]

F = Fraction
STAGE_WEIGHTS: tuple[tuple[Fraction, ...], ...] = (
    (F(0),),
    (F(1, 4), F(1, 4)),
    (F(8611, 62500), F(-1743, 31250), F(1, 4)),
    (F(5012029, 34652500), F(-654441, 2922500), F(174375, 388108), F(1, 4)),
    (
        F(15267082809, 155376265600),
        F(-71443401, 120774400),
        F(730878875, 902184768),
        F(2285395, 8070912),
        F(1, 4),
    ),
    (F(82889, 524892), F(0), F(15625, 83664), F(69875, 102672), F(-2260, 8211), F(1, 4)),
)
EMBEDDED_WEIGHTS: tuple[Fraction, ...] = (
    F(4586570599, 29645900160),
    F(0),
    F(178811875, 945068544),
    F(814220225, 1159782912),
    F(-3700637, 11593932),
    F(61727, 225920),
)
_DIAGONAL = 0.25
_NEWTON_ERROR = 0.01  # of a stage, in units of the tolerance
_NEWTON_ITERATIONS = 10
_GRADIENT_ERROR = 1e-11  # relative residual of the backward solve
_GRADIENT_CYCLES = 10
_NODES = tuple(float(sum(row)) for row in STAGE_WEIGHTS)
_SHARES = tuple(tuple(float(a / F(1, 4)) for a in row) for row in STAGE_WEIGHTS)
_ERROR_SHARES = tuple(
    float((b - bhat) / F(1, 4)) for b, bhat in zip(STAGE_WEIGHTS[-1], EMBEDDED_WEIGHTS, strict=True)
)
# A stage's first guess: the line through two earlier stages (indices into the nodes).
_GUESS = {1: (0, 0), 2: (0, 1), 3: (2, 1), 4: (2, 3), 5: (3, 4)}


class KennedyCarpenter4:
    """The implicit method above with Newton-GMRES; an instance belongs to one solve.

    Products with the Jacobian come from autograd (two reverse passes, exact) where `rhs` is
    differentiable, else (its result has no gradient, or it refuses states that require one by an
    `InputError`) from differences of `rhs`. Vectors are measured in units of the tolerance,
    absolute + relative * |y|, so that components of very different size are solved alike.

    Args:
        relative_tolerance: of the solve; sets the units in which Newton's error is measured.
        absolute_tolerance: the same.
    """

    name = "kennedy_carpenter4"
    order = 4
    error_order = 3
    adaptive = True

    def __init__(self, relative_tolerance: float = 1e-6, absolute_tolerance: float = 1e-8) -> None:
        self.relative_tolerance = relative_tolerance
        self.absolute_tolerance = absolute_tolerance
        self._curvature = math.inf  # of the stage equations, as Newton's last iteration saw it

    def step(
        self,
        rhs: RightHandSide,
        time: float,
        state: Tensor,
        derivative: Tensor | None,
        size: float,
    ) -> Step:
        """Take one trial step; its error is infinite where Newton's iteration did not converge."""
        evaluations = 0
        if derivative is None:
            derivative = rhs(clock(time, state), state)
            evaluations += 1
        scaled = size * _DIAGONAL
        recorded = torch.is_grad_enabled() and (state.requires_grad or derivative.requires_grad)
        stages = [derivative * scaled]  # z_1..z_6
        magnitude = state.detach().abs()
        floor = 1e-16 * magnitude.max() + torch.finfo(state.dtype).tiny
        unit = self.absolute_tolerance + self.relative_tolerance * magnitude + floor
        self._curvature = math.inf
        base = state
        for index in range(1, len(_NODES)):
            base = state
            for share, stage in zip(_SHARES[index], stages, strict=False):
                if share:
                    base = base + share * stage
            equation = _StageEquation(rhs, time + _NODES[index] * size, scaled, unit)
            guess = _first_guess(stages, index)
            solved, converged = self._newton(equation, base.detach(), guess.detach())
            if (
                not converged
            ):  # off the slow manifold the guess is wild; the start of the step is not
                guess = (state - base).detach()
                solved, converged = self._newton(equation, base.detach(), guess)
            evaluations += equation.evaluations
            if not converged:
                return Step(state, torch.full_like(state, math.inf), None, None, evaluations)
            stages.append(equation.attach(solved, base) if recorded else solved)
        after = base + stages[-1]
        slope = stages[-1] / scaled
        error = _ERROR_SHARES[0] * stages[0]
        for share, stage in zip(_ERROR_SHARES[1:], stages[1:], strict=True):
            error = error + share * stage

        def interpolate(share: float) -> Tensor:
            return cubic_hermite(share, size, state, after, derivative, slope)

        return Step(after, error, slope, interpolate, evaluations)

    @torch.no_grad()
    def _newton(
        self, equation: "_StageEquation", base: Tensor, guess: Tensor
    ) -> tuple[Tensor, bool]:
        """Solve a stage to a hundredth of the tolerance; tell whether it converged."""
        solved, last = guess, 0.0
        for iteration in range(_NEWTON_ITERATIONS):
            product, residual = equation.linearise(base + solved, solved)
            right = equation.scale(residual)
            start = float(torch.linalg.vector_norm(right))
            if not math.isfinite(start):
                return solved, False
            bound = max(0.1 * _NEWTON_ERROR, 1e-12 * start)
            change, remainder, products = gmres(product, right, tolerance=bound)
            equation.count(products)
            solved = solved - equation.unscale(change)
            length = float(torch.linalg.vector_norm(change))
            if iteration and last > 0.0:
                if length > max(2.0 * last, _NEWTON_ERROR):
                    return solved, False
                self._curvature = length / last**2
            last = length
            # Newton's error falls as curvature * length^2.
            if max(self._curvature * length, 1e-3) * length + remainder <= _NEWTON_ERROR:
                return solved, True
        return solved, False


class _StageEquation:
    """The equation z = scaled * f(time, base + z) of one stage, in units of the tolerance."""

    def __init__(
        self,
        rhs: RightHandSide,
        time: float,
        scaled: float,
        unit: Tensor,
    ) -> None:
        self.rhs = rhs
        self.time = clock(time, unit)
        self.scaled = scaled
        self.unit = unit * math.sqrt(unit.numel())  # so that |.|_2 is a root mean square
        self.evaluations = 0
        self._by_differences = False

    def scale(self, vector: Tensor) -> Tensor:
        """Return a vector (n,) in units of the tolerance."""
        return (vector / self.unit).reshape(-1)

    def unscale(self, vector: Tensor) -> Tensor:
        """Undo `scale`."""
        return vector.view_as(self.unit) * self.unit

    def count(self, products: int) -> None:
        """Count the evaluations that products with the Jacobian took."""
        if self._by_differences:
            self.evaluations += products

    def linearise(self, at: Tensor, solved: Tensor) -> tuple[Callable[[Tensor], Tensor], Tensor]:
        """Return the product with 1 - scaled * J (scaled vectors) and the residual at `at`."""
        self.evaluations += 1
        at = at.detach()
        slope = None if self._by_differences else self._recorded(at.requires_grad_())
        if slope is None or not slope.requires_grad:
            self._by_differences = True
            slope = self.rhs(self.time, at.detach()) if slope is None else slope
            residual = solved - self.scaled * slope
            return self._difference_product(at.detach(), slope), residual
        residual = solved - self.scaled * slope.detach()
        with torch.enable_grad():
            cotangent = torch.zeros_like(slope, requires_grad=True)
            (pulled,) = torch.autograd.grad(
                slope, at, cotangent, create_graph=True, allow_unused=True
            )

        def product(vector: Tensor) -> Tensor:
            if pulled is None:  # the right-hand side does not depend on the state
                return vector
            # J^T c is linear in c, so its own reverse pass along v is J v.
            (pushed,) = torch.autograd.grad(
                pulled, cotangent, self.unscale(vector), retain_graph=True
            )
            return vector - self.scale(self.scaled * pushed)

        return product, residual

    def _recorded(self, at: Tensor) -> Tensor | None:
        """Return the right-hand side under autograd; None where it refuses such states."""
        try:
            with torch.enable_grad():
                return self.rhs(self.time, at)
        except InputError:
            return None

    def _difference_product(self, at: Tensor, slope: Tensor) -> Callable[[Tensor], Tensor]:
        size = torch.linalg.vector_norm(self.scale(at)).clamp_min(1.0)
        spacing = math.sqrt(torch.finfo(at.dtype).eps) * size

        def product(vector: Tensor) -> Tensor:
            moved = self.rhs(self.time, at + spacing * self.unscale(vector))
            return vector - self.scale((self.scaled / spacing) * (moved - slope))

        return product

    def attach(self, solved: Tensor, base: Tensor) -> Tensor:
        """Return `solved` with the derivative that the implicit function theorem gives it."""
        self.evaluations += 1
        at = (base + solved).detach()
        at = at + (base - base.detach()) if base.requires_grad else at.requires_grad_()
        slope = self.rhs(self.time, at)
        if not slope.requires_grad:
            return solved
        stage: Tensor = _SolvedStage.apply(self.scaled * slope, solved, at, slope, self)
        return stage


class _SolvedStage(torch.autograd.Function):
    """Give the stage its solved value; pull cotangents v through (1 - scaled J^T) u = v."""

    @staticmethod
    def forward(
        ctx: Any,
        explicit: Tensor,
        solved: Tensor,
        at: Tensor,
        slope: Tensor,
        equation: _StageEquation,
    ) -> Tensor:
        del explicit
        ctx.graph = (at, slope)
        ctx.equation = equation
        return solved.clone()

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "an implicit method has first derivatives only; second ones need an explicit method"
            )
        (cotangent,) = cotangents
        at, slope = ctx.graph
        equation: _StageEquation = ctx.equation
        unit = equation.unit

        def product(vector: Tensor) -> Tensor:
            wanted = vector.view_as(unit) / unit
            (pulled,) = torch.autograd.grad(slope, at, wanted, retain_graph=True, allow_unused=True)
            if pulled is None:
                return vector
            return vector - (equation.scaled * pulled * unit).reshape(-1)

        right = (cotangent * unit).reshape(-1)
        goal = _GRADIENT_ERROR * float(torch.linalg.vector_norm(right))
        solution = torch.zeros_like(right)
        remainder = math.inf
        for _ in range(_GRADIENT_CYCLES):
            change, remainder, _products = gmres(product, right, tolerance=goal)
            solution = solution + change
            if remainder <= goal:
                return (solution.view_as(unit) / unit, None, None, None, None)
            right = right - product(change)
        raise ComputationError(
            f"the linear system of the gradient at time {float(equation.time):.6g} did not "
            f"converge: residual {remainder:.3g} after {_GRADIENT_CYCLES} cycles, {goal:.3g} "
            "wanted; shorter steps make it easier"
        )


def _first_guess(stages: list[Tensor], index: int) -> Tensor:
    """Return z_index on the line through two earlier stages."""
    first, second = _GUESS[index]
    if first == second:
        return stages[first]
    share = (_NODES[index] - _NODES[first]) / (_NODES[second] - _NODES[first])
    return (1.0 - share) * stages[first] + share * stages[second]

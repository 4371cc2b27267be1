"""Open-loop optimal control by differentiating through the solver.

    minimise  integral_0^T (|u|^2 + sparsity |u|_1) dt,   low <= u <= high,
    such that |x(T) - target| <= tolerance |x(0) - target|,   dx/dt = f(t, x, u).

The inputs are constant on K intervals; the gradient is that of the very steps of the solver. First
the end is brought as near to the target as the inputs can (the nearest reachable state, where that
is not near enough); then the cost is lowered by the method of multipliers on the one constraint.
Both are bound-constrained problems for L-BFGS-B; for the 1-norm u is the difference of two inputs
that are not negative, so that it is smooth and small inputs become exactly zero.

References:
    Hager, Numerische Mathematik 87 (2000) 247: discretise first, differentiate then.
    Byrd, Lu, Nocedal & Zhu, SIAM Journal on Scientific Computing 16 (1995) 1190: L-BFGS-B.
    Rockafellar, Mathematical Programming 5 (1973) 354: multipliers for inequalities.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.control.system import ControlledField, Solver, energy_of, roll_out
from graphtide.errors import ComputationError, InputError

__all__ = ["Bounds", "Minimum", "Steering", "minimise_inputs", "steer"]

Progress = Callable[[float, str], None]
Cost = Callable[[Tensor], Tensor]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Least and greatest value of every input; infinite where there is none."""

    low: float = -np.inf
    high: float = np.inf

    def __post_init__(self) -> None:
        """Check that there is a value between the bounds, and that 0 is one.

        Raises:
            InputError: there is none.
        """
        if not (self.low <= 0.0 <= self.high and self.low < self.high):
            raise InputError(
                f"inputs between {self.low:g} and {self.high:g}: the bounds must hold 0 between "
                "them and differ"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Minimum:
    """Inputs (K, M), their cost, and how many roll-outs they took."""

    inputs: np.ndarray
    cost: float
    evaluations: int


@dataclass(frozen=True, slots=True, eq=False)
class Steering:
    """An open-loop control and where it leads.

    Attributes:
        times: (K + 1,) ends of the intervals.
        inputs: (K, M), constant on each interval.
        states: (K + 1, N, D) under the inputs.
        target: (N, D), NaN where nothing is wanted.
        distance: |x(T) - target| / |x(0) - target| over what is wanted.
        tolerance: the distance that counts as arrival.
        energy: integral of |u|^2 over time.
        evaluations: roll-outs with gradient that were made.
    """

    times: np.ndarray
    inputs: np.ndarray
    states: np.ndarray
    target: np.ndarray
    distance: float
    tolerance: float
    energy: float
    evaluations: int

    @property
    def reached(self) -> bool:
        """Whether the end is within the tolerance of the target."""
        return self.distance <= self.tolerance * (1 + 1e-6)

    @property
    def nearest(self) -> np.ndarray:
        """The state reached at the horizon, (N, D): the nearest where the target is not reached."""
        return self.states[-1]


def steer(
    field: ControlledField,
    start: np.ndarray,
    target: np.ndarray,
    times: np.ndarray,
    actuators: int,
    *,
    bounds: Bounds | None = None,
    sparsity: float = 0.0,
    tolerance: float = 0.02,
    guess: np.ndarray | None = None,
    solver: Solver | None = None,
    iterations: int = 60,
    rounds: int = 6,
    progress: Progress | None = None,
) -> Steering:
    """Return the inputs of least cost that bring a start to a target.

    Args:
        field: the steered system.
        start: (N, D) at the first time.
        target: (N, D) at the last time; NaN where anything may be.
        times: (K + 1,) ends of the intervals of constant input.
        actuators: M, how many inputs the field takes.
        bounds: of every input; None for none.
        sparsity: weight of the integral of |u|_1 beside that of |u|^2, in the unit of u.
        tolerance: the distance from the target, as a share of the way, that counts as arrival.
        guess: inputs to begin from, (K, M); None begins from zero.
        solver: how to integrate.
        iterations: most iterations of L-BFGS-B in each round.
        rounds: most rounds of multipliers after the target has been reached.
        progress: called with a share and a text.

    Raises:
        InputError: a shape or a number is wrong, or nothing is wanted.
        ComputationError: the start cannot be integrated.
    """
    bounds, solver = bounds or Bounds(), solver or Solver()
    first = torch.as_tensor(np.asarray(start, dtype=np.float64))
    wanted = np.asarray(target, dtype=np.float64)
    if wanted.shape != tuple(first.shape):
        raise InputError(f"the target has shape {wanted.shape}; {tuple(first.shape)} was expected")
    known = torch.as_tensor(np.isfinite(wanted))
    if not bool(known.any()):
        raise InputError("the target wants nothing: every state is missing")
    if not 0.0 < tolerance < 1.0 or sparsity < 0.0:
        raise InputError(
            f"a tolerance between 0 and 1 and a sparsity of at least 0 were expected, not "
            f"{tolerance:g} and {sparsity:g}"
        )
    goal = torch.as_tensor(np.nan_to_num(wanted))[known]
    way = float((first[known] - goal).norm())
    if way == 0.0:
        raise InputError("the start is the target already")
    widths = torch.as_tensor(np.diff(np.asarray(times, dtype=np.float64)))
    report = progress or (lambda _share, _text: None)

    def distance_square(inputs: Tensor) -> Tensor:
        end = roll_out(field, first, inputs, times, solver)[-1]
        return ((end[known] - goal) / way).square().sum()

    def spent(inputs: Tensor) -> Tensor:
        each = inputs.square().sum(dim=1)
        if sparsity:
            each = each + sparsity * inputs.abs().sum(dim=1)
        return (each * widths).sum()

    shape = (len(widths), actuators)
    began = np.zeros(shape) if guess is None else np.asarray(guess, dtype=np.float64)
    report(0.0, "looking for a way to the target")
    found = minimise_inputs(
        distance_square,
        began,
        bounds,
        iterations=2 * iterations,
        enough=(0.9 * tolerance) ** 2,
    )
    evaluations = found.evaluations
    best, best_cost = found.inputs, np.inf
    if found.cost <= tolerance**2:
        best = _shrunk(distance_square, best, tolerance**2)
        best_cost = float(spent(torch.as_tensor(best)))
        unit = best_cost or 1.0
        current = best
        multiplier = _first_multiplier(
            lambda inputs: spent(inputs) / unit,
            lambda inputs: distance_square(inputs) / tolerance**2,
            best,
        )
        weight = multiplier
        for k in range(rounds):
            report((k + 1) / (rounds + 1), f"lowering the cost, round {k + 1}")

            def lagrangian(
                inputs: Tensor, multiplier: float = multiplier, weight: float = weight
            ) -> Tensor:
                excess = distance_square(inputs) / tolerance**2 - 1.0
                pressed = torch.relu(multiplier + weight * excess)
                return spent(inputs) / unit + (pressed.square() - multiplier**2) / (2 * weight)

            step = minimise_inputs(
                lagrangian,
                current,
                bounds,
                iterations=iterations,
                precision=1e-6,
                split=sparsity > 0,
            )
            evaluations += step.evaluations
            current = step.inputs
            with torch.no_grad():
                tried = torch.as_tensor(current)
                excess = float(distance_square(tried)) / tolerance**2 - 1.0
                cost = float(spent(tried))
            settled = excess <= 2e-3 and abs(best_cost - cost) <= 3e-3 * best_cost
            if excess <= 2e-3 and cost < best_cost:
                best, best_cost = current, cost
            multiplier = max(0.0, multiplier + weight * excess)
            if abs(excess) > 0.2:
                weight *= 3.0
            if settled:
                break
        if sparsity:
            best = _silenced(distance_square, best, tolerance**2)
    with torch.no_grad():
        states = roll_out(field, first, torch.as_tensor(best), times, solver)
    end = states[-1]
    return Steering(
        np.asarray(times, dtype=np.float64),
        best,
        states.numpy(),
        wanted,
        float((end[known] - goal).norm()) / way,
        tolerance * (1 + 2e-3),
        energy_of(best, np.asarray(times)),
        evaluations,
    )


def _shrunk(distance_square: Cost, inputs: np.ndarray, enough: float) -> np.ndarray:
    """Return the inputs times about the least factor with which they still arrive (bisection)."""
    fails, arrives = 0.0, 1.0
    with torch.no_grad():
        for _ in range(7):
            factor = (fails + arrives) / 2
            if float(distance_square(torch.as_tensor(factor * inputs))) <= enough:
                arrives = factor
            else:
                fails = factor
    return arrives * inputs


def _silenced(distance_square: Cost, inputs: np.ndarray, enough: float) -> np.ndarray:
    """Return the inputs with the faintest set to zero, as far as they still arrive."""
    loudest = float(np.abs(inputs).max())
    for share in (1e-2, 1e-3, 1e-4):
        quiet = np.where(np.abs(inputs) < share * loudest, 0.0, inputs)
        with torch.no_grad():
            if float(distance_square(torch.as_tensor(quiet))) <= enough * (1 + 2e-3) ** 2:
                return quiet
    return inputs


def _first_multiplier(cost: Cost, excess: Cost, inputs: np.ndarray) -> float:
    """Return the multiplier that balances the slopes of cost and constraint best, positive."""
    given = torch.tensor(inputs, requires_grad=True)
    (of_cost,) = torch.autograd.grad(cost(given), given)
    (of_excess,) = torch.autograd.grad(excess(given), given)
    balance = -float((of_cost * of_excess).sum()) / (float(of_excess.square().sum()) or 1.0)
    return max(balance, 1e-3)


def minimise_inputs(
    cost: Cost,
    guess: np.ndarray,
    bounds: Bounds | tuple[np.ndarray, np.ndarray],
    *,
    iterations: int = 100,
    enough: float = -np.inf,
    precision: float = 1e-10,
    split: bool = False,
) -> Minimum:
    """Return inputs between bounds that minimise a differentiable cost (L-BFGS-B).

    Args:
        cost: inputs (K, M) to a number; a roll-out that fails counts as infinite.
        guess: (K, M) to begin from.
        bounds: of every input, or arrays (K, M) of the lowest and the highest.
        iterations: most iterations.
        enough: stop once the cost is this low.
        precision: stop where an iteration lowers the cost by less than this share.
        split: write inputs as differences of two that are not negative, which makes the 1-norm in
            the cost smooth where it counts.

    Raises:
        ComputationError: the cost of the guess is not finite.
    """
    import scipy.optimize

    shape = guess.shape
    low, high = (bounds.low, bounds.high) if isinstance(bounds, Bounds) else bounds
    lowest = np.broadcast_to(low, shape).ravel()
    highest = np.broadcast_to(high, shape).ravel()
    evaluations = 0
    best: tuple[float, np.ndarray] = (np.inf, guess)

    def joined(flat: np.ndarray) -> np.ndarray:
        if not split:
            return flat.reshape(shape)
        up, down = np.split(flat, 2)
        return (up - down).reshape(shape)

    def value(flat: np.ndarray) -> tuple[float, np.ndarray]:
        nonlocal evaluations, best
        evaluations += 1
        numbers = joined(flat)
        inputs = torch.tensor(numbers, dtype=torch.float64, requires_grad=True)
        try:
            total = cost(inputs)
            (gradient,) = torch.autograd.grad(total, inputs)
            found = float(total.detach())
        except ComputationError:
            found, gradient = np.inf, torch.zeros_like(inputs)
        if not np.isfinite(found) or not bool(torch.isfinite(gradient).all()):
            # The line search then halves its step.
            return 1e30, np.zeros_like(flat)
        if found < best[0]:
            best = (found, numbers.copy())
        slope = gradient.numpy().ravel()
        return found, np.concatenate([slope, -slope]) if split else slope

    start = np.clip(guess.ravel(), lowest, highest)
    if split:
        start = np.concatenate([np.maximum(start, 0.0), np.maximum(-start, 0.0)])
        highest = np.concatenate([np.maximum(highest, 0.0), np.maximum(-lowest, 0.0)])
        lowest = np.zeros_like(highest)

    def stop(xk: np.ndarray) -> None:
        del xk
        if best[0] <= enough:
            raise StopIteration

    scipy.optimize.minimize(
        value,
        start,
        jac=True,
        method="L-BFGS-B",
        bounds=scipy.optimize.Bounds(lowest, highest),
        callback=stop,
        options={"maxiter": iterations, "maxfun": 2 * iterations, "ftol": precision, "gtol": 1e-9},
    )
    if not np.isfinite(best[0]):
        raise ComputationError("the states cannot be integrated under the inputs to begin from")
    return Minimum(best[1], best[0], evaluations)

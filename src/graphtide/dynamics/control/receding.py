"""Receding horizon (model predictive control): measure, plan, act for one interval, and again.

At each interval the inputs of the next H intervals are planned on a model from the measured state;
only the first is applied, to a plant that the model may miss and that noise may move. Because every
plan begins from what was measured, errors of the model do not add up.

Reference:
    Rawlings, Mayne & Diehl, Model Predictive Control, 2nd edition 2017, chapters 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.control.optimal import Bounds, minimise_inputs
from graphtide.dynamics.control.system import ControlledField, Solver, energy_of, roll_out
from graphtide.errors import InputError

__all__ = ["ClosedLoop", "receding_horizon", "tracking_cost"]

StageCost = Callable[[Tensor, Tensor, np.ndarray], Tensor]
"""(states (H + 1, N, D), inputs (H, M), times (H + 1,)) -> the cost of a plan."""


@dataclass(frozen=True, slots=True, eq=False)
class ClosedLoop:
    """What receding horizon control did.

    Attributes:
        times: (K + 1,) ends of the intervals.
        inputs: (K, M) applied.
        states: (K + 1, N, D) of the plant, without the noise of measurement.
        energy: integral of |u|^2.
        evaluations: roll-outs of the model with gradient.
    """

    times: np.ndarray
    inputs: np.ndarray
    states: np.ndarray
    energy: float
    evaluations: int

    def distance(self, target: np.ndarray) -> float:
        """Return |x(T) - target| / |x(0) - target| over the entries that are not NaN."""
        known = np.isfinite(target)
        way = np.linalg.norm((self.states[0] - target)[known])
        return float(np.linalg.norm((self.states[-1] - target)[known]) / way)


def tracking_cost(target: np.ndarray, *, energy: float = 1e-3, last: float = 1.0) -> StageCost:
    """Return a cost of plans: squared distance from a target along the way, plus energy.

    Args:
        target: (N, D), NaN where anything may be.
        energy: weight of the integral of |u|^2, in units of the mean squared distance.
        last: further weight of the distance at the end of the plan.
    """
    known = torch.as_tensor(np.isfinite(target))
    goal = torch.as_tensor(np.nan_to_num(target))

    def cost(states: Tensor, inputs: Tensor, times: np.ndarray) -> Tensor:
        off = (states[1:] - goal).square() * known
        widths = torch.as_tensor(np.diff(times)) / (times[-1] - times[0])
        each = off.sum(dim=(1, 2)) / known.sum()
        spent = inputs.square().sum(dim=1)
        return ((each + energy * spent) * widths).sum() + last * each[-1]

    return cost


def receding_horizon(
    model: ControlledField,
    plant: ControlledField,
    start: np.ndarray,
    times: np.ndarray,
    actuators: int,
    cost: StageCost,
    *,
    horizon: int = 10,
    bounds: Bounds | None = None,
    iterations: int = 12,
    measurement_noise: float = 0.0,
    process_noise: float = 0.0,
    floor: float | None = None,
    solver: Solver | None = None,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> ClosedLoop:
    """Return what the plant does under plans made on the model.

    Args:
        model: what plans are made on.
        plant: what is steered; the same field, or another.
        start: (N, D) of the plant.
        times: (K + 1,) ends of the intervals.
        actuators: M.
        cost: of a plan, such as `tracking_cost`.
        horizon: H, intervals that a plan looks ahead.
        bounds: of every input.
        iterations: of L-BFGS-B a plan; each begins from the last plan, moved on by one interval.
        measurement_noise: standard deviation of Gaussian noise on each measured state.
        process_noise: standard deviation of the plant's random motion, per square root of time.
        floor: least value of states after noise (abundances are not negative); None for none.
        solver: how to integrate both.
        seed: of the noise.
        progress: called with a share and a text.

    Raises:
        InputError: the horizon is not positive, or a shape is wrong.
        ComputationError: the plant or the model cannot be integrated.
    """
    if horizon < 1:
        raise InputError(f"the horizon of a plan is {horizon} intervals; at least 1 was expected")
    bounds, solver = bounds or Bounds(), solver or Solver()
    generator = np.random.default_rng(seed)
    when = np.asarray(times, dtype=np.float64)
    state = np.asarray(start, dtype=np.float64)
    plan = np.zeros((min(horizon, len(when) - 1), actuators))
    states, applied, evaluations = [state], [], 0

    def kept(values: np.ndarray) -> np.ndarray:
        return values if floor is None else np.maximum(values, floor)

    for k in range(len(when) - 1):
        if progress is not None:
            progress(k / (len(when) - 1), f"planning interval {k + 1} of {len(when) - 1}")
        # Plans keep their length to the end: the last interval is repeated beyond it.
        ahead = when[k : k + horizon + 1]
        missing = len(plan) + 1 - len(ahead)
        if missing > 0:
            width = when[-1] - when[-2]
            ahead = np.concatenate([ahead, when[-1] + width * np.arange(1, missing + 1)])
        measured = kept(state + measurement_noise * generator.standard_normal(state.shape))
        planned = _PlanCost(model, torch.as_tensor(measured), ahead, cost, solver)
        found = minimise_inputs(planned, plan, bounds, iterations=iterations)
        evaluations += found.evaluations
        plan = found.inputs
        with torch.no_grad():
            moved = roll_out(
                plant, torch.as_tensor(state), torch.as_tensor(plan[:1]), when[k : k + 2], solver
            )[-1].numpy()
        width = when[k + 1] - when[k]
        shaken = process_noise * np.sqrt(width) * generator.standard_normal(state.shape)
        state = kept(moved + shaken)
        states.append(state)
        applied.append(plan[0])
        plan = np.concatenate([plan[1:], plan[-1:]])
    inputs = np.array(applied)
    return ClosedLoop(when, inputs, np.array(states), energy_of(inputs, when), evaluations)


@dataclass(frozen=True, slots=True, eq=False)
class _PlanCost:
    """The cost of inputs from a measured state."""

    model: ControlledField
    start: Tensor
    times: np.ndarray
    cost: StageCost
    solver: Solver

    def __call__(self, inputs: Tensor) -> Tensor:
        states = roll_out(self.model, self.start, inputs, self.times, self.solver)
        return self.cost(states, inputs, self.times)

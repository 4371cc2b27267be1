"""Refinement of a learned field by least squares on its whole roll-out.

Minimises sum over readings of (x(t_k; c) - reading)^2 over the coefficients c by Gauss-Newton steps
with Levenberg-Marquardt damping (Nocedal and Wright, Numerical Optimization, 2006, chapter 10). The
Jacobian is one roll-out of the sensitivities; it serves for several steps as long as they help.
Errors in the readings do not bias this fit, unlike the regression on increments: that is why it
comes last when the readings are noisy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from graphtide.dynamics.families import Family, NumericField
from graphtide.dynamics.problem import Problem
from graphtide.dynamics.regression import Candidate, judged
from graphtide.dynamics.rollout import Rollout, quick_sensitivities, roll_out, sensitivities

__all__ = ["refine"]

MEMORY_LIMIT = 4e8
"""Numbers in a Jacobian above which a family is left as the regression found it."""
TOLERANCE, NOISY_TOLERANCE = 1e-6, 1e-5


@dataclass(slots=True)
class _State:
    coefficients: np.ndarray
    rollouts: list[Rollout]
    residual: np.ndarray
    mean_square: float


def refine(
    candidate: Candidate, problem: Problem, *, jacobians: int = 3, steps: int = 4
) -> Candidate:
    """Return the candidate with coefficients fitted to the whole training roll-out.

    Args:
        candidate: where to start; its roll-out must stay in the range.
        problem: the training readings.
        jacobians: Jacobians at most; each costs about P x D roll-outs' arithmetic.
        steps: steps with one Jacobian at most.
    """
    family = candidate.family
    numbers = sum(s.states.size for s in problem.samples) * candidate.coefficients.size
    here = _evaluate(family, candidate.coefficients, problem)
    if here is None or numbers > MEMORY_LIMIT:
        return candidate
    damping = 1e-8
    # With noise, a sum of squares that falls by less than the noise of two readings tells nothing.
    least = 2.0 / len(here.residual) if problem.noisy else 0.02
    for _ in range(jacobians):
        jacobian = _jacobian(family, here, problem)
        if not np.isfinite(jacobian).all():
            break
        gram = jacobian.T @ jacobian
        scale = np.sqrt(np.diag(gram))
        scale = np.maximum(scale, 1e-10 * scale.max() + 1e-300)
        power, modes = np.linalg.eigh(gram / np.outer(scale, scale))
        power = np.maximum(power, 0.0)
        begin = here.mean_square
        for step in range(steps):
            projected = modes.T @ ((jacobian.T @ here.residual) / scale)
            better = None
            for _ in range(6 if step == 0 else 1):
                filtered = projected / (power + damping * power[-1])
                change = ((modes @ filtered) / scale).reshape(here.coefficients.shape)
                trial = _evaluate(family, here.coefficients + change, problem)
                if trial is not None and trial.mean_square < here.mean_square:
                    better = trial
                    damping = max(0.1 * damping, 1e-15)
                    break
                damping = max(30.0 * damping, 1e-10)
            if better is None:
                break
            share = better.mean_square / here.mean_square
            here = better
            if share > 0.8:
                break
        if begin - here.mean_square < least * here.mean_square:
            break
    return judged(replace(candidate, coefficients=here.coefficients), problem)


def _evaluate(family: Family, coefficients: np.ndarray, problem: Problem) -> _State | None:
    if not np.isfinite(coefficients).all():
        return None
    rollouts, residuals = [], []
    for sample in problem.samples:
        rollout = roll_out(
            NumericField(family, coefficients, sample.adjacency),
            sample.times,
            sample.start,
            bound=problem.bound,
            tolerance=NOISY_TOLERANCE if problem.noisy else TOLERANCE,
            maximum_steps=10 * len(sample.times) + 600,
        )
        if rollout is None:
            return None
        rollouts.append(rollout)
        residual = (sample.observed - rollout.states) / problem.size
        residuals.append(np.where(np.isnan(residual), 0.0, residual).ravel())
    residual = np.concatenate(residuals)
    return _State(coefficients, rollouts, residual, float(np.mean(residual**2)))


def _jacobian(family: Family, here: _State, problem: Problem) -> np.ndarray:
    """Return d(roll-out)/dc over all readings, shape (readings, P D); zero where missing."""
    parts = []
    for sample, rollout in zip(problem.samples, here.rollouts, strict=True):
        part = quick_sensitivities(
            family,
            here.coefficients,
            sample.adjacency,
            rollout,
            parts=1 if problem.noisy else 4,
        )
        if part is None:
            part = sensitivities(
                family, here.coefficients, sample.adjacency, sample.start, rollout.grid
            )
        part /= problem.size[:, None]
        missing = np.isnan(sample.observed)
        if missing.any():
            part[missing] = 0.0
        parts.append(part.reshape(-1, part.shape[-1]))
    return np.concatenate(parts)

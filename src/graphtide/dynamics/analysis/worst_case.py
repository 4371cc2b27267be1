"""The worst push within a ball: which small change of the start moves the states farthest.

    maximise |x(T; x_0 + d) - x(T; x_0)|   over |d|_2 <= r

by projected gradient ascent through the solver (steepest in the 2-norm; as Madry et al., ICLR 2018,
attack networks). It starts from random pushes, which are also what it is compared with.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.law import Law
from graphtide.ode.solve import solve

__all__ = ["WorstCase", "worst_case"]


@dataclass(frozen=True, slots=True, eq=False)
class WorstCase:
    """The worst push found, beside random ones of the same size.

    Args:
        radius: size of the pushes, 2-norm.
        span: time after which the displacement is measured.
        push: the worst push, shape (N, D).
        displacement: 2-norm by which it moves the states.
        random: displacements of random pushes, shape (R,).
    """

    radius: float
    span: float
    push: np.ndarray
    displacement: float
    random: np.ndarray


def worst_case(
    law: Law, start: np.ndarray, *, radius: float, span: float, steps: int = 12, seed: int = 0
) -> WorstCase:
    """Return the worst push of a start within a ball.

    Args:
        law: the law.
        start: shape (N, D).
        radius: of the ball, 2-norm.
        span: time after which the displacement is measured.
        steps: of the ascent.
        seed: of the random pushes.

    Raises:
        ComputationError: the integration failed.
    """
    generator = np.random.default_rng((seed, 5))
    count = 8 if start.size <= 20_000 else 2
    drawn = generator.standard_normal((count, *start.shape))
    drawn *= radius / np.linalg.norm(drawn.reshape(count, -1), axis=1)[:, None, None]
    ends = law.solve(np.concatenate([start[None], start + drawn]), np.array([0.0, span]))[-1]
    random = np.linalg.norm((ends[1:] - ends[0]).reshape(count, -1), axis=1)
    push = torch.from_numpy(drawn[int(np.argmax(random))])
    target, first = torch.from_numpy(ends[0]), torch.from_numpy(np.array(start))
    best, best_push = float(random.max()), push
    for _ in range(steps):
        moved = push.clone().requires_grad_()
        distance = _displacement(law, first + moved, target, span)
        value = float(distance.detach())
        if value > best:
            improved = value > best * (1.0 + 1e-4)
            best, best_push = value, push
            if not improved:
                break
        (slope,) = torch.autograd.grad(distance, moved)
        length = float(slope.norm())
        if length == 0.0:
            break
        # On a ball the best answer to a linear outcome is the gradient's direction itself.
        push = slope * (radius / length)
    return WorstCase(radius, span, best_push.numpy(), best, random)


def _displacement(law: Law, start: Tensor, target: Tensor, span: float) -> Tensor:
    end = solve(
        law.right_hand_side,
        start,
        [0.0, span],
        method="dormand_prince5",
        relative_tolerance=1e-5,
        gradient="checkpointed",
    ).states[-1]
    return (end - target).norm()

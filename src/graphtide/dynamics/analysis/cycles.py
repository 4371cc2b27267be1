"""Limit cycles, found by the return map on a section through the motion.

The section is x_k = its mean, crossed upwards, for the unknown x_k that moves most. A cycle of q
turns comes back to the same point at every q-th crossing; its period is the time between.
Source: Poincare; e.g. Strogatz, Nonlinear Dynamics and Chaos, 1994, section 8.7.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.analysis.law import Law
from graphtide.errors import ComputationError
from graphtide.ode.solve import Event, solve

__all__ = ["Cycle", "limit_cycle"]

CLOSED = 1e-3
"""Distance of a return, relative to the size of the motion, at which a cycle is closed."""
MOST_TURNS = 8


@dataclass(frozen=True, slots=True, eq=False)
class Cycle:
    """A closed motion.

    Args:
        period: in the unit of time.
        times: shape (T,), over one period from 0.
        states: shape (T, N, D).
        turns: crossings of the section in a period.
        closing: distance of the return from the point it left, relative to the motion's size.
        attracting: whether returns come closer to each other, as on a limit cycle; a family of
            closed orbits beside each other does not.
    """

    period: float
    times: np.ndarray
    states: np.ndarray
    turns: int
    closing: float
    attracting: bool

    @property
    def amplitude(self) -> np.ndarray:
        """Half the range of each variable, the largest over nodes, shape (D,)."""
        return 0.5 * np.ptp(self.states, axis=0).max(axis=0)


def limit_cycle(law: Law, start: np.ndarray, span: float) -> Cycle | None:
    """Return the cycle that a state moves on; None where the motion does not close.

    Args:
        law: the law, without dependence on time.
        start: a state on the attractor, shape (N, D).
        span: time in which the motion turns some dozens of times.
    """
    times = np.linspace(0.0, span, 600)
    try:
        states = law.solve(start, times)
    except ComputationError:
        return None
    flat = states.reshape(len(times), -1)
    moving = np.ptp(flat, axis=0)
    size = float(moving.max())
    if size <= 1e-6 * float(np.abs(flat).max()):
        return None
    unknown = int(np.argmax(moving))
    level = float(flat[:, unknown].mean())
    crossings, when = _crossings(law, start, span, unknown, level)
    if len(when) < 4:
        return None
    for turns in range(1, min(MOST_TURNS, len(when) // 3) + 1):
        last, before, earlier = crossings[-1], crossings[-1 - turns], crossings[-1 - 2 * turns]
        closing = float(np.abs(last - before).max()) / size
        if closing < CLOSED:
            period = float(when[-1] - when[-1 - turns])
            through = np.linspace(0.0, period, 200)
            orbit = law.solve(last, through, relative_tolerance=1e-8, absolute_tolerance=1e-10)
            first = float(np.abs(crossings[0] - last).max()) / size
            nearer = closing < 1e-6 or closing < 0.9 * float(np.abs(before - earlier).max()) / size
            settled = first > 10.0 * closing or closing < 1e-6
            family = _keeps_its_distance(law, last, size, period)
            return Cycle(period, through, orbit, turns, closing, nearer and settled and not family)
    return None


def _keeps_its_distance(law: Law, point: np.ndarray, size: float, period: float) -> bool:
    """Return whether a push off the cycle is still there after some periods."""
    direction = np.random.default_rng(0).standard_normal(point.shape)
    velocity = law.numeric(torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(point)).numpy()
    unit = velocity / (np.linalg.norm(velocity) or 1.0)
    direction -= (direction * unit).sum() * unit
    direction *= 1e-3 * size / np.linalg.norm(direction)
    times = np.array([0.0, 20.0 * period])
    ends = law.solve(np.stack([point, point + direction]), times, relative_tolerance=1e-9)[-1]
    velocity = law.numeric(
        torch.tensor(0.0, dtype=torch.float64), torch.from_numpy(ends[0])
    ).numpy()
    unit = velocity / (np.linalg.norm(velocity) or 1.0)
    gap = ends[1] - ends[0]
    gap -= (gap * unit).sum() * unit
    return bool(np.linalg.norm(gap) > 0.3 * np.linalg.norm(direction))


def _crossings(
    law: Law, start: np.ndarray, span: float, unknown: int, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the states (K, N, D) and times (K,) at which the section is crossed upwards."""

    def height(time: Tensor, states: Tensor) -> Tensor:
        del time
        return states.flatten()[unknown] - level

    with torch.no_grad():
        solution = solve(
            law.numeric,
            torch.from_numpy(np.array(start)),
            [0.0, span],
            method="dormand_prince5",
            relative_tolerance=1e-9,
            absolute_tolerance=1e-11,
            events=[Event(height, direction=1)],
        )
    record = solution.events[0]
    return record.states.numpy(), record.times.numpy()

"""What a neural field is trained on, how long, and what comes out; roll-outs that judge it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import pandas
import torch
from torch import Tensor

from graphtide.dynamics.neural import BoundField
from graphtide.dynamics.problem import Problem, Sample
from graphtide.dynamics.segments import LossKind
from graphtide.dynamics.weak_training import WeakForm
from graphtide.errors import ComputationError
from graphtide.ode.solve import solve

__all__ = [
    "LOST",
    "Task",
    "Trained",
    "TrainingSettings",
    "apart_from_unseen",
    "roll_out_numeric",
    "thinned",
]

LOST = 1e6
"""Validation error of a roll-out that did not reach the end."""


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How long each stage trains.

    Args:
        weak_epochs: epochs of L-BFGS on the weak form, of ``iterations`` each.
        segment_epochs: epochs of L-BFGS at each length of the segments.
        iterations: iterations of L-BFGS an epoch.
        lengths: intervals of the segments of each stage; 0 stands for the whole roll-out.
        loss: "square", "l1" or "gaussian".
        patience: epochs without a better validation error after which a stage ends.
        enough: validation error below which clean readings need no roll-outs.
    """

    weak_epochs: int = 3
    segment_epochs: int = 3
    iterations: int = 6
    lengths: tuple[int, ...] = (8, 0)
    loss: LossKind = "square"
    patience: int = 2
    enough: float = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """What a field is trained on, and what it is judged by.

    Args:
        problem: the readings to learn from, gaps filled.
        weak: the same on times where increments are known (`problem` itself where all are).
        judged: of each sample all the training times, validation among them, shape (T,).
        validation: readings to be met there, shape (T, N, D), NaN where a reading is learned from.
        unseen: numbers of the nodes never seen, of each sample.
    """

    problem: Problem
    weak: Problem
    judged: tuple[np.ndarray, ...]
    validation: tuple[np.ndarray, ...]
    unseen: tuple[np.ndarray, ...]


@dataclass(slots=True)
class Trained:
    """What `train_field` returns; the field itself is trained in place.

    Args:
        history: table stage, epoch, loss, validation error, learning rate, seconds.
        starts: where roll-outs begin, of each sample, shape (N, D).
        form: the weak form along the last paths, for the ensemble.
        penalty: the ridge penalty that was chosen.
        interrupted: whether an interruption ended the training.
        began_from: "weak" or "closed_form"; None for a model that is trained from nothing.
    """

    history: pandas.DataFrame
    starts: list[np.ndarray]
    form: WeakForm
    penalty: float
    interrupted: bool = False
    began_from: Literal["weak", "closed_form"] | None = None


def roll_out_numeric(
    bound: BoundField, times: np.ndarray, start: np.ndarray, *, tolerance: float = 1e-5
) -> np.ndarray | None:
    """Return the states (T, N, D) of a field from ``start``; None where the roll-out is lost."""
    field = bound.field
    like = field.own.detach()
    scale = float(np.abs(start).mean()) or 1.0
    edge = 20.0  # widths of the range seen

    def checked(time: Tensor, states: Tensor) -> Tensor:
        rate = bound(time, states)
        if not bool(field.visited.distance(states) < edge):
            raise ComputationError("the roll-out left the range")
        return rate

    with torch.no_grad():
        try:
            solution = solve(
                checked,
                like.new_tensor(start),
                times,
                method="dormand_prince5",
                relative_tolerance=tolerance,
                absolute_tolerance=0.1 * tolerance * scale,
                maximum_steps=20 * len(times) + 2000,
            )
        except ComputationError:
            return None
    states = solution.states.cpu().numpy()
    return states if np.isfinite(states).all() else None


def apart_from_unseen(problem: Problem, unseen: Sequence[np.ndarray]) -> Problem:
    """Return a problem whose rows leave out the neighbours of nodes that are never seen.

    What the first round does not know is not in it then; where fewer than a twentieth of the nodes
    would be left, all stay.
    """
    samples = []
    for sample, nodes in zip(problem.samples, unseen, strict=True):
        hidden = np.zeros(sample.states.shape[1])
        hidden[nodes] = 1.0
        touched = np.asarray(abs(sample.adjacency) @ hidden) > 0
        touched[nodes] = True
        if not len(nodes) or touched.mean() > 0.95:
            samples.append(sample)
            continue
        observed = np.where(touched[:, None], np.nan, sample.observed)
        samples.append(replace(sample, observed=observed))
    return Problem(tuple(samples), problem.noise, problem.seed)


def thinned(sample: Sample, *, density: float = 0.6) -> Sample:
    """Return a sample whose increments are known, from one whose nodes are read at other times.

    Where less than ``density`` of the readings are there, the times are thinned to as many as a
    node has, and each node's series is interpolated (monotone cubic) to them; outside of its own
    first and last reading it is unknown. Else the sample itself.
    """
    from scipy.interpolate import PchipInterpolator

    known = ~np.isnan(sample.observed)
    seen = known.any(axis=(0, 2))
    if not seen.any() or known[:, seen].mean() >= density:
        return sample
    count = max(4, int(np.median(known[:, seen].any(axis=2).sum(axis=0))))
    place = np.unique(np.linspace(0, len(sample.times) - 1, count).round().astype(int))
    times = sample.times[place]
    states = np.array(sample.states[place])
    observed = np.full(states.shape, np.nan)
    for i in np.flatnonzero(seen):
        for d in range(states.shape[2]):
            mine = np.flatnonzero(known[:, i, d])
            if len(mine) < 2:
                continue
            curve = PchipInterpolator(sample.times[mine], sample.states[mine, i, d])
            inside = (times >= sample.times[mine[0]]) & (times <= sample.times[mine[-1]])
            states[inside, i, d] = observed[inside, i, d] = curve(times[inside])
    return replace(sample, times=times, states=states, observed=observed)

"""The weak form of a neural field: x(t_k+1) - x(t_k) = integral of the field along the states.

Nothing is integrated: the path between readings is at first an interpolant of the data and later
the field's own (`graphtide.weakform.intervals`), and the integral a quadrature. In the output
weights it is linear least squares, solved at once; in all weights one smooth full-batch loss, made
for L-BFGS. Increments weigh by their own size, as in `regression`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.neural import (
    BoundField,
    MessagePassingField,
    output_of,
    set_output,
)
from graphtide.dynamics.problem import Problem, Sample
from graphtide.weakform.intervals import Paths, interpolant_paths, model_paths, sharpness

__all__ = [
    "Block",
    "Normal",
    "WeakForm",
    "best_output",
    "interpolants",
    "normal_equations",
    "numeric",
    "own_paths",
]

MOST_POINTS = 400_000
"""Node states at which the field is evaluated for least squares."""
CHUNK = 20_000
"""Node states whose design is held at a time."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Intervals of one trajectory with equally many quadrature points.

    Args:
        sample: which trajectory.
        intervals: their numbers, shape (K,).
        times: shape (K, Q).
        states: shape (K, Q, N, D).
        quadrature: shape (K, Q), in units of time.
        target: shape (K, N, D), the increments.
        weight: shape (K, N, D), by which residuals are multiplied.
    """

    sample: int
    intervals: np.ndarray
    times: Tensor
    states: Tensor
    quadrature: Tensor
    target: Tensor
    weight: Tensor

    def integral(self, bound: BoundField) -> Tensor:
        """Return the integral of the field over each interval, shape (K, N, D)."""
        return torch.einsum("kq,kqnd->knd", self.quadrature, bound(self.times, self.states))


@dataclass(frozen=True, slots=True, eq=False)
class WeakForm:
    """All increments of a problem along given paths."""

    blocks: tuple[Block, ...]

    @staticmethod
    def of(
        problem: Problem,
        paths: Sequence[Sequence[Paths]],
        *,
        number: int,
        like: Tensor,
        most: int = MOST_POINTS,
    ) -> WeakForm:
        """Return the weak form along the paths of each sample.

        Args:
            problem: the readings.
            paths: of each sample, from `interpolants` or `own_paths`.
            number: 0 for interpolants, where intervals that the data does not resolve sit out.
            like: of the dtype and device wanted.
            most: node states at quadrature points; of more, some intervals are taken.
        """
        generator = np.random.default_rng(problem.seed)
        blocks = []
        points = sum(p.states[..., 0].size for each in paths for p in each)
        for place, (sample, each) in enumerate(zip(problem.samples, paths, strict=True)):
            weight = _weights(problem, sample, number)
            change = np.diff(sample.states, axis=0)
            for path in each:
                good = path.usable(problem.low, problem.high)
                if points > most:
                    good &= generator.random(len(good)) < most / points
                if not good.any():
                    continue
                chosen = path.intervals[good]
                begin, length = sample.times[chosen], np.diff(sample.times)[chosen]
                inner = path.weights[good]
                where = begin[:, None] + length[:, None] * _positions(inner)
                arrays = (
                    where,
                    path.states[good],
                    inner,
                    change[chosen] + path.correction[good],
                    weight[chosen],
                )
                blocks.append(Block(place, chosen, *(like.new_tensor(array) for array in arrays)))
        return WeakForm(tuple(blocks))

    def loss(self, bounds: Sequence[BoundField], counts: Sequence[Tensor] | None = None) -> Tensor:
        """Return the mean square of the weighted residuals.

        Args:
            bounds: the field on the graph of each sample.
            counts: how often each interval of each sample counts (a bootstrap's draw); None: once.
        """
        total, number = torch.zeros(()), 0.0
        for block in self.blocks:
            residual = block.weight * (block.integral(bounds[block.sample]) - block.target)
            square = residual.square()
            if counts is not None:
                square = square * counts[block.sample][block.intervals][:, None, None]
            total = total + square.sum()
            number += float((block.weight > 0).sum())
        return total / max(number, 1.0)


def interpolants(problem: Problem) -> list[list[Paths]]:
    """Return the monotone cubic interpolant of each sample."""
    return [interpolant_paths(s.times, s.states) for s in problem.samples]


def own_paths(problem: Problem, bounds: Sequence[BoundField], like: Tensor) -> list[list[Paths]]:
    """Return the paths of the field itself, bent to the readings; it must not change with time."""
    result = []
    for sample, bound in zip(problem.samples, bounds, strict=True):
        field, own_rate = numeric(bound, 0.0, like)
        result.append(model_paths(sample.times, sample.states, field, own_rate))
    return result


def numeric(
    bound: BoundField, time: float, like: Tensor
) -> tuple[Callable[[np.ndarray], np.ndarray], Callable[[np.ndarray], np.ndarray]]:
    """Return the field at a fixed time for arrays, and the mean of df_i/dx_i."""
    moment = like.new_tensor(time)
    variables = len(bound.field.variables)
    step = 1e-5 * (bound.field.visited.high - bound.field.visited.low).clamp_min(1e-12)

    def field(states: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values = like.new_tensor(states)
            return bound.rate(moment, values, values).cpu().numpy()

    def own_rate(states: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            values = like.new_tensor(states)
            total = torch.zeros_like(values[..., 0])
            for d in range(variables):
                shift = torch.zeros_like(step)
                shift[d] = step[d]
                above = bound.rate(moment, values + shift, values)[..., d]
                below = bound.rate(moment, values - shift, values)[..., d]
                total += (above - below) / (2.0 * step[d])
            return (total / variables).cpu().numpy()

    return field, own_rate


@dataclass(frozen=True, slots=True, eq=False)
class Normal:
    """The normal equations of the output weights of each variable.

    Args:
        grams: D matrices (P, P).
        crosses: D vectors (P,).
        rows: number of increments.
    """

    grams: list[Tensor]
    crosses: list[Tensor]
    rows: int

    def solved(self, penalty: float) -> Tensor:
        """Return the output weights (P, D) under a ridge penalty on columns of unit norm."""
        found = []
        for gram, cross in zip(self.grams, self.crosses, strict=True):
            norm = gram.diagonal().sqrt().clamp_min(1e-150)
            scaled = gram / norm[:, None] / norm
            scaled.diagonal().add_(penalty)
            found.append(torch.linalg.solve(scaled, cross / norm) / norm)
        return torch.stack(found, dim=1)

    def whitening(self, tolerance: float = 1e-7) -> list[Tensor]:
        """Return for each variable the directions (P, K) that the data resolve, each of unit size.

        Along them the mean square of the weighted residuals changes by the square of the step, in
        all directions alike: random hidden units are far from orthogonal, and no first-order
        method gets anywhere in their own weights.
        """
        result = []
        for gram in self.grams:
            norm = gram.diagonal().sqrt().clamp_min(1e-150)
            value, vector = torch.linalg.eigh(gram / norm[:, None] / norm)
            kept = value > tolerance * value[-1]
            directions = vector[:, kept] / norm[:, None] / value[kept].sqrt()
            result.append(directions * self.rows**0.5)
        return result


def normal_equations(
    field: MessagePassingField,
    form: WeakForm,
    bounds: Sequence[BoundField],
    counts: Sequence[Tensor] | None = None,
) -> Normal:
    """Return the normal equations of the weak form in the output weights.

    Args:
        field: the field.
        form: the increments.
        bounds: the field on the graph of each sample.
        counts: how often each interval of each sample counts (a bootstrap's draw); None: once.
    """
    count = len(field.variables)
    size = len(output_of(field))
    grams = [field.own.new_zeros(size, size) for _ in range(count)]
    crosses = [field.own.new_zeros(size) for _ in range(count)]
    rows = 0
    with torch.no_grad():
        for block in form.blocks:
            step = max(1, CHUNK // (block.states.shape[1] * block.states.shape[2]))
            for begin in range(0, len(block.times), step):
                part = slice(begin, begin + step)
                columns = bounds[block.sample].design(block.times[part], block.states[part])
                columns = torch.einsum("kq,kqnp->knp", block.quadrature[part], columns)
                columns = columns.flatten(0, 1)
                weight = block.weight[part].flatten(0, 1)
                target = block.target[part].flatten(0, 1)
                rows += int((weight > 0).any(dim=1).sum())
                if counts is not None:
                    drawn = counts[block.sample][block.intervals[part]].sqrt()
                    weight = weight * drawn.repeat_interleave(block.target.shape[1])[:, None]
                for d in range(count):
                    scaled = columns * (weight[:, d, None] * field.scale[d])
                    grams[d] += scaled.T @ scaled
                    crosses[d] += scaled.T @ (weight[:, d] * target[:, d])
    return Normal(grams, crosses, max(rows, 1))


def best_output(
    field: MessagePassingField,
    choices: Sequence[Tensor],
    score: Callable[[], float],
) -> float:
    """Put the output weights with the lowest score into the field; return that score."""
    scores = []
    for weights in choices:
        set_output(field, weights)
        scores.append(score())
    place = int(np.argmin(scores))
    set_output(field, choices[place])
    return scores[place]


def _weights(problem: Problem, sample: Sample, number: int) -> np.ndarray:
    """Return the weights of a sample's increments, (T - 1, N, D); 0 where they are unknown."""
    change = np.diff(sample.states, axis=0)
    known = ~np.isnan(sample.observed)
    if problem.noise.max() == 0:
        usable = known[1:] & known[:-1]
    else:
        usable = np.broadcast_to(known.any(axis=0), change.shape).copy()
    if number == 0:
        sharp = sharpness(sample.times, sample.states)
        resolved = sharp < 0.05
        if resolved.mean() < 0.5:
            resolved = sharp <= np.median(sharp)
        usable &= resolved[:, None, None]
    floor = np.maximum(1e-3 * problem.size, 2.0 * problem.noise)
    largest = np.abs(change).max(axis=1, keepdims=True)
    size = floor + np.abs(change) + (0.3 if number == 0 else 0.003) * largest
    return usable * problem.size / size


def _positions(weights: np.ndarray) -> np.ndarray:
    """Return where in its interval each quadrature point lies, shape (K, Q), from 0 to 1."""
    count = weights.shape[1]
    if count == 4:
        point = np.polynomial.legendre.leggauss(4)[0]
        return np.broadcast_to((point + 1.0) / 2.0, weights.shape)
    return np.broadcast_to(np.linspace(0.0, 1.0, count), weights.shape)

"""Shooting: the field is integrated over segments between readings, all side by side as one batch.

A segment of m intervals starts where the (smoothed, filled) readings are at its first time, and is
compared with the readings at the m times after it. Segments grow, m = 1, 2, 4, ..., to the whole
roll-out (multiple shooting; Bock, 1981): a short segment forgives a poor field, a long one sees its
errors add up. Each interval is a few classical Runge-Kutta steps in its own share of time, so that
intervals of all lengths go side by side. Readings that are missing do not count. Nodes that are
never seen have their starts as parameters; their states at later times, where segments start, come
from the last roll-out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from graphtide.dynamics.neural import BoundField, MessagePassingField, output_of, set_output
from graphtide.dynamics.problem import Problem
from graphtide.errors import InputError
from graphtide.ode.solve import solve

__all__ = ["Learner", "LossKind", "Piece", "Segments"]

LossKind = Literal["square", "l1", "gaussian"]
FEWEST_STEPS, MOST_STEPS = 2, 32
GUESS_WITHIN = 0.02
"""A guessed start keeps this share of the range from its ends, where nothing would move it."""


class Learner(nn.Module):
    """What is trained: the field, the noise, and the starts of nodes that are never seen.

    Output weights are moved as ``base + directions @ step``, along directions that the data resolve
    equally well. A start is anywhere within the range seen, ``low + (high - low) sigmoid(share)``:
    a field says nothing of states beyond it, and could explain by them whatever it gets wrong.

    Args:
        field: the vector field.
        hidden: of each sample, first guess of the starts of its unseen nodes, shape (U, D).
        noise: first guess of the readings' standard deviation, in the variables' sizes, (D,).
        low: least state seen of each variable, (D,).
        high: largest one, (D,).
    """

    def __init__(
        self,
        field: MessagePassingField,
        hidden: Sequence[np.ndarray],
        noise: np.ndarray,
        low: np.ndarray,
        high: np.ndarray,
    ) -> None:
        super().__init__()
        self.field = field
        like = field.own.detach()
        self.low: Tensor
        self.width: Tensor
        self.register_buffer("low", like.new_tensor(low))
        self.register_buffer("width", like.new_tensor(np.maximum(high - low, 1e-12)))
        self.share = nn.ParameterList()
        for guess in hidden:
            inside = (like.new_tensor(guess) - self.low) / self.width
            self.share.append(nn.Parameter(torch.logit(inside, eps=GUESS_WITHIN)))
        self.log_noise = nn.Parameter(like.new_tensor(noise).clamp_min(1e-3).log())
        self.steps = nn.ParameterList()
        self._base = output_of(field).detach().clone()
        self._directions: list[Tensor] = []

    def turn(self, directions: list[Tensor]) -> None:
        """Move the output weights along these directions (P, K), one matrix a variable."""
        self._base = output_of(self.field).detach().clone()
        self._directions = directions
        self.steps = nn.ParameterList(
            [nn.Parameter(matrix.new_zeros(matrix.shape[1])) for matrix in directions]
        )

    def output(self) -> Tensor:
        """Return the output weights as they stand, shape (P, D)."""
        if not self._directions:
            return output_of(self.field)
        moved = [m @ step for m, step in zip(self._directions, self.steps, strict=True)]
        return self._base + torch.stack(moved, dim=1)

    def settle(self) -> None:
        """Put the output weights as they stand into the field."""
        if self._directions:
            set_output(self.field, self.output().detach())

    def start(self, k: int) -> Tensor:
        """Return the starts of a sample's unseen nodes, shape (U, D)."""
        return self.low + self.width * torch.sigmoid(self.share[k])


@dataclass(frozen=True, slots=True)
class Piece:
    """Segments that are integrated side by side.

    Args:
        sample: which trajectory.
        starts: numbers of their first times, shape (B,).
        length: intervals of each.
        steps: Runge-Kutta steps of each interval, shape (length,).
    """

    sample: int
    starts: np.ndarray
    length: int
    steps: np.ndarray


class Segments:
    """All the readings of a problem, to be met by segments.

    Args:
        problem: the readings.
        bounds: the field on the graph of each sample.
        learner: holds the field, the noise, and the unseen starts.
        unseen: numbers of the nodes never seen, of each sample.
        kind: "square", "l1" (mean absolute residual, in units of the variables' sizes) or
            "gaussian" (negative log likelihood, the noise learned).

    Raises:
        InputError: the kind of loss is unknown.
    """

    def __init__(
        self,
        problem: Problem,
        bounds: Sequence[BoundField],
        learner: Learner,
        unseen: Sequence[np.ndarray],
        kind: LossKind,
    ) -> None:
        if kind not in get_args(LossKind):
            raise InputError(f"'{kind}' is no loss; known are {', '.join(get_args(LossKind))}")
        self.problem, self.bounds, self.learner, self.kind = problem, bounds, learner, kind
        like = learner.field.own.detach()
        self.size = like.new_tensor(problem.size)
        self.times = [like.new_tensor(s.times) for s in problem.samples]
        self.starts = [like.new_tensor(s.states) for s in problem.samples]
        for states, sample in zip(self.starts, problem.samples, strict=True):
            states[0] = like.new_tensor(sample.start)
        self.readings = [like.new_tensor(s.observed) for s in problem.samples]
        self.unseen = [torch.as_tensor(u, device=like.device) for u in unseen]
        self.needed = [self._steps(k) for k in range(len(problem.samples))]

    @property
    def longest(self) -> int:
        """Intervals of the longest trajectory."""
        return max(len(t) for t in self.times) - 1

    def pieces(self, length: int) -> list[Piece]:
        """Return segments of a length that follow each other, side by side for each trajectory."""
        result = []
        for k, needed in enumerate(self.needed):
            m = min(length, len(needed))
            starts = np.arange(0, len(needed) - m + 1, m)
            result.append(Piece(k, starts, m, self._most(k, starts, m)))
            left = len(needed) % m
            if left:
                last = np.array([len(needed) - left])
                result.append(Piece(k, last, left, self._most(k, last, left)))
        return result

    def first_pieces(self, length: int) -> list[Piece]:
        """Return the first segment of each trajectory."""
        result = []
        for k, needed in enumerate(self.needed):
            m = min(length, len(needed))
            first = np.zeros(1, dtype=int)
            result.append(Piece(k, first, m, self._most(k, first, m)))
        return result

    def _most(self, k: int, starts: np.ndarray, length: int) -> np.ndarray:
        """Return the Runge-Kutta steps of each of a segment's intervals, shape (length,)."""
        return np.array([self.needed[k][starts + j].max() for j in range(length)])

    def loss(self, pieces: Iterable[Piece]) -> Tensor:
        """Return the mean loss over the readings that the segments meet."""
        total, count = zip(*(self._met(piece) for piece in pieces), strict=True)
        return torch.stack(total).sum() / torch.stack(count).sum().clamp_min(1)

    def _met(self, piece: Piece) -> tuple[Tensor, Tensor]:
        """Return the summed loss of segments, and the number of readings."""
        k = piece.sample
        rows = torch.as_tensor(piece.starts, device=self.size.device)
        state = self.starts[k][rows]  # (B, N, D)
        if len(self.unseen[k]) and (piece.starts == 0).any():
            first = (rows == 0)[:, None, None]
            hidden = state.index_copy(
                1, self.unseen[k], self.learner.start(k).expand(len(rows), -1, -1)
            )
            state = torch.where(first, hidden, state)
        total, count = state.new_zeros(()), state.new_zeros(())
        output = self.bounds[k].output = self.learner.output()
        for j, steps in enumerate(piece.steps.tolist()):
            begin = self.times[k][rows + j]
            length = self.times[k][rows + j + 1] - begin
            state = self._across(k, begin, length, state, steps, output)
            reading = self.readings[k][rows + j + 1]
            known = ~torch.isnan(reading)
            residual = torch.where(known, (state - reading) / self.size, torch.zeros_like(state))
            total = total + self._summed(residual, known)
            count = count + known.sum()
        self.bounds[k].output = None
        return total, count

    def refresh(self, roll_outs: Sequence[np.ndarray | None]) -> None:
        """Take the states of unseen nodes at later times from roll-outs of the training times."""
        for k, states in enumerate(roll_outs):
            if states is not None and len(self.unseen[k]):
                known = self.starts[k].new_tensor(states)
                self.starts[k][:, self.unseen[k]] = known[:, self.unseen[k]]

    def _summed(self, residual: Tensor, known: Tensor) -> Tensor:
        if self.kind == "l1":
            return residual.abs().sum()
        if self.kind == "square":
            return residual.square().sum()
        noise = self.learner.log_noise
        each = 0.5 * (residual / noise.exp()).square() + noise
        return torch.where(known, each, torch.zeros_like(each)).sum()

    def _across(
        self, k: int, begin: Tensor, length: Tensor, state: Tensor, steps: int, output: Tensor
    ) -> Tensor:
        """Return the states one interval later; times and lengths (B,)."""
        bound, wide = self.bounds[k], length[:, None, None]

        def share_rate(share: Tensor, states: Tensor) -> Tensor:
            return wide * bound(begin + share.to(begin.dtype) * length, states)

        solution = solve(
            share_rate,
            state,
            [0.0, 1.0],
            method="rk4",
            step=1.0 / steps,
            parameters=[output] if output.requires_grad else [],
        )
        return solution.states[-1]

    def _steps(self, k: int) -> np.ndarray:
        """Return how many steps each interval needs, shape (T - 1,): one a time constant."""
        from graphtide.dynamics.weak_training import numeric

        sample, like = self.problem.samples[k], self.learner.field.own.detach()
        _, own_rate = numeric(self.bounds[k], float(sample.times[len(sample.times) // 2]), like)
        rate = np.abs(own_rate(sample.states)).max(axis=1)
        needed = np.maximum(rate[1:], rate[:-1]) * np.diff(sample.times)
        return np.clip(np.ceil(needed), FEWEST_STEPS, MOST_STEPS).astype(int)

"""One step of any explicit Runge-Kutta method, from its tableau.

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j),   y(t + h) = y + h sum_i b_i k_i

The stages lie in the rows of one buffer (stages, numel), so that a combination is a single product
of the buffer with a row of the tableau: one pass over memory in place of one for each term. While
autograd records, the combinations are plain sums that it can follow.

Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.1, II.4, II.6.
"""

from collections.abc import Callable, Sequence
from functools import cache

import torch
from torch import Tensor

from graphtide.ode.stepping import RightHandSide, Step
from graphtide.ode.tableaus import Tableau

__all__ = ["RungeKutta", "stage_weights"]

Combination = Callable[[Tensor], Tensor]


class RungeKutta:
    """An explicit method that steps as its tableau says; an instance belongs to one solve.

    Args:
        tableau: the coefficients.
        keep_stages: give each step a buffer of its own, so that its dense output holds for good;
            otherwise only until the next step is taken.
    """

    def __init__(self, tableau: Tableau, *, keep_stages: bool = False) -> None:
        self.tableau = tableau
        self.name = tableau.name
        self.order = tableau.order
        self.error_order = tableau.error_order
        self.adaptive = bool(tableau.error)
        self.dense_evaluations = 0  # those that only the dense output needed, over all steps
        self._keep_stages = keep_stages
        self._buffer: Tensor | None = None
        self._times: Tensor | None = None  # c_i

    def step(
        self, rhs: RightHandSide, time: float, state: Tensor, derivative: Tensor | None, size: float
    ) -> Step:
        """Take one trial step; see `graphtide.ode.stepping.Method.step`."""
        tableau = self.tableau
        count = len(tableau.nodes)
        table = stage_weights(tableau, state.dtype, state.device)
        rows = (table * size).unbind()
        clocks = self._clocks(time, size, state)
        stages = _RecordedStages(state) if torch.is_grad_enabled() else self._stages(state)
        evaluations = count - 1
        if derivative is None:
            derivative = rhs(clocks[0], state)
            evaluations += 1
        stages.add(derivative)
        after = state
        for index in range(1, count):
            after = stages.advance(rows[index])
            derivative = rhs(clocks[index], after)
            stages.add(derivative)
        if not tableau.first_same_as_last:
            after = stages.advance(rows[count])
        error = None
        if tableau.error:
            error = stages.combine(rows[count + 1])
        if error is not None and tableau.second_error:
            damping = torch.hypot(error, 0.1 * stages.combine(rows[count + 2]))
            error = error * (error.abs() / damping.clamp_min(torch.finfo(error.dtype).tiny))

        def interpolate(share: float) -> Tensor:
            for index in range(stages.count, len(tableau.nodes) + len(tableau.extra_nodes)):
                stages.add(rhs(clocks[index], stages.advance(rows[index + 3])))
                self.dense_evaluations += 1
            weights = [size * weight for weight in self.dense_weights(share)]
            return stages.advance(table.new_tensor(weights))

        last = derivative if tableau.first_same_as_last else None
        return Step(after, error, last, interpolate, evaluations)

    def dense_weights(self, share: float) -> list[float]:
        """Return b_i(`share`) for all stages, those for the dense output included."""
        weights: list[float] = []
        for row in _dense_rows(self.tableau):
            total = 0.0
            for coefficient in reversed(row):
                total = (total + coefficient) * share
            weights.append(total)
        return weights

    def _clocks(self, time: float, size: float, state: Tensor) -> Sequence[Tensor]:
        """Return the times of all stages, each 0-dim float64."""
        if self._times is None:
            nodes = [float(node) for node in (*self.tableau.nodes, *self.tableau.extra_nodes)]
            self._times = torch.tensor(nodes, dtype=torch.float64, device=state.device)
        return (self._times * size).add_(time).unbind()

    def _stages(self, state: Tensor) -> "_BufferedStages":
        shape = (len(self.tableau.nodes) + len(self.tableau.extra_nodes), state.numel())
        if self._buffer is None or self._keep_stages:
            self._buffer = state.new_empty(shape)
        return _BufferedStages(state, self._buffer)


class _BufferedStages:
    """The stages of a step as rows of a buffer (stages, numel), invisible to autograd."""

    def __init__(self, state: Tensor, buffer: Tensor) -> None:
        self.count = 0
        self._shape = state.shape
        self._start = state.reshape(-1)
        self._buffer = buffer

    def add(self, derivative: Tensor) -> None:
        self._buffer[self.count] = derivative.reshape(-1)
        self.count += 1

    def advance(self, weights: Tensor) -> Tensor:
        """Return the state at the start plus the weighted sum of the stages so far."""
        rows, weights = self._buffer[: self.count], weights[: self.count]
        return torch.addmv(self._start, rows.T, weights).view(self._shape)

    def combine(self, weights: Tensor) -> Tensor:
        """Return the weighted sum of the stages so far."""
        rows, weights = self._buffer[: self.count], weights[: self.count]
        return torch.mv(rows.T, weights).view(self._shape)


class _RecordedStages:
    """The stages of a step as a list of tensors; autograd may follow every combination."""

    def __init__(self, state: Tensor) -> None:
        self._start = state
        self._stages: list[Tensor] = []

    @property
    def count(self) -> int:
        return len(self._stages)

    def add(self, derivative: Tensor) -> None:
        self._stages.append(derivative)

    def advance(self, weights: Tensor) -> Tensor:
        return self._sum(self._start, weights)

    def combine(self, weights: Tensor) -> Tensor:
        return self._sum(torch.zeros_like(self._start), weights)

    def _sum(self, total: Tensor, weights: Tensor) -> Tensor:
        for stage, weight in zip(self._stages, weights.tolist(), strict=False):
            if weight:
                total = torch.add(total, stage, alpha=weight)
        return total


@cache
def stage_weights(tableau: Tableau, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return all rows of a tableau as one tensor, each filled with zeros to the same length.

    The rows are a_1..a_s, the weights, the error weights, the second error weights, and then the
    rows of the stages that only the dense output needs; shape (s + 3 + extra, s + extra).
    """
    length = len(tableau.nodes) + len(tableau.extra_nodes)
    rows = (
        *tableau.stages,
        tableau.weights,
        tableau.error,
        tableau.second_error,
        *tableau.extra_stages,
    )
    filled = [[*map(float, row), *([0.0] * (length - len(row)))] for row in rows]
    return torch.tensor(filled, dtype=dtype, device=device)


@cache
def _dense_rows(tableau: Tableau) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(float(x) for x in row) for row in tableau.dense)

"""One step of any explicit Runge-Kutta method, from its tableau.

    k_i = f(t + c_i h, y + h sum_{j<i} a_ij k_j),   y(t + h) = y + h sum_i b_i k_i

The stages lie in the rows of one buffer (stages, numel), so that a combination is a single product
of the buffer with a row of the tableau: one pass over memory in place of one for each term. All
views of the buffer are made once a solve. While autograd records, the combinations are plain sums
that it can follow.

Source: Hairer, Norsett, Wanner, Solving Ordinary Differential Equations I (1993), II.1, II.4, II.6.
"""

from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor

from graphtide.ode.stepping import RightHandSide, Step
from graphtide.ode.tableaus import Tableau

__all__ = ["RungeKutta", "dense_weights", "stage_weights"]


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
        self.first_same_as_last = tableau.first_same_as_last
        self.dense_evaluations = 0  # those that only the dense output needed, over all steps
        self._keep_stages = keep_stages
        self._buffered: _BufferedStages | None = None
        self._times: Tensor | None = None  # c_i

    def step(
        self, rhs: RightHandSide, time: float, state: Tensor, derivative: Tensor | None, size: float
    ) -> Step:
        """Take one trial step; see `graphtide.ode.stepping.Method.step`."""
        tableau = self.tableau
        count = len(tableau.nodes)
        clocks = self._clocks(time, size, state)
        stages = self._stages(state, size)
        evaluations = count - 1
        if derivative is None:
            derivative = rhs(clocks[0], state)
            evaluations += 1
        stages.add(derivative)
        after = state
        for index in range(1, count):
            after = stages.advance(index)
            derivative = rhs(clocks[index], after)
            stages.add(derivative)
        if not self.first_same_as_last:
            after = stages.advance(count)
        error = None
        if tableau.error:
            error = stages.combine(count + 1)
        if error is not None and tableau.second_error:
            damping = torch.hypot(error, 0.1 * stages.combine(count + 2))
            error = error * (error.abs() / damping.clamp_min(torch.finfo(error.dtype).tiny))

        def interpolate(share: float) -> Tensor:
            for index in range(stages.count, len(tableau.nodes) + len(tableau.extra_nodes)):
                stages.add(rhs(clocks[index], stages.advance(index + 3)))
                self.dense_evaluations += 1
            return stages.between(share)

        last = derivative if self.first_same_as_last else None
        return Step(after, error, last, interpolate, evaluations)

    def _clocks(self, time: float, size: float, state: Tensor) -> Sequence[Tensor]:
        """Return the times of all stages, each 0-dim float64."""
        if self._times is None:
            nodes = [float(node) for node in (*self.tableau.nodes, *self.tableau.extra_nodes)]
            self._times = torch.tensor(nodes, dtype=torch.float64, device=state.device)
        return (self._times * size).add_(time).unbind()

    def _stages(self, state: Tensor, size: float) -> "_BufferedStages | _RecordedStages":
        if torch.is_grad_enabled():
            return _RecordedStages(self.tableau, state, size)
        if self._buffered is None or self._keep_stages:
            self._buffered = _BufferedStages(self.tableau, state)
        self._buffered.begin(state, size)
        return self._buffered


class _BufferedStages:
    """The stages of a step as rows of a buffer (stages, numel), invisible to autograd."""

    def __init__(self, tableau: Tableau, state: Tensor) -> None:
        self.count = 0
        self._tableau, self._shape = tableau, state.shape
        self._table = stage_weights(tableau, state.dtype, state.device)
        self._scaled = torch.empty_like(self._table)
        self._start, self._size = state, 0.0
        nodes, extra = len(tableau.nodes), len(tableau.extra_nodes)
        buffer = state.new_empty((nodes + extra, state.numel()))
        lengths = [*range(nodes), nodes, nodes, nodes, *range(nodes, nodes + extra)]
        self._all = buffer.T
        self._rows = [row.view(state.shape) for row in buffer]
        self._columns = [buffer[:length].T for length in lengths]
        self._weights = [row[:length] for row, length in zip(self._scaled, lengths, strict=True)]

    def begin(self, state: Tensor, size: float) -> None:
        """Forget the stages of the last step."""
        self.count, self._start, self._size = 0, state.reshape(-1), size
        torch.mul(self._table, size, out=self._scaled)

    def add(self, derivative: Tensor) -> None:
        self._rows[self.count].copy_(derivative)
        self.count += 1

    def advance(self, row: int) -> Tensor:
        """Return the state at the start plus the stages weighted by a row of the tableau."""
        moved = torch.addmv(self._start, self._columns[row], self._weights[row])
        return moved.view(self._shape)

    def combine(self, row: int) -> Tensor:
        """Return the sum of the stages weighted by a row of the tableau."""
        return torch.mv(self._columns[row], self._weights[row]).view(self._shape)

    def between(self, share: float) -> Tensor:
        """Return the state at a share of the step."""
        weights = dense_weights(self._tableau, share, self._start)
        moved = torch.addmv(self._start, self._all, weights, alpha=self._size)
        return moved.view(self._shape)


class _RecordedStages:
    """The stages of a step as a list of tensors; autograd may follow every combination."""

    def __init__(self, tableau: Tableau, state: Tensor, size: float) -> None:
        self._tableau, self._start, self._size = tableau, state, size
        self._stages: list[Tensor] = []

    @property
    def count(self) -> int:
        return len(self._stages)

    def add(self, derivative: Tensor) -> None:
        self._stages.append(derivative)

    def advance(self, row: int) -> Tensor:
        return self._sum(self._start, _table_rows(self._tableau)[row])

    def combine(self, row: int) -> Tensor:
        return self._sum(torch.zeros_like(self._start), _table_rows(self._tableau)[row])

    def between(self, share: float) -> Tensor:
        weights: list[float] = []
        for row in _dense_rows(self._tableau):
            total = 0.0
            for coefficient in reversed(row):
                total = (total + coefficient) * share
            weights.append(total)
        return self._sum(self._start, weights)

    def _sum(self, total: Tensor, weights: Sequence[float]) -> Tensor:
        for stage, weight in zip(self._stages, weights, strict=False):
            if weight:
                total = torch.add(total, stage, alpha=self._size * weight)
        return total


def dense_weights(tableau: Tableau, share: float, like: Tensor) -> Tensor:
    """Return b_i(`share`) of all stages, those for the dense output included, shape (stages,).

    They are computed in float64 on the device of `like`, where they are wanted in its dtype.
    """
    powers, coefficients = _dense_table(tableau, like.device)
    return torch.mv(coefficients, torch.pow(share, powers)).to(like.dtype)


@cache
def _table_rows(tableau: Tableau) -> tuple[tuple[float, ...], ...]:
    """Return the rows of `stage_weights` as they are, without what fills them."""
    rows = (
        *tableau.stages,
        tableau.weights,
        tableau.error,
        tableau.second_error,
        *tableau.extra_stages,
    )
    return tuple(tuple(map(float, row)) for row in rows)


@cache
def stage_weights(tableau: Tableau, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return all rows of a tableau as one tensor, each filled with zeros to the same length.

    The rows are a_1..a_s, the weights, the error weights, the second error weights, and then the
    rows of the stages that only the dense output needs; shape (s + 3 + extra, s + extra).
    """
    length = len(tableau.nodes) + len(tableau.extra_nodes)
    filled = [[*row, *([0.0] * (length - len(row)))] for row in _table_rows(tableau)]
    return torch.tensor(filled, dtype=dtype, device=device)


@cache
def _dense_rows(tableau: Tableau) -> tuple[tuple[float, ...], ...]:
    return tuple(tuple(map(float, row)) for row in tableau.dense)


@cache
def _dense_table(tableau: Tableau, device: torch.device) -> tuple[Tensor, Tensor]:
    """Return the exponents of the dense weights (M,) and their coefficients (stages, M)."""
    coefficients = torch.tensor(_dense_rows(tableau), dtype=torch.float64, device=device)
    powers = torch.arange(1, coefficients.shape[1] + 1, dtype=torch.float64, device=device)
    return powers, coefficients

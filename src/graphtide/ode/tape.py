"""The gradient of an explicit Runge-Kutta solve, step by step and without a graph over the steps.

With K_i the cotangent of stage k_i, Y of the state at the end, G_o of the outputs inside the step,
and
X_i = (dk_i / dx_i)^T K_i:

    K_j = h (b_j Y + sum_{i>j} a_ij X_i + sum_o b_j(s_o) G_o),   Y_start = Y + sum_i X_i + sum_o G_o

Only the evaluations of the right-hand side are recorded by autograd, each by itself; the sums over
stages are products with a buffer, forwards and backwards. Step sizes are constants of the gradient.

Source: the discrete adjoint of a Runge-Kutta method, Hager, Numerische Mathematik 87 (2000),
    section 3.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.autograd.graph import Node

from graphtide.ode.runge_kutta import RungeKutta, dense_weights, stage_weights
from graphtide.ode.stepping import RightHandSide, Step

__all__ = ["Evaluation", "OuterGraphError", "Pullback", "Recorder", "TapedStep", "dependencies"]

Evaluation = tuple[Tensor, Tensor] | None
"""A stage's argument and value; None where the value depends on nothing that needs a gradient."""


class OuterGraphError(Exception):
    """The right-hand side uses an intermediate result of the caller's graph that is not named."""


@dataclass(frozen=True, slots=True)
class TapedStep:
    """One accepted step: its size, the evaluations of its stages in order, and its outputs.

    `has_first` tells whether the first stage is among the evaluations; otherwise it is the last one
    of the step before.
    """

    size: float
    evaluations: tuple[Evaluation, ...]
    has_first: bool
    outputs: tuple[tuple[int, float], ...]


def dependencies(
    rhs: RightHandSide, time: Tensor, state: Tensor, known: Iterable[Tensor]
) -> list[Tensor]:
    """Return the tensors that need a gradient and that `rhs` depends on; two evaluations.

    Raises:
        OuterGraphError: one of them is an intermediate result that is not among `known`.
    """
    watched = {id(tensor): tensor for tensor in known if tensor.requires_grad}
    seen: set[Node] = set()
    for _ in range(2):
        argument = state.detach().requires_grad_()
        with torch.enable_grad():
            value = rhs(time, argument)
        inner = _inner_nodes(argument, value, watched)
        if not inner.isdisjoint(seen):
            raise OuterGraphError
        seen = inner
    return list(watched.values())


class Recorder:
    """An explicit method whose evaluations are recorded one by one, for `Pullback`.

    Args:
        method: takes the steps.
        rhs: the right-hand side.
        known: tensors that `rhs` depends on as far as they are known; leaves of autograd are found.
        recording: whether anything is known to need a gradient; if not, recording begins with the
            first value of `rhs` that does.
    """

    def __init__(
        self, method: RungeKutta, rhs: RightHandSide, known: Iterable[Tensor], *, recording: bool
    ) -> None:
        self._method, self._rhs = method, rhs
        self.name, self.order, self.error_order = method.name, method.order, method.error_order
        self.adaptive = method.adaptive
        self.recording = recording
        self.watched = {id(tensor): tensor for tensor in known if tensor.requires_grad}
        self._start: Evaluation = None
        self._pending: list[Evaluation] = []
        self._has_first = self._begun = False
        self._seen: set[Node] = set()
        self._walks = 0
        self._walked: Tensor | None = None

    @property
    def dense_evaluations(self) -> int:
        """Evaluations that only the dense output needed."""
        return self._method.dense_evaluations

    def evaluate(self, time: Tensor, state: Tensor) -> Tensor:
        """Evaluate the right-hand side and keep what its gradient needs."""
        argument = state.detach()
        if self.recording:
            argument.requires_grad_()
        with torch.enable_grad():
            value = self._rhs(time, argument)
        if not value.requires_grad:
            self._pending.append(None)
            return value
        self.recording = True
        self._pending.append((argument, value))
        if self._walks < 2:
            self._walk(argument, value)
        return value.detach()

    def step(
        self, rhs: RightHandSide, time: float, state: Tensor, derivative: Tensor | None, size: float
    ) -> Step:
        """Take one trial step with `evaluate` in place of `rhs`."""
        del rhs
        if not self._begun and self._pending:
            self._start = self._pending[0]
        self._begun = True
        self._pending = []
        self._has_first = derivative is None
        return self._method.step(self.evaluate, time, state, derivative, size)

    def take_start(self) -> Evaluation:
        """Return the evaluation at the start of the solve, once it was made."""
        return self._start

    def take_step(self, size: float, outputs: tuple[tuple[int, float], ...]) -> TapedStep:
        """Return the last trial step for the tape."""
        taped = TapedStep(size, tuple(self._pending), self._has_first, outputs)
        last = next((pair for pair in reversed(self._pending) if pair is not None), None)
        if last is not None:
            self._walk(*last)
        return taped

    def _walk(self, argument: Tensor, value: Tensor) -> None:
        """Find the leaves that `value` depends on; refuse a graph that reaches outside of `rhs`."""
        if value is self._walked:
            return
        self._walks, self._walked = self._walks + 1, value
        inner = _inner_nodes(argument, value, self.watched)
        if not inner.isdisjoint(self._seen):
            raise OuterGraphError
        self._seen = inner


def _inner_nodes(argument: Tensor, value: Tensor, watched: dict[int, Tensor]) -> set[Node]:
    """Return the graph between `value` and its leaves, and add the leaves to `watched`.

    Two evaluations share a node only where the graph reaches outside of the right-hand side.
    """
    stops = {tensor.grad_fn for tensor in watched.values() if tensor.grad_fn is not None}
    inner: set[Node] = set()
    todo = [value.grad_fn]
    while todo:
        node = todo.pop()
        if node is None or node in inner or node in stops:
            continue
        if node.name() == "torch::autograd::AccumulateGrad":
            leaf: Tensor = getattr(node, "variable")  # noqa: B009 - not in torch's stubs
            if leaf is not argument:
                watched.setdefault(id(leaf), leaf)
            continue
        inner.add(node)
        todo.extend(following for following, _ in node.next_functions)
    return inner


class Pullback:
    """Pulls cotangents backwards through taped steps of one explicit method.

    Args:
        method: the method of the steps.
        watched: tensors whose gradient is summed in `totals`.
        cotangents: of the outputs, shape (T, numel).
        state: cotangent of the state at the end of the last step, shape (numel,).
    """

    def __init__(
        self, method: RungeKutta, watched: Sequence[Tensor], cotangents: Tensor, state: Tensor
    ) -> None:
        self._tableau, self._fsal = method.tableau, method.first_same_as_last
        self._watched, self._cotangents = list(watched), cotangents
        self.totals = [torch.zeros_like(tensor) for tensor in watched]
        self.state = state
        self._carry: Tensor | None = None  # cotangent of the first stage, for the step before
        self._count = count = len(method.tableau.nodes)
        table = stage_weights(method.tableau, state.dtype, state.device)
        buffer = state.new_empty((table.shape[1], state.numel()))
        # Row j holds the factors of X_1..X_(s-1) and Y in K_j: a_ij for i = 1..s-1, then b_j.
        self._plain = _Sums(table[1 : count + 1].T, buffer)
        self._extended = self._plain
        if method.tableau.extra_nodes:
            rows = [table[1:count], table[count + 3 :], table[count : count + 1]]
            self._extended = _Sums(torch.cat(rows).T, buffer)

    def pull(self, taped: TapedStep) -> None:
        """Move `state` from the end of a step to its start."""
        count = len(taped.evaluations) + (not taped.has_first)
        sums = self._plain if count == self._count else self._extended
        sums.begin(taped.size)
        end = sums.rows[count - 1]  # Y
        end.copy_(self.state)
        inside = [(output, share) for output, share in taped.outputs if share != 1.0]
        for output, share in taped.outputs:
            if share == 1.0:
                end += self._cotangents[output]
        dense = given = None
        if inside:  # outputs of one step have consecutive numbers
            given = self._cotangents[inside[0][0] : inside[-1][0] + 1]  # (inside, numel)
            dense = torch.mm(self._dense(inside, taped.size, count), given)
        for index in reversed(range(count)):
            carried = self._carry if index == self._count - 1 else None
            if index == count - 1 and self._fsal and count == self._count:
                cotangent = carried  # no weight at the end of the step
                if dense is not None:
                    cotangent = dense[index] if carried is None else dense[index] + carried
                if cotangent is None:
                    sums.rows[index - 1].zero_()  # it only served the error
                    continue
            else:
                cotangent = sums.of(index)
                if dense is not None:
                    cotangent += dense[index]
                if carried is not None:
                    cotangent += carried
            if carried is not None:
                self._carry = None
            if index == 0:
                self._carry = cotangent
                break
            pulled = self._pull(taped.evaluations[index - (not taped.has_first)], cotangent)
            if pulled is None:
                sums.rows[index - 1].zero_()
            else:
                sums.rows[index - 1].copy_(pulled)
        self.state = sums.total()
        if given is not None:
            self.state += given.sum(0)
        if taped.has_first:
            self.pull_start(taped.evaluations[0])

    def pull_start(self, evaluation: Evaluation) -> None:
        """Pull through an evaluation at the start of the last pulled step."""
        if self._carry is not None:
            pulled = self._pull(evaluation, self._carry)
            if pulled is not None:
                self.state += pulled
        self._carry = None

    def _pull(self, evaluation: Evaluation, cotangent: Tensor) -> Tensor | None:
        """Add to `totals` and return the cotangent of the argument, shape (numel,)."""
        if evaluation is None:
            return None
        argument, value = evaluation
        grown = torch.autograd.grad(
            value, [argument, *self._watched], cotangent.view(value.shape), allow_unused=True
        )
        for total, part in zip(self.totals, grown[1:], strict=True):
            if part is not None:
                total += part
        return None if grown[0] is None else grown[0].reshape(-1)

    def _dense(self, inside: Sequence[tuple[int, float]], size: float, count: int) -> Tensor:
        """Return h b_j(share) of shape (stages, outputs inside)."""
        weights = [dense_weights(self._tableau, share, self.state)[:count] for _, share in inside]
        return torch.stack(weights, dim=1) * size


class _Sums:
    """The sums over the rows X_1..X_(s-1), Y of a buffer, with all views made once.

    Args:
        factors: row j holds what K_j / h takes of each of them; (stages or more, stages).
        buffer: at least as many rows as stages, shape (stages, numel).
    """

    def __init__(self, factors: Tensor, buffer: Tensor) -> None:
        count = factors.shape[1]
        self._factors = factors[:count].contiguous()
        self._scaled = torch.empty_like(self._factors)
        self._used = buffer[:count]
        self.rows = self._used.unbind()
        self._columns = [buffer[index:count].T for index in range(count)]
        self._weights = [row[index:] for index, row in enumerate(self._scaled)]

    def begin(self, size: float) -> None:
        """Set the size of the step."""
        torch.mul(self._factors, size, out=self._scaled)

    def of(self, index: int) -> Tensor:
        """Return what X_(index+1).., Y give to the cotangent of a stage, shape (numel,)."""
        return torch.mv(self._columns[index], self._weights[index])

    def total(self) -> Tensor:
        """Return the sum of all rows."""
        return self._used.sum(0)

"""Gradients of an integration with respect to its start and to the tensors of the right-hand side.

direct: the discrete gradient of the very steps taken; memory grows with the number of steps.
checkpointed: the same numbers with memory that grows with its square root; one more solve. Every
    c-th state is kept, c is doubled whenever more than 2 c states are held, and the c steps of one
    segment at a time are taken again with the sizes they had.

Sources: discretise-then-differentiate, Hager, Numerische Mathematik 87 (2000); checkpoints of
sqrt(n), Griewank, Walther, Evaluating Derivatives (2008), chapter 12.
"""

import copy
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from graphtide.errors import ComputationError
from graphtide.ode.control import Control
from graphtide.ode.events import Event
from graphtide.ode.integrate import Accepted, Path, integrate
from graphtide.ode.runge_kutta import RungeKutta
from graphtide.ode.stepping import Method, RightHandSide
from graphtide.ode.tape import Evaluation, OuterGraphError, Pullback, Recorder, TapedStep

__all__ = ["checkpointed", "direct", "plain"]


@dataclass(frozen=True, slots=True)
class _Taken:
    """An accepted step as far as taking it again needs it."""

    time: float
    size: float
    outputs: tuple[tuple[int, float], ...]


@dataclass(slots=True)
class _History:
    """What the backward pass knows of a solve."""

    method: Method
    rhs: RightHandSide
    start: Tensor
    states: Tensor  # (T, numel), the outputs
    taken: list[_Taken]
    checkpoints: dict[int, tuple[Tensor, Method]]  # by number of steps taken: state, method then
    tape: list[TapedStep] | None = None
    first: Evaluation = None
    watched: list[Tensor] = field(default_factory=list)


def plain(
    method: Method,
    rhs: RightHandSide,
    state: Tensor,
    times: Sequence[float],
    control: Control,
    *,
    events: Sequence[Event] = (),
    watch: Callable[[Accepted], None] | None = None,
) -> tuple[Tensor, Path]:
    """Integrate under autograd's own recording; return the states (T, ...) and the path."""
    path = integrate(method, rhs, state, times, control, events=events, watch=watch)
    return _stacked(path), path


def direct(
    method: RungeKutta,
    rhs: RightHandSide,
    state: Tensor,
    times: Sequence[float],
    control: Control,
    known: Iterable[Tensor],
    *,
    events: Sequence[Event] = (),
    watch: Callable[[Accepted], None] | None = None,
) -> tuple[Tensor, Path]:
    """Integrate with a tape of evaluations; return the states (T, ...) and the path.

    Where `rhs` uses an intermediate result of a graph outside of it that is not among `known`, the
    solve is left to autograd's own recording, which is slower.
    """
    known = list(known)
    recording = state.requires_grad or any(tensor.requires_grad for tensor in known)
    fresh = copy.copy(method)
    recorder = Recorder(method, rhs, known, recording=recording)
    tape: list[TapedStep] = []
    taken: list[_Taken] = []

    def keep(accepted: Accepted) -> None:
        tape.append(recorder.take_step(accepted.size, accepted.outputs))
        taken.append(_Taken(accepted.time, accepted.size, accepted.outputs))
        if watch is not None:
            watch(accepted)

    try:
        with torch.no_grad():
            path = integrate(
                recorder,
                recorder.evaluate,
                state.detach(),
                times,
                control,
                events=events,
                watch=keep,
            )
            states = _stacked(path)
    except OuterGraphError:
        return plain(fresh, rhs, state, times, control, events=events, watch=watch)
    if not recorder.recording:
        return states, path
    checkpoints: dict[int, tuple[Tensor, Method]] = {0: (state.detach(), fresh)}
    history = _History(method, rhs, state, states, taken, checkpoints, tape, recorder.take_start())
    history.watched = list(recorder.watched.values())
    return _attach(history), path


def checkpointed(
    method: Method,
    rhs: RightHandSide,
    state: Tensor,
    times: Sequence[float],
    control: Control,
    known: Iterable[Tensor],
    *,
    events: Sequence[Event] = (),
    watch: Callable[[Accepted], None] | None = None,
) -> tuple[Tensor, Path]:
    """Integrate without recording, keeping about sqrt(steps) states; return states and path.

    Only tensors among `known` and the start receive gradients.
    """
    watched = [tensor for tensor in {id(t): t for t in known}.values() if tensor.requires_grad]
    taken: list[_Taken] = []
    checkpoints: dict[int, tuple[Tensor, Method]] = {0: (state.detach(), copy.copy(method))}
    stride = 1

    def keep(accepted: Accepted) -> None:
        nonlocal stride
        taken.append(_Taken(accepted.time, accepted.size, accepted.outputs))
        if len(taken) % stride == 0:
            checkpoints[len(taken)] = (accepted.step.state, copy.copy(method))
            if len(checkpoints) > 2 * stride + 1:
                stride *= 2
                for index in [index for index in checkpoints if index % stride]:
                    del checkpoints[index]
        if watch is not None:
            watch(accepted)

    with torch.no_grad():
        path = integrate(method, rhs, state.detach(), times, control, events=events, watch=keep)
        states = _stacked(path)
    checkpoints.pop(len(taken), None)
    history = _History(method, rhs, state, states, taken, checkpoints, watched=watched)
    return _attach(history), path


def _stacked(path: Path) -> Tensor:
    """Move the outputs of a path into one tensor (T, ...)."""
    states = torch.stack(path.states)
    path.states.clear()
    return states


def _attach(history: _History) -> Tensor:
    """Return the outputs (T, ...) as a function of the start and of what is watched."""
    start, history.start = history.start, history.start.detach()
    result: Tensor = _Attached.apply(history, start, *history.watched)
    return result


class _Attached(torch.autograd.Function):
    """Gives a finished solve its place in autograd's graph."""

    @staticmethod
    def forward(ctx: Any, history: _History, start: Tensor, *watched: Tensor) -> Tensor:
        ctx.history = history
        ctx.save_for_backward(start, *watched)
        states, history.states = history.states, history.states.new_empty(0)
        return states

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        history: _History = ctx.history
        start, *watched = ctx.saved_tensors
        (cotangent,) = cotangents  # (T, ...)
        if torch.is_grad_enabled():  # a gradient of the gradient is wanted
            return None, *_pull_differentiably(history, start, watched, cotangent)
        if isinstance(history.method, RungeKutta):
            flat = cotangent.reshape(cotangent.shape[0], -1)
            grown = _pull_taped(history, history.method, watched, flat)
        else:
            grown = _pull_plainly(history, watched, cotangent)
        return None, *grown


def _segments(history: _History) -> list[tuple[int, int]]:
    """Return the ranges of steps between checkpoints, last first."""
    bounds = [*sorted(history.checkpoints), len(history.taken)]
    return [(a, b) for a, b in itertools.pairwise(bounds) if b > a][::-1]


def _pull_taped(
    history: _History, method: RungeKutta, watched: Sequence[Tensor], cotangents: Tensor
) -> list[Tensor]:
    """Return the gradients of the start and of `watched`; the tape is used up, if there is one."""
    state = torch.zeros_like(cotangents[0])
    pullback = Pullback(method, watched, cotangents, state)
    tape, history.tape = history.tape, None
    if tape is not None:
        while tape:
            pullback.pull(tape.pop())
        pullback.pull_start(history.first)
        history.first = None
    else:
        for first, last in _segments(history):
            tape = _tape_again(history, watched, first, last)
            while tape:
                pullback.pull(tape.pop())
    start = (pullback.state + cotangents[0]).view(history.start.shape)
    return [start, *pullback.totals]


def _tape_again(
    history: _History, watched: Sequence[Tensor], first: int, last: int
) -> list[TapedStep]:
    """Take the steps of a segment again with a tape."""
    state, method = history.checkpoints[first]
    if not isinstance(method, RungeKutta):
        raise ComputationError(f"{method.name}: only explicit Runge-Kutta steps can be taped")
    recorder = Recorder(copy.copy(method), history.rhs, watched, recording=True)
    tape: list[TapedStep] = []
    derivative: Tensor | None = None
    with torch.no_grad():
        for taken in history.taken[first:last]:
            step = recorder.step(history.rhs, taken.time, state, derivative, taken.size)
            inside = [share for _, share in taken.outputs if share != 1.0]
            if inside and step.interpolate is not None:
                step.interpolate(inside[0])  # makes the stages that only the dense output needs
            tape.append(recorder.take_step(taken.size, taken.outputs))
            state, derivative = step.state, step.derivative
    return tape


def _again(
    history: _History, state: Tensor, first: int, last: int
) -> tuple[list[tuple[int, Tensor]], Tensor]:
    """Take steps again under autograd's recording; return the outputs by index, and the end."""
    method = copy.copy(history.checkpoints[first][1])
    outputs: list[tuple[int, Tensor]] = []
    derivative: Tensor | None = None
    for taken in history.taken[first:last]:
        step = method.step(history.rhs, taken.time, state, derivative, taken.size)
        for index, share in taken.outputs:
            if share == 1.0:
                outputs.append((index, step.state))
            elif step.interpolate is not None:
                outputs.append((index, step.interpolate(share)))
            else:
                raise ComputationError(f"{method.name}: a step came without its dense output")
        state, derivative = step.state, step.derivative
    return outputs, state


def _pull_plainly(history: _History, watched: Sequence[Tensor], cotangents: Tensor) -> list[Tensor]:
    """Return the gradients of the start and of `watched` for any method, segment by segment."""
    totals = [torch.zeros_like(tensor) for tensor in watched]
    carried = torch.zeros_like(history.start)
    for first, last in _segments(history):
        state = history.checkpoints[first][0].detach().requires_grad_()
        with torch.enable_grad():
            outputs, end = _again(history, state, first, last)
        ends = [*(value for _, value in outputs), end]
        given = [*(cotangents[index] for index, _ in outputs), carried]
        grown = torch.autograd.grad(ends, [state, *watched], given, allow_unused=True)
        carried = torch.zeros_like(state) if grown[0] is None else grown[0]
        for total, part in zip(totals, grown[1:], strict=True):
            if part is not None:
                total += part
    return [carried + cotangents[0], *totals]


def _pull_differentiably(
    history: _History, start: Tensor, watched: Sequence[Tensor], cotangents: Tensor
) -> list[Tensor | None]:
    """Return gradients that can be differentiated again: all steps under autograd's recording."""
    outputs, _ = _again(history, start, 0, len(history.taken))
    wanted = [tensor for tensor in (start, *watched) if tensor.requires_grad]
    ends = [start, *(value for _, value in outputs)]
    given = [cotangents[0], *(cotangents[index] for index, _ in outputs)]
    pairs = [(end, part) for end, part in zip(ends, given, strict=True) if end.requires_grad]
    grown = iter(
        torch.autograd.grad(
            [end for end, _ in pairs],
            wanted,
            [part for _, part in pairs],
            create_graph=True,
            allow_unused=True,
        )
    )
    return [next(grown) if tensor.requires_grad else None for tensor in (start, *watched)]

"""Solve an initial value problem: the only way in the library from a right-hand side to states.

    dy/dt = f(t, y),   y(t_0) = y_0,   wanted: y(t_1), ..., y(t_T)

Choices are the method (`graphtide.ode.methods`), its steps (tolerances or a fixed size) and the
way of the gradient (`graphtide.ode.gradients`, `adjoint`, `symplectic`).
"""

import bisect
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.ode.adjoint import attach_adjoint
from graphtide.ode.auto import choose_method
from graphtide.ode.control import Control
from graphtide.ode.events import Event
from graphtide.ode.gradients import checkpointed, direct, plain
from graphtide.ode.integrate import Accepted, Path, Statistics, interval_steps
from graphtide.ode.methods import METHODS, Structure, make_method
from graphtide.ode.runge_kutta import RungeKutta
from graphtide.ode.stepping import Method, RightHandSide, clock
from graphtide.ode.symplectic import SeparableSystem, SymplecticMethod, solve_reversibly
from graphtide.ode.tape import OuterGraphError, dependencies

__all__ = ["METHODS", "Event", "EventRecord", "Gradient", "Interpolant", "Solution", "solve"]

Gradient = Literal["direct", "checkpointed", "adjoint", "reversible"]
_GRADIENTS = ("direct", "checkpointed", "adjoint", "reversible")


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Where one event's function vanished: times (K,) float64 and states (K, ...), no gradient."""

    times: Tensor
    states: Tensor


@dataclass(frozen=True, slots=True)
class Solution:
    """What `solve` returns.

    Args:
        times: (T,) float64; only those reached where a terminal event ended the solve.
        states: (T, ...) like the start.
        statistics: evaluations of the right-hand side, accepted and rejected steps.
        events: one record for each event asked for, in their order.
        interpolant: the state at any time within the solve, where `dense=True` asked for it.
    """

    times: Tensor
    states: Tensor
    statistics: Statistics
    events: tuple[EventRecord, ...]
    interpolant: "Interpolant | None"


def solve(
    rhs: RightHandSide,
    state: Tensor,
    times: ArrayLike | Tensor,
    *,
    method: str = "auto",
    structure: Structure = "plain",
    relative_tolerance: float = 1e-6,
    absolute_tolerance: float = 1e-8,
    step: float | None = None,
    maximum_steps: int = 100_000,
    gradient: Gradient = "direct",
    parameters: Iterable[Tensor] = (),
    events: Sequence[Event] = (),
    dense: bool = False,
) -> Solution:
    """Integrate `rhs` from `state` at the first of `times` through all of them.

    Adaptive methods take the steps that their error allows and find the output by dense output;
    methods without an error estimate take one step from time to time, or equal parts of at most
    `step`. The memory of a gradient in units of one step's recorded evaluations is n (direct),
    about 2 sqrt(n) with sqrt(n) states more (checkpointed), or 1 (adjoint, reversible), for n
    steps. Gradients treat step sizes as constants. A gradient of a gradient works with direct and
    checkpointed: the steps are taken again under autograd's own recording.

    Args:
        rhs: maps a time (0-dim float64) and a state to d(state)/dt of the same shape and dtype; a
            `SeparableSystem` for symplectic methods. It must give the same for the same arguments.
        state: the start, any shape, floating point.
        times: T strictly increasing or decreasing times, float64.
        method: a name of `METHODS`, or "auto" to choose by `structure`.
        structure: what is known of the problem, for "auto".
        relative_tolerance: share of the state that a step's error may reach.
        absolute_tolerance: error that is always allowed, in the unit of the state.
        step: fix the size of steps, in the unit of the times (then no error is controlled).
        maximum_steps: most trial steps.
        gradient: "direct" is exact and the fastest; "checkpointed" the same numbers with less
            memory and one more solve; "adjoint" needs the least memory and is as exact as the
            tolerances; "reversible" is exact with constant memory, for symplectic methods.
        parameters: tensors that `rhs` depends on, where they are intermediate results of a graph
            outside of it. Parameters of modules and leaves of autograd are found.
        events: functions of time and state whose zeros are located.
        dense: also return an interpolant; it keeps all stages of all steps, and is without
            gradient.

    Raises:
        InputError: an argument is out of its range, or does not fit the method.
        ComputationError: the solve failed: its message names the time and a likely cause.

    Example:
        >>> import torch
        >>> decay = solve(lambda t, x: -x, torch.ones(1, dtype=torch.float64), [0.0, 1.0])
        >>> round(float(decay.states[-1, 0]), 6)
        0.367879
    """
    moments = _checked_times(times)
    _check_state(state)
    _check_choices(relative_tolerance, absolute_tolerance, step, maximum_steps, gradient)
    if method == "auto":
        span = (moments[0], moments[-1])
        method = choose_method(structure, rhs, state, span, relative_tolerance)

    def make() -> Method:
        made = make_method(method, relative_tolerance, absolute_tolerance)
        return RungeKutta(made.tableau, keep_stages=dense) if isinstance(made, RungeKutta) else made

    control = Control(relative_tolerance, absolute_tolerance, maximum_steps, step)
    known = _known_parameters(rhs, parameters)
    interpolant = Interpolant(moments[0], state) if dense else None
    problem = _Problem(
        make, _checked_rhs(rhs), state, moments, control, known, tuple(events), interpolant
    )
    states, path = _dispatch(problem, gradient)
    count = states.shape[0]
    found = tuple(_event_record(times, values, state) for times, values in path.events)
    reached = torch.tensor(moments[:count], dtype=torch.float64, device=state.device)
    return Solution(reached, states, path.statistics, found, interpolant)


class Interpolant:
    """The state at any time within a solve; call it with a time.

    Its error is that of the method's dense output, of the order of the method's tolerance.
    """

    def __init__(self, start: float, state: Tensor) -> None:
        self._bounds = [start]
        self._steps: list[tuple[float, float, Callable[[float], Tensor]]] = []
        self._state = state.detach()

    def keep(self, accepted: Accepted) -> None:
        """Keep the dense output of one accepted step."""
        with torch.no_grad():
            accepted.interpolate(0.5)  # makes what it needs while the step is at hand
        self._steps.append((accepted.time, accepted.size, accepted.interpolate))
        self._bounds.append(accepted.time + accepted.size)

    @torch.no_grad()
    def __call__(self, time: float) -> Tensor:
        """Return the state at `time`, shaped like the start.

        Raises:
            InputError: the time lies outside of the solve.
        """
        sign = 1.0 if self._bounds[-1] >= self._bounds[0] else -1.0
        low, high = sorted((self._bounds[0], self._bounds[-1]))
        slack = 1e-12 * max(abs(low), abs(high))
        if not low - slack <= time <= high + slack:
            raise InputError(f"time {time:g} is outside of the solve, {low:g} to {high:g}")
        if not self._steps:
            return self._state
        index = bisect.bisect_right(self._bounds, sign * time, key=lambda bound: sign * bound) - 1
        start, size, interpolate = self._steps[min(max(index, 0), len(self._steps) - 1)]
        return interpolate(min(1.0, max(0.0, (time - start) / size))).detach()


@dataclass(frozen=True, slots=True)
class _Problem:
    make: Callable[[], Method]
    rhs: RightHandSide
    state: Tensor
    times: list[float]
    control: Control
    known: list[Tensor]
    events: tuple[Event, ...]
    interpolant: Interpolant | None


def _dispatch(problem: _Problem, gradient: str) -> tuple[Tensor, Path]:
    """Integrate in the way of the gradient."""
    method, watch = problem.make(), None
    if problem.interpolant is not None:
        watch = problem.interpolant.keep
    start, times, control = problem.state, problem.times, problem.control
    asked = (method, problem.rhs, start, times, control)
    if gradient == "reversible":
        return _reversible(problem, method)
    if gradient == "adjoint" and isinstance(method, SymplecticMethod):
        raise InputError(
            f"method {method.name!r} has no gradient='adjoint'; 'reversible' serves it"
        )
    if not torch.is_grad_enabled():
        return plain(*asked, events=problem.events, watch=watch)
    if gradient == "direct":
        if isinstance(method, RungeKutta):
            return direct(method, *asked[1:], problem.known, events=problem.events, watch=watch)
        return plain(*asked, events=problem.events, watch=watch)
    try:
        known = dependencies(problem.rhs, clock(times[0], start), start, problem.known)
    except OuterGraphError:
        raise InputError(
            f"gradient={gradient!r}: the right-hand side uses an intermediate result of a graph "
            "outside of it; name that tensor in `parameters`, or use gradient='direct'"
        ) from None
    if gradient == "checkpointed":
        return checkpointed(*asked, known, events=problem.events, watch=watch)
    with torch.no_grad():
        states, path = plain(
            method, problem.rhs, start.detach(), times, control, events=problem.events, watch=watch
        )
    if not (start.requires_grad or known):
        return states, path
    reached = times[: states.shape[0]]
    return attach_adjoint(problem.make, problem.rhs, start, states, reached, control, known), path


def _reversible(problem: _Problem, method: Method) -> tuple[Tensor, Path]:
    """Integrate by shears that the backward pass undoes."""
    if not isinstance(method, SymplecticMethod):
        raise InputError(f"gradient='reversible' needs leapfrog or yoshida4, not {method.name!r}")
    if problem.events or problem.interpolant is not None:
        raise InputError("gradient='reversible' has neither events nor dense output")
    times, size = problem.times, problem.control.step
    counts = [interval_steps(a, b, size) for a, b in itertools.pairwise(times)]
    states = solve_reversibly(method, problem.rhs, problem.state, times, counts, problem.known)
    steps = sum(counts)
    return states, Path([], Statistics(steps * len(method.weights), steps, 0))


def _known_parameters(rhs: RightHandSide, parameters: Iterable[Tensor]) -> list[Tensor]:
    found = list(parameters)
    if isinstance(rhs, nn.Module | SeparableSystem):
        found.extend(rhs.parameters())
    for tensor in found:
        if not isinstance(tensor, Tensor):
            raise InputError(f"parameters must be tensors; a {type(tensor).__name__} is among them")
    return list({id(tensor): tensor for tensor in found if tensor.requires_grad}.values())


def _checked_rhs(rhs: RightHandSide) -> RightHandSide:
    """Return `rhs` with its shape and dtype checked at each evaluation."""
    if isinstance(rhs, SeparableSystem):
        return rhs

    def checked(time: Tensor, state: Tensor) -> Tensor:
        value = rhs(time, state)
        if value.shape != state.shape or value.dtype != state.dtype:
            raise InputError(
                f"the right-hand side gave shape {tuple(value.shape)}, {value.dtype} for a state "
                f"of shape {tuple(state.shape)}, {state.dtype}; both must be the same"
            )
        return value

    return checked


def _checked_times(times: ArrayLike | Tensor) -> list[float]:
    if isinstance(times, Tensor):
        if times.requires_grad:
            raise InputError("times must not require a gradient; none flows through them")
        times = times.detach().cpu().numpy()
    values = np.asarray(times, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise InputError(f"times must be a list of numbers; their shape is {values.shape}")
    if not np.isfinite(values).all():
        raise InputError("times must be finite")
    steps = np.diff(values)
    sign = np.sign(steps[0]) if steps.size else 1.0
    wrong = np.flatnonzero(steps * sign <= 0)
    if wrong.size:
        index = int(wrong[0]) + 1
        raise InputError(
            f"times must increase or decrease strictly; entry {index}, {values[index]:g}, follows "
            f"{values[index - 1]:g}"
        )
    return values.tolist()


def _check_state(state: Tensor) -> None:
    if not state.is_floating_point() or state.numel() == 0:
        raise InputError(
            f"the state must hold floating-point numbers; it is {state.dtype} of shape "
            f"{tuple(state.shape)}"
        )
    if not bool(torch.isfinite(state.detach()).all()):
        raise InputError("the state must be finite at the first time")


def _check_choices(
    relative: float, absolute: float, step: float | None, maximum_steps: int, gradient: str
) -> None:
    if not (relative >= 0 and absolute >= 0 and 0 < relative + absolute < math.inf):
        raise InputError(
            f"tolerances must be positive; relative is {relative:g}, absolute {absolute:g}"
        )
    if step is not None and not 0 < step < math.inf:
        raise InputError(f"step must be positive, also backwards in time; it is {step:g}")
    if maximum_steps < 1:
        raise InputError(f"maximum_steps must be at least 1; it is {maximum_steps}")
    if gradient not in _GRADIENTS:
        raise InputError(f"gradient {gradient!r} is unknown; known are {', '.join(_GRADIENTS)}")


def _event_record(times: list[float], states: list[Tensor], like: Tensor) -> EventRecord:
    stacked = torch.stack(states) if states else like.detach().new_empty((0, *like.shape))
    return EventRecord(torch.tensor(times, dtype=torch.float64, device=like.device), stacked)

"""The one loop that turns a right-hand side into states.

    (t, y) -> (t + h, y + ...) until the last time; output between steps by dense output

The loop serves every method and every gradient: it only sees `Step`. Steps are never shortened to
meet an output time; only the last one ends at the last time exactly, so that the right-hand side
is never asked beyond it.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from graphtide.errors import ComputationError
from graphtide.ode.control import Control, StepController, error_norm, first_step
from graphtide.ode.events import Event, EventWatch
from graphtide.ode.hermite import cubic_hermite
from graphtide.ode.stepping import Method, RightHandSide, Step, clock

__all__ = ["Accepted", "Path", "Statistics", "integrate", "interval_steps"]


@dataclass(slots=True)
class Statistics:
    """What a solve cost: evaluations of the right-hand side, accepted and rejected steps."""

    evaluations: int = 0
    accepted: int = 0
    rejected: int = 0


@dataclass(frozen=True, slots=True)
class Accepted:
    """One accepted step: where it began, and the outputs (index, share of it) that it holds."""

    time: float
    size: float
    state: Tensor
    step: Step
    interpolate: Callable[[float], Tensor]
    outputs: tuple[tuple[int, float], ...]


@dataclass(slots=True)
class Path:
    """What the loop leaves behind; `states` holds one tensor for each time that was reached."""

    states: list[Tensor]
    statistics: Statistics
    events: list[tuple[list[float], list[Tensor]]] = field(default_factory=list)


def integrate(
    method: Method,
    rhs: RightHandSide,
    state: Tensor,
    times: Sequence[float],
    control: Control,
    *,
    events: Sequence[Event] = (),
    watch: Callable[[Accepted], None] | None = None,
) -> Path:
    """Integrate from `times[0]` to `times[-1]`.

    Args:
        method: takes the steps.
        rhs: the right-hand side; the loop itself evaluates it once at the start of an adaptive
            solve.
        state: the state at `times[0]`.
        times: strictly increasing or decreasing.
        control: tolerances, or the fixed step.
        events: functions whose zeros are located; a terminal one ends the loop.
        watch: called with every accepted step before the next is taken.

    Raises:
        ComputationError: a step underflows, the state is not finite, or there are too many steps.
    """
    loop = _Loop(method, rhs, state, times, control, events, watch)
    if method.adaptive and control.step is None:
        loop.adapt()
    else:
        loop.march()
    statistics = loop.path.statistics
    statistics.evaluations += getattr(method, "dense_evaluations", 0)
    return loop.path


def interval_steps(start: float, stop: float, step: float | None) -> int:
    """Return how many equal steps of at most `step` lead from `start` to `stop`; 1 without it."""
    return 1 if step is None else max(1, math.ceil(abs(stop - start) / step - 1e-9))


class _Loop:
    def __init__(
        self,
        method: Method,
        rhs: RightHandSide,
        state: Tensor,
        times: Sequence[float],
        control: Control,
        events: Sequence[Event],
        watch: Callable[[Accepted], None] | None,
    ) -> None:
        self.method, self.rhs, self.state, self.times = method, rhs, state, times
        self.control, self.watch = control, watch
        self.time = times[0]
        self.derivative: Tensor | None = None
        self.path = Path([state], Statistics())
        self.event_watch = EventWatch(events, self.time, state) if events else None
        if self.event_watch is not None:
            self.path.events = self.event_watch.found

    def march(self) -> None:
        """Take equal steps between each two output times."""
        for index in range(1, len(self.times)):
            start, stop = self.times[index - 1], self.times[index]
            count = interval_steps(start, stop, self.control.step)
            if self.path.statistics.accepted + count > self.control.maximum_steps:
                raise self._too_many_steps()
            size = (stop - start) / count
            for part in range(count):
                self.time = start + part * size
                step = self.method.step(self.rhs, self.time, self.state, self.derivative, size)
                self.path.statistics.evaluations += step.evaluations
                if self._accept(step, stop if part == count - 1 else self.time + size, size):
                    return
            if not bool(torch.isfinite(self.state.detach()).all()):
                raise ComputationError(
                    f"{self.method.name}: the state is not finite at time {stop:g}; "
                    "a smaller step may be needed, or the solution itself is unbounded there"
                )

    def adapt(self) -> None:
        """Take steps whose sizes follow their error."""
        end = self.times[-1]
        if len(self.times) == 1:
            return
        statistics, controller = self.path.statistics, StepController(self.method.error_order)
        self.derivative = self.rhs(clock(self.time, self.state), self.state)
        size = first_step(
            self.rhs,
            self.time,
            self.state,
            self.derivative,
            end - self.time,
            self.method.error_order,
            self.control,
        )
        statistics.evaluations += 2
        while True:
            last = abs(size) >= abs(end - self.time) * (1.0 - 1e-12)
            if last:
                size = end - self.time
            step = self.method.step(self.rhs, self.time, self.state, self.derivative, size)
            statistics.evaluations += step.evaluations
            if step.error is None:
                raise ComputationError(f"{self.method.name}: a step came without its error")
            norm = error_norm(step.error, self.state, step.state, self.control)
            if norm <= 1.0:
                following = size * controller.accept(norm)
                if self._accept(step, end if last else self.time + size, size) or last:
                    return
                size = following
            else:
                statistics.rejected += 1
                size *= controller.reject(norm)
                if abs(size) <= 8.0 * math.ulp(max(abs(self.time), abs(end) * 1e-8)):
                    raise self._underflow(norm)
            if statistics.accepted + statistics.rejected >= self.control.maximum_steps:
                raise self._too_many_steps()

    def _accept(self, step: Step, reached: float, size: float) -> bool:
        """Write the outputs of a step and move on; tell whether a terminal event ended the loop."""
        interpolate = step.interpolate or self._hermite(step, size)
        ended: float | None = None
        if self.event_watch is not None:
            share = self.event_watch.look(self.time, size, reached, step.state, interpolate)
            ended = None if share is None else self.time + share * size
        limit = reached if ended is None else ended
        outputs: list[tuple[int, float]] = []
        forward = size > 0
        while (index := len(self.path.states)) < len(self.times):
            time = self.times[index]
            if (time > limit) if forward else (time < limit):
                break
            share = 1.0 if time == reached else (time - self.time) / size
            outputs.append((index, share))
            self.path.states.append(step.state if share == 1.0 else interpolate(share))
        self.path.statistics.accepted += 1
        if self.watch is not None:
            accepted = Accepted(self.time, size, self.state, step, interpolate, tuple(outputs))
            self.watch(accepted)
        self.time, self.state, self.derivative = reached, step.state, step.derivative
        return ended is not None

    def _hermite(self, step: Step, size: float) -> Callable[[float], Tensor]:
        """Return the cubic through both ends of a step and the slopes there, made when asked."""
        rhs, start, time, known = self.rhs, self.state, self.time, self.derivative
        slopes: list[Tensor] = []

        def interpolate(share: float) -> Tensor:
            if not slopes:
                first = rhs(clock(time, start), start) if known is None else known
                last = step.derivative
                if last is None:
                    last = rhs(clock(time + size, start), step.state)
                slopes.extend((first, last))
            return cubic_hermite(share, size, start, step.state, *slopes)

        return interpolate

    def _underflow(self, norm: float) -> ComputationError:
        if math.isfinite(norm):
            cause = (
                "the right-hand side jumps there, or is too stiff for this method "
                "(structure='stiff' or 'diffusive' may serve)"
            )
        else:
            cause = "the right-hand side is not finite there, or the solution is unbounded"
        return ComputationError(
            f"{self.method.name}: the step underflowed at time {self.time:g}: {cause}"
        )

    def _too_many_steps(self) -> ComputationError:
        return ComputationError(
            f"{self.method.name}: {self.control.maximum_steps} steps only reached time "
            f"{self.time:g} of {self.times[-1]:g}; the problem may be stiff (structure='stiff' or "
            "'diffusive'), or raise maximum_steps"
        )

"""Events: zeros of a function of time and state, located inside a step on its dense output.

    g(t, y(t)) = 0

A zero is found where g has different signs at both ends of a step, so two zeros within one step
hide each other. Times are located to round-off of the dense output by Brent's method.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from graphtide.ode.stepping import clock

__all__ = ["Event", "EventWatch"]


@dataclass(frozen=True, slots=True)
class Event:
    """A function whose zeros are wanted.

    Args:
        function: maps a time (0-dim float64) and a state to one number (0-dim or one entry).
        terminal: end the integration at the first zero.
        direction: 1 for zeros where the function grows in the direction of integration, -1 where it
            falls, 0 for both.
    """

    function: Callable[[Tensor, Tensor], Tensor]
    terminal: bool = False
    direction: int = 0


class EventWatch:
    """Looks at every accepted step for zeros; no gradient flows through their times or states."""

    def __init__(self, events: Sequence[Event], time: float, state: Tensor) -> None:
        self._events = events
        self._values = [_value(event, time, state) for event in events]
        self.found: list[tuple[list[float], list[Tensor]]] = [([], []) for _ in events]

    def look(
        self,
        time: float,
        size: float,
        reached: float,
        after: Tensor,
        interpolate: Callable[[float], Tensor],
    ) -> float | None:
        """Note the zeros of one step; return the share of the step where a terminal one lies."""
        zeros: list[tuple[float, int]] = []
        for number, event in enumerate(self._events):
            before, value = self._values[number], _value(event, reached, after)
            self._values[number] = value
            rises, falls = before < 0.0 <= value, before > 0.0 >= value
            if (rises and event.direction >= 0) or (falls and event.direction <= 0):
                zeros.append((_zero(event, time, size, before, value, interpolate), number))
        for share, number in sorted(zeros):
            with torch.no_grad():
                state = (after if share == 1.0 else interpolate(share)).detach().clone()
            self.found[number][0].append(time + share * size)
            self.found[number][1].append(state)
            if self._events[number].terminal:
                return share
        return None


@torch.no_grad()
def _value(event: Event, time: float, state: Tensor) -> float:
    return float(event.function(clock(time, state), state.detach()))


def _zero(
    event: Event,
    time: float,
    size: float,
    before: float,
    after: float,
    interpolate: Callable[[float], Tensor],
) -> float:
    """Return the share of the step at which the event's function vanishes."""
    from scipy.optimize import brentq

    def value(share: float) -> float:
        if share in (0.0, 1.0):
            return after if share else before
        with torch.no_grad():
            return _value(event, time + share * size, interpolate(share))

    return float(brentq(value, 0.0, 1.0, xtol=1e-15, rtol=1e-14))

"""Symplectic methods for separable Hamiltonian systems, and their gradient in constant memory.

    dq/dt = v(t, p),   dp/dt = f(t, q)

A step is a palindrome of kicks (p += h f(t, q)) and drifts (q += h v(t, p)). Each is a shear: it
keeps the area dq dp, and undoing it needs the very same evaluation, so every step can be run
backwards.

Sources: leapfrog (velocity Verlet), Hairer, Lubich, Wanner, Geometric Numerical Integration (2006),
I.1 (1.17); the composition of order 4, Yoshida, Physics Letters A 150 (1990), equation (2.11).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.ode.stepping import RightHandSide, Step, clock

__all__ = ["LEAPFROG", "YOSHIDA4", "SeparableSystem", "SymplecticMethod", "solve_reversibly"]


@dataclass(frozen=True, slots=True)
class SeparableSystem:
    """Hold dq/dt = velocity(t, p) and dp/dt = force(t, q); call it for the joint right-hand side.

    The state's last dimension is [position, momentum], so its length is even.

    Args:
        velocity: maps a time (0-dim float64) and momenta (..., D) to dq/dt (..., D).
        force: maps a time (0-dim float64) and positions (..., D) to dp/dt (..., D).
    """

    velocity: Callable[[Tensor, Tensor], Tensor]
    force: Callable[[Tensor, Tensor], Tensor]

    def __call__(self, time: Tensor, state: Tensor) -> Tensor:
        """Return [velocity, force] of shape (..., 2 D)."""
        position, momentum = halves(state)
        return torch.cat([self.velocity(time, momentum), self.force(time, position)], dim=-1)

    def parameters(self) -> Iterator[Tensor]:
        """Yield the trainable tensors of `velocity` and `force` where these are modules."""
        for part in (self.velocity, self.force):
            if isinstance(part, nn.Module):
                yield from part.parameters()


@dataclass(frozen=True, slots=True)
class SymplecticMethod:
    """A composition of leapfrog steps whose sizes are `weights` times the step.

    The weights read the same in both directions, so a step of size -h from the end of a step of
    size h returns to its start (to round-off). Its `derivative` is [velocity, force] at the end of
    the step; the force is used again by the next step, so leapfrog costs one force a step.

    Args:
        name: name in the table of methods.
        order: order of convergence.
        weights: sizes of the leapfrog steps as shares of the step; their sum is 1.
    """

    name: str
    order: int
    weights: tuple[float, ...]
    error_order: int = 0
    adaptive: bool = False

    def step(
        self,
        rhs: RightHandSide,
        time: float,
        state: Tensor,
        derivative: Tensor | None,
        size: float,
    ) -> Step:
        """Take one step of `size` from `time`.

        Raises:
            InputError: `rhs` is not a `SeparableSystem`, or the state cannot be halved.
        """
        system = separable(rhs, self.name)
        position, momentum = halves(state)
        if derivative is None:
            force = system.force(clock(time, state), position)
        else:
            force = halves(derivative)[1]
        for shear in self.shears(time, size, 1):
            if shear.kind == "kick":
                momentum = momentum + shear.size * force
            else:
                velocity = system.velocity(clock(shear.time, state), momentum)
                position = position + shear.size * velocity
                force = system.force(clock(shear.time + 0.5 * shear.size, state), position)
        velocity = system.velocity(clock(time + size, state), momentum)
        return Step(
            state=torch.cat([position, momentum], dim=-1),
            error=None,
            derivative=torch.cat([velocity, force], dim=-1),
            interpolate=None,
            evaluations=len(self.weights) + (derivative is None),
        )

    def shears(self, time: float, size: float, count: int) -> Iterator["Shear"]:
        """Yield the kicks and drifts of `count` equal steps, touching kicks merged into one."""
        kick_size = 0.0
        for index in range(count):
            at = time + index * size
            for weight in self.weights:
                part = weight * size
                yield Shear("kick", at, kick_size + 0.5 * part)
                yield Shear("drift", at + 0.5 * part, part)
                at, kick_size = at + part, 0.5 * part
        yield Shear("kick", time + count * size, kick_size)


@dataclass(frozen=True, slots=True)
class Shear:
    """One kick (the momentum moves) or drift (the position moves) at `time` over `size`."""

    kind: Literal["kick", "drift"]
    time: float
    size: float


LEAPFROG = SymplecticMethod("leapfrog", 2, (1.0,))

_OUTER = 1.0 / (2.0 - 2.0 ** (1.0 / 3.0))
YOSHIDA4 = SymplecticMethod("yoshida4", 4, (_OUTER, 1.0 - 2.0 * _OUTER, _OUTER))


def solve_reversibly(
    method: SymplecticMethod,
    rhs: RightHandSide,
    state: Tensor,
    times: Sequence[float],
    counts: Sequence[int],
    parameters: Sequence[Tensor] = (),
) -> Tensor:
    """Integrate through `times` with a gradient whose memory does not grow with the steps.

    Only the states at `times` are kept (they are the result). The backward pass undoes the shears
    one by one, from each output to the one before it; a shear's evaluation serves the undoing and
    its vector-Jacobian product alike, so it costs about one forward and two backward evaluations a
    shear.

    Args:
        method: leapfrog or Yoshida's.
        rhs: a `SeparableSystem`.
        state: start [position, momentum], shape (..., 2 D).
        times: T times, increasing or decreasing, float64 seconds or the problem's own unit.
        counts: number of equal steps in each of the T - 1 intervals.
        parameters: tensors that `velocity` and `force` depend on and whose gradient is wanted;
            those of modules are found without being named.

    Returns:
        States of shape (T, ..., 2 D).

    Raises:
        InputError: `rhs` is not a `SeparableSystem`, or the counts do not fit the times.
    """
    system = separable(rhs, method.name)
    halves(state)
    if len(counts) != len(times) - 1 or any(count < 1 for count in counts):
        raise InputError(
            f"{len(times)} times need {len(times) - 1} counts of steps, each at least 1"
        )
    found = {id(tensor): tensor for tensor in (*parameters, *system.parameters())}
    watched = [tensor for tensor in found.values() if tensor.requires_grad]
    plan = _Plan(method, system, tuple(times), tuple(counts))
    states: Tensor = _Reversible.apply(plan, state, *watched)
    return states


def separable(rhs: RightHandSide, name: str) -> SeparableSystem:
    """Return `rhs` as a `SeparableSystem`.

    Raises:
        InputError: it is not one.
    """
    if not isinstance(rhs, SeparableSystem):
        raise InputError(
            f"method {name!r} needs a SeparableSystem(velocity, force) as right-hand side"
        )
    return rhs


def halves(state: Tensor) -> tuple[Tensor, Tensor]:
    """Split the last dimension into positions and momenta, each (..., D).

    Raises:
        InputError: the last dimension is missing or odd.
    """
    if state.ndim == 0 or state.shape[-1] % 2:
        raise InputError(
            f"a state of shape {tuple(state.shape)} has no halves [position, momentum] in its last "
            "dimension; an even length is needed"
        )
    size = state.shape[-1] // 2
    return state[..., :size], state[..., size:]


@dataclass(frozen=True, slots=True)
class _Plan:
    method: SymplecticMethod
    system: SeparableSystem
    times: tuple[float, ...]
    counts: tuple[int, ...]

    def shears(self, interval: int, *, backwards: bool = False) -> Iterator[Shear]:
        start, stop, count = self.times[interval], self.times[interval + 1], self.counts[interval]
        if backwards:
            start, stop = stop, start
        return self.method.shears(start, (stop - start) / count, count)


class _Reversible(torch.autograd.Function):
    """March by shears; on the way back undo each one and pull the adjoint through it."""

    @staticmethod
    def forward(ctx: Any, plan: _Plan, state: Tensor, *watched: Tensor) -> Tensor:
        states = state.new_empty((len(plan.times), *state.shape))  # (T, ..., 2 D)
        states[0] = state
        position, momentum = (half.clone() for half in halves(state))
        for interval in range(len(plan.counts)):
            for shear in plan.shears(interval):
                at = clock(shear.time, state)
                if shear.kind == "drift":
                    position = position + shear.size * plan.system.velocity(at, momentum)
                else:
                    momentum = momentum + shear.size * plan.system.force(at, position)
            states[interval + 1] = torch.cat([position, momentum], dim=-1)
        ctx.plan, ctx.watched = plan, watched
        ctx.save_for_backward(states)
        return states

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor) -> tuple[Tensor | None, ...]:
        if torch.is_grad_enabled():
            raise InputError(
                "the reversible gradient has first derivatives only; second ones need "
                "gradient='direct'"
            )
        (cotangent,) = cotangents  # (T, ..., 2 D)
        plan: _Plan = ctx.plan
        (states,) = ctx.saved_tensors
        parts = {"kick": plan.system.force, "drift": plan.system.velocity}
        watched: list[Tensor] = list(ctx.watched)
        totals = [torch.zeros_like(tensor) for tensor in watched]
        adjoint = [half.clone() for half in halves(cotangent[-1])]  # of position, of momentum
        for interval in reversed(range(len(plan.counts))):
            pair = [half.clone() for half in halves(states[interval + 1])]
            for shear in plan.shears(interval, backwards=True):  # its size has the other sign
                moved, kept = (1, 0) if shear.kind == "kick" else (0, 1)
                with torch.enable_grad():
                    argument = pair[kept].detach().requires_grad_()
                    change = parts[shear.kind](clock(shear.time, argument), argument)
                pair[moved] = pair[moved] + shear.size * change.detach()
                if not change.requires_grad:
                    continue
                pulled = torch.autograd.grad(
                    change, [argument, *watched], -shear.size * adjoint[moved], allow_unused=True
                )
                if pulled[0] is not None:
                    adjoint[kept] = adjoint[kept] + pulled[0]
                for total, part in zip(totals, pulled[1:], strict=True):
                    if part is not None:
                        total += part
            adjoint = [
                own + given for own, given in zip(adjoint, halves(cotangent[interval]), strict=True)
            ]
        return None, torch.cat(adjoint, dim=-1), *totals

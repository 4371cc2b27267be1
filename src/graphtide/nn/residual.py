"""Residual networks, and their weights read as functions of depth.

    h_(l+1) = h_l + s f(t_l, h_l; theta_l),   t_l = a + l s,   s = (b - a) / L

is L Euler steps for dh/dt = f(t, h; theta(t)) on [a, b] with theta(t_l) = theta_l. Between the t_l
the schedule theta(t) is piecewise constant (it jumps at each t_l) or piecewise linear (it bends
there, and is constant after the last t_l). A numerical method keeps its order only if none of its
steps straddles a jump or a bend, so a schedule gives its pieces one by one, each with its own
smooth field: the weights at the end of a piece are those of this piece, not of the next.

Sources: He, Zhang, Ren, Sun, CVPR 2016 (residual networks); E, Communications in Mathematics and
Statistics 5 (2017), and Haber, Ruthotto, Inverse Problems 34 (2018) (their differential equation).
"""

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.ode.stepping import clock

__all__ = [
    "Autonomous",
    "Piece",
    "ResidualNetwork",
    "ScheduleKind",
    "WeightSchedule",
    "checked_interval",
]

ScheduleKind = Literal["constant", "linear"]
Field = Callable[..., Tensor]
"""Maps a time (0-dim float64), a state and what is bound to it (a graph) to d(state)/dt."""


class Autonomous(nn.Module):
    """Let a layer f(h) of the state alone stand where a field f(t, h) is wanted.

    Args:
        layer: maps a state, and what is bound to it, to a tensor of the state's shape.
    """

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, time: Tensor, state: Tensor, *context: object) -> Tensor:
        """Return f(h); the time plays no part."""
        del time
        return self.layer(state, *context)


class ResidualNetwork(nn.Module):
    """L blocks, each added to what it receives: h + s f(t, h).

    Args:
        blocks: L fields f(t, h); layers f(h) are wrapped by `Autonomous`.
        interval: depths at which the first block begins and the last one ends; (0, L) where not
            given, so that s = 1, as in the residual networks of the literature.

    Raises:
        InputError: there is no block, or the interval does not increase.
    """

    def __init__(
        self, blocks: Iterable[nn.Module], interval: tuple[float, float] | None = None
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        if not self.blocks:
            raise InputError("a residual network needs at least one block")
        self.interval = checked_interval(interval or (0.0, float(len(self.blocks))))

    @property
    def step(self) -> float:
        """Size s of a step: the length of the interval over the number of blocks."""
        start, stop = self.interval
        return (stop - start) / len(self.blocks)

    def forward(self, state: Tensor, *context: object) -> Tensor:
        """Return the state after the last block, shaped like `state`.

        Raises:
            InputError: a block changes the shape of the state.
        """
        return self.states(state, *context)[-1]

    def states(self, state: Tensor, *context: object) -> list[Tensor]:
        """Return the L + 1 states before, between and after the blocks."""
        states = [state]
        for index, block in enumerate(self.blocks):
            change = block(clock(self.interval[0] + index * self.step, state), state, *context)
            if change.shape != state.shape:
                raise InputError(
                    f"block {index} gave shape {tuple(change.shape)} for a state of shape "
                    f"{tuple(state.shape)}; both must be the same"
                )
            state = state + self.step * change
            states.append(state)
        return states


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of depth on which a field is smooth.

    Args:
        start: depth where it begins.
        stop: depth where it ends, after the start.
        field: maps (time, state, ...) to d(state)/dt.
        weights: the tensors that `field` depends on.
    """

    start: float
    stop: float
    field: Field
    weights: tuple[Tensor, ...]


class WeightSchedule(nn.Module):
    """The field f(t, h; theta(t)) whose weights are those of L blocks of the same shape.

    The blocks are used as they are, not copied: training one reading trains the other. Buffers are
    those of the block at the start of a piece.

    Args:
        blocks: L modules f(t, h) alike in structure and in the shapes of their parameters.
        interval: depths (a, b); block l stands at a + l (b - a) / L.
        kind: how weights pass from block to block.

    Raises:
        InputError: there is no block, two blocks differ in more than the values of their
            parameters, the interval does not increase, or the kind is unknown.
    """

    def __init__(
        self,
        blocks: Iterable[nn.Module],
        interval: tuple[float, float],
        kind: ScheduleKind = "constant",
    ) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(blocks)
        self.interval = checked_interval(interval)
        if kind not in get_args(ScheduleKind):
            known = ", ".join(get_args(ScheduleKind))
            raise InputError(f"schedule {kind!r} is unknown; known are {known}")
        self.kind: ScheduleKind = kind
        _check_alike(list(self.blocks))

    def pieces(self) -> list[Piece]:
        """Return the L pieces in order of depth."""
        start, stop = self.interval
        count = len(self.blocks)
        bounds = [start + (stop - start) * index / count for index in range(count)] + [stop]
        pieces = []
        for index, (low, high) in enumerate(itertools.pairwise(bounds)):
            left = self.blocks[index]
            if self.kind == "constant" or index == count - 1:
                pieces.append(Piece(low, high, left, tuple(left.parameters())))
            else:
                right = self.blocks[index + 1]
                weights = (*left.parameters(), *right.parameters())
                pieces.append(Piece(low, high, _Between(left, right, low, high), weights))
        return pieces

    def forward(self, time: Tensor, state: Tensor, *context: object) -> Tensor:
        """Return f(t, h; theta(t)); at a jump the weights are those after it."""
        return self._piece(float(time)).field(time, state, *context)

    def block_at(self, time: float) -> nn.Module:
        """Return a new block with the weights theta(time); at a jump those after it."""
        piece = self._piece(time)
        if not isinstance(piece.field, _Between):
            assert isinstance(piece.field, nn.Module)  # our own pieces hold blocks otherwise
            return copy.deepcopy(piece.field)
        block = copy.deepcopy(piece.field.left)
        with torch.no_grad():
            mixed = piece.field.weights_at(torch.tensor(time, dtype=torch.float64))
            for name, parameter in block.named_parameters():
                parameter.copy_(mixed[name])
        return block

    def _piece(self, time: float) -> Piece:
        start, stop = self.interval
        share = (time - start) / (stop - start) * len(self.blocks)
        index = min(max(math.floor(share + 1e-9), 0), len(self.blocks) - 1)
        return self.pieces()[index]


@dataclass(frozen=True, slots=True)
class _Between:
    """A block whose weights go in a straight line from those of one block to those of the next."""

    left: nn.Module
    right: nn.Module
    start: float
    stop: float

    def weights_at(self, time: Tensor) -> dict[str, Tensor]:
        share = (time - self.start) / (self.stop - self.start)
        others = dict(self.right.named_parameters())
        return {
            name: torch.lerp(first, others[name], share.to(first))
            for name, first in self.left.named_parameters()
        }

    def __call__(self, time: Tensor, state: Tensor, *context: object) -> Tensor:
        arguments = (time, state, *context)
        return torch.func.functional_call(self.left, self.weights_at(time), arguments)


def checked_interval(interval: tuple[float, float]) -> tuple[float, float]:
    """Return both ends of an interval as numbers.

    Raises:
        InputError: they are not two finite numbers, the second above the first.
    """
    try:
        start, stop = (float(end) for end in interval)
    except (TypeError, ValueError):
        raise InputError(f"an interval is two numbers (start, stop); it is {interval!r}") from None
    if not (math.isfinite(start) and math.isfinite(stop) and start < stop):
        raise InputError(
            f"an interval must be finite and end after it starts; it goes from {start:g} to "
            f"{stop:g}"
        )
    return start, stop


def _check_alike(blocks: Sequence[nn.Module]) -> None:
    """Raise unless the blocks differ only in the values of their parameters."""
    if not blocks:
        raise InputError("a weight schedule needs at least one block")
    first = _shape_of(blocks[0])
    for index, block in enumerate(blocks[1:], start=1):
        other = _shape_of(block)
        if other == first:
            continue
        for name in sorted(first.keys() | other.keys()):
            if first.get(name) != other.get(name):
                raise InputError(
                    f"block {index}: '{name}' is {other.get(name, 'missing')}, in block 0 it is "
                    f"{first.get(name, 'missing')}; all blocks of a schedule must be alike"
                )


def _shape_of(block: nn.Module) -> dict[str, str]:
    """Return the types of all modules and the shapes of all parameters by name."""
    types = {name or "the block": type(part).__name__ for name, part in block.named_modules()}
    shapes = {
        name: f"of shape {tuple(part.shape)} and {part.dtype}"
        for name, part in block.named_parameters()
    }
    return types | shapes

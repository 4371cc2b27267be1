"""Recurrent networks on irregular times with missing readings: plain, residual, differential.

    plain          h <- tanh(U h + W u + b)                      at each time
    residual       h <- h + f(h, u)                              at each time
    ODE-RNN        dh/dt = f(h) between,  h <- GRU(h, u)         where something was read
    GRU-ODE        dh/dt = (1 - z(h)) (g(h) - h) between,  h <- GRU(h, u) where something was read

u holds the readings (zero where missing), the mask, and for cells without a field the time since
the reading before. A cell is two things: `update`, what a reading does to the state, and `field`,
how the state moves by itself between readings (None: it does not).

Sequences of a batch have times of their own. Between reading k and k + 1 of sequence b lies a gap
of length g_b, and all gaps are mapped to the unit interval, dh/ds = g_b f(h), so that one solve
moves all sequences side by side; the only loop is over k. A padded place has a gap of zero and no
update, so it changes nothing.

Sources: Rubanova, Chen, Duvenaud, NeurIPS 2019 (ODE-RNN); De Brouwer, Simm, Arany, Moreau,
GRU-ODE-Bayes, NeurIPS 2019, equation (3) (the gated field, here without input between readings);
Che, Purushotham, Cho, Sontag, Liu, Scientific Reports 8 (2018) (masks and gaps as inputs).
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.ode.methods import make_method
from graphtide.ode.solve import Gradient, solve

__all__ = [
    "Cell",
    "DifferentialCell",
    "GatedDifferentialCell",
    "GatedField",
    "PlainCell",
    "RecurrentNetwork",
    "RecurrentStates",
    "ResidualCell",
    "Series",
]


@runtime_checkable
class Cell(Protocol):
    """What a `RecurrentNetwork` runs; the cells of this file, or one of the user's (a module)."""

    input_size: int
    hidden_size: int
    field: nn.Module | None
    """Maps (time, states (B, H)) to d(states)/dt between readings; None where nothing moves."""

    def update(self, state: Tensor, reading: Tensor, mask: Tensor, gap: Tensor) -> Tensor:
        """Return the states (B, H) after a reading.

        Args:
            state: (B, H), before it.
            reading: (B, D), zero where missing.
            mask: (B, D) of the state's dtype, one where read.
            gap: (B, 1), time since the entry before.
        """
        ...


class PlainCell(nn.Module):
    """h <- tanh(U h + W [x, mask, gap] + b), as Elman's network with masks and gaps as inputs.

    Args:
        input_size: D, variables of a reading.
        hidden_size: H, length of the state.
    """

    field = None

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__()
        self.input_size, self.hidden_size = _checked_sizes(input_size, hidden_size)
        self.linear = nn.Linear(hidden_size + 2 * input_size + 1, hidden_size)

    def update(self, state: Tensor, reading: Tensor, mask: Tensor, gap: Tensor) -> Tensor:
        """Return the states after a reading, see `Cell`."""
        return torch.tanh(self.linear(torch.cat([state, reading, mask, gap], dim=-1)))


class ResidualCell(nn.Module):
    """h <- h + f(h, [x, mask, gap]), f a network of one hidden layer.

    The last layer of f starts at a tenth of its usual size: a state that adds up changes would
    otherwise be far off after a long series, before anything is learned.

    Args:
        input_size: D, variables of a reading.
        hidden_size: H, length of the state.
        width: width of the layer within f; H where not given.
    """

    field = None

    def __init__(self, input_size: int, hidden_size: int, width: int | None = None) -> None:
        super().__init__()
        self.input_size, self.hidden_size = _checked_sizes(input_size, hidden_size)
        width = width or hidden_size
        self.change = nn.Sequential(
            nn.Linear(hidden_size + 2 * input_size + 1, width),
            nn.Tanh(),
            nn.Linear(width, hidden_size),
        )
        with torch.no_grad():
            for parameter in self.change[-1].parameters():
                parameter.mul_(0.1)

    def update(self, state: Tensor, reading: Tensor, mask: Tensor, gap: Tensor) -> Tensor:
        """Return the states after a reading, see `Cell`."""
        return state + self.change(torch.cat([state, reading, mask, gap], dim=-1))


class DifferentialCell(nn.Module):
    """ODE-RNN: dh/dt = f(h) between readings, a gated update at each.

    Args:
        input_size: D, variables of a reading.
        hidden_size: H, length of the state.
        width: width of the layer within f; H where not given.
        field: f itself, a module that maps (time, states (B, H)) to (B, H); a network of one hidden
            layer where not given. The time it sees is the share of the gap that has passed.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        width: int | None = None,
        *,
        field: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.input_size, self.hidden_size = _checked_sizes(input_size, hidden_size)
        self.field = field or _Perceptron(hidden_size, width or hidden_size)
        self.jump = nn.GRUCell(2 * input_size, hidden_size)

    def update(self, state: Tensor, reading: Tensor, mask: Tensor, gap: Tensor) -> Tensor:
        """Return the states after a reading, see `Cell`; the gap has already moved them."""
        del gap
        return self.jump(torch.cat([reading, mask], dim=-1), state)


class GatedField(nn.Module):
    """dh/dt = (1 - z) (g - h), the limit of a GRU whose steps go to zero; |h| <= 1 is kept.

    z = sigmoid(U_z h + b_z), r = sigmoid(U_r h + b_r), g = tanh(U_h (r h) + b_h).

    Args:
        hidden_size: H.
    """

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.gates = nn.Linear(hidden_size, 2 * hidden_size)
        self.candidate = nn.Linear(hidden_size, hidden_size)

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        """Return dh/dt, (..., H)."""
        del time
        update, reset = torch.sigmoid(self.gates(state)).chunk(2, dim=-1)
        return (1.0 - update) * (torch.tanh(self.candidate(reset * state)) - state)


class GatedDifferentialCell(DifferentialCell):
    """GRU-ODE: the gated field between readings, a GRU's update at each.

    Args:
        input_size: D, variables of a reading.
        hidden_size: H, length of the state.
    """

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size, field=GatedField(hidden_size))


@dataclass(frozen=True, slots=True)
class Series:
    """A batch of series with times of their own.

    Args:
        times: (B, T) in one unit, increasing within each series; anything in padded places.
        values: (B, T, D); anything (also not-a-number) where the mask is False or padded.
        mask: (B, T, D) bool, True where a value was read; all True where not given. A time at which
            nothing is read is a time at which the state is asked for.
        lengths: (B,) whole numbers, entries of each series before its padding; T where not given.

    Raises:
        InputError: shapes do not fit, times do not increase, or a value that counts is not finite.
    """

    times: Tensor
    values: Tensor
    mask: Tensor = None  # pyright: ignore[reportAssignmentType]
    lengths: Tensor = None  # pyright: ignore[reportAssignmentType]

    def __post_init__(self) -> None:
        """Check shapes and times, and fill in what was not given."""
        times, values = self.times, self.values
        if times.ndim != 2 or values.ndim != 3 or times.shape != values.shape[:2]:
            raise InputError(
                f"times have shape {tuple(times.shape)} and values {tuple(values.shape)}; (B, T) "
                "and (B, T, D) were expected"
            )
        if 0 in values.shape or not values.is_floating_point() or not times.is_floating_point():
            raise InputError("a batch of series must hold floating-point readings")
        if self.mask is None:
            object.__setattr__(self, "mask", torch.ones_like(values, dtype=torch.bool))
        if self.mask.shape != values.shape or self.mask.dtype != torch.bool:
            raise InputError(
                f"the mask is {self.mask.dtype} of shape {tuple(self.mask.shape)}; bool of shape "
                f"{tuple(values.shape)} was expected"
            )
        if self.lengths is None:
            full = torch.full(times.shape[:1], times.shape[1], device=times.device)
            object.__setattr__(self, "lengths", full)
        lengths = self.lengths
        whole = lengths.shape == times.shape[:1] and not lengths.is_floating_point()
        if not whole or int(lengths.min()) < 1 or int(lengths.max()) > times.shape[1]:
            raise InputError(
                f"lengths must be {times.shape[0]} whole numbers from 1 to {times.shape[1]}"
            )
        self._check_times()
        counted = self.mask & self.valid.unsqueeze(-1)
        if not bool(torch.isfinite(values[counted]).all()):
            raise InputError("a value that the mask counts as read is not finite")

    @property
    def valid(self) -> Tensor:
        """Which entries are no padding, (B, T) bool."""
        return torch.arange(self.times.shape[1], device=self.times.device) < self.lengths[:, None]

    def _check_times(self) -> None:
        valid = self.valid
        gaps = self.times.diff(dim=1)
        wrong = valid[:, 1:] & ~((gaps > 0) & torch.isfinite(gaps))
        if bool(wrong.any()):
            series, place = (int(part) for part in wrong.nonzero()[0])
            raise InputError(
                f"series {series}: times must be finite and increase; entry {place + 1}, "
                f"{float(self.times[series, place + 1]):g}, follows "
                f"{float(self.times[series, place]):g}"
            )


@dataclass(frozen=True, slots=True)
class RecurrentStates:
    """States of a recurrent network at the times of its series.

    Args:
        before: (B, T, H), when a time is reached and before it is read: what the network expects.
        after: (B, T, H), after the reading.
    """

    before: Tensor
    after: Tensor


class RecurrentNetwork(nn.Module):
    """Run a cell over a batch of series, all series side by side.

    Args:
        cell: a `Cell`, a module.
        steps: number of equal steps in each gap; None leaves it to the tolerances, and then the
            series of a batch share their steps.
        method: a name of `graphtide.ode.solve.METHODS`.
        relative_tolerance: of an adaptive method without `steps`.
        absolute_tolerance: of an adaptive method without `steps`.
        gradient: "direct", "checkpointed" or "adjoint", see `graphtide.ode.solve`.

    Raises:
        InputError: the cell is none, there are fewer steps than one, the method is unknown or
            symplectic, or the gradient is not one of these.
    """

    def __init__(
        self,
        cell: nn.Module,
        *,
        steps: int | None = 1,
        method: str = "rk4",
        relative_tolerance: float = 1e-4,
        absolute_tolerance: float = 1e-6,
        gradient: Gradient = "direct",
    ) -> None:
        super().__init__()
        if not isinstance(cell, Cell):
            raise InputError(f"a {type(cell).__name__} is no recurrent cell: it lacks parts of one")
        if steps is not None and (not isinstance(steps, int) or steps < 1):
            raise InputError(f"steps must be a whole number of at least 1; it is {steps!r}")
        make_method(method, relative_tolerance, absolute_tolerance)  # it refuses unknown names
        if method in ("leapfrog", "yoshida4") or gradient == "reversible":
            raise InputError("a recurrent cell is no Hamiltonian system; take another method")
        if gradient not in ("direct", "checkpointed", "adjoint"):
            raise InputError(f"gradient {gradient!r} is unknown")
        self.cell: Cell = cell
        self.steps, self.method = steps, method
        self.relative_tolerance = relative_tolerance
        self.absolute_tolerance = absolute_tolerance
        self.gradient: Gradient = gradient

    def forward(self, series: Series, start: Tensor | None = None) -> RecurrentStates:
        """Return the states at all times of all series; in padded places the last one stays.

        Args:
            series: B series of D = `cell.input_size` variables.
            start: states (B, H) at the first time of each; zeros where not given.

        Raises:
            InputError: the series or the start do not fit the cell.
        """
        cell, values = self.cell, series.values
        batch, count, variables = values.shape
        if variables != cell.input_size:
            raise InputError(
                f"readings have {variables} variables; the cell takes {cell.input_size}"
            )
        shape = (batch, cell.hidden_size)
        if start is not None and tuple(start.shape) != shape:
            raise InputError(f"start has shape {tuple(start.shape)}; {shape} was expected")
        state = values.new_zeros(shape) if start is None else start
        valid = series.valid  # (B, T)
        read = series.mask & valid.unsqueeze(-1)  # (B, T, D)
        readings = torch.where(read, values, 0.0)
        gaps = torch.where(valid[:, 1:], series.times.diff(dim=1), 0.0).to(values.dtype)
        gaps = torch.cat([gaps.new_zeros(batch, 1), gaps], dim=1).unsqueeze(-1)  # (B, T, 1)
        # Without a field, only the update tells a cell that time has passed.
        active = (valid if cell.field is None else read.any(-1)).unsqueeze(-1)  # (B, T, 1)
        shares = read.to(values.dtype)
        before, after = [], []
        for place in range(count):
            if place and cell.field is not None:
                state = self._evolve(cell.field, state, gaps[:, place])
            before.append(state)
            updated = cell.update(state, readings[:, place], shares[:, place], gaps[:, place])
            if updated.shape != state.shape:
                raise InputError(
                    f"the cell's update gave shape {tuple(updated.shape)} for states of shape "
                    f"{tuple(state.shape)}; both must be the same"
                )
            state = torch.where(active[:, place], updated, state)
            after.append(state)
        return RecurrentStates(torch.stack(before, dim=1), torch.stack(after, dim=1))

    def _evolve(self, field: nn.Module, state: Tensor, gap: Tensor) -> Tensor:
        """Move the states (B, H) over their own gaps (B, 1), mapped to the unit interval."""

        def rhs(share: Tensor, state: Tensor) -> Tensor:
            return gap * field(share, state)

        return solve(
            rhs,
            state,
            [0.0, 1.0],
            method=self.method,
            step=None if self.steps is None else 1.0 / self.steps,
            relative_tolerance=self.relative_tolerance,
            absolute_tolerance=self.absolute_tolerance,
            gradient=self.gradient,
            parameters=tuple(field.parameters()),
        ).states[-1]


class _Perceptron(nn.Module):
    """f(h) of one hidden layer."""

    def __init__(self, hidden_size: int, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(hidden_size, width), nn.Tanh(), nn.Linear(width, hidden_size)
        )

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        del time
        return self.layers(state)


def _checked_sizes(input_size: int, hidden_size: int) -> tuple[int, int]:
    if input_size < 1 or hidden_size < 1:
        raise InputError(
            f"input_size and hidden_size must be at least 1; they are {input_size} and "
            f"{hidden_size}"
        )
    return input_size, hidden_size

"""Recurrent networks: a batch is as good as a loop, and what was not read does not count."""

import math

import pytest
import torch
from torch import nn

from graphtide.errors import InputError
from graphtide.nn.recurrent import (
    DifferentialCell,
    GatedDifferentialCell,
    GatedField,
    PlainCell,
    RecurrentNetwork,
    ResidualCell,
    Series,
)

CELLS = (PlainCell, ResidualCell, DifferentialCell, GatedDifferentialCell)
ALL = pytest.mark.parametrize("kind", CELLS)
BATCH, COUNT, VARIABLES, HIDDEN = 5, 7, 2, 6


def network(kind, **options) -> RecurrentNetwork:
    torch.manual_seed(0)
    return RecurrentNetwork(kind(VARIABLES, HIDDEN), **options).double()


def batch(seed: int = 0) -> Series:
    """Return series of different times and lengths, with missing values."""
    generator = torch.Generator().manual_seed(seed)
    gaps = torch.rand(BATCH, COUNT, generator=generator, dtype=torch.float64) + 0.05
    values = torch.randn(BATCH, COUNT, VARIABLES, generator=generator, dtype=torch.float64)
    mask = torch.rand(BATCH, COUNT, VARIABLES, generator=generator) < 0.6
    mask[0, 2] = False  # a time at which nothing is read
    lengths = torch.tensor([7, 4, 1, 6, 7])
    return Series(gaps.cumsum(1), values, mask, lengths)


@ALL
def test_batch_equals_a_loop_over_its_series(kind):
    recurrent, series = network(kind, steps=3), batch()
    with torch.no_grad():
        together = recurrent(series)
        for index, length in enumerate(series.lengths.tolist()):
            part = slice(index, index + 1)
            alone = recurrent(
                Series(
                    series.times[part, :length],
                    series.values[part, :length],
                    series.mask[part, :length],
                )
            )
            for mine, theirs in (
                (together.before[index, :length], alone.before[0]),
                (together.after[index, :length], alone.after[0]),
            ):
                torch.testing.assert_close(mine, theirs, rtol=0.0, atol=1e-14)


@ALL
def test_padding_and_masked_values_do_not_count(kind):
    recurrent, series = network(kind), batch()
    other = Series(
        torch.where(series.valid, series.times, math.nan),
        torch.where(series.mask & series.valid.unsqueeze(-1), series.values, math.nan),
        series.mask,
        series.lengths,
    )
    one, two = recurrent(series), recurrent(other)
    assert torch.equal(one.after, two.after)
    assert torch.equal(one.before, two.before)
    for index, length in enumerate(series.lengths.tolist()):
        held = one.after[index, length - 1].expand(COUNT - length, HIDDEN)
        assert torch.equal(one.after[index, length:], held)
    parameters = list(recurrent.parameters())
    gradients = [torch.autograd.grad(run.after.sum(), parameters) for run in (one, two)]
    for mine, theirs in zip(*gradients, strict=True):
        assert torch.equal(mine, theirs)


@ALL
def test_what_is_read_does_count(kind):
    recurrent, series = network(kind), batch()
    changed = series.values.clone()
    changed[series.mask] += 0.1
    with torch.no_grad():
        one = recurrent(series)
        two = recurrent(Series(series.times, changed, series.mask, series.lengths))
    read = (series.mask.any(-1) & series.valid).cumsum(1) > 0
    assert ((one.after - two.after).abs().amax(-1) > 1e-4)[read & series.valid].all()
    assert torch.equal(one.before[:, 0], two.before[:, 0])  # nothing is known before it is read


@pytest.mark.parametrize("kind", CELLS[2:])
def test_asking_in_between_changes_no_state(kind):
    """A time at which nothing is read is passed through: two gaps are as good as their sum."""
    recurrent, series = network(kind, steps=40), batch()
    whole = Series(series.times, series.values, series.mask)
    middle = 0.5 * (whole.times[:, 2] + whole.times[:, 3])
    nothing = torch.full((BATCH, 1, VARIABLES), math.nan, dtype=torch.float64)
    asked = Series(
        torch.cat([whole.times[:, :3], middle[:, None], whole.times[:, 3:]], dim=1),
        torch.cat([whole.values[:, :3], nothing, whole.values[:, 3:]], dim=1),
        torch.cat([whole.mask[:, :3], nothing == 0.0, whole.mask[:, 3:]], dim=1),
    )
    with torch.no_grad():
        one, two = recurrent(whole).after, recurrent(asked).after
    torch.testing.assert_close(two[:, [0, 1, 2, 4, 5, 6, 7]], one, rtol=0.0, atol=1e-8)


class Linear(nn.Module):
    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.matrix = nn.Parameter(matrix)

    def forward(self, time, state):
        return state @ self.matrix.T


def test_linear_cell_is_its_matrix_exponential_between_readings():
    generator = torch.Generator().manual_seed(1)
    matrix = torch.randn(HIDDEN, HIDDEN, generator=generator, dtype=torch.float64)
    cell = DifferentialCell(VARIABLES, HIDDEN, field=Linear(matrix)).double()
    recurrent = RecurrentNetwork(
        cell, steps=None, method="dormand_prince8", relative_tolerance=1e-11,
        absolute_tolerance=1e-11,
    )  # fmt: skip
    series = batch()
    with torch.no_grad():
        states = recurrent(series)
        state = torch.zeros(BATCH, HIDDEN, dtype=torch.float64)
        for place in range(COUNT):
            if place:
                gap = series.times[:, place] - series.times[:, place - 1]
                moved = torch.matrix_exp(gap[:, None, None] * matrix) @ state[:, :, None]
                state = torch.where(series.valid[:, place, None], moved.squeeze(-1), state)
            torch.testing.assert_close(states.before[:, place], state, rtol=0.0, atol=1e-8)
            read = series.mask[:, place] & series.valid[:, place, None]
            filled = torch.where(read, series.values[:, place], 0.0)
            updated = cell.jump(torch.cat([filled, read.double()], dim=1), state)
            state = torch.where(read.any(1, keepdim=True), updated, state)


def test_more_steps_converge_with_the_order_of_the_method():
    series = batch()
    with torch.no_grad():
        tight = {"relative_tolerance": 1e-12, "absolute_tolerance": 1e-12}
        limit = network(DifferentialCell, steps=None, method="dormand_prince8", **tight)
        exact = limit(series).after
        for method, order in (("euler", 1), ("heun", 2), ("rk4", 4)):
            errors = [
                float(
                    (network(DifferentialCell, steps=n, method=method)(series).after - exact).norm()
                )
                for n in (4, 64)
            ]
            assert abs(math.log(errors[0] / errors[1]) / math.log(16.0) - order) < 0.2


@pytest.mark.parametrize("gradient", ["direct", "checkpointed", "adjoint"])
def test_gradients_of_all_modes_agree(gradient):
    series = batch()
    options = {"steps": None, "method": "dormand_prince5"}
    tight = {"relative_tolerance": 1e-10, "absolute_tolerance": 1e-10}
    found = []
    for mode in ("direct", gradient):
        recurrent = network(GatedDifferentialCell, gradient=mode, **options, **tight)
        loss = recurrent(series).after.square().sum()
        found.append(torch.autograd.grad(loss, list(recurrent.parameters())))
    for mine, theirs in zip(*found, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-7, atol=1e-8)


def test_gated_field_keeps_the_states_between_minus_one_and_one():
    torch.manual_seed(0)
    field = GatedField(HIDDEN).double()
    for parameter in field.parameters():
        parameter.data.mul_(5.0)
    edge = torch.ones(1, HIDDEN, dtype=torch.float64)
    assert (field(None, edge) < 0).all()
    assert (field(None, -edge) > 0).all()


def test_start_is_where_the_states_begin_and_has_a_gradient():
    recurrent, series = network(DifferentialCell), batch()
    start = torch.full((BATCH, HIDDEN), 0.3, dtype=torch.float64, requires_grad=True)
    states = recurrent(series, start)
    assert torch.equal(states.before[:, 0], start)
    (gradient,) = torch.autograd.grad(states.after[:, -1].sum(), start)
    assert (gradient.abs().sum(1) > 0).all()


def ragged(**changes) -> Series:
    parts = {
        "times": torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.5, 0.7]]),
        "values": torch.zeros(2, 3, VARIABLES),
    }
    return Series(**(parts | changes))


def reading_that_counts() -> torch.Tensor:
    values = torch.zeros(2, 3, VARIABLES)
    values[1, 2, 0] = math.nan
    return values


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ragged(times=torch.zeros(2, 4)), r"times have shape \(2, 4\) and values"),
        (
            lambda: ragged(times=torch.tensor([[0.0, 1.0, 2.0], [0.0, 0.5, 0.5]])),
            "series 1: times must be finite and increase; entry 2, 0.5, follows 0.5",
        ),
        (
            lambda: ragged(times=torch.tensor([[0.0, 1.0, math.nan], [0.0, 0.5, 0.7]])),
            "series 0: times must be finite",
        ),
        (lambda: ragged(mask=torch.ones(2, 3, VARIABLES)), "the mask is torch.float32"),
        (lambda: ragged(mask=torch.ones(2, 3, dtype=torch.bool)), "the mask is torch.bool"),
        (lambda: ragged(lengths=torch.tensor([3, 0])), "2 whole numbers from 1 to 3"),
        (lambda: ragged(lengths=torch.tensor([3, 4])), "2 whole numbers from 1 to 3"),
        (lambda: ragged(values=reading_that_counts()), "not finite"),
        (lambda: ragged(values=torch.zeros(2, 3, 0)), "floating-point readings"),
        (lambda: PlainCell(0, 3), "at least 1; they are 0 and 3"),
        (lambda: RecurrentNetwork(nn.Linear(2, 2)), "a Linear is no recurrent cell"),
        (lambda: network(PlainCell, steps=0), "at least 1; it is 0"),
        (lambda: network(PlainCell, method="rk5"), "'rk5' is unknown"),
        (lambda: network(PlainCell, method="leapfrog"), "no Hamiltonian system"),
        (lambda: network(PlainCell, gradient="symbolic"), "'symbolic' is unknown"),
        (lambda: RecurrentNetwork(PlainCell(3, 2))(ragged()), "2 variables; the cell takes 3"),
        (
            lambda: RecurrentNetwork(PlainCell(2, 4))(ragged(), torch.zeros(2, 3)),
            r"start has shape \(2, 3\); \(2, 4\)",
        ),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, message):
    with pytest.raises(InputError, match=message) as told:
        make()
    assert "\n" not in str(told.value)

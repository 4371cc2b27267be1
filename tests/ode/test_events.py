"""Events: zeros that are known in closed form are found where they are, and only those wanted."""

import math

import pytest
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.ode.solve import Event, solve
from graphtide.ode.symplectic import SeparableSystem

METHODS = pytest.mark.parametrize(
    "method", ["bogacki_shampine3", "dormand_prince5", "tsitouras5", "dormand_prince8"]
)


def fall(time: Tensor, state: Tensor) -> Tensor:
    """A ball under the acceleration -2: [height, velocity]."""
    return torch.stack([state[1], torch.full_like(state[1], -2.0)])


def oscillator(time: Tensor, state: Tensor) -> Tensor:
    return torch.stack([state[1], -state[0]])


def height(time: Tensor, state: Tensor) -> Tensor:
    return state[0]


COSINE = torch.tensor([1.0, 0.0], dtype=torch.float64)  # at time 0; later [cos t, -sin t]


@METHODS
def test_a_terminal_event_is_located_to_round_off(method):
    """h = 3 + 2 t - t^2 hits the ground at t = 3; a quadratic is exact for every method."""
    start = torch.tensor([3.0, 2.0], dtype=torch.float64)
    times = [0.0, 1.0, 2.0, 2.9, 3.5, 10.0]
    solution = solve(fall, start, times, method=method, events=[Event(height, terminal=True)])
    (record,) = solution.events
    assert record.times.tolist() == pytest.approx([3.0], abs=1e-12)
    assert record.states.shape == (1, 2)
    assert record.states[0].tolist() == pytest.approx([0.0, -4.0], abs=1e-11)
    assert solution.times.tolist() == times[:4]
    assert solution.states.shape == (4, 2)
    assert solution.states[3, 0].item() == pytest.approx(3 + 2 * 2.9 - 2.9**2, abs=1e-11)


def test_an_event_that_is_not_terminal_ends_nothing():
    start = torch.tensor([3.0, 2.0], dtype=torch.float64)
    plain = solve(fall, start, [0.0, 10.0])
    watched = solve(fall, start, [0.0, 10.0], events=[Event(height)])
    assert torch.equal(plain.states, watched.states)
    assert plain.statistics == watched.statistics
    assert watched.events[0].times.tolist() == pytest.approx([3.0], abs=1e-12)


@METHODS
@pytest.mark.parametrize(
    ("direction", "wanted"),
    [(0, [0.5, 1.5, 2.5, 3.5]), (1, [1.5, 3.5]), (-1, [0.5, 2.5])],
)
def test_direction(method, direction, wanted):
    """cos t falls through zero at pi/2 and 5 pi/2, and rises at 3 pi/2 and 7 pi/2."""
    solution = solve(
        oscillator, COSINE, [0.0, 12.0], method=method, events=[Event(height, direction=direction)],
        relative_tolerance=1e-8, absolute_tolerance=1e-8,
    )  # fmt: skip
    (record,) = solution.events
    assert (record.times / math.pi).tolist() == pytest.approx(wanted, abs=1e-7)
    assert record.states[:, 0].abs().max() < 1e-12
    speeds = [math.copysign(1.0, math.cos(math.pi * (share + 0.5))) for share in wanted]
    assert record.states[:, 1].tolist() == pytest.approx(speeds, abs=1e-6)


def test_backward_in_time_the_direction_is_that_of_integration():
    """From t = 0 backwards, cos falls through zero at -pi/2 and rises at -3 pi/2."""
    events = [Event(height, direction=1), Event(height, direction=-1)]
    solution = solve(oscillator, COSINE, [0.0, -6.0], events=events, relative_tolerance=1e-10)
    rising, falling = solution.events
    assert rising.times.tolist() == pytest.approx([-1.5 * math.pi], abs=1e-7)
    assert falling.times.tolist() == pytest.approx([-0.5 * math.pi], abs=1e-7)


def test_events_of_time_and_of_other_shapes_are_found_in_their_order():
    """Two events within one step: the terminal one hides what comes after it."""
    early = Event(lambda time, state: time - 0.25)
    late = Event(lambda time, state: (time - 0.75).reshape(1), terminal=True)
    never = Event(lambda time, state: time - 0.78)
    solution = solve(
        lambda t, x: torch.zeros_like(x), torch.ones(2, 3), [0.0, 0.5, 0.8, 1.0],
        events=[never, late, early], method="rk4", step=1.0,
    )  # fmt: skip
    found = [record.times.tolist() for record in solution.events]
    assert found == [[], [0.75], [0.25]]
    assert solution.events[0].states.shape == (0, 2, 3)
    assert solution.times.tolist() == [0.0, 0.5]


def test_methods_without_dense_output_of_their_own_find_events_on_a_cubic():
    solution = solve(
        oscillator, COSINE, [0.0, 2.0], events=[Event(height)], structure="diffusive",
        method="runge_kutta_chebyshev", relative_tolerance=1e-7,
    )  # fmt: skip
    assert solution.events[0].times.tolist() == pytest.approx([math.pi / 2], abs=1e-5)


def test_a_zero_at_the_start_is_none_and_one_at_the_end_of_a_step_is_found_once():
    solution = solve(
        lambda t, x: torch.ones_like(x), torch.zeros(1, dtype=torch.float64), [0.0, 1.0, 2.0],
        method="euler", events=[Event(lambda t, x: x[0]), Event(lambda t, x: x[0] - 1.0)],
    )  # fmt: skip
    assert [record.times.tolist() for record in solution.events] == [[], [1.0]]


def test_gradient_flows_up_to_a_terminal_event():
    """h(0.5) = h_0 + v_0 / 2 - 1/4 has the gradient (1, 1/2), whatever stops the solve later."""
    for gradient in ("direct", "checkpointed", "adjoint"):
        start = torch.tensor([3.0, 2.0], dtype=torch.float64, requires_grad=True)
        solution = solve(
            fall, start, [0.0, 0.5, 9.0], events=[Event(height, terminal=True)], gradient=gradient
        )
        assert solution.states.shape == (2, 2)
        assert not solution.events[0].times.requires_grad
        (grown,) = torch.autograd.grad(solution.states[-1, 0], start)
        assert grown.tolist() == pytest.approx([1.0, 0.5], abs=1e-9)


def test_the_interpolant_reaches_a_terminal_event():
    start = torch.tensor([3.0, 2.0], dtype=torch.float64)
    solution = solve(fall, start, [0.0, 9.0], events=[Event(height, terminal=True)], dense=True)
    assert solution.interpolant is not None
    assert solution.interpolant(2.999)[0].item() == pytest.approx(4 * 0.001, rel=1e-3)


def test_events_are_refused_where_nothing_could_locate_them():
    system = SeparableSystem(lambda t, p: p, lambda t, q: -q)
    with pytest.raises(InputError, match="neither events nor dense output"):
        solve(system, COSINE, [0.0, 1.0], gradient="reversible", events=[Event(height)])

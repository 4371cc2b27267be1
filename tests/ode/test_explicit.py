"""Laws of the explicit methods: order, dense output, tolerance, direction of time, dtype."""

import dataclasses
import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

from graphtide.errors import ComputationError, InputError
from graphtide.ode.control import Control
from graphtide.ode.integrate import integrate
from graphtide.ode.runge_kutta import RungeKutta
from graphtide.ode.solve import solve
from graphtide.ode.stepping import RightHandSide
from graphtide.ode.tableaus import TABLEAUS, Tableau

ADAPTIVE = ("bogacki_shampine3", "dormand_prince5", "tsitouras5", "dormand_prince8")
# Of each method: the last time and the fewest steps, so that errors over four halvings are
# asymptotic and above round-off; on the rotation and on the whirl.
HALVINGS = {
    "euler": ((3.0, 256), (2.0, 256)),
    "midpoint": ((3.0, 64), (2.0, 64)),
    "heun": ((3.0, 64), (2.0, 64)),
    "rk4": ((3.0, 64), (2.0, 64)),
    "bogacki_shampine3": ((3.0, 64), (2.0, 64)),
    "dormand_prince5": ((3.0, 64), (2.0, 64)),
    "tsitouras5": ((3.0, 128), (2.0, 64)),
    "dormand_prince8": ((3.0, 8), (1.5, 4)),
}


@dataclasses.dataclass(frozen=True)
class Problem:
    """An initial value problem with its solution."""

    rhs: RightHandSide
    exact: Callable[[float], list[float]]
    stop: float


def logistic(time: Tensor, state: Tensor) -> Tensor:
    return state * (1.0 - state)


def driven(time: Tensor, state: Tensor) -> Tensor:
    first, second = state
    return torch.stack([-first * torch.tan(time), second * second * torch.cos(time)])


def rotation(time: Tensor, state: Tensor) -> Tensor:
    return torch.stack([-state[1], state[0]]) * (1.0 + 2.0 * time)


def whirl(time: Tensor, state: Tensor) -> Tensor:
    return rotation(time, state) * (state * state).sum()


def on_circle(time: float) -> list[float]:
    angle = time + time * time
    return [math.cos(angle), math.sin(angle)]


PROBLEMS = {
    "logistic": Problem(
        logistic, lambda t: [1 / (1 + 4 * math.exp(-t)), 1 / (1 + math.exp(-t))], 3.0
    ),
    "driven": Problem(driven, lambda t: [math.cos(t), 1 / (2 - math.sin(t))], 1.2),
    "rotation": Problem(rotation, on_circle, 1.0),  # linear, and faster with time
    "whirl": Problem(whirl, on_circle, 1.0),  # the same solution of a nonlinear equation
}


def start_of(problem: Problem) -> Tensor:
    return torch.tensor(problem.exact(0.0), dtype=torch.float64)


def march(tableau: Tableau, problem: Problem, stop: float, count: int) -> Tensor:
    control = Control(1e-6, 1e-6, 10**6, step=stop / count)
    with torch.no_grad():
        path = integrate(RungeKutta(tableau), problem.rhs, start_of(problem), [0.0, stop], control)
    assert path.statistics.accepted == count
    return path.states[-1]


def slope(tableau: Tableau, problem: Problem, stop: float, fewest: int) -> float:
    """Return the order measured over four halvings of the step."""
    counts = [fewest * 2**halving for halving in range(5)]
    exact = torch.tensor(problem.exact(stop), dtype=torch.float64)
    errors = [float((march(tableau, problem, stop, count) - exact).norm()) for count in counts]
    return -float(np.polyfit(np.log(counts), np.log(errors), 1)[0])


@pytest.mark.parametrize("problem", ["rotation", "whirl"])
@pytest.mark.parametrize("name", TABLEAUS)
def test_order_of_convergence(name, problem):
    stop, fewest = HALVINGS[name][problem == "whirl"]
    measured = slope(TABLEAUS[name], PROBLEMS[problem], stop, fewest)
    assert measured == pytest.approx(TABLEAUS[name].order, abs=0.2)


def test_a_wrong_coefficient_loses_the_order():
    right = TABLEAUS["dormand_prince5"]
    row = list(right.stages[4])
    row[1], row[2] = float(row[1]) + 0.05, float(row[2]) - 0.05  # still sums to its node
    wrong = dataclasses.replace(right, stages=(*right.stages[:4], tuple(row), *right.stages[5:]))
    assert slope(wrong, PROBLEMS["whirl"], 2.0, 64) < 3.5


@pytest.mark.parametrize("name", ADAPTIVE)
def test_local_error_estimate_has_its_order(name):
    """The estimate of one step falls as h^(q + 1)."""
    method = RungeKutta(TABLEAUS[name])
    start = start_of(PROBLEMS["driven"])
    sizes = [0.2 / 2**halving for halving in range(5)]
    with torch.no_grad():
        errors = [method.step(driven, 0.1, start, None, size).error for size in sizes]
    norms = [float(error.norm()) for error in errors if error is not None]
    measured = float(np.polyfit(np.log(sizes), np.log(norms), 1)[0])
    assert measured == pytest.approx(method.error_order + 1, abs=0.3)


def pendulum(time: Tensor, state: Tensor) -> Tensor:
    """Two coupled driven pendulums: positions, then velocities."""
    position, velocity = state[:2], state[2:]
    force = -torch.sin(position) + 0.5 * position.flip(0) + 0.3 * torch.cos(time)
    return torch.cat([velocity, force])


@pytest.mark.parametrize("name", ["dormand_prince5", "tsitouras5", "dormand_prince8"])
def test_agrees_with_scipy_at_fine_tolerance(name):
    start, times = [1.0, -0.5, 0.0, 0.7], np.linspace(0.0, 8.0, 23)
    exact = solve_ivp(
        lambda time, state: pendulum(torch.tensor(time), torch.from_numpy(state)).numpy(),
        (0.0, 8.0), start, method="DOP853", t_eval=times, rtol=1e-10, atol=1e-10,
    )  # fmt: skip
    solution = solve(
        pendulum, torch.tensor(start, dtype=torch.float64), times, method=name,
        relative_tolerance=1e-10, absolute_tolerance=1e-10,
    )  # fmt: skip
    # Errors of both, grown by the Lipschitz constant 1.5 over 8 units of time, stay below 100 tol.
    assert np.abs(solution.states.numpy() - exact.y.T).max() < 1e-8
    if name == "dormand_prince8":  # the same method and tolerance: the cost is alike, too
        assert solution.statistics.evaluations < 1.5 * exact.nfev


@pytest.mark.parametrize("name", ADAPTIVE)
def test_error_follows_the_tolerance(name):
    problem = PROBLEMS["rotation"]
    exact = torch.tensor(problem.exact(problem.stop), dtype=torch.float64)
    errors, costs = [], []
    for tolerance in (1e-4, 1e-6, 1e-8):
        solution = solve(
            problem.rhs, start_of(problem), [0.0, problem.stop], method=name,
            relative_tolerance=tolerance, absolute_tolerance=tolerance,
        )  # fmt: skip
        errors.append(float((solution.states[-1] - exact).norm()))
        costs.append(solution.statistics.evaluations)
        assert errors[-1] < 20 * tolerance
    assert errors[0] > 30 * errors[1] > 900 * errors[2]
    assert costs[0] < costs[1] < costs[2]


@pytest.mark.parametrize(
    ("name", "order"),
    [
        ("euler", 1),
        ("midpoint", 2),
        ("heun", 2),
        ("rk4", 3),
        ("bogacki_shampine3", 3),
        ("dormand_prince5", 4),
        ("tsitouras5", 4),
        ("dormand_prince8", 7),
    ],
)
def test_dense_output_between_steps(name, order):
    """Inside one step from exact data the error falls as h^(q + 1), q the order of the output."""
    problem = PROBLEMS["driven"]
    sizes = [(1.2 if order == 7 else 0.2) / 2**halving for halving in range(4)]
    errors = []
    with torch.no_grad():
        for size in sizes:
            step = RungeKutta(TABLEAUS[name]).step(problem.rhs, 0.0, start_of(problem), None, size)
            assert step.interpolate is not None
            inside = [
                step.interpolate(share)
                - torch.tensor(problem.exact(share * size), dtype=torch.float64)
                for share in (0.2, 0.5, 0.9)
            ]
            errors.append(max(float(error.norm()) for error in inside))
            ends = torch.stack([step.interpolate(0.0), step.interpolate(1.0)])
            assert torch.allclose(ends, torch.stack([start_of(problem), step.state]), rtol=1e-13)
    measured = float(np.polyfit(np.log(sizes), np.log(errors), 1)[0])
    assert measured == pytest.approx(order + 1, abs=0.3)


@pytest.mark.parametrize("name", ADAPTIVE)
def test_output_times_do_not_change_the_steps(name):
    """Many output times cost no steps, and what lies between them is as accurate as the steps."""
    problem = PROBLEMS["driven"]
    many = torch.linspace(0.0, problem.stop, 101, dtype=torch.float64)
    few = many[[0, -1]]
    solved = [
        solve(
            problem.rhs, start_of(problem), times, method=name, dense=True,
            relative_tolerance=1e-7, absolute_tolerance=1e-7,
        )
        for times in (many, few)
    ]  # fmt: skip
    assert solved[0].statistics.accepted == solved[1].statistics.accepted < 80
    assert torch.equal(solved[0].states[-1], solved[1].states[-1])
    exact = torch.tensor([problem.exact(float(time)) for time in many], dtype=torch.float64)
    assert float((solved[0].states - exact).abs().max()) < 2e-6
    interpolant = solved[1].interpolant
    assert interpolant is not None
    between = torch.stack([interpolant(float(time)) for time in many])
    assert torch.allclose(between, solved[0].states, rtol=0.0, atol=1e-13)
    with pytest.raises(InputError, match=r"outside of the solve, 0 to 1\.2"):
        interpolant(1.3)


@pytest.mark.parametrize("name", TABLEAUS)
def test_backward_in_time_returns_to_the_start(name):
    problem = PROBLEMS["rotation"]
    times = [1.0, 0.7, 0.3, 0.0]
    start = torch.tensor(problem.exact(1.0), dtype=torch.float64)
    step = {"euler": 2e-4, "midpoint": 1e-3, "heun": 1e-3, "rk4": 1e-2}.get(name)
    solution = solve(
        problem.rhs, start, times, method=name, step=step,
        relative_tolerance=1e-8, absolute_tolerance=1e-8,
    )  # fmt: skip
    exact = torch.tensor([problem.exact(time) for time in times], dtype=torch.float64)
    assert solution.times.tolist() == times
    # Global errors of the fixed steps: Euler 2e-4 * max|y''| / 2, the others below 1e-5.
    assert float((solution.states - exact).abs().max()) < (3e-3 if name == "euler" else 1e-5)


@pytest.mark.parametrize("name", TABLEAUS)
def test_time_direction_is_symmetric(name):
    """x' = f(t, x) from 0 to 1 and its mirror x' = -f(-t, x) from 0 to -1 take the same steps."""
    problem = PROBLEMS["rotation"]
    forward = solve(problem.rhs, start_of(problem), [0.0, 0.35, 1.0], method=name)
    mirror = solve(
        lambda t, x: -problem.rhs(-t, x), start_of(problem), [0.0, -0.35, -1.0], method=name
    )
    assert torch.allclose(forward.states, mirror.states, rtol=0.0, atol=1e-14)
    assert forward.statistics == mirror.statistics


@pytest.mark.parametrize("name", TABLEAUS)
def test_float32_state_keeps_its_dtype_and_its_accuracy(name):
    problem = PROBLEMS["logistic"]
    clocks = set()

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        clocks.add((time.dtype, time.ndim))
        assert state.dtype == torch.float32
        return problem.rhs(time, state)

    times = torch.linspace(0.0, 3.0, 7, dtype=torch.float64)
    step = None if name in ADAPTIVE else 0.05
    single = solve(rhs, start_of(problem).float(), times, method=name, step=step)
    double = solve(problem.rhs, start_of(problem), times, method=name, step=step)
    assert single.states.dtype == torch.float32
    assert single.times.dtype == torch.float64
    assert clocks == {(torch.float64, 0)}
    # Round-off of 60 to 200 steps in single precision, and another choice of steps near tolerance.
    assert float((single.states - double.states).abs().max()) < 5e-6
    exact = torch.tensor([problem.exact(float(time)) for time in times], dtype=torch.float64)
    bound = {1: 2e-2, 2: 2e-4}.get(TABLEAUS[name].order, 1e-5)
    assert float((single.states - exact).abs().max()) < bound


@pytest.mark.parametrize("name", TABLEAUS)
@pytest.mark.parametrize("shape", [(), (1,), (3, 2), (2, 3, 4)])
def test_any_shape_of_state(name, shape):
    state = torch.full(shape, 0.5, dtype=torch.float64)
    states = solve(lambda t, x: -x, state, [0.0, 0.1, 0.3], method=name, step=0.01).states
    assert states.shape == (3, *shape)
    assert torch.allclose(states[-1], state * math.exp(-0.3), rtol=2e-3)


def test_statistics_count_every_evaluation():
    calls = 0

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return driven(time, state)

    for name in TABLEAUS:
        calls = 0
        times = torch.linspace(0.0, 1.2, 5)
        step = None if name in ADAPTIVE else 0.1
        solution = solve(rhs, start_of(PROBLEMS["driven"]), times, method=name, step=step)
        assert solution.statistics.evaluations == calls > 0
        if name == "dormand_prince5":  # two at the start, then six a step
            trials = solution.statistics.accepted + solution.statistics.rejected
            assert calls == 2 + 6 * trials


def test_a_sudden_change_rejects_steps_and_is_survived():
    def rhs(time: Tensor, state: Tensor) -> Tensor:
        return torch.where(time < 1.0, 0.0, 5.0) * torch.ones_like(state)

    solution = solve(rhs, torch.zeros(2, dtype=torch.float64), [0.0, 2.0], relative_tolerance=1e-8)
    assert solution.statistics.rejected >= 5
    assert torch.allclose(
        solution.states[-1], torch.full((2,), 5.0, dtype=torch.float64), atol=1e-6
    )


def test_a_linear_solution_takes_few_steps():
    solution = solve(
        lambda t, x: torch.ones_like(x), torch.zeros(1, dtype=torch.float64), [0.0, 1e3]
    )
    assert solution.statistics.accepted < 12
    assert float(solution.states[-1]) == pytest.approx(1e3, rel=1e-6)


def test_one_time_returns_the_start():
    start = torch.tensor([1.0, 2.0])
    solution = solve(lambda t, x: -x, start, [0.5])
    assert torch.equal(solution.states, start.unsqueeze(0))
    assert solution.statistics.accepted == 0


def test_a_right_hand_side_may_return_its_own_argument_or_one_tensor():
    buffer = torch.empty(2, dtype=torch.float64)

    def reused(time: Tensor, state: Tensor) -> Tensor:
        return torch.neg(state.detach(), out=buffer)

    start = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for name in TABLEAUS:
        grown = solve(lambda t, x: x, start, [0.0, 0.2], method=name, step=0.01).states[-1]
        assert torch.allclose(grown, start * math.exp(0.2), rtol=3e-3)
        fallen = solve(reused, start, [0.0, 0.2], method=name, step=0.01).states[-1]
        assert torch.allclose(fallen, start * math.exp(-0.2), rtol=3e-3)
    assert start.tolist() == [1.0, 2.0]


NAN_FROM_1 = [
    lambda time, state: state * torch.where(time < 1.0, 1.0, math.nan),
    lambda time, state: state / torch.where(time < 1.0, 1.0, 0.0),
]


@pytest.mark.parametrize("rhs", NAN_FROM_1, ids=["nan", "infinite"])
@pytest.mark.parametrize("name", TABLEAUS)
def test_a_right_hand_side_that_is_not_finite_is_named(name, rhs):
    step = None if name in ADAPTIVE else 0.1
    message = "underflowed at time 1: the right-hand side is not finite" if step is None else (
        "the state is not finite at time 2"
    )  # fmt: skip
    with pytest.raises(ComputationError, match=message) as caught:
        solve(rhs, torch.ones(2, dtype=torch.float64), [0.0, 0.5, 2.0], method=name, step=step)
    assert str(caught.value).startswith(name)


def test_a_right_hand_side_that_is_nan_at_the_start_is_named():
    with pytest.raises(ComputationError, match="at time 0: the right-hand side is not finite"):
        solve(lambda t, x: x * math.nan, torch.ones(2), [0.0, 1.0])


def test_a_solution_that_ends_in_a_pole_is_named():
    """x' = x^2 from 1 is 1 / (1 - t)."""
    with pytest.raises(ComputationError, match=r"dormand_prince5: .* time (0\.99|1)"):
        solve(lambda t, x: x * x, torch.ones(1, dtype=torch.float64), [0.0, 2.0])


def test_too_many_steps_are_named():
    with pytest.raises(ComputationError, match=r"7 steps only reached .* of 10;.*maximum_steps"):
        solve(lambda t, x: -50 * x, torch.ones(1), [0.0, 10.0], maximum_steps=7)
    with pytest.raises(ComputationError, match="7 steps only reached time 0 of 10"):
        solve(lambda t, x: -x, torch.ones(1), [0.0, 10.0], method="rk4", step=1.0, maximum_steps=7)


ONE = torch.ones(2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": [0.0, 1.0, 1.0]}, "entry 2, 1, follows 1"),
        ({"times": [0.0, 1.0, 0.5]}, "entry 2, 0.5, follows 1"),
        ({"times": [1.0, 0.0, 0.5]}, "entry 2, 0.5, follows 0"),
        ({"times": [0.0, math.nan]}, "times must be finite"),
        ({"times": []}, "a list of numbers; their shape is \\(0,\\)"),
        ({"times": [[0.0, 1.0]]}, "their shape is \\(1, 2\\)"),
        ({"times": torch.tensor([0.0, 1.0], requires_grad=True)}, "must not require a gradient"),
        ({"state": torch.ones(2, dtype=torch.int64)}, "floating-point numbers; it is torch.int64"),
        ({"state": torch.ones(0)}, "of shape \\(0,\\)"),
        ({"state": torch.tensor([1.0, math.inf])}, "finite at the first time"),
        ({"rhs": lambda t, x: x[:1]}, "gave shape \\(1,\\)"),
        ({"rhs": lambda t, x: x.double()}, "torch.float64 for a state"),
        ({"method": "euler2"}, "'euler2' is unknown; known are auto, euler"),
        ({"gradient": "forward"}, "'forward' is unknown; known are direct"),
        ({"relative_tolerance": -1.0}, "tolerances must be positive; relative is -1"),
        ({"relative_tolerance": 0.0, "absolute_tolerance": 0.0}, "tolerances must be positive"),
        ({"step": 0.0}, "step must be positive"),
        ({"step": -0.1}, "also backwards in time; it is -0.1"),
        ({"maximum_steps": 0}, "at least 1; it is 0"),
        ({"gradient": "reversible"}, "needs leapfrog or yoshida4, not 'dormand_prince5'"),
        ({"parameters": [1.0]}, "parameters must be tensors; a float is among them"),
    ],
)  # fmt: skip
def test_bad_arguments_are_refused(arguments, message):
    given = {"rhs": lambda t, x: -x, "state": ONE, "times": [0.0, 1.0], **arguments}
    with pytest.raises(InputError, match=message):
        solve(given.pop("rhs"), given.pop("state"), given.pop("times"), **given)


def test_tolerances_may_lie_on_the_state_or_on_the_unit():
    """Scaling states and absolute tolerance alike changes no step."""
    problem = PROBLEMS["rotation"]
    accepted = []
    for scale in (1.0, 2.0**20):
        solution = solve(
            problem.rhs, scale * start_of(problem), [0.0, 1.0],
            relative_tolerance=1e-6, absolute_tolerance=1e-8 * scale,
        )  # fmt: skip
        accepted.append((solution.statistics.accepted, (solution.states[-1] / scale).tolist()))
    assert accepted[0] == accepted[1]


def test_dense_interpolant_covers_the_solve_without_gaps():
    problem = PROBLEMS["rotation"]
    for times in ([0.0, 1.0], [1.0, 0.0]):
        start = torch.tensor(problem.exact(times[0]), dtype=torch.float64)
        solution = solve(problem.rhs, start, times, dense=True, relative_tolerance=1e-9)
        assert solution.interpolant is not None
        moments = np.linspace(0.0, 1.0, 401)
        states = torch.stack([solution.interpolant(float(time)) for time in moments])
        exact = torch.tensor([problem.exact(time) for time in moments], dtype=torch.float64)
        assert float((states - exact).abs().max()) < 1e-6
        jumps = [float((b - a).norm()) for a, b in pairwise(states)]
        assert max(jumps) < 3.1 / 400  # the speed is at most 3

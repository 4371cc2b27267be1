"""Gradients through explicit solves: all ways agree with each other and with the analytic one."""

import math
import weakref
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.ode.control import Control
from graphtide.ode.gradients import plain
from graphtide.ode.runge_kutta import RungeKutta
from graphtide.ode.solve import solve
from graphtide.ode.symplectic import SeparableSystem
from graphtide.ode.tableaus import TABLEAUS

ADAPTIVE = ("bogacki_shampine3", "dormand_prince5", "tsitouras5", "dormand_prince8")
METHODS = pytest.mark.parametrize("method", TABLEAUS)
MODES = ("direct", "checkpointed", "adjoint")
TIMES = [0.0, 0.13, 0.4, 0.41, 1.0]


class Field(nn.Module):
    """x' = tanh(x W + b) + c cos(t) x, with an unused parameter."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.weight = nn.Parameter(torch.randn(3, 3, generator=generator, dtype=torch.float64))
        self.bias = nn.Parameter(torch.randn(3, generator=generator, dtype=torch.float64))
        self.rate = nn.Parameter(torch.tensor(0.4, dtype=torch.float64))
        self.idle = nn.Parameter(torch.zeros(2, dtype=torch.float64))

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        return torch.tanh(state @ self.weight + self.bias) + self.rate * torch.cos(time) * state


def start_of(shape: tuple[int, ...] = (4, 3)) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(shape, generator=generator, dtype=torch.float64, requires_grad=True)


def loss_of(states: Tensor) -> Tensor:
    """Weigh every output time differently."""
    weights = torch.linspace(1.0, 2.0, len(states), dtype=states.dtype)
    return (weights * states.pow(3).flatten(1).sum(1)).sum()


def grown(loss: Tensor, wanted: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss, list(wanted), allow_unused=True)
    return [
        torch.zeros_like(tensor) if part is None else part
        for tensor, part in zip(wanted, found, strict=True)
    ]


def assert_alike(one: Sequence[Tensor], other: Sequence[Tensor], relative: float) -> None:
    for a, b in zip(one, other, strict=True):
        assert a.dtype == b.dtype
        assert float((a - b).abs().max()) <= relative * max(1.0, float(b.abs().max()))


@METHODS
@pytest.mark.parametrize("gradient", MODES)
def test_gradient_of_a_linear_system_against_the_matrix_exponential(method, gradient):
    """x' = x A: the gradient with respect to the start and to A, in closed form."""
    generator = torch.Generator().manual_seed(2)
    matrix = torch.randn(3, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    start = start_of()
    exact = torch.stack([start @ torch.matrix_exp(time * matrix) for time in TIMES])
    wanted = grown(loss_of(exact), (start, matrix))
    assert min(float(part.abs().min()) for part in wanted) > 1e-3
    step = {"euler": 1e-3, "midpoint": 5e-3, "heun": 5e-3, "rk4": 0.02}.get(method)
    tolerance = 1e-8 if method == "bogacki_shampine3" else 1e-11
    states = solve(
        lambda time, state: state @ matrix, start, TIMES, method=method, gradient=gradient,
        step=step, relative_tolerance=tolerance, absolute_tolerance=tolerance,
    ).states  # fmt: skip
    # The errors of the methods themselves: h/2 for Euler, h^2 for order 2, below 1e-6 for others.
    bound = {"euler": 1e-2, "midpoint": 3e-4, "heun": 3e-4}.get(method, 1e-6)
    assert_alike(grown(loss_of(states), (start, matrix)), wanted, bound)


@METHODS
def test_direct_and_checkpointed_are_the_gradient_of_the_steps_taken(method):
    """Both equal autograd's own recording of the same steps, to round-off."""
    field, start = Field(), start_of()
    wanted = (start, *field.parameters())
    control = Control(1e-5, 1e-5, 1000, None if method in ADAPTIVE else 0.05)
    recorded, path = plain(RungeKutta(TABLEAUS[method]), field, start, TIMES, control)
    exact = grown(loss_of(recorded), wanted)
    for gradient in ("direct", "checkpointed"):
        solution = solve(
            field, start, TIMES, method=method, gradient=gradient, step=control.step,
            relative_tolerance=1e-5, absolute_tolerance=1e-5,
        )  # fmt: skip
        assert torch.allclose(solution.states, recorded, rtol=0.0, atol=1e-13)
        assert solution.statistics == path.statistics
        assert_alike(grown(loss_of(solution.states), wanted), exact, 1e-12)


@pytest.mark.parametrize("times", [TIMES, [-time for time in TIMES]], ids=["forward", "backward"])
def test_all_modes_agree_on_a_nonlinear_field(times):
    field, start = Field(), start_of()
    wanted = (start, *field.parameters())
    found = []
    for gradient in MODES:
        states = solve(
            field, start, times, gradient=gradient, method="dormand_prince5",
            relative_tolerance=1e-9, absolute_tolerance=1e-9,
        ).states  # fmt: skip
        found.append(grown(loss_of(states), wanted))
    assert_alike(found[1], found[0], 1e-12)
    assert_alike(found[2], found[0], 1e-6)
    assert float(found[0][-1].abs().max()) == 0.0  # the idle parameter


@pytest.mark.parametrize("method", ["leapfrog", "yoshida4"])
def test_all_modes_agree_on_a_hamiltonian_system(method):
    """Direct, checkpointed and reversible give the same; a finer solve is near in its order."""
    stiffness = torch.tensor([1.0, 2.5], dtype=torch.float64, requires_grad=True)
    system = SeparableSystem(
        velocity=lambda time, momentum: momentum,
        force=lambda time, position: -stiffness * torch.sin(position),
    )
    start = start_of((3, 4))

    def gradients(mode: str, method: str, step: float) -> list[Tensor]:
        states = solve(
            system, start, TIMES, method=method, gradient=mode, step=step, parameters=[stiffness]
        ).states
        return grown(loss_of(states), (start, stiffness))

    direct = gradients("direct", method, 0.02)
    assert_alike(gradients("checkpointed", method, 0.02), direct, 1e-12)
    assert_alike(gradients("reversible", method, 0.02), direct, 1e-10)
    assert_alike(direct, gradients("reversible", "yoshida4", 0.002), 1e-3)


@METHODS
@pytest.mark.parametrize("gradient", ["direct", "checkpointed"])
def test_gradient_against_finite_differences(method, gradient):
    """Fixed steps make the solve a smooth function, so its differences are exact."""

    def end(start: Tensor, weight: Tensor, rate: Tensor) -> Tensor:
        return solve(
            lambda time, state: torch.sin(state @ weight) * torch.exp(rate * time), start,
            [0.0, 0.35, 1.0], method=method, gradient=gradient, step=0.2,
        ).states  # fmt: skip

    generator = torch.Generator().manual_seed(3)
    weight = torch.randn(2, 2, generator=generator, dtype=torch.float64, requires_grad=True)
    rate = torch.tensor(0.3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(end, (start_of((1, 2)), weight, rate), atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("gradient", ["direct", "checkpointed"])
def test_gradient_of_the_gradient_against_finite_differences(gradient):
    def end(start: Tensor, weight: Tensor) -> Tensor:
        return solve(
            lambda time, state: torch.sin(weight * state), start, [0.0, 0.3, 0.8],
            method="dormand_prince5", gradient=gradient, step=0.3,
        ).states  # fmt: skip

    weight = torch.tensor([1.2, -0.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(end, (start_of((2,)), weight), atol=1e-6, rtol=1e-5)


def test_adjoint_refuses_a_gradient_of_the_gradient():
    start = start_of((2,))
    states = solve(lambda t, x: -x * x, start, [0.0, 1.0], gradient="adjoint").states
    with pytest.raises(InputError, match="no gradient of the gradient"):
        torch.autograd.grad(states[-1].sum(), start, create_graph=True)


@pytest.mark.parametrize("gradient", MODES)
def test_single_precision(gradient):
    field, start = Field(), start_of()
    wanted = grown(
        loss_of(solve(field, start, TIMES, relative_tolerance=1e-9).states),
        (start, *field.parameters()),
    )
    single, state = Field().float(), start.detach().float().requires_grad_()
    states = solve(single, state, TIMES, gradient=gradient, relative_tolerance=1e-5).states
    found = grown(loss_of(states), (state, *single.parameters()))
    assert all(part.dtype == torch.float32 for part in found)
    assert_alike([part.double() for part in found], wanted, 2e-4)


@pytest.mark.parametrize("gradient", MODES)
@pytest.mark.parametrize("watched", ["start", "field", "bias"])
def test_only_what_needs_a_gradient_gets_one(gradient, watched):
    field, start = Field(), start_of()
    full = grown(loss_of(solve(field, start, TIMES).states), (start, *field.parameters()))
    tensors = {"start": start, **dict(field.named_parameters())}
    kept = {"start": ["start"], "field": ["weight", "bias", "rate"], "bias": ["bias"]}[watched]
    for name, tensor in tensors.items():
        tensor.requires_grad_(name in kept)
    states = solve(field, start, TIMES, gradient=gradient).states
    found = grown(loss_of(states), [tensors[name] for name in kept])
    exact = [part for name, part in zip(tensors, full, strict=True) if name in kept]
    assert_alike(found, exact, 1e-6 if gradient != "adjoint" else 1e-4)


@pytest.mark.parametrize("gradient", MODES)
def test_no_gradient_is_recorded_where_none_is_wanted(gradient):
    field = Field().requires_grad_(requires_grad=False)
    start = start_of().detach()
    assert not solve(field, start, TIMES, gradient=gradient).states.requires_grad
    with torch.no_grad():
        assert not solve(Field(), start_of(), TIMES, gradient=gradient).states.requires_grad


@pytest.mark.parametrize("gradient", MODES)
def test_parameters_that_are_results_of_an_outer_graph(gradient):
    """A rate made from a leaf outside of the solve: found, or named, or asked for by name."""
    start, leaf = start_of((3,)), torch.tensor(0.2, dtype=torch.float64, requires_grad=True)
    rate = torch.exp(leaf)

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        return -rate * state

    wanted = [
        torch.exp(-torch.exp(leaf.detach())).expand(3),
        (-rate * torch.exp(-rate) * start.sum()).detach(),
    ]
    settings = {"gradient": gradient, "relative_tolerance": 1e-9, "absolute_tolerance": 1e-9}
    if gradient == "direct":
        states = solve(rhs, start, [0.0, 1.0], **settings).states
        assert_alike(
            torch.autograd.grad(states[-1].sum(), (start, leaf), retain_graph=True), wanted, 1e-7
        )
    else:
        with pytest.raises(InputError, match="name that tensor in `parameters`"):
            solve(rhs, start, [0.0, 1.0], **settings)
    states = solve(rhs, start, [0.0, 1.0], parameters=[rate], **settings).states
    assert_alike(torch.autograd.grad(states[-1].sum(), (start, leaf)), wanted, 1e-7)


@pytest.mark.parametrize("gradient", MODES)
def test_a_start_that_is_the_result_of_an_outer_graph(gradient):
    leaf = start_of((3,))
    states = solve(
        lambda t, x: -x, leaf.square(), [0.0, 1.0], gradient=gradient, relative_tolerance=1e-9
    ).states
    (found,) = torch.autograd.grad(states[-1].sum(), leaf)
    assert_alike([found], [2 * leaf.detach() * math.exp(-1.0)], 1e-7)


@pytest.mark.parametrize("gradient", ["direct", "checkpointed"])
def test_backward_may_be_asked_twice(gradient):
    """The first pass may use up what the solve kept; a second one takes the steps again."""
    field, start = Field(), start_of()
    loss = loss_of(solve(field, start, TIMES, gradient=gradient).states)
    first = torch.autograd.grad(loss, (start, field.weight), retain_graph=True)
    second = torch.autograd.grad(loss, (start, field.weight))
    assert_alike(second, first, 1e-12)


def test_direct_evaluates_nothing_again():
    calls = 0

    def rhs(time: Tensor, state: Tensor) -> Tensor:
        nonlocal calls
        calls += 1
        return torch.sin(state)

    start = start_of()
    solution = solve(rhs, start, TIMES, gradient="direct", method="dormand_prince5")
    assert calls == solution.statistics.evaluations
    loss_of(solution.states).backward()
    assert calls == solution.statistics.evaluations


class LiveBytes(torch.autograd.graph.saved_tensors_hooks):
    """Measure the most bytes that autograd keeps at any one time for the backward pass."""

    def __init__(self) -> None:
        self.now = self.most = 0

        class Kept:
            def __init__(kept, tensor: Tensor) -> None:
                kept.tensor, kept.size = tensor, tensor.numel() * tensor.element_size()
                self.now += kept.size
                self.most = max(self.most, self.now)

            def __del__(kept) -> None:
                self.now -= kept.size

        super().__init__(Kept, lambda kept: kept.tensor)


def peak(gradient: str, steps: int, method: str = "rk4") -> int:
    """Return the most bytes that a forward and backward pass of `steps` steps keep."""
    rate = torch.tensor(0.5, dtype=torch.float64, requires_grad=True)
    start = torch.ones(1000, dtype=torch.float64, requires_grad=True)
    if method == "rk4":
        rhs = lambda time, state: -rate * torch.sin(state)  # noqa: E731
    else:
        rhs = SeparableSystem(lambda t, p: p, lambda t, q: -rate * torch.sin(q))
    with (live := LiveBytes()):
        states = solve(
            rhs, start, [0.0, 1.0], method=method, step=1.0 / steps, gradient=gradient,
            parameters=[rate],
        ).states  # fmt: skip
        states[-1].sum().backward()
    assert start.grad is not None
    assert float(start.grad.abs().min()) > 0.1
    return live.most


def test_memory_of_direct_grows_with_the_steps():
    sizes = [peak("direct", steps) for steps in (16, 64, 256)]
    for larger, smaller in zip(sizes[1:], sizes[:-1], strict=True):
        assert larger / smaller == pytest.approx(4.0, rel=0.05)


def test_memory_of_checkpointed_grows_with_the_root_of_the_steps():
    """The recorded evaluations never exceed those of 2 sqrt(n) steps."""
    one = peak("direct", 64) / 64
    sizes = {steps: peak("checkpointed", steps) for steps in (16, 64, 256, 1024)}
    for steps, size in sizes.items():
        assert size <= 1.1 * one * 2.0 * math.sqrt(steps)
    assert sizes[1024] / sizes[16] == pytest.approx(8.0, rel=0.3)


def test_states_kept_by_checkpointed_are_few():
    """About sqrt(n) states survive a solve of n steps: at most 2 sqrt(n) of the checkpoints."""
    start = torch.ones(10, dtype=torch.float64, requires_grad=True)
    for steps in (16, 100, 1000):
        seen: list[weakref.ref[Tensor]] = []

        def rhs(time: Tensor, state: Tensor, seen: list = seen) -> Tensor:
            seen.append(weakref.ref(state))
            return -state

        states = solve(
            rhs, start, [0.0, 1.0], method="rk4", step=1.0 / steps, gradient="checkpointed"
        ).states
        alive = sum(reference() is not None for reference in seen)
        assert 0.5 * math.sqrt(steps) <= alive <= 2.0 * math.sqrt(steps) + 3
        assert states.requires_grad


@pytest.mark.parametrize(("gradient", "method"), [("adjoint", "rk4"), ("reversible", "leapfrog")])
def test_memory_of_adjoint_and_reversible_is_constant(gradient, method):
    few, many = peak(gradient, 16, method), peak(gradient, 512, method)
    assert few == many < peak("direct", 16, method)


@pytest.mark.parametrize("gradient", MODES)
def test_many_outputs_in_one_step_and_none_in_another(gradient):
    """Cotangents of outputs inside of a step, at its end and at the start all arrive."""
    start = start_of((2,))
    times = [0.0, 1e-3, 2e-3, 3e-3, 5.0]
    states = solve(
        lambda t, x: -x * torch.cos(t), start, times, gradient=gradient, method="dormand_prince5",
        relative_tolerance=1e-10, absolute_tolerance=1e-10,
    ).states  # fmt: skip
    for index, time in enumerate(times):
        (found,) = torch.autograd.grad(states[index].sum(), start, retain_graph=True)
        assert found.tolist() == pytest.approx([math.exp(-math.sin(time))] * 2, rel=1e-7)

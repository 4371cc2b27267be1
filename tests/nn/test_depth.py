"""Depth: residual networks and differential nets are one, and meet as the step goes to zero."""

import copy
import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.nn.depth import Depth, as_continuous, refine
from graphtide.nn.residual import Autonomous, ResidualNetwork, WeightSchedule
from graphtide.ode.solve import METHODS, solve
from graphtide.ode.symplectic import SeparableSystem

LAYERS = 16
# Of each method: numbers of steps, asymptotic and above round-off.
HALVINGS = {
    "euler": (32, 64, 128, 256, 512),
    "midpoint": (32, 64, 128, 256, 512),
    "heun": (32, 64, 128, 256, 512),
    "rk4": (32, 64, 128, 256, 512),
    "bogacki_shampine3": (32, 64, 128, 256, 512),
    "dormand_prince5": (32, 64, 128, 256),
}


class Timed(nn.Module):
    """f(t, h) = tanh(W h + b + t v)."""

    def __init__(self, width: int = 4, seed: int = 0) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)

        def parameter(*shape: int) -> nn.Parameter:
            return nn.Parameter(torch.randn(shape, generator=generator, dtype=torch.float64))

        self.weight, self.bias, self.drift = (
            parameter(width, width),
            parameter(width),
            parameter(width),
        )

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        return torch.tanh(state @ self.weight.T + self.bias + time * self.drift)


def layer(width: int = 4) -> Autonomous:
    return Autonomous(nn.Sequential(nn.Linear(width, width), nn.Tanh()).double())


def start_of(count: int = 5, width: int = 4) -> Tensor:
    return torch.randn(count, width, generator=torch.Generator().manual_seed(7)).double()


@pytest.fixture(scope="module")
def trained():
    """A residual network of 16 layers, trained to tell two spirals apart, and its states."""
    torch.manual_seed(0)
    turn = torch.rand(100, 1).double() * math.pi + 0.5
    side = (torch.arange(100) % 2).double()[:, None]
    angle = turn + math.pi * side
    points = torch.cat([turn * torch.cos(angle), turn * torch.sin(angle)], dim=1) / 3.0
    lift, read = nn.Linear(2, 8).double(), nn.Linear(8, 1).double()
    block = layer(8)
    with torch.no_grad():
        for parameter in block.parameters():
            parameter.mul_(0.2)
    network = ResidualNetwork(copy.deepcopy(block) for _ in range(LAYERS))
    weights = [*lift.parameters(), *network.parameters(), *read.parameters()]
    optimiser = torch.optim.AdamW(weights, lr=0.01, weight_decay=1.0)
    losses = []
    for _ in range(60):
        optimiser.zero_grad()
        score = read(network(lift(points)))
        loss = nn.functional.binary_cross_entropy_with_logits(score, side)
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.1 * losses[0]
    return network, lift(points).detach()


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_trained_residual_network_is_the_euler_reading_of_its_differential_net(trained, schedule):
    network, states = trained
    depth = as_continuous(network, schedule, steps=LAYERS, method="euler")
    torch.testing.assert_close(depth(states), network(states), rtol=0.0, atol=1e-12)


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize("method", HALVINGS)
def test_trained_network_converges_with_the_order_of_the_method(trained, schedule, method):
    network, states = trained
    depth = as_continuous(network, schedule)
    study = refine(depth, states, steps=HALVINGS[method], method=method)
    assert abs(study.order - METHODS[method](1e-6, 1e-8).order) < 0.2, study


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_rediscretised_outputs_approach_those_of_dormand_prince(trained, schedule):
    """32, 64, 128 Euler steps: each halving halves the distance, up to the next order."""
    network, states = trained
    depth = as_continuous(network, schedule, relative_tolerance=1e-9, absolute_tolerance=1e-9)
    limit = depth(states).detach()
    study = refine(depth, states, steps=(32, 64, 128), method="euler")
    with torch.no_grad():
        outputs = [depth.refined(steps=n, method="euler")(states) for n in study.steps]
    distance = [float((output - limit).norm() / limit.norm()) for output in outputs]
    assert distance == pytest.approx(study.differences, rel=1e-4)
    assert all(0.4 < after / before < 0.6 for before, after in itertools.pairwise(distance))


def test_steps_that_straddle_a_jump_lose_the_order(trained):
    """Why pieces are solved one by one: over the jumps every method is of first order at best."""
    network, states = trained
    schedule = WeightSchedule(network.blocks, network.interval)
    states = states[:20]
    exact = as_continuous(network, relative_tolerance=1e-11, absolute_tolerance=1e-11)
    errors = []
    with torch.no_grad():
        limit = exact(states)
        for steps in (48, 96, 192):  # the last stage of a step sees past a jump
            size = LAYERS / steps
            end = solve(schedule, states, [0.0, LAYERS], method="rk4", step=size).states[-1]
            errors.append(float((end - limit).norm()))
    order = math.log(errors[0] / errors[-1]) / math.log(4.0)
    assert order < 1.5
    kept = refine(as_continuous(network), states, steps=(48, 96, 192), method="rk4")
    assert kept.order > 3.5
    assert kept.differences[-1] * float(limit.norm()) < 1e-3 * errors[-1]


@pytest.mark.parametrize("steps", [15, 17, 24, 100])
def test_steps_that_would_straddle_are_refused(trained, steps):
    network, _ = trained
    with pytest.raises(InputError, match=f"{steps} steps would straddle the 16 pieces"):
        as_continuous(network, steps=steps, method="rk4")


@pytest.mark.parametrize("schedule", ["constant", "linear"])
def test_there_and_back(trained, schedule):
    network, states = trained
    depth = as_continuous(network, schedule)
    back = depth.as_residual(LAYERS)
    for mine, theirs in zip(back.parameters(), network.parameters(), strict=True):
        assert mine is not theirs
        assert torch.equal(mine, theirs)
    assert torch.equal(back(states), network(states))
    finer = depth.as_residual(4 * LAYERS)
    assert len(finer.blocks) == 4 * LAYERS
    assert finer.step == 0.25
    expected = depth.refined(steps=4 * LAYERS, method="euler")(states)
    torch.testing.assert_close(finer(states), expected, rtol=0.0, atol=1e-12)
    assert len(depth.as_residual(5).blocks) == 5


def test_linear_schedule_meets_its_blocks_and_halves_between(trained):
    network, _ = trained
    schedule = WeightSchedule(network.blocks, (0.0, 16.0), "linear")
    first, second = (list(network.blocks[k].parameters()) for k in (3, 4))
    middle = list(schedule.block_at(3.5).parameters())
    for low, mixed, high in zip(first, middle, second, strict=True):
        torch.testing.assert_close(mixed, 0.5 * (low + high))
    last = list(schedule.block_at(15.7).parameters())
    for mixed, held in zip(last, network.blocks[15].parameters(), strict=True):
        assert torch.equal(mixed, held)


def test_one_euler_step_is_the_residual_block_and_an_adaptive_method_the_neural_ode():
    block, states = layer(), start_of()
    euler = Depth(block, (0.0, 1.0), 1, "euler")
    assert torch.equal(euler(states), states + block(torch.tensor(0.0), states))
    assert torch.equal(Depth(block)(states), euler(states))
    timed = Timed()
    neural = Depth(timed, (0.5, 2.0), method="tsitouras5", relative_tolerance=1e-8)
    expected = solve(timed, states, [0.5, 2.0], method="tsitouras5", relative_tolerance=1e-8)
    assert torch.equal(neural(states), expected.states[-1])


def test_refine_measures_the_order_and_notices_a_wrong_one():
    depth, states = Depth(Timed(), (0.0, 2.0)), start_of()
    studies = [refine(depth, states, steps=(32, 64, 128, 256), method=m) for m in ("euler", "rk4")]
    assert abs(studies[0].order - 1.0) < 0.2
    assert abs(studies[1].order - 4.0) < 0.2
    assert studies[0].sizes == (2 / 32, 2 / 64, 2 / 128, 2 / 256)
    exhausted = refine(depth, states, steps=(256, 512), method="dormand_prince8")
    assert math.isnan(exhausted.order)  # below round-off there is no slope


@pytest.mark.parametrize("schedule", ["constant", "linear"])
@pytest.mark.parametrize("gradient", ["direct", "checkpointed", "adjoint"])
def test_gradients_of_all_modes_agree(schedule, gradient):
    torch.manual_seed(1)
    network, states = ResidualNetwork(layer() for _ in range(3)), start_of().requires_grad_()
    exact = network(states).pow(3).sum()
    wanted = [states, *network.parameters()]
    expected = torch.autograd.grad(exact, wanted)
    steps = 3 if gradient != "adjoint" else None
    method = "euler" if gradient != "adjoint" else "dormand_prince5"
    depth = as_continuous(
        network, schedule, steps=steps, method=method, gradient=gradient,
        relative_tolerance=1e-9, absolute_tolerance=1e-9,
    )  # fmt: skip
    if gradient == "adjoint":
        direct = depth.refined()
        direct.gradient = "direct"
        expected = torch.autograd.grad(direct(states).pow(3).sum(), wanted)
    found = torch.autograd.grad(depth(states).pow(3).sum(), wanted)
    for mine, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(mine, theirs, rtol=1e-6, atol=1e-7)


def test_gradients_flow_to_what_is_bound():
    class Driven(nn.Module):
        def forward(self, time, state, force, graph):
            assert isinstance(graph, Graph)
            return -state + force

    force = torch.tensor([1.0, 2.0], dtype=torch.float64, requires_grad=True)
    drive = 2.0 * force  # an intermediate result of the caller
    state = torch.zeros(2, dtype=torch.float64)
    graph = Graph.from_source("path:2")
    for gradient in ("direct", "checkpointed", "adjoint"):
        depth = Depth(Driven(), (0.0, 1.5), method="dormand_prince5", gradient=gradient)
        (found,) = torch.autograd.grad(depth(state, drive, graph).sum(), force, retain_graph=True)
        # h(t) = (1 - e^(-t)) 2 force
        exact = 2.0 * (1.0 - math.exp(-1.5))
        torch.testing.assert_close(found, torch.full_like(force, exact), rtol=1e-5, atol=0.0)


def test_symplectic_depth_is_reversible_and_trains_its_parts():
    system = SeparableSystem(velocity=lambda time, p: p, force=layer(2))
    state = start_of(3, 4)
    depth = Depth(system, (0.0, 1.0), 10, "leapfrog", gradient="reversible")
    assert len(list(depth.parameters())) == 2
    loss = depth(state).square().sum()
    loss.backward()
    direct = Depth(system, (0.0, 1.0), 10, "leapfrog")
    expected = torch.autograd.grad(direct(state).square().sum(), list(direct.parameters()))
    for parameter, gradient in zip(depth.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)
    with pytest.raises(InputError, match="no residual network"):
        depth.as_residual(4)
    with pytest.raises(InputError, match="SeparableSystem takes"):
        depth(state, 3)


@pytest.mark.parametrize("method", ["euler", "rk4", "dormand_prince5"])
def test_trajectory_passes_through_the_steps_of_forward(trained, method):
    network, states = trained
    steps = None if method == "dormand_prince5" else 32
    depth = as_continuous(network, steps=steps, method=method)
    path = depth.trajectory(states, [0.0, 3.0, 7.5, 16.0])
    assert path.states.shape == (4, *states.shape)
    assert torch.equal(path.states[0], states)
    torch.testing.assert_close(path.states[-1], depth(states).detach(), rtol=1e-9, atol=1e-9)
    assert path.evaluations >= 32
    if method == "euler":
        assert path.evaluations == 32
        plain = as_continuous(network, steps=16, method="euler").trajectory(states, [3.0, 4.0])
        expected = network.states(states)[3:5]
        torch.testing.assert_close(list(plain.states), [part.detach() for part in expected])


def test_a_step_keeps_the_dtype_of_the_state():
    block = Autonomous(nn.Linear(3, 3))
    network = ResidualNetwork([block, Autonomous(nn.Linear(3, 3))])
    states = torch.ones(2, 3)
    for schedule in ("constant", "linear"):
        assert as_continuous(network, schedule)(states).dtype == torch.float32


class Wrong(nn.Module):
    def forward(self, time, state):
        return state[:, :1]


def different() -> list[nn.Module]:
    return [layer(4), Autonomous(nn.Sequential(nn.Linear(4, 5), nn.Linear(5, 4)).double())]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Depth(layer(), (1.0, 1.0)), "end after it starts; it goes from 1 to 1"),
        (lambda: Depth(layer(), (1.0, 0.0)), "end after it starts"),
        (lambda: Depth(layer(), (0.0, math.inf)), "finite"),
        (lambda: Depth(layer(), (0.0, 1.0, 2.0)), "two numbers"),
        (lambda: Depth(layer(), steps=0), "at least 1; it is 0"),
        (lambda: Depth(layer(), steps=1.5), "whole number"),
        (lambda: Depth(layer(), method="rk5"), "method 'rk5' is unknown; known are"),
        (lambda: Depth(layer(), gradient="symbolic"), "gradient 'symbolic' is unknown"),
        (lambda: Depth(lambda time, state: state), "torch module"),
        (lambda: Depth(layer()).as_residual(0), "at least 1"),
        (lambda: Depth(Wrong())(start_of()), r"gave shape \(5, 1\)"),
        (lambda: ResidualNetwork([Wrong()])(start_of()), r"block 0 gave shape \(5, 1\)"),
        (lambda: ResidualNetwork([]), "at least one block"),
        (lambda: as_continuous(ResidualNetwork(different())), "block 1: 'layer.0.bias' is"),
        (lambda: WeightSchedule([layer()], (0.0, 1.0), "cubic"), "schedule 'cubic' is unknown"),
        (lambda: WeightSchedule([], (0.0, 1.0)), "at least one block"),
        (lambda: Depth(WeightSchedule([layer()], (0.0, 1.0)), (0.0, 2.0)), "must be the same"),
        (lambda: Depth(layer()).trajectory(start_of(), [0.5, 0.5]), "times must increase"),
        (lambda: Depth(layer()).trajectory(start_of(), [0.5, 1.5]), "within the interval"),
        (lambda: Depth(layer())(torch.ones(2, 4, dtype=torch.int64)), "floating-point"),
    ],
)
def test_bad_input_is_told_in_one_sentence(make, message):
    with pytest.raises(InputError, match=message) as told:
        make()
    assert "\n" not in str(told.value)

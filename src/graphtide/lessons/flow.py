"""Flows on one small problem: two moons inside a ring, and what happens when a step is halved.

Coupling and residual flows are steps of a differential equation that were trained at one size of
step; continuous and Hamiltonian flows are the equation itself. So the first change when each step
is cut in two, the last keep their likelihood up to the error of their method:

    residual      x + g(x)            ->  x + g/2, twice
    coupling      kick, drift         ->  half a kick, half a drift, twice
    continuous    Runge-Kutta 4 with h ->  with h/2
    Hamiltonian   leapfrog with h     ->  with h/2

Everything here is training and plain arrays; pages are made elsewhere.
"""

import copy
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from graphtide.errors import InputError
from graphtide.flows.bijection import Bijection, Composition
from graphtide.flows.continuous import ContinuousFlow
from graphtide.flows.coupling import AdditiveCoupling, AffineCoupling, Coupling, alternating_mask
from graphtide.flows.fields import MultilayerField
from graphtide.flows.flow import DiagonalNormal, Flow
from graphtide.flows.hamiltonian import HamiltonianFlow, Potential
from graphtide.flows.residual import ResidualFlow

__all__ = ["FlowLesson", "FlowResult", "Refinement", "flow_lesson", "moons_in_a_ring", "refined"]

Array = NDArray[np.float64]
_BATCH = 256


@dataclass(frozen=True, slots=True)
class Refinement:
    """A trained flow whose steps were cut into `factor` equal ones, without training again.

    Args:
        factor: 1 for the flow as it was trained.
        log_likelihood: mean over the held-out points, in nats.
        inverse_error: largest |T^-1(T(x)) - x| over 500 held-out points, in float32.
    """

    factor: int
    log_likelihood: float
    inverse_error: float


@dataclass(frozen=True, slots=True)
class FlowResult:
    """One trained flow.

    Args:
        name: its kind in plain words.
        parameters: number of trained numbers.
        seconds: wall time of training.
        losses: negative log-likelihood of each training batch (S,), in nats.
        log_likelihood: mean over the held-out points, in nats.
        standard_error: of that mean.
        density: on the grid of the lesson (G, G), first index the first coordinate.
        path: places of some held-out points through depth (L + 1, P, 2), from data to base.
        refinements: the flow with its steps cut into 1, 2 and 4.
    """

    name: str
    parameters: int
    seconds: float
    losses: Array
    log_likelihood: float
    standard_error: float
    density: Array
    path: Array
    refinements: tuple[Refinement, ...]


@dataclass(frozen=True, slots=True)
class FlowLesson:
    """The problem and all flows trained on it.

    Args:
        points: training points (M, 2), standardised.
        axis: coordinates of the grid of the densities along each axis (G,).
        normal_log_likelihood: of the held-out points under the best normal distribution, in nats.
        results: one for each kind of flow.
    """

    points: Array
    axis: Array
    normal_log_likelihood: float
    results: tuple[FlowResult, ...]


def moons_in_a_ring(count: int, random: np.random.Generator) -> Array:
    """Return points (count, 2): two half circles that face each other, and a ring around both.

    A third of the points each; radii 1, 1 and 2.5, normal noise of deviation 0.1.
    """
    kind = random.integers(0, 3, count)
    angle = random.uniform(0.0, math.pi, count) * np.where(kind == 2, 2.0, 1.0)
    radius = np.where(kind == 2, 2.5, 1.0)
    sign = np.where(kind == 1, -1.0, 1.0)
    x = sign * (radius * np.cos(angle) - np.where(kind == 2, 0.0, 0.5))
    y = sign * (radius * np.sin(angle) - np.where(kind == 2, 0.0, 0.25))
    return np.stack([x, y], axis=1) + 0.1 * random.standard_normal((count, 2))


def flow_lesson(
    *, seed: int = 0, share: float = 1.0, kinds: Sequence[str] | None = None
) -> FlowLesson:
    """Train every kind of flow on two moons in a ring; about 40 seconds on two cores.

    Args:
        seed: of points, parameters and batches.
        share: of the full number of training steps, for a shorter lesson.
        kinds: names of the kinds to train; None for all five.

    Raises:
        InputError: the share is not positive, or a kind is unknown.
    """
    if not share > 0:
        raise InputError(f"share must be positive; it is {share:g}")
    chosen = list(_KINDS) if kinds is None else list(kinds)
    for name in chosen:
        if name not in _KINDS:
            raise InputError(f"flow {name!r} is unknown; known are {', '.join(_KINDS)}")
    random = np.random.default_rng(seed)
    train, held_out = moons_in_a_ring(4_000, random), moons_in_a_ring(2_000, random)
    mean, deviation = train.mean(0), train.std(0)
    train, held_out = (train - mean) / deviation, (held_out - mean) / deviation
    normal = -0.5 * (held_out**2).sum(1) - math.log(2.0 * math.pi)
    axis = np.linspace(-2.5, 2.5, 100)
    results: list[FlowResult] = []
    with torch.random.fork_rng(devices=[]):
        for name in chosen:
            make, steps, rate = _KINDS[name]
            torch.manual_seed(seed)
            flow = make()
            begun = time.perf_counter()
            losses = _train(flow, train, max(1, round(share * steps)), rate, seed)
            seconds = time.perf_counter() - begun
            results.append(_looked_at(name, flow, held_out, axis, losses, seconds))
    return FlowLesson(train, axis, float(normal.mean()), tuple(results))


def refined(bijection: Bijection, factor: int) -> Bijection:
    """Return a trained flow with every step cut into `factor` equal ones; parameters are shared.

    Raises:
        InputError: the kind has no step, or the factor is not positive.
    """
    if factor < 1:
        raise InputError(f"a factor of at least 1 is wanted; it is {factor}")
    if isinstance(bijection, ContinuousFlow) and bijection.step is not None:
        made = copy.copy(bijection)
        made.step = bijection.step / factor
        return made
    if isinstance(bijection, HamiltonianFlow):
        made = copy.copy(bijection)
        made.steps = bijection.steps * factor
        return made
    if isinstance(bijection, ResidualFlow):
        return bijection.refined(factor)
    if isinstance(bijection, Composition):
        parts = list(bijection.parts)
        if all(isinstance(part, Coupling) for part in parts):
            pairs = [parts[index : index + 2] for index in range(0, len(parts), 2)]
            return Composition(
                [_weakened(part, factor) for pair in pairs for _ in range(factor) for part in pair]
            )
        return Composition([refined(part, factor) for part in _bijections(bijection)])
    raise InputError(f"{type(bijection).__name__} has no step that could be cut")


def _coupling(kind: type[AdditiveCoupling | AffineCoupling]) -> Flow:
    parts = [
        kind(alternating_mask(2, odd=bool(index % 2)), hidden=(64, 64), activation=nn.Tanh)
        for index in range(8)
    ]
    return Flow(Composition(parts), DiagonalNormal(2))


def _residual() -> Flow:
    parts = [ResidualFlow(2, hidden=(48, 48), lipschitz=0.95) for _ in range(8)]
    return Flow(Composition(parts), DiagonalNormal(2))


def _continuous() -> Flow:
    field = MultilayerField(2, hidden=(64, 64))
    return Flow(ContinuousFlow(field, 2, method="rk4", step=1 / 8), DiagonalNormal(2))


def _hamiltonian() -> Flow:
    kinetic, potential = (Potential(1, hidden=64, frequencies=4) for _ in range(2))
    bijection = HamiltonianFlow(2, kinetic, potential, interval=(0.0, 2.0), steps=12)
    return Flow(bijection, DiagonalNormal(2))


# The maker, the number of training steps and the learning rate of each kind.
_KINDS: dict[str, tuple[Callable[[], Flow], int, float]] = {
    "additive coupling": (lambda: _coupling(AdditiveCoupling), 600, 3e-3),
    "affine coupling": (lambda: _coupling(AffineCoupling), 600, 3e-3),
    "residual": (_residual, 260, 5e-3),
    "continuous": (_continuous, 220, 5e-3),
    "hamiltonian": (_hamiltonian, 360, 1e-2),
}


def _train(flow: Flow, points: Array, steps: int, rate: float, seed: int) -> Array:
    """Minimise the negative log-likelihood; return the loss of each batch (S,)."""
    data = torch.tensor(points, dtype=torch.get_default_dtype())
    batches = torch.Generator().manual_seed(seed)
    optimiser = torch.optim.Adam(flow.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, steps)
    losses: list[Tensor] = []
    for _ in range(steps):
        chosen = torch.randint(0, len(data), (_BATCH,), generator=batches)
        loss = -flow.log_prob(data[chosen]).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        losses.append(loss.detach())
    return torch.stack(losses).double().numpy()


@torch.no_grad()
def _looked_at(
    name: str, flow: Flow, points: Array, axis: Array, losses: Array, seconds: float
) -> FlowResult:
    """Return everything that is shown of a trained flow."""
    held_out = torch.tensor(points, dtype=torch.get_default_dtype())
    line = torch.tensor(axis, dtype=held_out.dtype)
    log_prob = flow.log_prob(held_out).double()
    density = flow.log_prob(torch.cartesian_prod(line, line)).exp().double()
    refinements: list[Refinement] = []
    for factor in (1, 2, 4):
        finer = Flow(refined(flow.bijection, factor), flow.base)
        some = held_out[:500]
        error = (finer.bijection.inverse(finer.bijection(some)[0]) - some).abs().max()
        value = finer.log_prob(held_out).double().mean()
        refinements.append(Refinement(factor, float(value), float(error)))
    return FlowResult(
        name=name,
        parameters=sum(parameter.numel() for parameter in flow.parameters()),
        seconds=seconds,
        losses=losses,
        log_likelihood=float(log_prob.mean()),
        standard_error=float(log_prob.std()) / math.sqrt(len(log_prob)),
        density=density.view(len(axis), -1).numpy(),
        path=_path(flow.bijection, held_out[:200]).double().numpy(),
        refinements=tuple(refinements),
    )


def _path(bijection: Bijection, x: Tensor) -> Tensor:
    """Return the places of points after each step (L + 1, P, 2)."""
    if isinstance(bijection, ContinuousFlow):
        return bijection.path(x, np.linspace(*bijection.interval, 17))
    if isinstance(bijection, HamiltonianFlow):
        return bijection.path(x)
    places = [x]
    for part in _bijections(bijection):
        places.append(part(places[-1])[0])
    return torch.stack(places)


def _bijections(bijection: Bijection) -> Iterator[Bijection]:
    if not isinstance(bijection, Composition):
        yield bijection
        return
    for part in bijection.parts:
        assert isinstance(part, Bijection)
        yield part


class _Weaker(nn.Module):
    """A conditioner whose outputs are divided."""

    def __init__(self, conditioner: nn.Module, factor: int) -> None:
        super().__init__()
        self.conditioner, self.factor = conditioner, factor

    def forward(self, given: Tensor) -> Tensor:
        return self.conditioner(given) / self.factor


def _weakened(part: nn.Module, factor: int) -> Coupling:
    """Return a coupling with its shift and log-scale divided by `factor`."""
    assert isinstance(part, Coupling)
    made = copy.copy(part)
    made._modules = dict(part._modules)  # a copy shares its modules' table with the original
    made.conditioner = _Weaker(part.conditioner, factor)
    return made

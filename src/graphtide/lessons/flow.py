"""Flows on one small problem: two moons inside a ring, and what happens when a step is halved.

Coupling and residual flows are steps of a differential equation that were trained at one size of
step; continuous and Hamiltonian flows are the equation itself. So the first change when each step
is cut in two, the last keep their likelihood up to the error of their method:

    residual      x + g(x)            ->  x + g/2, twice
    coupling      kick, drift         ->  half a kick, half a drift, twice
    continuous    Runge-Kutta 4 with h ->  with h/2
    Hamiltonian   leapfrog with h     ->  with h/2

A kick and a drift are additive couplings: a pair of them is one half of a leapfrog step.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator

import numpy as np
import pandas
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
from graphtide.lessons.lesson import Lesson, Progress, descend, parameter_count, part_of

__all__ = ["moons_in_a_ring", "refined", "teach"]

Array = NDArray[np.float64]

BATCH = 256
FACTORS = (1, 2, 4)
"""Numbers of equal steps that each step of a trained flow is cut into."""
INVERTED = 500
"""Number of held-out points that are carried to the base and back."""
SHOWN = 90
"""Number of held-out points whose paths are kept."""


def teach(seed: int = 0, *, descents: int = 600, progress: Progress) -> Lesson:
    """Train every kind of flow, look at its density and paths, and halve its steps.

    Args:
        seed: of the points, of all weights and of the batches.
        descents: of the training of a coupling flow; the other kinds take longer a descent and are
            given a part of it.
        progress: told how far the work is.

    Raises:
        ComputationError: a training diverged.
    """
    random = np.random.default_rng(seed)
    (train, _), (held_out, shape) = (moons_in_a_ring(count, random) for count in (4_000, 2_000))
    mean, deviation = train.mean(0), train.std(0)
    train, held_out = (train - mean) / deviation, (held_out - mean) / deviation
    normal = _normal_log_prob(train, held_out)
    metrics: dict[str, object] = {
        "log_likelihood_normal": float(normal.mean()),
        "standard_error_normal": _standard_error(normal),
    }
    axis = np.linspace(-2.75, 2.75, 81)
    arrays = {"points": held_out, "shape": shape, "axis": axis}
    rows: list[dict[str, object]] = []
    losses: list[pandas.DataFrame] = []
    halving: list[dict[str, object]] = []
    points = torch.tensor(held_out, dtype=torch.get_default_dtype())
    line = torch.tensor(axis, dtype=points.dtype)
    with torch.random.fork_rng(devices=[]):
        for index, (name, (make, share, rate)) in enumerate(KINDS.items()):
            part = part_of(progress, index / len(KINDS), (index + 1) / len(KINDS))
            torch.manual_seed(seed)
            flow = make()
            steps = max(1, round(share * descents))
            seconds, loss = _train(flow, train, steps, rate, seed, name, part)
            counted = {"network": name, "descent": np.arange(len(loss)), "loss": loss}
            losses.append(pandas.DataFrame(counted))
            with torch.no_grad():
                part(0.9, f"halving steps: {name}")
                halving.extend(
                    {"network": name} | _refinement(flow, factor, points) for factor in FACTORS
                )
                density = flow.log_prob(torch.cartesian_prod(line, line)).exp()
                arrays[f"density_{name}"] = density.view(len(axis), -1).T.numpy()
                base = flow.base
                assert isinstance(base, DiagonalNormal)
                arrays[f"base_{name}"] = torch.stack([base.mean, base.log_deviation.exp()]).numpy()
                arrays[f"path_{name}"] = _path(flow.bijection, points[:SHOWN]).numpy()
            trained = halving[-len(FACTORS)]
            found = {key: trained[key] for key in ("log_likelihood", "standard_error")}
            count = parameter_count(flow)
            rows.append({"network": name, **found, "parameters": count, "seconds": seconds})
            metrics |= {f"{key}_{_key(name)}": value for key, value in found.items()}
    for row in halving:
        if row["factor"] != 1:
            key = f"log_likelihood_{_key(str(row['network']))}_step_over_{row['factor']}"
            metrics[key] = row["log_likelihood"]
    tables = {
        "networks": pandas.DataFrame(rows),
        "losses": pandas.concat(losses),
        "halving": pandas.DataFrame(halving),
    }
    return Lesson(metrics, tables, arrays)


def moons_in_a_ring(count: int, random: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Return points (count, 2) of two half circles that face each other and a ring around both.

    A third of the points each; radii 1, 1 and 2.5, normal noise of deviation 0.1.

    Returns:
        The points, and for each 0 or 1 for its moon and 2 for the ring (count,).
    """
    kind = random.integers(0, 3, count)
    angle = random.uniform(0.0, math.pi, count) * np.where(kind == 2, 2.0, 1.0)
    radius = np.where(kind == 2, 2.5, 1.0)
    sign = np.where(kind == 1, -1.0, 1.0)
    x = sign * (radius * np.cos(angle) - np.where(kind == 2, 0.0, 0.5))
    y = sign * (radius * np.sin(angle) - np.where(kind == 2, 0.0, 0.25))
    return np.stack([x, y], axis=1) + 0.1 * random.standard_normal((count, 2)), kind


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


# The maker, the share of the descents and the learning rate of each kind.
KINDS: dict[str, tuple[Callable[[], Flow], float, float]] = {
    "additive coupling": (lambda: _coupling(AdditiveCoupling), 1.0, 3e-3),
    "affine coupling": (lambda: _coupling(AffineCoupling), 1.0, 3e-3),
    "residual": (_residual, 0.43, 5e-3),
    "continuous": (_continuous, 0.37, 5e-3),
    "Hamiltonian": (_hamiltonian, 0.6, 1e-2),
}


def _train(
    flow: Flow, points: Array, steps: int, rate: float, seed: int, name: str, progress: Progress
) -> tuple[float, Array]:
    """Minimise the negative log-likelihood; return seconds, and the loss of each batch (S + 1,)."""
    data = torch.tensor(points, dtype=torch.get_default_dtype())
    batches = torch.Generator().manual_seed(seed)
    losses: list[Tensor] = []

    def loss() -> Tensor:
        chosen = torch.randint(0, len(data), (BATCH,), generator=batches)
        value = -flow.log_prob(data[chosen]).mean()
        losses.append(value.detach())
        return value

    seconds = descend(
        flow,
        loss,
        steps=steps,
        rate=rate,
        progress=lambda share: progress(0.9 * share, f"training: {name}"),
    )
    return seconds, torch.stack(losses).double().numpy()


def _refinement(flow: Flow, factor: int, held_out: Tensor) -> dict[str, object]:
    """Return how well a flow does with its steps cut: mean log-likelihood, largest error back."""
    bijection = refined(flow.bijection, factor)
    values = Flow(bijection, flow.base).log_prob(held_out).double().numpy()
    some = held_out[:INVERTED]
    error = (bijection.inverse(bijection(some)[0]) - some).abs().max()
    return {
        "factor": factor,
        "log_likelihood": float(values.mean()),
        "standard_error": _standard_error(values),
        "inverse_error": float(error),
    }


def _normal_log_prob(train: Array, points: Array) -> Array:
    """Return log-densities (M,) of the normal distribution of greatest likelihood on `train`."""
    covariance = np.cov(train, rowvar=False, bias=True)
    away = points - train.mean(0)
    squares = (away * np.linalg.solve(covariance, away.T).T).sum(1)
    return -0.5 * (squares + np.linalg.slogdet(2.0 * math.pi * covariance)[1])


def _standard_error(values: Array) -> float:
    """Return the standard error of the mean of values."""
    return float(values.std(ddof=1)) / math.sqrt(len(values))


def _key(name: str) -> str:
    return name.replace(" ", "_")


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

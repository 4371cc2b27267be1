"""Lesson: what a numerical method costs, what it errs, and what it keeps.

    stiff         dy/dt = -L (y - g(t)) + g'(t),  g = (cos t, sin t),  L = 1000: y = g(t) is exact
    Hamiltonian   dq/dt = p,  dp/dt = -sin q: H = p^2 / 2 - cos q is kept

Every method solves both at several steps or tolerances; cost is counted in evaluations of the
right-hand side. Then the pendulum is learned from pairs of states 0.4 apart, as

    plain          x <- g(x)
    residual       x <- x + f(x)
    differential   dx/dt = f(x), Runge-Kutta of order 4
    Hamiltonian    dq/dt = v(p), dp/dt = f(q), leapfrog

and each is run far beyond what it saw. The stiff problem is that of Prothero and Robinson,
Mathematics of Computation 28 (1974).
"""

from __future__ import annotations

import math

import numpy as np
import pandas
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from graphtide.errors import ComputationError
from graphtide.lessons.lesson import Lesson, Progress, descend, parameter_count, part_of
from graphtide.nn.depth import Depth
from graphtide.nn.residual import Autonomous
from graphtide.ode.methods import METHODS
from graphtide.ode.solve import solve
from graphtide.ode.stepping import RightHandSide
from graphtide.ode.symplectic import SeparableSystem

__all__ = ["teach"]

DTYPE = torch.float64
STIFFNESS = 1000.0
STIFF_TIME = 2.0
PENDULUM_TIME = 20.0
LONG_TIME = 400.0
APART = 0.4
"""Time between the two states of a pair that is learned from."""
ROLL_OUT = 500
TOLERANCES = (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8)
STIFF_METHODS: dict[str, tuple[int, ...]] = {
    "euler": (1200, 2400, 4800),  # numbers of steps; below 1000 it is unstable
    "rk4": (800, 1600, 3200),
    "dormand_prince5": (),
    "runge_kutta_chebyshev": (),
    "kennedy_carpenter4": (),
}
PENDULUM_METHODS: dict[str, tuple[int, ...]] = {
    "euler": (400, 1600, 6400),
    "leapfrog": (100, 200, 400, 800, 1600, 3200),
    "yoshida4": (100, 200, 400, 800, 1600),
    "rk4": (50, 100, 200, 400, 800),
    "dormand_prince5": (),
    "dormand_prince8": (),
}
DRIFT_METHODS: dict[str, int] = {"euler": 4, "rk4": 1, "leapfrog": 4, "yoshida4": 1}
"""Methods run for long, with steps in a time of 0.8: about as many evaluations each."""


def teach(seed: int = 0, *, descents: int = 1000, progress: Progress) -> Lesson:
    """Measure the methods on both systems, then learn the pendulum in four ways.

    Args:
        seed: of the pairs and of all weights; the methods involve no chance.
        descents: of the training of each network.
        progress: told how far the work is.
    """
    progress(0.0, "solving a stiff system")
    work = _stiff_work()
    progress(0.3, "solving a pendulum")
    swing = _pendulum_work()
    drift, drifts = _drift()
    networks, seconds = _train(seed, descents, part_of(progress, 0.45, 0.85))
    progress(0.85, "running what was learned")
    rows, arrays = _roll_out(networks, seconds, seed)
    halving = _halve(networks["differential"], seed)
    metrics: dict[str, object] = {}
    for system, measured in (("stiff", work), ("pendulum", swing)):
        for method, evaluations in _cost(measured, 1e-4).items():
            metrics[f"evaluations_{system}_{method}"] = evaluations
    for row in rows:
        metrics[f"energy_error_{row['network']}"] = row["energy_error"]
        metrics[f"error_one_step_{row['network']}"] = row["error"]
    tables = {
        "work": pandas.DataFrame(work + swing),
        "drifts": pandas.DataFrame(drifts),
        "networks": pandas.DataFrame(rows),
        "halving": halving,
    }
    return Lesson(metrics, tables, drift | arrays)


def pendulum_force(_time: Tensor, position: Tensor) -> Tensor:
    """Return dp/dt = -sin q."""
    return -torch.sin(position)


PENDULUM = SeparableSystem(velocity=lambda _time, momentum: momentum, force=pendulum_force)


def energy(state: Tensor) -> Tensor:
    """Return H = p^2 / 2 - cos q for states (..., 2)."""
    return 0.5 * state[..., 1].square() - torch.cos(state[..., 0])


def _precise(start: Tensor, times: ArrayLike) -> Tensor:
    """Return the states (T, ..., 2) of the pendulum to twelve digits."""
    return solve(
        PENDULUM,
        start,
        times,
        method="dormand_prince8",
        relative_tolerance=1e-13,
        absolute_tolerance=1e-13,
    ).states


def _relaxation(time: Tensor, state: Tensor) -> Tensor:
    cosine, sine = torch.cos(time), torch.sin(time)
    goal, slope = torch.stack([cosine, sine]), torch.stack([-sine, cosine])
    return -STIFFNESS * (state - goal) + slope


def _stiff_work() -> list[dict[str, object]]:
    start = torch.tensor([1.0, 0.0], dtype=DTYPE)
    exact = torch.tensor([math.cos(STIFF_TIME), math.sin(STIFF_TIME)], dtype=DTYPE)
    return _work("stiff", _relaxation, start, STIFF_TIME, exact, STIFF_METHODS)


def _pendulum_work() -> list[dict[str, object]]:
    start = torch.tensor([1.2, 0.0], dtype=DTYPE)
    exact = _precise(start, [0.0, PENDULUM_TIME])[-1]
    return _work("pendulum", PENDULUM, start, PENDULUM_TIME, exact, PENDULUM_METHODS)


def _work(
    system: str,
    rhs: RightHandSide,
    start: Tensor,
    stop: float,
    exact: Tensor,
    methods: dict[str, tuple[int, ...]],
) -> list[dict[str, object]]:
    """Return the error at the last time and the evaluations of each method and setting."""
    rows: list[dict[str, object]] = []
    for method, counts in methods.items():
        settings = [("steps", float(n)) for n in counts] or [("tolerance", t) for t in TOLERANCES]
        for kind, value in settings:
            step = stop / value if kind == "steps" else None
            tolerance = value if kind == "tolerance" else 1e-6
            try:
                solution = solve(
                    rhs,
                    start,
                    [0.0, stop],
                    method=method,
                    step=step,
                    relative_tolerance=tolerance,
                    absolute_tolerance=tolerance,
                )
            except ComputationError:  # an unstable step, which is what the table then says
                error, evaluations = math.nan, 0
            else:
                error = float((solution.states[-1] - exact).norm() / exact.norm())
                evaluations = solution.statistics.evaluations
            rows.append(
                {
                    "system": system,
                    "method": method,
                    "setting": kind,
                    "value": value,
                    "evaluations": evaluations,
                    "error": error,
                }
            )
    return rows


def _cost(work: list[dict[str, object]], error: float) -> dict[str, float]:
    """Return the evaluations of the cheapest run within an error, nan where there is none."""
    costs: dict[str, float] = {}
    for row in work:
        method, evaluations = str(row["method"]), float(str(row["evaluations"]))
        reached = float(str(row["error"])) <= error
        costs.setdefault(method, math.nan)
        if reached and not costs[method] <= evaluations:  # also where nothing is known yet
            costs[method] = evaluations
    return costs


def _drift() -> tuple[dict[str, np.ndarray], list[dict[str, object]]]:
    """Return H - H(0) through a long time, for methods of about equal cost."""
    start = torch.tensor([1.2, 0.0], dtype=DTYPE)
    times = np.arange(0.0, LONG_TIME + 1e-9, 0.8)
    arrays, rows = {"drift_times": times}, []
    for method, parts in DRIFT_METHODS.items():
        solution = solve(PENDULUM, start, times, method=method, step=0.8 / parts)
        change = energy(solution.states) - energy(start)
        arrays[f"drift_{method}"] = change.numpy()
        rows.append(
            {
                "method": method,
                "order": METHODS[method](1e-6, 1e-8).order,
                "evaluations": solution.statistics.evaluations,
                "largest": float(change.abs().max()),
                "at_the_end": float(change[-1].abs()),
            }
        )
    return arrays, rows


class _Map(nn.Module):
    """x <- g(x), or x <- x + f(x)."""

    def __init__(self, layers: nn.Module, *, residual: bool) -> None:
        super().__init__()
        self.layers, self.residual = layers, residual

    def forward(self, state: Tensor) -> Tensor:
        change = self.layers(state)
        return state + change if self.residual else change


def _perceptron(size: int, width: int) -> nn.Module:
    return nn.Sequential(nn.Linear(size, width), nn.Tanh(), nn.Linear(width, size))


def _pairs(count: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return swinging states (K, 2) and those a time `APART` later."""
    generator = torch.Generator().manual_seed(seed)
    drawn = 2.0 * torch.rand(8 * count, 2, generator=generator, dtype=DTYPE) - 1.0
    drawn = drawn * torch.tensor([2.0, 1.6], dtype=DTYPE)
    states = drawn[energy(drawn) < 0.4][:count]  # below the top, where H = 1
    return states, _precise(states, [0.0, APART])[-1]


def _train(
    seed: int, descents: int, progress: Progress
) -> tuple[dict[str, nn.Module], dict[str, float]]:
    torch.manual_seed(seed)
    system = SeparableSystem(
        velocity=Autonomous(_perceptron(1, 24)).to(DTYPE),
        force=Autonomous(_perceptron(1, 24)).to(DTYPE),
    )
    networks: dict[str, nn.Module] = {
        "plain": _Map(_perceptron(2, 32), residual=False),
        "residual": _Map(_perceptron(2, 32), residual=True),
        "differential": Depth(Autonomous(_perceptron(2, 32)), (0.0, APART), 1, "rk4"),
        "Hamiltonian": Depth(system, (0.0, APART), 2, "leapfrog", gradient="reversible"),
    }
    states, later = _pairs(300, seed)
    seconds = {}
    for index, (name, network) in enumerate(networks.items()):
        network.to(DTYPE)
        part = part_of(progress, index / len(networks), (index + 1) / len(networks))
        seconds[name] = descend(
            network,
            lambda network=network: (network(states) - later).square().mean(),
            steps=descents,
            rate=0.01,
            progress=lambda share, name=name, part=part: part(share, f"training: {name}"),
        )
    return networks, seconds


@torch.no_grad()
def _roll_out(
    networks: dict[str, nn.Module], seconds: dict[str, float], seed: int
) -> tuple[list[dict[str, object]], dict[str, np.ndarray]]:
    """Return errors and energies of what was learned, run far beyond a pair."""
    states, later = _pairs(300, seed + 1)
    start = torch.tensor([1.2, 0.0], dtype=DTYPE)
    times = APART * np.arange(ROLL_OUT + 1)
    arrays = {"roll_times": times, "roll_truth": _precise(start, times).numpy()}
    rows: list[dict[str, object]] = []
    for name, network in networks.items():
        path = [start]
        for _ in range(ROLL_OUT):
            path.append(network(path[-1]))
        run = torch.stack(path)
        arrays[f"roll_{name}"] = run.numpy()
        change = energy(run) - energy(start)
        arrays[f"energy_{name}"] = change.numpy()
        rows.append(
            {
                "network": name,
                "parameters": parameter_count(network),
                "error": float((network(states) - later).square().mean().sqrt()),
                "energy_error": float(change.abs().max()),
                "energy_at_the_end": float(change[-1].abs()),
                "seconds": seconds[name],
            }
        )
    return rows, arrays


@torch.no_grad()
def _halve(network: nn.Module, seed: int) -> pandas.DataFrame:
    """Return the distance of the learned differential network to its own limit, and to the truth.

    It was trained with one step of order 4; the steps are halved, and other methods tried.
    """
    assert isinstance(network, Depth)
    states, later = _pairs(300, seed + 1)
    limit = network.refined(
        method="dormand_prince8", relative_tolerance=1e-13, absolute_tolerance=1e-13
    )(states)
    rows = []
    for method in ("euler", "midpoint", "rk4"):
        for steps in (1, 2, 4, 8, 16):
            said = network.refined(steps=steps, method=method)(states)
            rows.append(
                {
                    "method": method,
                    "steps": steps,
                    "difference": float((said - limit).square().mean().sqrt()),
                    "error": float((said - later).square().mean().sqrt()),
                }
            )
    return pandas.DataFrame(rows)

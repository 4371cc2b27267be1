"""Lesson: depth is time. Two spirals, told apart by a plain, a residual and a differential network.

    plain          h <- tanh(W_l h + b_l)            16 layers
    residual       h <- h + tanh(W_l h + b_l)        16 layers: Euler steps of size one
    differential   dh/dt = V tanh(W [h, t] + b)      an adaptive method, 0 <= t <= 1

The trained residual network is then read as a differential equation, its step is halved again and
again, and the distance to the limit is measured for methods of several orders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pandas
import torch
from torch import Tensor, nn

from graphtide.lessons.lesson import Lesson, Progress, descend, parameter_count, part_of
from graphtide.nn.depth import Depth, as_continuous, refine
from graphtide.nn.residual import Autonomous, ResidualNetwork

__all__ = ["teach", "two_spirals"]

LAYERS = 16
WIDTH = 8
POINTS = 240
DTYPE = torch.float64
"""Differences between methods of order five are seen in float64 only."""
METHODS = ("euler", "midpoint", "rk4", "dormand_prince5")
STEPS = (16, 32, 64, 128, 256)


def teach(seed: int = 0, *, descents: int = 300, progress: Progress) -> Lesson:
    """Train the three networks, and refine what was trained.

    Args:
        seed: of the points and of all weights.
        descents: of the training of each network.
        progress: told how far the work is.
    """
    generator = torch.Generator().manual_seed(seed)
    train, test = two_spirals(POINTS, generator), two_spirals(2 * POINTS, generator)
    networks = _networks(seed)
    seconds = {}
    for index, (name, network) in enumerate(networks.items()):
        part = part_of(progress, 0.25 * index, 0.25 * (index + 1))

        def loss(network: _Classifier = network) -> Tensor:
            return nn.functional.binary_cross_entropy_with_logits(network(train.points), train.side)

        seconds[name] = descend(
            network,
            loss,
            steps=descents,
            rate=0.02,
            weight_decay=0.5,
            progress=lambda share, name=name, part=part: part(share, f"training: {name}"),
        )
    with torch.no_grad():
        rows = [
            {
                "network": name,
                "parameters": parameter_count(network),
                "test_accuracy": network.accuracy(test),
                "train_loss": float(
                    nn.functional.binary_cross_entropy_with_logits(
                        network(train.points), train.side
                    )
                ),
                "seconds": seconds[name],
            }
            for name, network in networks.items()
        ]
        progress(0.8, "halving steps")
        orders, accuracies = _halve(networks, test)
        progress(0.95, "drawing")
        arrays = _pictures(networks, test)
    metrics: dict[str, object] = {
        f"accuracy_{row['network']}": row["test_accuracy"] for row in rows
    }
    metrics |= _slopes(orders)
    halved = accuracies.set_index(["network", "steps"])["accuracy"].to_dict()
    metrics["accuracy_residual_step_halved"] = halved["residual, constant", 2 * LAYERS]
    tables = {"networks": pandas.DataFrame(rows), "orders": orders, "accuracies": accuracies}
    return Lesson(metrics, tables, arrays)


def _slopes(orders: pandas.DataFrame) -> dict[str, float]:
    """Return log-log slopes over the three smallest steps, weights piecewise constant."""
    slopes = {}
    for method in METHODS:
        rows = orders[(orders["schedule"] == "constant") & (orders["method"] == method)][-3:]
        logs = np.log(np.asarray(rows[["step", "difference"]], dtype=float))
        slopes[f"order_{method}"] = float(np.polyfit(logs[:, 0], logs[:, 1], deg=1)[0])
    return slopes


@dataclass(frozen=True, slots=True)
class Spirals:
    """Points (K, 2) of two spirals, and on which one each lies, (K, 1), zero or one."""

    points: Tensor
    side: Tensor


def two_spirals(count: int, generator: torch.Generator) -> Spirals:
    """Draw points of two arms that wind about each other, with noise of 0.04."""
    share = torch.rand(count, 1, generator=generator, dtype=DTYPE).sqrt()
    side = (torch.arange(count) % 2).to(DTYPE)[:, None]
    angle = 2.5 * math.pi * share + math.pi * side
    arm = (0.15 + 1.35 * share) * torch.cat([angle.cos(), angle.sin()], dim=1)
    noise = 0.04 * torch.randn(count, 2, generator=generator, dtype=DTYPE)
    return Spirals(arm + noise, side)


class _Classifier(nn.Module):
    """Lift points to H numbers, carry them through depth, read one number off."""

    def __init__(self, body: nn.Module) -> None:
        super().__init__()
        self.lift = nn.Linear(2, WIDTH)
        self.body = body
        self.read = nn.Linear(WIDTH, 1)

    def forward(self, points: Tensor) -> Tensor:
        return self.read(self.body(self.lift(points)))

    def accuracy(self, data: Spirals, body: nn.Module | None = None) -> float:
        """Return the share told right, with another body between the same ends if given."""
        states = (body or self.body)(self.lift(data.points))
        return float(((self.read(states) > 0) == (data.side > 0.5)).double().mean())


class _Plain(nn.Module):
    """Layers without a way around them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_layer() for _ in range(LAYERS))

    def states(self, state: Tensor) -> list[Tensor]:
        states = [state]
        for layer in self.layers:
            states.append(layer(states[-1]))
        return states

    def forward(self, state: Tensor) -> Tensor:
        return self.states(state)[-1]


class _TimedField(nn.Module):
    """V tanh(W [h, t] + b)."""

    def __init__(self, width: int = 24) -> None:
        super().__init__()
        self.inner = nn.Linear(WIDTH + 1, width)
        self.outer = nn.Linear(width, WIDTH)

    def forward(self, time: Tensor, state: Tensor) -> Tensor:
        clock = time.to(state).expand(*state.shape[:-1], 1)
        return self.outer(torch.tanh(self.inner(torch.cat([state, clock], dim=-1))))


def _layer() -> nn.Module:
    return nn.Sequential(nn.Linear(WIDTH, WIDTH), nn.Tanh())


def _networks(seed: int) -> dict[str, _Classifier]:
    torch.manual_seed(seed)
    blocks = [Autonomous(_layer()) for _ in range(LAYERS)]
    with torch.no_grad():  # blocks that start alike and small: weights that vary slowly with depth
        for block in blocks:
            for mine, first in zip(block.parameters(), blocks[0].parameters(), strict=True):
                mine.copy_(first if block is not blocks[0] else 0.2 * first)
    bodies = {
        "plain": _Plain(),
        "residual": ResidualNetwork(blocks),
        "differential": Depth(
            _TimedField(),
            (0.0, 1.0),
            method="dormand_prince5",
            relative_tolerance=1e-3,
            absolute_tolerance=1e-4,
        ),
    }
    return {name: _Classifier(body).to(DTYPE) for name, body in bodies.items()}


def _halve(
    networks: dict[str, _Classifier], test: Spirals
) -> tuple[pandas.DataFrame, pandas.DataFrame]:
    """Return distances to the limit by method and step, and accuracies by number of Euler steps."""
    residual, differential = networks["residual"], networks["differential"]
    assert isinstance(residual.body, ResidualNetwork)
    assert isinstance(differential.body, Depth)
    states = residual.lift(test.points)
    order_rows, accuracy_rows = [], []
    for schedule in ("constant", "linear"):
        depth = as_continuous(residual.body, schedule)
        for method in METHODS:
            study = refine(depth, states, steps=STEPS, method=method)
            order_rows.extend(
                {
                    "schedule": schedule,
                    "method": method,
                    "steps": steps,
                    "step": size,
                    "difference": difference,
                }
                for steps, size, difference in zip(
                    study.steps, study.sizes, study.differences, strict=True
                )
            )
        accuracy_rows.extend(
            {
                "network": f"residual, {schedule}",
                "steps": steps,
                "accuracy": residual.accuracy(test, depth.refined(steps=steps, method="euler")),
            }
            for steps in STEPS
        )
    accuracy_rows.extend(
        {
            "network": "differential",
            "steps": steps,
            "accuracy": differential.accuracy(
                test, differential.body.refined(steps=steps, method="euler")
            ),
        }
        for steps in (1, 2, 4, 8, *STEPS)
    )
    return pandas.DataFrame(order_rows), pandas.DataFrame(accuracy_rows)


def _pictures(networks: dict[str, _Classifier], test: Spirals) -> dict[str, np.ndarray]:
    """Return decision fields over a grid, and paths of points through depth in two directions."""
    line = torch.linspace(-2.0, 2.0, 61, dtype=DTYPE)
    grid = torch.cartesian_prod(line, line)  # (61 * 61, 2), first the vertical coordinate
    count = 60
    arrays = {
        "grid": line.numpy(),
        "points": test.points.numpy(),
        "side": test.side[:, 0].numpy(),
        "path_side": test.side[:count, 0].numpy(),
    }
    for name, network in networks.items():
        chance = torch.sigmoid(network(grid.flip(1)))
        arrays[f"field_{name}"] = chance.view(len(line), len(line)).numpy()
        body, states = network.body, network.lift(test.points[:count])
        if isinstance(body, Depth):
            path = body.trajectory(states, np.linspace(*body.interval, 33)).states
        else:
            assert isinstance(body, _Plain | ResidualNetwork)
            path = torch.stack(body.states(states))
        arrays[f"path_{name}"] = _two_directions(path, network.read.weight[0]).numpy()
    return arrays


def _two_directions(path: Tensor, reading: Tensor) -> Tensor:
    """Return states (T, K, H) in two directions, (T, K, 2).

    The first is the one that the network reads, the second the one at a right angle to it in which
    the states spread most.
    """
    first = reading / reading.norm()
    flat = path.flatten(0, 1)
    rest = flat - flat.mean(0)
    rest = rest - (rest @ first)[:, None] * first
    second = torch.linalg.svd(rest, full_matrices=False).Vh[0]
    return path @ torch.stack([first, second], dim=1)

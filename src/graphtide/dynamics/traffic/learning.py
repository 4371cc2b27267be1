"""Roads learned from detectors: the diagrams of the cells from their densities and speeds.

What a detector reads is a density rho and the speed v of those who leave, so that the flow is
q = v rho. The cell transmission model predicts that flow from the densities alone, through four
numbers a cell (free speed, wave speed, jam density, capacity) and the capacity drop. They are the
nominal ones of the network times exp(a_k + b_ki): a_k is common to all cells, b_ki belongs to one
cell and is drawn to zero, so that a cell that never was congested takes what the others teach:

    minimise  mean_ti huber((q_ti - q_i(rho_t; a, b, drop)) / Q_i)
              + penalty (mean_ki b_ki^2 + (drop - nominal drop)^2 / 100)

The gradient goes through the model; the minimum is found by L-BFGS-B. No trajectory is integrated,
so neither the demand nor what entered between two readings need be known.

Reference:
    Dervisoglu, Gomes, Kwon, Horowitz & Varaiya, Automatic calibration of the fundamental diagram
        and empirical observations on capacity, TRB 88th annual meeting (2009).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.control.optimal import minimise_inputs
from graphtide.dynamics.traffic.cells import CellTransmission, Demand, Diagrams, RoadActuators
from graphtide.dynamics.traffic.metering import TrafficRun
from graphtide.errors import InputError
from graphtide.graph import Graph

__all__ = ["LearnedRoads", "RoadReadings", "learn_roads", "read_detectors"]

_LEARNED = ("free_speed", "wave_speed", "jam_density", "capacity")
_FARTHEST = 1.0
"""Numbers lie within a factor e of the nominal ones, common and own part each."""
_DROP = 0.01
"""Weight of the capacity drop's square beside that of the numbers of the cells."""
_KNEE = 0.05
"""Share of the capacity up to which an error of the flow counts squared."""


@dataclass(frozen=True, slots=True, eq=False)
class RoadReadings:
    """What detectors read at T times on N cells.

    Attributes:
        density: (T, N) vehicles/km.
        speed: (T, N) km/h of those who leave a cell; NaN where nothing was read.
        inputs: (T, M) meters and limits at these times; None where nothing was controlled.

    Raises:
        InputError: shapes differ, a density is missing or negative, or no speed was read.
    """

    density: np.ndarray
    speed: np.ndarray
    inputs: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Check shapes and values."""
        if self.density.ndim != 2 or self.density.shape != self.speed.shape:
            raise InputError(
                f"densities of shape {self.density.shape} and speeds of shape {self.speed.shape}: "
                "a row each time and a column each cell were expected of both"
            )
        if not (self.density >= 0).all():
            time, node = np.argwhere(~(self.density >= 0))[0]
            raise InputError(
                f"the density of cell {node} at reading {time} is {self.density[time, node]:g}; a "
                "number of at least 0 was expected at every cell"
            )
        if not np.isfinite(self.speed).any():
            raise InputError("no speed was read; at least one is needed to learn from")
        if self.inputs is not None and len(self.inputs) != len(self.density):
            raise InputError(
                f"{len(self.inputs)} rows of inputs for {len(self.density)} readings; as many were "
                "expected"
            )


@dataclass(frozen=True, slots=True, eq=False)
class LearnedRoads:
    """A road network with the numbers that its detectors speak for.

    Attributes:
        roads: the network, its node attributes replaced by the learned ones.
        capacity_drop: the learned one.
        flow_error: root mean square error of the flows, as a share of the nominal capacity.
        nominal_flow_error: the same of the nominal network.
    """

    roads: Graph
    capacity_drop: float
    flow_error: float
    nominal_flow_error: float

    def field(self, demand: Demand, actuators: RoadActuators | None = None) -> CellTransmission:
        """Return the law on the learned network: to predict, or to plan on."""
        return CellTransmission(self.roads, demand, actuators, capacity_drop=self.capacity_drop)


def read_detectors(
    field: CellTransmission, run: TrafficRun, *, noise: float = 0.0, seed: int = 0
) -> RoadReadings:
    """Return what detectors would read of simulated traffic.

    Args:
        field: the law that was driven.
        run: of `drive`.
        noise: relative standard deviation of every density and speed.
        seed: of the noise.
    """
    density = run.states[:-1, :, 0]
    with torch.no_grad():
        outflow, _ = field.flows(torch.tensor(density), torch.tensor(run.inputs))
    random = np.random.default_rng(seed)
    speed = np.full(density.shape, np.nan)
    np.divide(outflow.numpy(), density, out=speed, where=density > 0)
    factors = np.exp(noise * random.standard_normal((2, *density.shape)))
    return RoadReadings(density * factors[0], speed * factors[1], run.inputs)


def learn_roads(
    roads: Graph,
    readings: RoadReadings,
    actuators: RoadActuators | None = None,
    *,
    capacity_drop: float = 0.15,
    penalty: float = 0.01,
    iterations: int = 200,
) -> LearnedRoads:
    """Learn the diagrams of the cells from readings of densities and speeds.

    Args:
        roads: the network with nominal numbers, as of `CellTransmission`.
        readings: of all cells.
        actuators: where the inputs of the readings acted.
        capacity_drop: the nominal one.
        penalty: weight of the squares above.
        iterations: of L-BFGS-B at most.

    Raises:
        InputError: the readings are of another number of cells, or as of `CellTransmission`.
    """
    count = roads.node_count
    if readings.density.shape[1] != count:
        raise InputError(
            f"readings of {readings.density.shape[1]} cells; the network has {count} nodes"
        )
    idle = Demand(np.array([0.0, 1.0]), np.zeros((2, count)))
    field = CellTransmission(roads, idle, actuators, capacity_drop=capacity_drop)
    density = torch.tensor(readings.density)
    inputs = None if readings.inputs is None else torch.tensor(readings.inputs)
    known = torch.tensor(np.isfinite(readings.speed))
    flow = torch.tensor(np.where(known, readings.speed * readings.density, 0.0))
    nominal = field.diagrams

    def diagrams(numbers: Tensor) -> Diagrams:
        table = numbers[:-1].reshape(len(_LEARNED), count + 1)
        factors = torch.exp(table[:, :1] + table[:, 1:])
        rows = (
            getattr(nominal, name) * factor for name, factor in zip(_LEARNED, factors, strict=True)
        )
        return Diagrams(*rows, capacity_drop=numbers[-1, 0])

    def errors(numbers: Tensor) -> Tensor:
        """Return the errors of all known flows, as shares of the nominal capacity."""
        outflow, _ = field.flows(density, inputs, diagrams(numbers))
        return ((outflow - flow) / nominal.capacity)[known]

    def cost(numbers: Tensor) -> Tensor:
        off = errors(numbers)
        own = numbers[:-1].reshape(len(_LEARNED), count + 1)[:, 1:]
        loss = torch.nn.functional.huber_loss(off, torch.zeros_like(off), delta=_KNEE)
        drop = numbers[-1, 0] - capacity_drop
        return loss + penalty * (own.square().mean() + _DROP * drop.square())

    start = np.zeros((len(_LEARNED) * (count + 1) + 1, 1))
    start[-1] = capacity_drop
    low, high = np.full_like(start, -_FARTHEST), np.full_like(start, _FARTHEST)
    low[-1], high[-1] = 0.0, 0.9
    found = minimise_inputs(cost, start, (low, high), iterations=iterations).inputs
    with torch.no_grad():
        off = [float(errors(torch.tensor(x)).square().mean().sqrt()) for x in (start, found)]
    best = diagrams(torch.tensor(found))
    learned = {name: getattr(best, name).numpy() for name in _LEARNED}
    return LearnedRoads(roads.with_node_attributes(**learned), float(found[-1, 0]), off[1], off[0])

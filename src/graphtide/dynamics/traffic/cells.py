"""The cell transmission model: macroscopic traffic flow on a directed network of road cells.

    length_i d rho_i/dt = demand_i(t) + sum_j q_ij - out_i
    D_j = min(v_j rho_j, Q_j (1 - drop (rho_j - rho_c,j)+ / (rho_max,j - rho_c,j)))  sent
    S_i = min(Q_i, w_i (rho_max,i - rho_i))                                    taken
    r_i = min(1, S_i / sum_j A_ij D_j),   f_j = min_i r_i over the cells after j
    q_ij = A_ij D_j f_j,   out_j = D_j f_j

A_ij is the share of j's traffic that turns to i; what is left of 1 leaves the network there. Cells
that merge share what the next can take in proportion to what they would send; where a road parts,
who cannot enter one branch holds up those behind for the others (first in, first out). A congested
cell discharges less than its capacity (capacity drop), which is what metering can save.

f_j needs a minimum over outgoing edges of a quotient that holds a sum over incoming ones. An
`Equation` has one sum over the neighbours that reach a node and none inside another, so this law is
a vector field of its own. Units: vehicles, km, hours.

Beside its density each cell counts its delay, length (rho - out / v) dt: the time that vehicles
spend in it beyond what those who leave would need at free speed.

References:
    Lighthill & Whitham, Proc. Royal Society A 229 (1955) 317; Richards, Oper. Res. 4 (1956) 42.
    Daganzo, Transportation Research B 28 (1994) 269 and 29 (1995) 79: cells, merges and diverges.
    Kontorinaki, Spiliopoulou, Roncoli & Papageorgiou, Transportation Research B 106 (2017) 52:
        capacity drop by a demand that falls with density.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.errors import InputError
from graphtide.graph import Graph

__all__ = ["CellTransmission", "Demand", "Diagrams", "RoadActuators"]

_DIAGRAM = ("free_speed", "wave_speed", "jam_density", "capacity")
_ATTRIBUTES = ("length", *_DIAGRAM)


@dataclass(frozen=True, slots=True, eq=False)
class Demand:
    """Vehicles per hour that enter at nodes, linear between times.

    Attributes:
        times: (T,) hours, increasing.
        flow: (T, N) vehicles per hour.
    """

    times: np.ndarray
    flow: np.ndarray

    def __post_init__(self) -> None:
        """Check shapes and signs.

        Raises:
            InputError: they are wrong.
        """
        if self.flow.ndim != 2 or len(self.flow) != len(self.times) or (self.flow < 0).any():
            raise InputError(
                f"demand of shape {self.flow.shape} for {len(self.times)} times: a row each time, "
                "no number below 0"
            )

    def at(self, time: Tensor | float) -> Tensor:
        """Return the flow at a time, shape (N,); outside of the times that of the nearest."""
        moment = float(time)
        place = int(np.clip(np.searchsorted(self.times, moment) - 1, 0, len(self.times) - 2))
        first, second = self.times[place], self.times[place + 1]
        share = float(np.clip((moment - first) / (second - first), 0.0, 1.0))
        return torch.as_tensor((1 - share) * self.flow[place] + share * self.flow[place + 1])


@dataclass(frozen=True, slots=True, eq=False)
class RoadActuators:
    """Where inputs act: shares in [0, 1] of what is possible.

    Attributes:
        ramps: numbers of nodes whose outflow is metered to a share of their capacity.
        limits: numbers of nodes whose speed is limited to a share of their free speed.
    """

    ramps: np.ndarray
    limits: np.ndarray

    @property
    def count(self) -> int:
        """Number of inputs: the ramps', then the limits'."""
        return len(self.ramps) + len(self.limits)


@dataclass(frozen=True, slots=True, eq=False)
class Diagrams:
    """The triangular diagrams of N cells: flow against density.

    Attributes:
        free_speed: (N,) km/h.
        wave_speed: (N,) km/h, at which a queue grows backwards.
        jam_density: (N,) vehicles/km.
        capacity: (N,) vehicles/h.
        capacity_drop: share of the capacity that a full cell loses, a number.
    """

    free_speed: Tensor
    wave_speed: Tensor
    jam_density: Tensor
    capacity: Tensor
    capacity_drop: Tensor

    @staticmethod
    def of(roads: Graph, capacity_drop: float) -> Diagrams:
        """Return those of a road network's node attributes."""
        return Diagrams(
            *(torch.tensor(np.array(roads.node_attributes[name], float)) for name in _DIAGRAM),
            capacity_drop=torch.tensor(capacity_drop, dtype=torch.float64),
        )


class CellTransmission:
    """The law on one road network; states (N, 2): vehicles per km, vehicle-hours of delay so far.

    Args:
        roads: a directed graph; weight A_ij is the share of j that turns to i. Node attributes:
            length (km), free_speed and wave_speed (km/h), jam_density (vehicles/km), capacity
            (vehicles/h).
        demand: what enters.
        actuators: where inputs act; None for nowhere.
        capacity_drop: share of the capacity that a cell loses when it is full, in [0, 1).

    Raises:
        InputError: an attribute is missing or not positive, turning shares of a node add up to more
            than 1, or the graph is undirected.
    """

    variables = ("density", "delay")

    def __init__(
        self,
        roads: Graph,
        demand: Demand,
        actuators: RoadActuators | None = None,
        *,
        capacity_drop: float = 0.15,
    ) -> None:
        if not roads.directed:
            raise InputError("a road network is directed: traffic goes from source to target")
        for name in _ATTRIBUTES:
            if name not in roads.node_attributes:
                raise InputError(f"the road network has no node attribute '{name}'")
            if not (np.asarray(roads.node_attributes[name], dtype=float) > 0).all():
                raise InputError(f"the node attribute '{name}' must be positive everywhere")
        turned = np.asarray(roads.adjacency.sum(axis=0)).ravel()
        if roads.edge_weight.min(initial=0.0) < 0 or turned.max(initial=0.0) > 1 + 1e-9:
            node = roads.names[int(np.argmax(turned))]
            raise InputError(
                f"turning shares must be between 0 and 1 and add up to at most 1; those of node "
                f"'{node}' add up to {turned.max():g}"
            )
        if demand.flow.shape[1] != roads.node_count:
            raise InputError(
                f"the demand names {demand.flow.shape[1]} nodes; there are {roads.node_count}"
            )
        if not 0.0 <= capacity_drop < 1.0:
            raise InputError(f"the capacity drop is {capacity_drop:g}; a share in [0, 1) is wanted")
        none = np.zeros(0, dtype=np.int64)
        self.roads, self.demand = roads, demand
        self.actuators = actuators or RoadActuators(none, none)
        self.diagrams = Diagrams.of(roads, capacity_drop)
        self.length = torch.tensor(np.array(roads.node_attributes["length"], float))
        source, target = roads.edge_index
        self._source, self._target = torch.tensor(source), torch.tensor(target)
        self._share = torch.tensor(roads.edge_weight)
        self._ramps = torch.as_tensor(np.asarray(self.actuators.ramps, dtype=np.int64))
        self._limits = torch.as_tensor(np.asarray(self.actuators.limits, dtype=np.int64))

    @property
    def free_speed(self) -> Tensor:
        """Free speed of each cell, (N,) km/h."""
        return self.diagrams.free_speed

    @property
    def capacity(self) -> Tensor:
        """Capacity of each cell, (N,) vehicles/h."""
        return self.diagrams.capacity

    def __call__(self, time: Tensor, states: Tensor, inputs: Tensor | None = None) -> Tensor:
        """Return d(states)/dt, shape (N, 2), under inputs (M,); None leaves traffic alone."""
        density = states[..., 0]
        outflow, inflow = self.flows(density, inputs)
        entering = self.demand.at(time).to(density)
        change = (entering + inflow - outflow) / self.length
        # Delay is the time spent here beyond what those who leave would need at free speed.
        delay = self.length * (density - outflow / self.free_speed)
        return torch.stack([change, delay], dim=-1)

    def flows(
        self, density: Tensor, inputs: Tensor | None = None, diagrams: Diagrams | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return what leaves and what enters each cell from others, vehicles/h.

        Args:
            density: (..., N) vehicles/km.
            inputs: (..., M); None leaves traffic alone.
            diagrams: of the cells; None takes the network's own.

        Returns:
            Two tensors (..., N).
        """
        own = self.diagrams if diagrams is None else diagrams
        speed, most, waves, jam = own.free_speed, own.capacity, own.wave_speed, own.jam_density
        if inputs is not None:
            meters, limits = inputs.split([len(self._ramps), len(self._limits)], dim=-1)
            speed = speed.expand_as(density)
            speed = speed.index_copy(-1, self._limits, speed[..., self._limits] * limits)
            # A lower speed lowers the top of the triangular diagram.
            top = speed * waves * jam / (speed + waves)
            most = torch.minimum(most, top)
            most = most.index_copy(-1, self._ramps, most[..., self._ramps] * meters)
        critical = own.capacity / own.free_speed
        over = (density - critical).clamp(min=0.0) / (jam - critical)
        send = torch.minimum(speed * density, most * (1.0 - own.capacity_drop * over.clamp(max=1)))
        send = send.clamp(min=0.0)
        take = torch.minimum(own.capacity, waves * (jam - density))
        take = take.clamp(min=0.0)
        asked = torch.zeros_like(density).index_add(
            -1, self._target, self._share * send[..., self._source]
        )
        # Where little is asked for, all of it is taken; the floor keeps the quotient finite.
        passed = (take / asked.clamp(min=1e-9)).clamp(max=1.0)[..., self._target]
        held = torch.ones_like(density).scatter_reduce(
            -1, self._source.expand_as(passed), passed, reduce="amin", include_self=True
        )
        outflow = send * held
        inflow = torch.zeros_like(density).index_add(
            -1, self._target, self._share * outflow[..., self._source]
        )
        return outflow, inflow

"""Drive traffic under a controller, and the controller that predicts: less delay in total.

Receding horizon control plans the metering rates and speed limits of the next intervals on the cell
transmission model by the gradient of the total delay through the solver, applies the first, and
plans again from the densities that are measured then.

References:
    Hegyi, De Schutter & Hellendoorn, Transportation Research C 13 (2005) 185: predictive ramp
        metering and speed limits.
    Papageorgiou & Kotsialos, IEEE Trans. Intelligent Transportation Systems 3 (2002) 271.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.control.optimal import minimise_inputs
from graphtide.dynamics.control.system import Solver, roll_out
from graphtide.dynamics.traffic.alinea import alinea
from graphtide.dynamics.traffic.cells import CellTransmission

__all__ = ["Controller", "TrafficRun", "drive", "predictive_control"]

Controller = Callable[[float, np.ndarray], np.ndarray]
"""(time in hours, states (N, 2)) -> inputs (M,)."""

STEP = 12.0 / 3600.0
"""Hours to a step: at 100 km/h a vehicle passes less than a cell of 500 m in it."""


@dataclass(frozen=True, slots=True, eq=False)
class TrafficRun:
    """What traffic did.

    Attributes:
        times: (K + 1,) hours.
        states: (K + 1, N, 2): density, vehicles/km, and delay so far, vehicle-hours.
        inputs: (K, M).
        delay: total delay, vehicle-hours.
        left: vehicles still in the network at the end.
    """

    times: np.ndarray
    states: np.ndarray
    inputs: np.ndarray
    delay: float
    left: float


def drive(
    field: CellTransmission,
    times: np.ndarray,
    controller: Controller | None = None,
    *,
    start: np.ndarray | None = None,
) -> TrafficRun:
    """Return traffic under a controller that acts at the given times.

    Args:
        field: the plant.
        times: (K + 1,) hours at which inputs may change.
        controller: None leaves every input at 1: no control.
        start: states (N, 2); None for empty roads.
    """
    state = np.zeros((field.roads.node_count, 2)) if start is None else np.array(start, float)
    states, applied = [state], []
    solver = Solver("euler", step=STEP)
    for k in range(len(times) - 1):
        free = np.ones((1, field.actuators.count))
        inputs = free if controller is None else controller(float(times[k]), state)[None]
        with torch.no_grad():
            path = roll_out(
                field, torch.tensor(state), torch.tensor(inputs), times[k : k + 2], solver
            )
        state = path[-1].numpy()
        states.append(state)
        applied.append(inputs[0])
    left = float((field.length.numpy() * state[:, 0]).sum())
    delay = float(state[:, 1].sum() - states[0][:, 1].sum())
    return TrafficRun(np.asarray(times, float), np.array(states), np.array(applied), delay, left)


def predictive_control(
    model: CellTransmission,
    *,
    interval: float = 6.0 / 60.0,
    ahead: int = 3,
    iterations: int = 5,
    least_meter: float = 0.12,
    least_speed: float = 0.5,
) -> Controller:
    """Return a controller that plans ahead on a model.

    Args:
        model: the field that plans are made on, with the demand that is expected.
        interval: hours for which inputs stay the same.
        ahead: intervals that a plan looks ahead.
        iterations: of L-BFGS-B a plan.
        least_meter: least share of a ramp's capacity.
        least_speed: least share of the free speed.
    """
    actuators = model.actuators
    low = np.concatenate(
        [np.full(len(actuators.ramps), least_meter), np.full(len(actuators.limits), least_speed)]
    )
    plan = np.ones((ahead, actuators.count))
    solver = Solver("euler", step=STEP)
    fastest = model.length / model.free_speed

    def act(time: float, states: np.ndarray) -> np.ndarray:
        nonlocal plan
        begun = torch.tensor(states)
        times = time + interval * np.arange(ahead + 1)

        def delay(inputs: Tensor) -> Tensor:
            end = roll_out(model, begun, inputs, times, solver)[-1]
            # Whoever is still there at the end of the plan has more delay to come: about the time
            # in which the queue beyond free flow dissolves at the cell's capacity.
            vehicles = model.length * end[:, 0]
            queue = (vehicles - fastest * model.capacity).clamp(min=0.0)
            later = (queue.square() / (2.0 * model.capacity)).sum()
            return (end[:, 1] - begun[:, 1]).sum() + later

        bounds = (np.broadcast_to(low, plan.shape), np.ones_like(plan))
        guesses = [_touching(model, plan, states, times, low), _local(model, begun, times, solver)]
        with torch.no_grad():
            costs = [float(delay(torch.tensor(guess))) for guess in guesses]
        plan = guesses[int(np.argmin(costs))]
        plan = minimise_inputs(delay, plan, bounds, iterations=iterations, precision=1e-7).inputs
        chosen = plan[0].copy()
        plan = np.concatenate([plan[1:], plan[-1:]])
        return chosen

    return act


def _touching(
    model: CellTransmission,
    plan: np.ndarray,
    states: np.ndarray,
    times: np.ndarray,
    low: np.ndarray,
) -> np.ndarray:
    """Return a plan whose meters just touch what arrives: one that holds nobody has no slope."""
    ramps = model.actuators.ramps
    guess = plan.copy()
    capacity = model.capacity.numpy()[ramps]
    waiting = (model.free_speed.numpy() * states[:, 0])[ramps]
    for k in range(len(plan)):
        arriving = model.demand.at((times[k] + times[k + 1]) / 2).numpy()[ramps]
        flow = np.maximum(waiting if k == 0 else 0.0, arriving)
        guess[k, : len(ramps)] = np.minimum(guess[k, : len(ramps)], 0.98 * flow / capacity)
    return np.clip(guess, low, 1.0)


def _local(model: CellTransmission, begun: Tensor, times: np.ndarray, solver: Solver) -> np.ndarray:
    """Return what the local rule would do on the model."""
    rule, state, found = alinea(model), begun, []
    with torch.no_grad():
        for k in range(len(times) - 1):
            inputs = rule(float(times[k]), state.numpy())
            found.append(inputs)
            given = torch.tensor(inputs[None])
            state = roll_out(model, state, given, times[k : k + 2], solver)[-1]
    return np.array(found)

"""Why a target was not reached: no path from the drivers, too little time, or too tight bounds.

A node changes by an input only if a directed path of edges leads to it from a driver, so nodes
without one go where they go by themselves. Where paths exist, the same steering is tried with a
longer horizon, then without bounds; what succeeds is the cause.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np

from graphtide.dynamics.control.optimal import Bounds, Steering, steer
from graphtide.dynamics.control.system import ControlledField, Solver, free_motion
from graphtide.errors import ComputationError

if TYPE_CHECKING:
    from graphtide.graph import Graph
    from graphtide.vector_field import RightHandSide

__all__ = ["Cause", "Diagnosis", "diagnose", "unreachable_nodes"]

Cause: TypeAlias = Literal["reached", "no_path", "horizon", "bounds", "drivers"]


@dataclass(frozen=True, slots=True, eq=False)
class Diagnosis:
    """Whether a target was reached, and if not, why.

    Attributes:
        cause: reached; no_path (nodes that no driver acts on are off the target); horizon (a longer
            one suffices); bounds (inputs beyond them suffice); drivers (none of these: other or
            more drivers are needed).
        sentence: the same for a reader, with the distance that is left.
        nodes: numbers of the nodes without a path, where they are the cause.
        horizon: a horizon that suffices, where it is the cause.
    """

    cause: Cause
    sentence: str
    nodes: np.ndarray
    horizon: float | None = None


def unreachable_nodes(graph: Graph, drivers: np.ndarray) -> np.ndarray:
    """Return the numbers of nodes to which no directed path leads from a driver, increasing."""
    matrix = graph.transpose  # row j holds what leaves node j
    seen = np.zeros(graph.node_count, dtype=bool)
    front = np.unique(np.asarray(drivers, dtype=np.int64))
    while front.size:
        seen[front] = True
        after = np.concatenate(
            [matrix.indices[matrix.indptr[j] : matrix.indptr[j + 1]] for j in front]
        )
        front = np.unique(after[~seen[after]])
    return np.flatnonzero(~seen)


def diagnose(
    plan: Steering,
    field: ControlledField,
    rhs: RightHandSide,
    graph: Graph,
    drivers: np.ndarray,
    *,
    bounds: Bounds,
    longer: float = 4.0,
    iterations: int = 40,
    solver: Solver | None = None,
) -> Diagnosis:
    """Return whether a plan reached its target, and if not, why.

    Args:
        plan: what `steer` returned.
        field: the steered system.
        rhs: the free system.
        graph: its network.
        drivers: numbers of the driver nodes.
        bounds: of the inputs.
        longer: the longer horizon that is tried, in horizons of the plan.
        iterations: of L-BFGS-B in each try.
        solver: how to integrate.
    """
    none = np.zeros(0, dtype=np.int64)
    left = f"{100 * plan.distance:.3g} % of the way is left"
    if plan.reached:
        return Diagnosis("reached", f"The target is reached: {left}.", none)
    cut_off = unreachable_nodes(graph, drivers)
    if cut_off.size:
        alone = free_motion(rhs, plan.states[0], plan.times[[0, -1]], solver)[-1]
        known = np.isfinite(plan.target)
        way = np.linalg.norm((plan.states[0] - plan.target)[known])
        missed = np.where(known, alone - plan.target, 0.0)[cut_off]
        least = float(np.linalg.norm(missed) / way)
        if least > plan.tolerance:
            off = cut_off[np.abs(missed).max(axis=1) > plan.tolerance * np.abs(missed).max()]
            names = ", ".join(graph.names[i] for i in off[:5])
            more = f" and {len(off) - 5} more" if len(off) > 5 else ""
            return Diagnosis(
                "no_path",
                f"The target cannot be reached with these drivers: no path of edges leads from "
                f"them to {len(off)} node{'s' if len(off) > 1 else ''} that would have to move "
                f"({names}{more}); the nearest state that was found leaves "
                f"{100 * plan.distance:.3g} % of the way, and at least "
                f"{100 * least:.3g} % is out of their reach.",
                off,
            )
    span = float(plan.times[-1] - plan.times[0])
    count = len(plan.inputs)
    width = span / count
    added = np.arange(1, round((longer - 1) * count) + 1)
    later = np.concatenate([plan.times, plan.times[-1] + width * added])
    if _arrives(plan, field, later, bounds, iterations, solver):
        return Diagnosis(
            "horizon",
            f"The horizon {span:g} is too short: {left} at its end, while the target is reached "
            f"with {longer * span:g}.",
            none,
            longer * span,
        )
    if np.isfinite(bounds.low) or np.isfinite(bounds.high):
        wide = Bounds(20 * min(bounds.low, 0.0), 20 * max(bounds.high, 0.0))
        if _arrives(plan, field, plan.times, wide, iterations, solver):
            return Diagnosis(
                "bounds",
                f"The inputs' bounds are too tight: {left} at the horizon, while the target is "
                "reached where inputs may be up to 20 times as large.",
                none,
            )
    return Diagnosis(
        "drivers",
        f"The target was not reached with these drivers: {left} in the nearest state found, and "
        f"neither {longer:g} times the horizon nor wider bounds reach it.",
        none,
    )


def _arrives(
    plan: Steering,
    field: ControlledField,
    times: np.ndarray,
    bounds: Bounds,
    iterations: int,
    solver: Solver | None,
) -> bool:
    missing = len(times) - 1 - len(plan.inputs)
    guess = np.concatenate([plan.inputs, np.repeat(plan.inputs[-1:], missing, axis=0)])
    try:
        tried = steer(
            field,
            plan.states[0],
            plan.target,
            times,
            plan.inputs.shape[1],
            bounds=bounds,
            tolerance=plan.tolerance,
            guess=guess,
            iterations=iterations,
            rounds=0,
            solver=solver,
        )
    except ComputationError:  # the states run off under these inputs: not a way to the target
        return False
    return tried.reached

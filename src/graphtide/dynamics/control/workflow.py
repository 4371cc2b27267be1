"""The whole of ``dynamics control``: choose drivers, plan, say what was reached, save a run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas
import torch

from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.resilience import end_states
from graphtide.dynamics.analysis.settling import settle
from graphtide.dynamics.control.drivers import adjoint_drivers
from graphtide.dynamics.control.feedback_vertices import feedback_vertex_set, source_nodes
from graphtide.dynamics.control.matching import matching_drivers
from graphtide.dynamics.control.optimal import Bounds, Steering, steer
from graphtide.dynamics.control.reachability import Diagnosis, diagnose
from graphtide.dynamics.control.system import Solver, additive, free_motion, roll_out
from graphtide.errors import InputError
from graphtide.files import numeric_column, read_table, read_text
from graphtide.trajectory import Trajectory

if TYPE_CHECKING:
    from graphtide.graph import Graph
    from graphtide.run import Run

__all__ = ["Control", "control_law", "named_state", "read_drivers"]

_PLANNING = Solver(relative_tolerance=1e-4, absolute_tolerance=1e-6)
_FRAMES = 3  # pictures to an interval
_AFTER = 0.5  # of the horizon, left alone after it


@dataclass(frozen=True, slots=True, eq=False)
class Control:
    """What `control_law` found.

    Attributes:
        law: the law that was steered.
        drivers: (M,) numbers of the driver nodes.
        plan: the inputs and where they lead.
        diagnosis: whether the target is reached, and if not, why.
        steered: states under the inputs, and after them left alone for half the horizon more.
        free: states without inputs at the same times.
        stays: distance from the target after that time, as a share of the way.
    """

    law: Law
    drivers: np.ndarray
    plan: Steering
    diagnosis: Diagnosis
    steered: Trajectory
    free: Trajectory
    stays: float

    @property
    def metrics(self) -> dict[str, object]:
        """The figures by plain words."""
        graph, plan = self.law.graph, self.plan
        return {
            "reached": plan.reached,
            "verdict": self.diagnosis.sentence,
            "cause": self.diagnosis.cause,
            "distance": plan.distance,
            "distance_later": self.stays,
            "drivers": [graph.names[i] for i in self.drivers],
            "driver_count": len(self.drivers),
            "nodes": graph.node_count,
            "energy": plan.energy,
            "largest_input": float(np.abs(plan.inputs).max()),
            "horizon": float(plan.times[-1] - plan.times[0]),
            "drivers_by_matching": len(matching_drivers(graph)),
            "drivers_by_feedback_vertices": len(
                np.union1d(feedback_vertex_set(graph), source_nodes(graph))
            ),
            "evaluations": plan.evaluations,
        }

    def save(self, run: Run) -> None:
        """Write metrics, inputs, target and trajectories into a run."""
        graph, plan = self.law.graph, self.plan
        names = [graph.names[i] for i in self.drivers]
        inputs = pandas.DataFrame(plan.inputs, columns=_columns(names))
        inputs.insert(0, "until", plan.times[1:])
        inputs.insert(0, "from", plan.times[:-1])
        run.write_table("inputs", inputs)
        target = pandas.DataFrame(plan.target, columns=_columns(list(self.law.variables)))
        nearest = pandas.DataFrame(
            plan.nearest, columns=_columns([f"{v}_reached" for v in self.law.variables])
        )
        node = pandas.DataFrame({"node": list(graph.names)})
        run.write_table("target", pandas.concat([node, target, nearest], axis=1))
        run.write_graph(graph)
        run.write_trajectory("steered", self.steered)
        run.write_trajectory("free", self.free)
        run.write_metrics(self.metrics)


def _columns(names: list[str]) -> pandas.Index:
    """Return names of columns."""
    return pandas.Index(names, dtype=object)


def control_law(
    law: Law,
    target: np.ndarray,
    start: np.ndarray,
    *,
    drivers: np.ndarray | int | None = None,
    horizon: float = 5.0,
    bound: float | None = None,
    sparsity: float = 0.0,
    tolerance: float = 0.05,
    variable: int = 0,
    intervals: int = 16,
    iterations: int = 40,
    progress: Callable[[float, str], None] | None = None,
) -> Control:
    """Steer a law from a start to a target with few driver nodes.

    Args:
        law: an equation or a learned field on a graph.
        target: (N, D), NaN where anything may be.
        start: (N, D).
        drivers: numbers of nodes; or how many, chosen by what they are worth; or None: as few as
            arrive, doubled from 1 on.
        horizon: in the unit of the law's time.
        bound: largest size of an input; None for none.
        sparsity: weight of the 1-norm of inputs.
        tolerance: distance that counts as arrival, as a share of the way.
        variable: which variable inputs act on.
        intervals: of constant input.
        iterations: of L-BFGS-B a round.
        progress: called with a share and a text.

    Raises:
        InputError: an argument is out of range.
        ComputationError: the law cannot be integrated.
    """
    if not 0.0 < horizon < np.inf:
        raise InputError(f"the horizon is {horizon:g}; a positive number was expected")
    if bound is not None and not 0.0 < bound < np.inf:
        raise InputError(f"the bound is {bound:g}; a positive number was expected")
    if not 0 <= variable < law.shape[1]:
        raise InputError(f"variable {variable} of {law.shape[1]}")
    report = progress or (lambda _share, _text: None)
    times = np.linspace(0.0, horizon, intervals + 1)
    bounds = Bounds() if bound is None else Bounds(-bound, bound)
    rhs = law.right_hand_side

    def attempt(nodes: np.ndarray, rounds: int) -> Steering:
        return steer(
            additive(rhs, nodes, variable=variable),
            start,
            target,
            times,
            len(nodes),
            bounds=bounds,
            sparsity=sparsity,
            tolerance=tolerance,
            iterations=iterations,
            rounds=rounds,
            solver=_PLANNING,
        )

    def choose(count: int) -> np.ndarray:
        return adjoint_drivers(
            rhs, start, target, times, count, bounds=bounds, variable=variable, solver=_PLANNING
        )

    if isinstance(drivers, np.ndarray):
        chosen = drivers
    elif drivers is not None:
        report(0.1, f"choosing {drivers} driver nodes")
        chosen = choose(drivers)
    else:
        count, chosen = 1, np.zeros(0, dtype=np.int64)
        while count <= law.graph.node_count:
            report(0.1, f"trying {count} driver nodes")
            chosen = choose(count)
            if attempt(chosen, 0).reached or count == law.graph.node_count:
                break
            count = min(2 * count, law.graph.node_count)
    report(0.5, f"planning inputs of {len(chosen)} driver nodes")
    plan = attempt(chosen, 3)
    field = additive(rhs, chosen, variable=variable)
    report(0.8, "checking what was reached")
    found = diagnose(plan, field, rhs, law.graph, chosen, bounds=bounds, solver=_PLANNING)
    fine = np.linspace(0.0, horizon, _FRAMES * intervals + 1)
    with torch.no_grad():
        repeated = torch.tensor(np.repeat(plan.inputs, _FRAMES, axis=0))
        shown = roll_out(field, torch.tensor(np.array(start, float)), repeated, fine).numpy()
    later = horizon + np.linspace(0.0, _AFTER * horizon, round(_AFTER * len(fine)) + 1)
    rest = free_motion(rhs, shown[-1], later)
    when = np.concatenate([fine, later[1:]])
    alone = free_motion(rhs, np.array(start, float), when)
    known = np.isfinite(target)
    way = float(np.linalg.norm((np.asarray(start) - target)[known]))
    graph = law.graph

    def trajectory(states: np.ndarray) -> Trajectory:
        return Trajectory(when, states, law.variables, graph.names, graph)

    return Control(
        law,
        chosen,
        plan,
        found,
        trajectory(np.concatenate([shown, rest[1:]])),
        trajectory(alone),
        float(np.linalg.norm((rest[-1] - target)[known])) / way,
    )


def named_state(law: Law, text: str, *, option: str, seed: int = 0) -> np.ndarray:
    """Return the states (N, D) that a text names; NaN where a file leaves a node out.

    Args:
        law: the law.
        text: ``high`` or ``low``, the steady state reached from high or low states; a number, for
            every node; or a CSV file ``node,x[,y...]``, whose missing cells and nodes mean
            anything.
        option: named in messages.
        seed: of a sensible start that tells what is high.

    Raises:
        InputError: it is none of these.
        ComputationError: there is no such steady state.
    """
    if text in ("high", "low"):
        low, high = end_states(law, seed=seed)
        return settle(law, high if text == "high" else low)
    try:
        value = float(text)
    except ValueError:
        value = None
    if value is not None:
        if not np.isfinite(value):
            raise InputError(f"{option} {text}: a finite number was expected")
        return np.full(law.shape, value)
    if not Path(text).is_file():
        raise InputError(
            f"{option} {text}: neither a file, nor a number, nor 'high' or 'low' (steady states)"
        )
    frame = read_table(text)
    if "node" not in frame.columns:
        raise InputError(f"{text}: column 'node' is missing; node,{','.join(law.variables)}")
    given = [v for v in law.variables if v in frame.columns]
    if not given:
        raise InputError(f"{text}: no column is a variable of the law: {','.join(law.variables)}")
    states = np.full(law.shape, np.nan)
    place = [law.graph.index(str(name)) for name in frame["node"]]
    for name in given:
        states[place, law.variables.index(name)] = numeric_column(frame, name, source=text)
    return states


def read_drivers(text: str, graph: Graph) -> np.ndarray | int | None:
    """Return the drivers that an option names: a count, None for ``auto``, or nodes from a file.

    Args:
        text: a whole number, ``auto``, or a file with one name of a node a line.
        graph: the network.

    Raises:
        InputError: it is none of these, or a name is no node.
    """
    if text == "auto":
        return None
    if text.lstrip("-").isdigit():
        count = int(text)
        if not 1 <= count <= graph.node_count:
            raise InputError(
                f"--drivers {text}: between 1 and {graph.node_count} nodes were expected"
            )
        return count
    if not Path(text).is_file():
        raise InputError(f"--drivers {text}: neither a count, nor 'auto', nor a file of node names")
    lines = [line.strip() for line in read_text(text).splitlines()]
    names = [line for line in lines if line and line != "node"]
    return np.array(list(dict.fromkeys(graph.index(name) for name in names)), dtype=np.int64)

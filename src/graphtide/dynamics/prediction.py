"""Predict with a learned field: at other times, from another start, on another graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.fields import LearnedField
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.ode.solve import Event, solve
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["Prediction", "integrate", "load_field", "predict"]

LOST = 1e3
"""Distance from the learned range, in its widths, at which a roll-out has run off."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What `predict` returns.

    Args:
        trajectory: the predicted states.
        outside: share of predicted states (node and time) outside the range that was learned.
        unseen_pairs: share of edges and times whose two states never met in what was learned from.
        warning: one sentence where a state lies outside, or more than a hundredth of the pairs are
            unseen; else None.
    """

    trajectory: Trajectory
    outside: float
    unseen_pairs: float
    warning: str | None


def load_field(run: Run) -> LearnedField:
    """Return the field that `Fit.save` wrote into a run.

    Raises:
        InputError: the run is of another kind, or its files are missing or damaged.
    """
    if run.kind != "dynamics fit":
        raise InputError(f"{run.path} is a run of '{run.kind}', not of 'dynamics fit'")
    description = cast("Mapping[str, object]", run.read_json("model.json"))
    return LearnedField.restore(description, run.read_tensors("model"))


def predict(
    run: Run,
    *,
    times: np.ndarray | None = None,
    start: np.ndarray | None = None,
    graph: Graph | None = None,
) -> Prediction:
    """Predict with the field of a run.

    Args:
        run: a run of ``dynamics fit``.
        times: shape (T,), increasing; None takes the times of the run's data.
        start: states at the first time, shape (N, D); None takes the run's first states, which
            needs the run's own graph (or one with the same names of nodes).
        graph: another graph than the run's own.

    Raises:
        InputError: the start does not fit the graph, or another graph comes without a start.
        ComputationError: the integration failed.
    """
    field = load_field(run)
    known = run.read_trajectory("predicted")
    network = run.read_graph() if graph is None else graph
    if start is None:
        if network.names != known.names:
            raise InputError(
                f"the graph's {network.node_count} nodes are not the run's {len(known.names)}: "
                "give their states at the first time (--start)"
            )
        start = np.array(known.states[0])
    moments = known.times if times is None else np.asarray(times, dtype=float)
    states = integrate(field, network, moments, start)
    outside = field.outside(states)
    unseen = field.unseen_pairs(states, network)
    doubts = []
    if outside > 0:
        doubts.append(f"{_percent(outside)} of the predicted states lie outside the range")
    if unseen > 0.01:
        doubts.append(f"{_percent(unseen)} of the pairs of neighbouring states outside the pairs")
    warning = None
    if doubts:
        warning = (
            f"{' and '.join(doubts)} that the field was learned on; there it goes on as straight "
            "lines, which is a guess"
        )
    trajectory = Trajectory(
        moments, states, variables=field.variables, names=network.names, graph=network
    )
    return Prediction(trajectory, outside, unseen, warning)


def _percent(share: float) -> str:
    """Return a share in per cent, to two digits, and never as nothing."""
    return f"{100 * share:.2g} %"


def integrate(
    field: LearnedField, graph: Graph, times: np.ndarray, start: np.ndarray
) -> np.ndarray:
    """Return the states (T, N, D) of a learned field from ``start`` (N, D) through ``times``.

    Raises:
        InputError: the start has another shape, misses a state, or is not positive under a
            logarithmic transform.
        ComputationError: the integration failed, or ran off.
    """
    wanted = (graph.node_count, len(field.variables))
    start = np.asarray(start, dtype=float)
    if start.shape != wanted:
        raise InputError(f"the start has shape {start.shape}; {wanted} was expected")
    if not np.isfinite(start).all():
        place = int(np.flatnonzero(~np.isfinite(start).all(axis=1))[0])
        raise InputError(f"the start of node '{graph.names[place]}' is missing")
    if field.transform == "log" and start.min() <= 0:
        raise InputError("the field was learned on logarithms: every starting state must be > 0")
    if len(times) == 1:
        return start[None]
    scale = float(np.abs(start).mean()) or 1.0

    def distance(_: Tensor, states: Tensor) -> Tensor:
        return field.distance(states) - LOST

    with torch.no_grad():
        solution = solve(
            field.on(graph),
            torch.tensor(start, dtype=field.own.dtype, device=field.own.device),
            np.asarray(times, dtype=float),
            method="dormand_prince5",
            relative_tolerance=1e-7,
            absolute_tolerance=1e-8 * scale,
            maximum_steps=200_000,
            events=[Event(distance, terminal=True)],
        )
    lost = solution.events[0].times
    if len(lost):
        raise ComputationError(
            f"the prediction is lost: at time {float(lost[0]):.4g} it is {LOST:g} times the range "
            "that was learned away from it; the field cannot be carried to this start or network"
        )
    return solution.states.cpu().numpy()

"""Predict with a learned field: at other times, from another start, on another graph."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, cast

import numpy as np
import torch
from torch import Tensor

from graphtide.dynamics.fields import LearnedField
from graphtide.dynamics.intervals import Intervals
from graphtide.dynamics.latent import LatentDiffusionField
from graphtide.dynamics.neural import MessagePassingField, set_output
from graphtide.dynamics.neural_task import roll_out_numeric
from graphtide.dynamics.surroundings import Inputs
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.ode.solve import Event, solve
from graphtide.run import Run
from graphtide.trajectory import Trajectory

__all__ = ["Model", "Prediction", "ensemble_spread", "integrate", "load_field", "predict"]

Model: TypeAlias = LearnedField | MessagePassingField | LatentDiffusionField
"""What a run of ``dynamics fit`` may hold."""

LOST = 1e3
"""Distance from the learned range, in its widths, at which a roll-out has run off."""


@dataclass(frozen=True, slots=True)
class Prediction:
    """What `predict` returns.

    Args:
        trajectory: the predicted states.
        outside: share of predicted states (node and time) outside the range that was learned.
        unseen_pairs: share of edges and times whose two states never met in what was learned from.
        half_width: half the width of the intervals, shape (T, N, D), where a level was asked for.
        warning: one sentence where a state lies outside, or more than a hundredth of the pairs are
            unseen; else None.
    """

    trajectory: Trajectory
    outside: float
    unseen_pairs: float
    warning: str | None
    half_width: np.ndarray | None = None

    def with_bounds(self) -> Trajectory:
        """Return the trajectory with two more variables each: ``x_low`` and ``x_high``.

        Raises:
            InputError: no level was asked for.
        """
        if self.half_width is None:
            raise InputError("the prediction has no intervals: ask for a level")
        known = self.trajectory
        parts, names = [], []
        for d, name in enumerate(known.variables):
            middle, half = known.states[..., d], self.half_width[..., d]
            parts += [middle, middle - half, middle + half]
            names += [name, f"{name}_low", f"{name}_high"]
        return Trajectory(
            known.times, np.stack(parts, axis=-1), tuple(names), known.names, known.graph
        )


def load_field(run: Run) -> Model:
    """Return the model that `Fit.save` wrote into a run.

    Raises:
        InputError: the run is of another kind, or its files are missing or damaged.
    """
    if run.kind != "dynamics fit":
        raise InputError(f"{run.path} is a run of '{run.kind}', not of 'dynamics fit'")
    description = cast("Mapping[str, object]", run.read_json("model.json"))
    tensors = run.read_tensors("model")
    kind = description.get("model", "closed_form")
    if kind == "closed_form":
        return LearnedField.restore(description, tensors)
    if kind == "message_passing":
        return MessagePassingField.restore(description, tensors)
    if kind == "latent":
        return LatentDiffusionField.restore(description, tensors)
    raise InputError(f"{run.path} holds a model of kind '{kind}', which this graphtide cannot read")


def predict(
    run: Run,
    *,
    times: np.ndarray | None = None,
    start: np.ndarray | None = None,
    graph: Graph | None = None,
    level: float | None = None,
    inputs: Trajectory | None = None,
) -> Prediction:
    """Predict with the field of a run.

    Args:
        run: a run of ``dynamics fit``.
        times: shape (T,), increasing; None takes the times of the run's data.
        start: states at the first time, shape (N, D); None takes the run's first states, which
            needs the run's own graph (or one with the same names of nodes).
        graph: another graph than the run's own.
        level: of the intervals around the prediction, such as 0.9; None gives none.
        inputs: known inputs of a model that sees some; None takes the run's.

    Raises:
        InputError: the start does not fit the graph, another graph comes without a start, inputs
            are missing, or the run has no intervals.
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
        own = (run.path / "start.npz").is_file()
        start = np.array((run.read_trajectory("start") if own else known).states[0])
    moments = known.times if times is None else np.asarray(times, dtype=float)
    if inputs is None and (run.path / "inputs.npz").is_file() and network.names == known.names:
        inputs = Trajectory.read(run.path / "inputs.npz")
    given = None if inputs is None else Inputs.of(inputs.with_graph(network))
    states = integrate(field, network, moments, start, inputs=given)
    half_width = None
    if level is not None:
        if not (run.path / "intervals.safetensors").is_file():
            raise InputError(
                f"{run.path} has no intervals: fit it with a neural model "
                "(--model message_passing, ...)"
            )
        intervals = Intervals.restore(run.read_tensors("intervals"))
        spread = ensemble_spread(
            field, intervals.members, network, moments, start, given, like=states
        )
        half_width = intervals.half_width(spread, level)
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
            f"{' and '.join(doubts)} that the field was learned on; there it goes on "
            f"{'as straight lines' if isinstance(field, LearnedField) else 'untaught'}, which is "
            "a guess"
        )
    trajectory = Trajectory(
        moments, states, variables=field.variables, names=network.names, graph=network
    )
    return Prediction(trajectory, outside, unseen, warning, half_width)


def ensemble_spread(
    model: Model,
    members: dict[str, np.ndarray],
    graph: Graph,
    times: np.ndarray,
    start: np.ndarray,
    inputs: Inputs | None,
    *,
    like: np.ndarray,
) -> np.ndarray:
    """Return the standard deviation of the members' roll-outs, shape (T, N, D); 0 without members.

    A member whose roll-out is lost is left out; where more than half are, the spread is infinite.
    """
    outputs = members.get("output")
    if outputs is None or not isinstance(model, MessagePassingField):
        return np.zeros_like(like)
    member = copy.deepcopy(model)
    bound = member.on(graph, inputs)
    found = []
    for output in outputs:
        set_output(member, torch.tensor(output))
        rolled = roll_out_numeric(bound, times, start, tolerance=1e-4)
        if rolled is not None:
            found.append(rolled)
    if 2 * len(found) < len(outputs):
        return np.full_like(like, np.inf)
    return np.std(found, axis=0)


def _percent(share: float) -> str:
    """Return a share in per cent, to two digits, and never as nothing."""
    return f"{100 * share:.2g} %"


def integrate(
    field: Model,
    graph: Graph,
    times: np.ndarray,
    start: np.ndarray,
    *,
    inputs: Inputs | None = None,
) -> np.ndarray:
    """Return the states (T, N, D) of a learned field from ``start`` (N, D) through ``times``.

    Args:
        field: the model.
        graph: the network.
        times: shape (T,), increasing.
        start: shape (N, D).
        inputs: known inputs, for a field that sees some.

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
    if isinstance(field, LearnedField) and field.transform == "log" and start.min() <= 0:
        raise InputError("the field was learned on logarithms: every starting state must be > 0")
    if len(times) == 1 and not isinstance(field, LatentDiffusionField):
        return start[None]
    scale = float(np.abs(start).mean()) or 1.0

    like = field.visited.low
    if isinstance(field, LatentDiffusionField):
        with torch.no_grad():
            found = field.roll_out(graph, times, like.new_tensor(start)).cpu().numpy()
        if not np.isfinite(found).all():
            raise ComputationError("the prediction is lost: the latent states grew without bound")
        return found
    bound = field.on(graph, inputs) if isinstance(field, MessagePassingField) else field.on(graph)

    def distance(_: Tensor, states: Tensor) -> Tensor:
        return field.distance(states) - LOST

    with torch.no_grad():
        solution = solve(
            bound,
            like.new_tensor(start),
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

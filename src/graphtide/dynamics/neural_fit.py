"""Fit a neural model of dynamics on graphs, test it, and calibrate its intervals.

Models: "message_passing" (F and a factorised G, `neural`), "edge" (G a perceptron of edges),
"no_graph" (F alone), "latent" (NDCN's, `latent`) and its ablations. Of the training times a share
is kept for validation: it stops the training early and calibrates the intervals. The times kept
for the test are seen by neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from graphtide.dynamics.fitted import Fit
from graphtide.dynamics.holdout import Holdout
from graphtide.dynamics.intervals import Intervals, coverage
from graphtide.dynamics.latent import LatentDiffusionField
from graphtide.dynamics.latent_training import train_latent
from graphtide.dynamics.neural import MessagePassingField, output_of
from graphtide.dynamics.neural_data import (
    LATENT,
    NeuralSettings,
    PreparedData,
    field_model,
    latent_model,
    may_start_from_closed_form,
    prepared,
    teacher_paths,
)
from graphtide.dynamics.neural_task import Trained
from graphtide.dynamics.neural_training import train_field
from graphtide.dynamics.prediction import ensemble_spread, integrate
from graphtide.dynamics.preparation import errors_by_role
from graphtide.dynamics.weak_training import normal_equations
from graphtide.errors import ComputationError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["fit_neural"]


def fit_neural(
    trajectory: Trajectory | Sequence[Trajectory],
    graph: Graph | Sequence[Graph],
    *,
    settings: NeuralSettings | None = None,
    holdout: Holdout | np.ndarray | None = None,
    inputs: Trajectory | Sequence[Trajectory] | None = None,
    exact_start: bool = False,
    seed: int = 0,
    checkpoints: Path | None = None,
    ready: Callable[[], None] | None = None,
    progress: Callable[[float, str], None] | None = None,
) -> Fit:
    """Fit a neural model to trajectories on graphs.

    Args:
        trajectory: states of nodes in time; several must share their variables. Missing readings,
            times that differ between nodes (NaN elsewhere) and nodes without any reading are fine.
        graph: the network of all trajectories, or one for each.
        settings: the model and its training.
        holdout: which times are kept for the test; as for the closed form.
        inputs: known inputs u(t) of all nodes, as series; one for all trajectories or one for each.
        exact_start: the first states carry no noise although later ones do.
        seed: seed of the split, of all weights and of the order of training.
        checkpoints: folder in which stages are kept while they run, and from which they go on.
        ready: called once, when the input is found right and before any training.
        progress: told the share done and what is being done.

    Raises:
        InputError: the states do not fit the graph, an input or attribute is missing, the first
            time is held out, or too few times are left.
        ComputationError: no roll-out reaches the end of the training times.
    """
    settings = settings or NeuralSettings()
    began, began_cpu = time.perf_counter(), time.process_time()
    told = progress or (lambda _share, _text: None)
    data = prepared(trajectory, graph, settings, holdout, inputs, exact_start, seed)
    with torch.random.fork_rng([]):  # layers draw their first weights from torch's generator
        torch.manual_seed(seed)
        model = (
            latent_model(data, settings)
            if settings.model in LATENT
            else field_model(data, settings, seed)
        )
    if ready is not None:
        ready()
    members: dict[str, np.ndarray] = {}
    spreads = [np.zeros_like(t.states) for t in data.observed]
    if isinstance(model, LatentDiffusionField):
        trained = train_latent(
            model,
            data.graphs,
            data.task,
            epochs=settings.epochs,
            kind=settings.training.loss,
            seed=seed,
            checkpoints=checkpoints,
            progress=told,
        )
    else:
        trained = _train_field(model, data, settings, exact_start, seed, checkpoints, told)
        told(0.97, "calibrating intervals")
        members, spreads = _ensemble(model, data, trained, settings, seed) or (members, spreads)
    states = [
        integrate(model, g, t.times, s, inputs=u)
        for t, g, s, u in zip(data.observed, data.graphs, trained.starts, data.inputs, strict=True)
    ]
    intervals = _calibrated(data, states, spreads, members)
    predicted = tuple(t.with_states(x) for t, x in zip(data.observed, states, strict=True))
    metrics: dict[str, object] = {
        "model": settings.model,
        **errors_by_role(data.observed, predicted, data.roles),
        "parameters": sum(p.numel() for p in model.parameters()),
        "coupling": settings.coupling,
        "transform": "none",
        "start": trained.began_from,
        "noise": [float(n) for n in data.task.problem.noise],
        "unseen_nodes": sum(len(u) for u in data.unseen),
        "ensemble": len(next(iter(members.values()), ())),
        "level": settings.level,
        **_coverages(data, states, spreads, intervals, settings.level),
        "interrupted": trained.interrupted,
        "seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - began_cpu,
    }
    return Fit(
        model,
        metrics,
        None,
        data.graphs,
        data.observed,
        predicted,
        data.roles,
        history=trained.history,
        intervals=intervals,
        spreads=tuple(spreads),
        inputs=data.inputs,
        starts=tuple(trained.starts),
    )


def _train_field(
    model: MessagePassingField,
    data: PreparedData,
    settings: NeuralSettings,
    exact_start: bool,
    seed: int,
    checkpoints: Path | None,
    told: Callable[[float, str], None],
) -> Trained:
    """Train a field, from a closed form where that is asked for or seems right."""
    teacher = None
    automatic = settings.start == "auto" and may_start_from_closed_form(data, settings)
    if automatic or settings.start == "closed_form":
        told(0.02, "fitting a closed form to start from")
        try:
            teacher = teacher_paths(data, exact_start, seed)
        except ComputationError:  # no closed form follows these readings
            if not automatic:
                raise
    bounds = [model.on(g, u) for g, u in zip(data.graphs, data.inputs, strict=True)]
    return train_field(
        model,
        bounds,
        data.task,
        settings=settings.training,
        teacher=teacher,
        doubted=automatic,
        seed=seed,
        checkpoints=checkpoints,
        progress=told,
    )


def _ensemble(
    model: MessagePassingField,
    data: PreparedData,
    trained: Trained,
    settings: NeuralSettings,
    seed: int,
) -> tuple[dict[str, np.ndarray], list[np.ndarray]] | None:
    """Return the members' output weights, and the spread of their roll-outs for each trajectory.

    Their weights are the model's, moved as bootstrap draws move the weak fit.

    The intervals between readings are drawn with replacement; the hidden units are those of the
    trained model (a one-step bootstrap). The least ridge penalty under which most members can be
    rolled out over all times, those of the test too, is taken; where there is none, there is no
    ensemble.
    """
    if settings.ensemble < 2:
        return None
    bounds = [model.on(g, u) for g, u in zip(data.graphs, data.inputs, strict=True)]
    like = output_of(model).detach()
    generator = np.random.default_rng((seed, 29))
    drawn = []
    for _ in range(settings.ensemble):
        counts = []
        for sample in data.task.weak.samples:
            number = len(sample.times) - 1
            draw = generator.multinomial(number, np.full(number, 1.0 / number))
            counts.append(like.new_tensor(draw))
        drawn.append(normal_equations(model, trained.form, bounds, counts))
    every = normal_equations(model, trained.form, bounds)
    for penalty in (1e-9, 1e-7, 1e-5, 1e-3):
        if penalty < trained.penalty:
            continue
        centre = every.solved(penalty)
        outputs = [(like + n.solved(penalty) - centre).cpu().numpy() for n in drawn]
        members = {"output": np.array(outputs)}
        spreads = [
            ensemble_spread(model, members, g, t.times, s, u, like=t.states)
            for t, g, s, u in zip(
                data.observed, data.graphs, trained.starts, data.inputs, strict=True
            )
        ]
        if all(np.isfinite(spread).all() for spread in spreads):
            return members, spreads
    return None


def _calibrated(
    data: PreparedData,
    states: list[np.ndarray],
    spreads: list[np.ndarray],
    members: dict[str, np.ndarray],
) -> Intervals:
    residuals, wide = [], []
    for k, roles in enumerate(data.roles):
        train = roles == "train"
        residuals.append(data.task.validation[k] - states[k][train])
        wide.append(spreads[k][train])
    return Intervals.calibrated(members, residuals, wide)


def _coverages(
    data: PreparedData,
    states: list[np.ndarray],
    spreads: list[np.ndarray],
    intervals: Intervals,
    level: float,
) -> dict[str, object]:
    """Return the share of test readings within the intervals, by role."""
    result: dict[str, object] = {}
    wanted = {"interpolation": "interpolate", "extrapolation": "extrapolate"}
    for name, role in wanted.items():
        parts = []
        for t, x, s, r in zip(data.observed, states, spreads, data.roles, strict=True):
            half = intervals.half_width(s[r == role], level)
            parts.append((t.states[r == role], x[r == role], half))
        joined = [
            np.concatenate([p[k].reshape(-1, p[k].shape[2]) for p in parts]) for k in range(3)
        ]
        result[f"coverage_{name}"] = coverage(*joined)
    return result

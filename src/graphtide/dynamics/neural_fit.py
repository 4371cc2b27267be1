"""Fit a neural model of dynamics on graphs, test it, and calibrate its intervals.

Models: "message_passing" (F and a factorised G, `neural`), "edge" (G a perceptron of edges),
"no_graph" (F alone), "latent" (NDCN's, `latent`) and its ablations. Of the training times a share
is kept for validation: it stops the training early and calibrates the intervals. The times kept
for the test are seen by neither.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import torch

from graphtide.dynamics.fields import OPERATORS
from graphtide.dynamics.fit import Fit, check_trajectories, errors_by_role, roles_of, samples_of
from graphtide.dynamics.fit import fit as fit_closed_form
from graphtide.dynamics.gaps import completed, monotone_filled
from graphtide.dynamics.holdout import Holdout
from graphtide.dynamics.intervals import Intervals, coverage
from graphtide.dynamics.latent import LatentDiffusionField, Part
from graphtide.dynamics.latent_training import train_latent
from graphtide.dynamics.neural import MessagePassingField, output_of
from graphtide.dynamics.neural_training import (
    Task,
    Trained,
    TrainingSettings,
    thinned,
    train_field,
)
from graphtide.dynamics.prediction import ensemble_spread, integrate
from graphtide.dynamics.regression import Problem
from graphtide.dynamics.surroundings import Inputs, Surroundings
from graphtide.dynamics.visited import Visited, visited_pairs
from graphtide.dynamics.weak_training import normal_equations
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["MODELS", "ModelName", "NeuralSettings", "fit_neural"]

ModelName = Literal[
    "message_passing",
    "edge",
    "no_graph",
    "latent",
    "latent_no_embedding",
    "latent_no_graph",
    "latent_no_control",
]
MODELS = get_args(ModelName)
LATENT: dict[str, tuple[Part, ...]] = {
    "latent": (),
    "latent_no_embedding": ("embedding",),
    "latent_no_graph": ("graph",),
    "latent_no_control": ("control",),
}
TEACHER_TIMES = 200


@dataclass(frozen=True, slots=True)
class NeuralSettings:
    """What is fitted, and how.

    Args:
        model: its name.
        width: hidden units of F, and of G on edges; channels of a latent model.
        pair_width: hidden units of each factor of G.
        layers: hidden layers.
        coupling: "sum" over neighbours, or their "mean".
        start: "weak" (least squares) or "closed_form" (its paths are the first to be learned).
        attributes: attributes of the graph's nodes that the field sees.
        uses_time: whether the field sees the time.
        ensemble: members for the intervals; 0 leaves only what is the same everywhere.
        level: level of the intervals whose coverage is measured.
        validation: share of the training times kept for validation inside, and again at the end.
        epochs: epochs of a latent model.
        training: lengths of the stages of a field.
    """

    model: ModelName = "message_passing"
    width: int = 32
    pair_width: int = 12
    layers: int = 1
    coupling: Literal["sum", "mean"] = "sum"
    start: Literal["weak", "closed_form"] = "weak"
    attributes: tuple[str, ...] = ()
    uses_time: bool = False
    ensemble: int = 8
    level: float = 0.9
    validation: float = 0.1
    epochs: int = 400
    training: TrainingSettings = field(default_factory=TrainingSettings)

    def __post_init__(self) -> None:
        """Check what a user may set."""
        if self.model not in MODELS:
            raise InputError(f"'{self.model}' is no model; known are {', '.join(MODELS)}")
        if self.start not in ("weak", "closed_form"):
            raise InputError(f"start '{self.start}' is neither weak nor closed_form")
        if not 0.0 < self.validation <= 0.3:
            raise InputError(f"validation {self.validation:g}: a share up to 0.3 was expected")
        if self.ensemble < 0 or not 0.0 < self.level < 1.0:
            raise InputError("ensemble must not be negative, and level a share between 0 and 1")


@dataclass(frozen=True, slots=True, eq=False)
class _Data:
    """Trajectories made ready."""

    observed: tuple[Trajectory, ...]
    graphs: tuple[Graph, ...]
    inputs: tuple[Inputs | None, ...]
    roles: tuple[np.ndarray, ...]
    training: list[Trajectory]
    task: Task
    unseen: list[np.ndarray]


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
        progress: told the share done and what is being done.

    Raises:
        InputError: the states do not fit the graph, an input or attribute is missing, the first
            time is held out, or too few times are left.
        ComputationError: no roll-out reaches the end of the training times.
    """
    settings = settings or NeuralSettings()
    began, began_cpu = time.perf_counter(), time.process_time()
    told = progress or (lambda _share, _text: None)
    data = _prepare(trajectory, graph, settings, holdout, inputs, exact_start, seed)
    with torch.random.fork_rng([]):  # layers draw their first weights from torch's generator
        torch.manual_seed(seed)
        model = (
            _latent(data, settings) if settings.model in LATENT else _field(data, settings, seed)
        )
    members: dict[str, np.ndarray] = {}
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
        members = _members(model, data, trained, settings, seed)
    states = [
        integrate(model, g, t.times, s, inputs=u)
        for t, g, s, u in zip(data.observed, data.graphs, trained.starts, data.inputs, strict=True)
    ]
    spreads = [
        ensemble_spread(model, members, g, t.times, s, u, like=x)
        for t, g, s, u, x in zip(
            data.observed, data.graphs, trained.starts, data.inputs, states, strict=True
        )
    ]
    intervals = _calibrated(data, states, spreads, members)
    predicted = tuple(t.with_states(x) for t, x in zip(data.observed, states, strict=True))
    metrics: dict[str, object] = {
        "model": settings.model,
        **errors_by_role(data.observed, predicted, data.roles),
        "parameters": sum(p.numel() for p in model.parameters()),
        "coupling": settings.coupling,
        "transform": "none",
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


def _prepare(
    trajectory: Trajectory | Sequence[Trajectory],
    graph: Graph | Sequence[Graph],
    settings: NeuralSettings,
    holdout: Holdout | np.ndarray | None,
    inputs: Trajectory | Sequence[Trajectory] | None,
    exact_start: bool,
    seed: int,
) -> _Data:
    observed = (trajectory,) if isinstance(trajectory, Trajectory) else tuple(trajectory)
    graphs = (graph,) * len(observed) if isinstance(graph, Graph) else tuple(graph)
    check_trajectories(observed, graphs, unseen_allowed=True)
    series = [inputs] * len(observed) if isinstance(inputs, Trajectory) else list(inputs or ())
    if series and len(series) != len(observed):
        raise InputError(f"{len(observed)} trajectories came with {len(series)} series of inputs")
    known = tuple(Inputs.of(u.with_graph(g)) for u, g in zip(series, graphs, strict=False)) or (
        None,
    ) * len(observed)
    chosen = Holdout() if holdout is None else holdout
    roles = tuple(roles_of(chosen, t, seed) for t in observed)
    training = [t.select(r == "train") for t, r in zip(observed, roles, strict=True)]
    unseen = [np.flatnonzero(~t.mask.any(axis=(0, 2))) for t in training]
    learned, validation = [], []
    for k, t in enumerate(training):
        kept = _validation_times(len(t.times), settings.validation, seed + k)
        learned.append(t.select(~kept))
        validation.append(np.where(kept[:, None, None], t.states, np.nan))
    samples, noise = samples_of(learned, graphs, exact_start, settings.coupling)
    ready = [
        completed(monotone_filled(s) if noise.max() == 0 else s, g)
        for s, g in zip(samples, graphs, strict=True)
    ]
    problem = Problem(tuple(ready), noise, seed)
    weak = Problem(tuple(thinned(s) for s in ready), noise, seed)
    task = Task(problem, weak, tuple(t.times for t in training), tuple(validation), tuple(unseen))
    return _Data(observed, graphs, known, roles, training, task, unseen)


def _validation_times(count: int, share: float, seed: int) -> np.ndarray:
    """Return which training times are kept for validation: some inside, some at the end."""
    each = max(1, round(share * count))
    if count - 2 * each < 4:
        raise InputError(
            f"{count} training times are too few: {2 * each} are kept for validation, and at least "
            "4 must be left to learn from"
        )
    kept = np.zeros(count, dtype=bool)
    kept[count - each :] = True
    generator = np.random.default_rng((seed, 17))
    kept[1 + generator.permutation(count - each - 2)[:each]] = True
    return kept


def _visited(data: _Data) -> Visited:
    problem = data.task.problem
    seen = [(s.adjacency, s.states) for s in problem.samples]
    return Visited(problem.low, problem.high, visited_pairs(seen, problem.low, problem.high))


def _field(data: _Data, settings: NeuralSettings, seed: int) -> MessagePassingField:
    """Return a field with its hidden units spread over the data."""
    problem = data.task.problem
    times = [t.times for t in data.observed]
    around = Surroundings.seen(
        data.graphs, times, settings.attributes, data.inputs, uses_time=settings.uses_time
    )
    span = np.mean([np.ptp(t) for t in times])
    message = {"message_passing": "factorised", "edge": "edge", "no_graph": "none"}[settings.model]
    kind = OPERATORS[settings.coupling]
    gathered = [np.abs(g.matrix(kind).sum(axis=1)).mean() for g in data.graphs]
    model = MessagePassingField(
        _visited(data),
        variables=data.observed[0].variables,
        message=message,  # pyright: ignore[reportArgumentType]
        width=settings.width,
        pair_width=settings.pair_width,
        layers=settings.layers,
        coupling=settings.coupling,
        surroundings=around,
        edge_weights=any(np.ptp(g.edge_weight) > 0 for g in data.graphs if g.edge_count),
        scale=np.maximum(problem.high - problem.low, 1e-9 * problem.size) / span,
        gathered=float(np.mean(gathered)) or 1.0,
    )
    generator = np.random.default_rng(seed)
    some = problem.pooled[generator.permutation(len(problem.pooled))[:20_000]]
    model.spread_hidden(torch.tensor(some), generator)
    return model


def _train_field(
    model: MessagePassingField,
    data: _Data,
    settings: NeuralSettings,
    exact_start: bool,
    seed: int,
    checkpoints: Path | None,
    told: Callable[[float, str], None],
) -> Trained:
    teacher = None
    if settings.start == "closed_form":
        told(0.02, "fitting a closed form to start from")
        teacher = _teacher(data, exact_start, seed)
    bounds = [model.on(g, u) for g, u in zip(data.graphs, data.inputs, strict=True)]
    return train_field(
        model,
        bounds,
        data.task,
        settings=settings.training,
        teacher=teacher,
        seed=seed,
        checkpoints=checkpoints,
        progress=told,
    )


def _teacher(data: _Data, exact_start: bool, seed: int) -> Problem:
    """Return dense, clean paths of a closed-form field fitted to the same readings."""
    if any(len(u) for u in data.unseen):
        raise InputError("a closed form cannot start from nodes that are never seen: start weak")
    if any(u is not None for u in data.inputs):
        raise InputError("a closed form knows no inputs: start weak")
    problem = data.task.problem
    learned = [
        Trajectory(s.times, s.observed, variables=t.variables, graph=g)
        for s, t, g in zip(problem.samples, data.observed, data.graphs, strict=True)
    ]
    roles = np.full(len(learned[0].times), "train", dtype="<U11")
    same = all(len(t.times) == len(roles) for t in learned)
    kept = roles if same else Holdout(interpolate=0.0, extrapolate=0.0)
    found = fit_closed_form(learned, data.graphs, holdout=kept, exact_start=exact_start, seed=seed)
    samples = []
    for s, g in zip(problem.samples, data.graphs, strict=True):
        times = np.union1d(s.times, np.linspace(s.times[0], s.times[-1], TEACHER_TIMES))
        states = integrate(found.field, g, times, s.start)
        samples.append(replace(s, times=times, states=states, observed=states))
    return Problem(tuple(samples), np.zeros_like(problem.noise), seed)


def _latent(data: _Data, settings: NeuralSettings) -> LatentDiffusionField:
    if settings.attributes or settings.uses_time or any(u is not None for u in data.inputs):
        raise InputError("a latent model sees neither attributes nor inputs nor the time")
    gaps = np.concatenate([np.diff(t.times) for t in data.training])
    return LatentDiffusionField(
        _visited(data),
        variables=data.observed[0].variables,
        hidden=settings.width,
        without=LATENT[settings.model],
        step=float(gaps.mean()),
    )


def _members(
    model: MessagePassingField, data: _Data, trained: Trained, settings: NeuralSettings, seed: int
) -> dict[str, np.ndarray]:
    """Return the members' output weights: the model's, moved as bootstrap draws move the weak fit.

    The intervals between readings are drawn with replacement; the hidden units are those of the
    trained model (a one-step bootstrap). The least ridge penalty under which most members can be
    rolled out is taken; where there is none, there are no members.
    """
    if settings.ensemble < 2:
        return {}
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
        times, start = data.task.judged[0], trained.starts[0]
        shape = np.zeros((len(times), *start.shape))
        spread = ensemble_spread(
            model, members, data.graphs[0], times, start, data.inputs[0], like=shape
        )
        if np.isfinite(spread).all():
            return members
    return {}


def _calibrated(
    data: _Data, states: list[np.ndarray], spreads: list[np.ndarray], members: dict[str, np.ndarray]
) -> Intervals:
    residuals, wide = [], []
    for k, roles in enumerate(data.roles):
        train = roles == "train"
        residuals.append(data.task.validation[k] - states[k][train])
        wide.append(spreads[k][train])
    return Intervals.calibrated(members, residuals, wide)


def _coverages(
    data: _Data,
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

"""Trajectories made ready for a neural model, and the model before it has learned anything."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

import numpy as np
import torch

from graphtide.dynamics.fields import OPERATORS
from graphtide.dynamics.fit import fit as fit_closed_form
from graphtide.dynamics.gaps import completed, monotone_filled
from graphtide.dynamics.holdout import Holdout
from graphtide.dynamics.latent import LatentDiffusionField, Part
from graphtide.dynamics.neural import MessagePassingField
from graphtide.dynamics.neural_task import Task, TrainingSettings, thinned
from graphtide.dynamics.prediction import integrate
from graphtide.dynamics.preparation import check_trajectories, roles_of, samples_of
from graphtide.dynamics.problem import Problem
from graphtide.dynamics.surroundings import Inputs, Surroundings
from graphtide.dynamics.visited import Visited, visited_pairs
from graphtide.errors import InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = [
    "LATENT",
    "MODELS",
    "ModelName",
    "NeuralSettings",
    "PreparedData",
    "field_model",
    "latent_model",
    "may_start_from_closed_form",
    "prepared",
    "teacher_paths",
]

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
MOST_VARIABLES = 2
"""Of more variables a closed form has too many terms to be a quick start."""


@dataclass(frozen=True, slots=True)
class NeuralSettings:
    """What is fitted, and how.

    Args:
        model: its name.
        width: hidden units of F, and of G on edges; channels of a latent model.
        pair_width: hidden units of each factor of G.
        layers: hidden layers.
        coupling: "sum" over neighbours, or their "mean".
        start: "weak" (least squares), "closed_form" (its paths are the first to be learned), or
            "auto": a closed form for up to two variables, where one can be fitted; else weak.
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
    start: Literal["auto", "weak", "closed_form"] = "auto"
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
        if self.start not in ("auto", "weak", "closed_form"):
            raise InputError(f"start '{self.start}' is neither auto, weak nor closed_form")
        if not 0.0 < self.validation <= 0.3:
            raise InputError(f"validation {self.validation:g}: a share up to 0.3 was expected")
        if self.ensemble < 0 or not 0.0 < self.level < 1.0:
            raise InputError("ensemble must not be negative, and level a share between 0 and 1")


@dataclass(frozen=True, slots=True, eq=False)
class PreparedData:
    """Trajectories made ready.

    Args:
        observed: the trajectories.
        graphs: of each.
        inputs: known inputs of each, or None.
        roles: of the times of each: "train", or what test they are kept for.
        training: the trajectories at their training times.
        task: what a field is trained on.
        unseen: numbers of the nodes never seen, of each.
    """

    observed: tuple[Trajectory, ...]
    graphs: tuple[Graph, ...]
    inputs: tuple[Inputs | None, ...]
    roles: tuple[np.ndarray, ...]
    training: list[Trajectory]
    task: Task
    unseen: list[np.ndarray]


def prepared(
    trajectory: Trajectory | Sequence[Trajectory],
    graph: Graph | Sequence[Graph],
    settings: NeuralSettings,
    holdout: Holdout | np.ndarray | None,
    inputs: Trajectory | Sequence[Trajectory] | None,
    exact_start: bool,
    seed: int,
) -> PreparedData:
    """Check trajectories, split their times, and fill the gaps of what is learned from.

    Arguments and errors are those of :func:`graphtide.dynamics.neural_fit.fit_neural`.
    """
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
    return PreparedData(observed, graphs, known, roles, training, task, unseen)


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


def _visited(data: PreparedData) -> Visited:
    problem = data.task.problem
    seen = [(s.adjacency, s.states) for s in problem.samples]
    return Visited(problem.low, problem.high, visited_pairs(seen, problem.low, problem.high))


def field_model(data: PreparedData, settings: NeuralSettings, seed: int) -> MessagePassingField:
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


def may_start_from_closed_form(data: PreparedData, settings: NeuralSettings) -> bool:
    """Tell whether a closed form can be fitted quickly, and knows what the field is to know.

    It is the better start: least squares weigh noisy increments by all of the states at once, so
    that what is small is lost in the noise of what is large, and a few early times say little of
    what comes later; a closed form is chosen and refined by its own roll-outs.
    """
    few = len(data.observed[0].variables) <= MOST_VARIABLES
    plain = not (settings.attributes or settings.uses_time or settings.model == "no_graph")
    alone = all(given is None for given in data.inputs)
    seen = not any(len(nodes) for nodes in data.unseen)
    return few and plain and alone and seen


def teacher_paths(data: PreparedData, exact_start: bool, seed: int) -> Problem:
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


def latent_model(data: PreparedData, settings: NeuralSettings) -> LatentDiffusionField:
    """Return a latent model, untrained.

    Raises:
        InputError: there are attributes, inputs or times for it to see.
    """
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

"""Learn a closed-form field from trajectories, and test it on times kept from learning.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j). Families from linear to splines are fitted on the
increments between readings (`regression`), the plainest family whose roll-out is within twice the
best one's is kept, and where the readings are noisy they are smoothed first and the coefficients
refined through the whole roll-out (`refinement`).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas

from graphtide.dynamics.families import NumericField, families_for
from graphtide.dynamics.fields import Coupling, LearnedField, Transform
from graphtide.dynamics.fitted import Fit
from graphtide.dynamics.holdout import Holdout, relative_error
from graphtide.dynamics.prediction import Prediction, integrate, load_field, predict
from graphtide.dynamics.preparation import (
    check_trajectories,
    errors_by_role,
    roles_of,
    samples_of,
)
from graphtide.dynamics.problem import Problem, Sample
from graphtide.dynamics.refinement import refine
from graphtide.dynamics.regression import EXACT, Candidate, search
from graphtide.dynamics.rollout import roll_out
from graphtide.dynamics.shooting import corrected, independent_share, readings_of, shoot
from graphtide.dynamics.visited import visited_pairs
from graphtide.errors import ComputationError, InputError
from graphtide.graph import Graph
from graphtide.trajectory import Trajectory

__all__ = ["Fit", "Holdout", "Prediction", "fit", "load_field", "predict"]

MISFIT = 1e-3
"""Roll-out error from which on sums over neighbours are doubted, and means tried."""
SEGMENTS = 40
"""Segments on which regressions of noisy readings are judged."""


@dataclass(slots=True)
class _Clock:
    began: float = field(default_factory=time.perf_counter)
    began_cpu: float = field(default_factory=time.process_time)


def fit(
    trajectory: Trajectory | Sequence[Trajectory],
    graph: Graph | Sequence[Graph],
    *,
    holdout: Holdout | np.ndarray | None = None,
    transform: Transform | str = "none",
    exact_start: bool = False,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> Fit:
    """Learn a field from trajectories on graphs.

    Args:
        trajectory: states of all nodes in time; several must share their variables. Missing
            readings are fine; a node without any is refused, as its neighbours feel it.
        graph: the network of all trajectories, or one for each.
        holdout: which times are kept for the test; default a fifth inside and a fifth at the end.
            An array of roles ("train", "interpolate", "extrapolate"), shape (T,), sets each.
        transform: "log" learns log x, for states that grow by shares of themselves; "auto" tries
            both on the last fifth of the training times and keeps the better one.
        exact_start: the first states carry no noise although later ones do.
        seed: seed of the split and of the choice of increments.
        progress: told the share done and what is being done.

    Raises:
        InputError: the states do not fit the graph, a node has no reading, the first time is held
            out, states are not positive under "log", or too few times are left.
        ComputationError: no family follows the training states.
    """
    clock = _Clock()
    observed = (trajectory,) if isinstance(trajectory, Trajectory) else tuple(trajectory)
    graphs = (graph,) * len(observed) if isinstance(graph, Graph) else tuple(graph)
    check_trajectories(observed, graphs)
    chosen = Holdout() if holdout is None else holdout
    roles = tuple(roles_of(chosen, t, seed) for t in observed)
    training = [t.select(r == "train") for t, r in zip(observed, roles, strict=True)]
    kept = _transform(transform, training, graphs, exact_start, seed)
    coupling, problem, candidates, winner = _learn_coupling(
        training, graphs, kept, exact_start, seed, progress
    )
    learned = _field(winner, problem, observed[0].variables, coupling, kept)
    seconds, cpu = time.perf_counter() - clock.began, time.process_time() - clock.began_cpu
    predicted = tuple(
        t.with_states(integrate(learned, g, t.times, _start(t, s, kept)))
        for t, g, s in zip(observed, graphs, problem.samples, strict=True)
    )
    metrics: dict[str, object] = {
        **errors_by_role(observed, predicted, roles),
        "family": winner.family.name,
        "unknowns": winner.coefficients.size,
        "coupling": coupling,
        "transform": kept,
        "noise": [float(n) for n in problem.noise],
        "seconds": seconds,
        "cpu_seconds": cpu,
    }
    table = pandas.DataFrame(
        {
            "family": [c.family.name for c in candidates],
            "penalty": [c.penalty for c in candidates],
            "unknowns": [c.coefficients.size for c in candidates],
            "training_error": [c.error for c in candidates],
            "chosen": [c.family is winner.family for c in candidates],
        }
    )
    return Fit(learned, metrics, table, graphs, observed, predicted, roles)


def _field(
    winner: Candidate,
    problem: Problem,
    variables: tuple[str, ...],
    coupling: Coupling,
    transform: Transform,
) -> LearnedField:
    """Return the field of a candidate, with what its problem has seen."""
    seen = [(sample.adjacency, sample.states) for sample in problem.samples]
    return LearnedField(
        winner.family,
        winner.coefficients,
        variables=variables,
        coupling=coupling,
        transform=transform,
        low=problem.low,
        high=problem.high,
        pairs=visited_pairs(seen, problem.low, problem.high),
    )


def _learn_coupling(
    training: Sequence[Trajectory],
    graphs: Sequence[Graph],
    transform: Transform,
    exact_start: bool,
    seed: int,
    progress: Callable[[float, str], None] | None,
) -> tuple[Coupling, Problem, list[Candidate], Candidate]:
    """Learn with sums over neighbours; where those leave a misfit, with means, too.

    Means are kept where they halve the sum of squares.
    """
    summed = _learn(training, graphs, transform, exact_start, seed, progress)
    regular = all(np.ptp(graph.degree) == 0 for graph in graphs)
    if regular or not _misfits(summed[2], summed[0]):
        return "sum", *summed
    try:
        mean = _learn(training, graphs, transform, exact_start, seed, progress, coupling="mean")
    except ComputationError:
        return "sum", *summed
    if mean[2].mean_square < 0.5 * summed[2].mean_square:
        return "mean", *mean
    return "sum", *summed


def _misfits(candidate: Candidate, problem: Problem) -> bool:
    """Return whether a roll-out errs by more than a thousandth, and by more than the noise."""
    expected = float(np.mean((problem.noise / problem.size) ** 2))
    return candidate.error > MISFIT and candidate.mean_square > 1.5 * expected


def _learn(
    training: Sequence[Trajectory],
    graphs: Sequence[Graph],
    transform: Transform,
    exact_start: bool,
    seed: int,
    progress: Callable[[float, str], None] | None,
    *,
    coupling: Coupling = "sum",
) -> tuple[Problem, list[Candidate], Candidate]:
    """Return the problem, the candidates (best first) and the one kept."""
    samples, noise = samples_of(training, graphs, exact_start, coupling, transform=transform)
    problem = Problem(tuple(samples), noise, seed)

    def part(begin: float, end: float) -> Callable[[float, str], None]:
        def told(share: float, what: str) -> None:
            if progress is not None:
                progress(begin + share * (end - begin), what)

        return told

    if problem.noisy:
        judge = problem.in_segments(SEGMENTS)
        families = families_for(problem.pooled)
        candidates = search(
            problem, families, rounds=2, kept=12, judge=judge, progress=part(0.0, 0.3)
        )
        candidates = shoot(candidates, families, problem, part(0.3, 1.0))
    else:
        families = families_for(problem.pooled)
        candidates = search(problem, families, progress=part(0.0, 0.9))
        candidates = _refined(candidates, problem, part(0.9, 1.0))
    finite = [c for c in candidates if np.isfinite(c.error)]
    if not finite:
        raise ComputationError(
            "no family of fields follows the training states: perhaps the times are too few or too "
            "far apart, or the network is not the one that couples these nodes"
        )
    return problem, finite, _chosen(finite, problem)


def _refined(
    candidates: list[Candidate],
    problem: Problem,
    progress: Callable[[float, str], None],
) -> list[Candidate]:
    """Refine small families that follow clean readings well, though not exactly."""
    result, best = [], candidates[0].error if candidates else np.inf
    for number, candidate in enumerate(candidates):
        near = EXACT < candidate.error <= 100.0 * max(best, EXACT)
        if near and candidate.coefficients.size <= 8 and best < 1e-3:
            name = candidate.family.name
            progress(number / len(candidates), f"refining '{name}' through its roll-out")
            candidate = refine(candidate, problem)
        result.append(candidate)
    return sorted(result, key=lambda c: c.error)


def _chosen(candidates: list[Candidate], problem: Problem) -> Candidate:
    """Return the plainest candidate about as good as the best that stays in range beyond the data.

    Without noise: a roll-out error within twice the best. With noise: a sum of squares above that
    of the richer best one by no more than its further unknowns explain by chance (chi-squared,
    mean and two standard deviations). Residuals that hang together in time, as those of real data
    do, are worth fewer readings.
    """
    if problem.noisy:
        best = min(candidates, key=lambda c: corrected(c, problem))
        unit = corrected(best, problem) / (readings_of(problem) * independent_share(best, problem))

        def near_best(candidate: Candidate) -> bool:
            further = max(best.coefficients.size - candidate.coefficients.size, 1)
            allowed = unit * (further + 2.0 * np.sqrt(2.0 * further))
            return candidate.mean_square <= best.mean_square + allowed

        near = [c for c in candidates if near_best(c)]
    else:
        limit = 2.0 * candidates[0].error + EXACT
        near = [c for c in candidates if c.error <= limit]
    near.sort(key=lambda c: c.family.complexity)
    others = [c for c in candidates if c not in near]
    for candidate in [*near, *others]:
        if _stays(candidate, problem):
            return candidate
    return near[0]


def _stays(candidate: Candidate, problem: Problem) -> bool:
    """Return whether roll-outs twice as long as the data stay within twice the data's range."""
    for sample in problem.samples:
        first, last = sample.times[0], sample.times[-1]
        rollout = roll_out(
            NumericField(candidate.family, candidate.coefficients, sample.adjacency),
            np.array([first, last, 2 * last - first]),
            sample.start,
            bound=problem.bound,
            tolerance=1e-4,
            maximum_steps=20 * len(sample.times) + 1200,
        )
        if rollout is None:
            return False
    return True


def _transform(
    wanted: Transform | str,
    training: Sequence[Trajectory],
    graphs: Sequence[Graph],
    exact_start: bool,
    seed: int,
) -> Transform:
    """Return the transform, tried on the last fifth of the training times where it is "auto"."""
    if wanted == "none":
        return "none"
    if wanted not in ("log", "auto"):
        raise InputError(f"'{wanted}' is no transform; known are none, log, auto")
    lowest = min(float(np.nanmin(t.states)) for t in training)
    if wanted == "log":
        if lowest <= 0:
            raise InputError(f"transform log needs states above zero; the lowest is {lowest:g}")
        return "log"
    if lowest <= 0:
        return "none"
    errors: dict[Transform, float] = {}
    for name in ("none", "log"):
        shorter = [t.select(slice(0, max(4, round(0.8 * len(t.times))))) for t in training]
        try:
            coupling, problem, _, winner = _learn_coupling(
                shorter, graphs, name, exact_start, seed, None
            )
            errors[name] = _forecast_error(problem, winner, training, graphs, coupling, name)
        except ComputationError:
            errors[name] = np.inf
    return "log" if errors["log"] < errors["none"] else "none"


def _forecast_error(
    problem: Problem,
    winner: Candidate,
    training: Sequence[Trajectory],
    graphs: Sequence[Graph],
    coupling: Coupling,
    transform: Transform,
) -> float:
    learned = _field(winner, problem, training[0].variables, coupling, transform)
    errors = []
    for t, g, s in zip(training, graphs, problem.samples, strict=True):
        states = integrate(learned, g, t.times, _start(t, s, transform))
        errors.append(relative_error(states[len(s.times) :], t.states[len(s.times) :]))
    return float(np.mean(errors))


def _start(trajectory: Trajectory, sample: Sample, transform: Transform) -> np.ndarray:
    del trajectory
    return np.exp(sample.start) if transform == "log" else sample.start

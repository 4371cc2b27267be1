"""Learn a closed-form field from trajectories, and test it on times kept from learning.

dx_i/dt = F(x_i) + sum_j A_ij G(x_i, x_j). Families from linear to splines are fitted on the
increments between readings (`regression`), the plainest family whose roll-out is within twice the
best one's is kept, and where the readings are noisy they are smoothed first and the coefficients
refined through the whole roll-out (`refinement`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import pandas
import torch

from graphtide.dynamics.families import NumericField, families_for
from graphtide.dynamics.fields import OPERATORS, Coupling, LearnedField, Transform
from graphtide.dynamics.holdout import (
    Holdout,
    last_value,
    linear_interpolation,
    linear_trend,
    relative_error,
)
from graphtide.dynamics.prediction import Prediction, integrate, load_field, predict
from graphtide.dynamics.refinement import refine
from graphtide.dynamics.regression import EXACT, Candidate, Problem, Sample, search
from graphtide.dynamics.rollout import roll_out
from graphtide.dynamics.shooting import corrected, independent_share, readings_of, shoot
from graphtide.dynamics.visited import visited_pairs
from graphtide.errors import ComputationError, InputError
from graphtide.files import write_bytes
from graphtide.graph import Graph
from graphtide.run import Run
from graphtide.trajectory import Trajectory
from graphtide.weakform.intervals import filled
from graphtide.weakform.smoothing import smooth

__all__ = ["Fit", "Holdout", "Prediction", "fit", "load_field", "predict"]

NOISE_SHARE = 2e-3
"""Noise below this share of a variable's mean size counts as none."""
MISFIT = 1e-3
"""Roll-out error from which on sums over neighbours are doubted, and means tried."""
SEGMENTS = 40
"""Segments on which regressions of noisy readings are judged."""


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """A learned field with its test.

    Args:
        field: the vector field.
        metrics: plain figures by name; relative errors over all trajectories.
        candidates: table family, penalty, unknowns, error, chosen.
        graphs: one for each trajectory.
        observed: the trajectories given.
        predicted: the field's roll-outs from the first states, at all observed times.
        roles: role of each time of each trajectory.
    """

    field: LearnedField
    metrics: dict[str, object]
    candidates: pandas.DataFrame
    graphs: tuple[Graph, ...]
    observed: tuple[Trajectory, ...]
    predicted: tuple[Trajectory, ...]
    roles: tuple[np.ndarray, ...]

    def save(self, run: Run) -> None:
        """Write the field, its figures, its tables and the first trajectory into a run."""
        run.write_tensors("model", self.field.tensors())
        run.write_json("model.json", self.field.description())
        run.write_metrics(self.metrics)
        run.write_table("candidates", self.candidates)
        split = pandas.DataFrame({"time": self.observed[0].times, "role": self.roles[0]})
        run.write_table("split", split)
        run.write_graph(self.graphs[0])
        run.write_trajectory("observed", self.observed[0])
        run.write_trajectory("predicted", self.predicted[0])
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **self.halves())
        write_bytes(run.path / "halves.npz", buffer.getvalue())

    def halves(self, points: int = 61) -> dict[str, np.ndarray]:
        """Return F and G of the first variable on a grid of the visited range, for drawing.

        The other variables are held in the middle of their ranges; with a logarithmic transform the
        states are logarithms and F and G are rates of growth.
        """
        low, high = self.field.low, self.field.high
        grid = torch.lerp(low, high, 0.5).repeat(points, 1)
        grid[:, 0] = torch.linspace(float(low[0]), float(high[0]), points, dtype=low.dtype)
        own = grid.repeat_interleave(points, dim=0)
        other = grid.repeat(points, 1)
        with torch.no_grad():
            self_value = self.field.self_values(grid)[:, 0]
            pair_value = self.field.pair_values(own, other)[:, 0].reshape(points, points)
        return {
            "self_state": grid[:, 0].numpy(),
            "self_value": self_value.numpy(),
            "pair_own": grid[:, 0].numpy(),
            "pair_other": grid[:, 0].numpy(),
            "pair_value": pair_value.numpy(),
        }


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
    _check(observed, graphs)
    chosen = Holdout() if holdout is None else holdout
    roles = tuple(_roles(chosen, t, seed) for t in observed)
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
        **_errors(observed, predicted, roles),
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
    samples, noise = _samples(training, graphs, transform, exact_start, coupling)
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


def _samples(
    training: Sequence[Trajectory],
    graphs: Sequence[Graph],
    transform: Transform,
    exact_start: bool,
    coupling: Coupling,
) -> tuple[list[Sample], np.ndarray]:
    """Return the samples and the noise of each variable (zero where there is none to speak of)."""
    readings = [_transformed(t.states, transform) for t in training]
    pooled = np.concatenate([r.reshape(-1, r.shape[2]) for r in readings])
    size = np.nanmean(np.abs(pooled), axis=0)
    rough = np.mean(
        [_roughness(t.times, r) for t, r in zip(training, readings, strict=True)], axis=0
    )
    noisy = bool((rough > NOISE_SHARE * size).any())
    noise = np.zeros(len(size))
    samples = []
    for t, r, g in zip(training, readings, graphs, strict=True):
        states = filled(t.times, r)
        if noisy:
            edges = [0, *_jumps(states, rough), len(t.times)]
            for begin, end in pairwise(edges):
                if end - begin >= 8:
                    smoothed = smooth(t.times[begin:end], r[begin:end])
                    noise = np.maximum(noise, smoothed.noise_sd)
                    first = begin + 1 if exact_start and begin == 0 else begin
                    smooth_states = filled(t.times[begin:end], smoothed.states)
                    states[first:end] = smooth_states[first - begin :]
        samples.append(Sample(g.matrix(OPERATORS[coupling]), t.times, states, r, states[0]))
    return samples, noise


def _jumps(states: np.ndarray, noise: np.ndarray) -> list[int]:
    """Return the first times after changes that the times do not resolve; smoothing stops there.

    Such a change takes a state from one time to the next through more than a quarter of its
    variable's range and more than eight times the noise.
    """
    least = np.maximum(0.25 * np.ptp(states, axis=(0, 1)), 8.0 * noise) + 1e-300
    jump = (np.abs(np.diff(states, axis=0)) / least).max(axis=(1, 2)) > 1.0
    return [int(place) + 1 for place in np.flatnonzero(jump)]


def _roughness(times: np.ndarray, states: np.ndarray) -> np.ndarray:
    """Return the spread of readings about the cubic through their neighbours, shape (D,).

    For readings with independent noise this is its standard deviation; for smooth series it is the
    (much smaller) error of interpolation. The median over times keeps fast beginnings out of it.
    """
    count = len(times)
    if count < 6:
        return np.zeros(states.shape[2])
    spread = []
    for k in range(2, count - 2):
        place = np.array([k - 2, k - 1, k + 1, k + 2])
        others = times[place]
        weight = np.array(
            [
                np.prod((times[k] - np.delete(others, m)) / (others[m] - np.delete(others, m)))
                for m in range(4)
            ]
        )
        left = states[k] - np.einsum("m,mnd->nd", weight, states[place])
        if np.isnan(left).all(axis=0).any():
            continue
        spread.append(np.sqrt(np.nanmean(left**2, axis=0) / (1.0 + (weight**2).sum())))
    return np.median(np.array(spread), axis=0) if spread else np.zeros(states.shape[2])


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


def _transformed(states: np.ndarray, transform: Transform) -> np.ndarray:
    return np.log(states) if transform == "log" else np.array(states)


def _start(trajectory: Trajectory, sample: Sample, transform: Transform) -> np.ndarray:
    del trajectory
    return np.exp(sample.start) if transform == "log" else sample.start


def _roles(holdout: Holdout | np.ndarray, trajectory: Trajectory, seed: int) -> np.ndarray:
    count = len(trajectory.times)
    if isinstance(holdout, Holdout):
        return holdout.roles(count, seed=seed)
    roles = np.asarray(holdout, dtype="<U11")
    if roles.shape != (count,) or not set(roles) <= {"train", "interpolate", "extrapolate"}:
        raise InputError(
            f"roles must be {count} words train, interpolate or extrapolate, one for each time"
        )
    if roles[0] != "train" or (roles == "train").sum() < 4:
        raise InputError("the first time and three more at least must be of role train")
    return roles


def _check(observed: Sequence[Trajectory], graphs: Sequence[Graph]) -> None:
    if not observed:
        raise InputError("no trajectory was given")
    if len(graphs) != len(observed):
        raise InputError(f"{len(observed)} trajectories came with {len(graphs)} graphs")
    for number, (t, g) in enumerate(zip(observed, graphs, strict=True)):
        where = f"trajectory {number + 1}: " if len(observed) > 1 else ""
        if t.variables != observed[0].variables:
            raise InputError(f"{where}its variables are {t.variables}, not {observed[0].variables}")
        if t.names != g.names:
            raise InputError(
                f"{where}its {len(t.names)} nodes are not the graph's {g.node_count} in the same "
                "order; Trajectory.with_graph brings them into it"
            )
        unseen = np.flatnonzero(~np.all(t.mask.any(axis=0), axis=-1))
        if unseen.size:
            raise InputError(
                f"{where}node '{t.names[unseen[0]]}' has no reading ({unseen.size} such nodes of "
                f"{len(t.names)}); a field needs the states of all nodes, because their neighbours "
                "feel them: leave these nodes out of the graph"
            )


def _errors(
    observed: Sequence[Trajectory],
    predicted: Sequence[Trajectory],
    roles: Sequence[np.ndarray],
) -> dict[str, object]:
    """Return the relative errors by role, of the field and of the plain methods."""
    truth: dict[str, list[np.ndarray]] = {}
    guess: dict[str, list[np.ndarray]] = {}
    for t, p, r in zip(observed, predicted, roles, strict=True):
        train = r == "train"
        methods = {
            "relative_error_train": ("train", p.states),
            "relative_error_interpolation": ("interpolate", p.states),
            "relative_error_extrapolation": ("extrapolate", p.states),
        }
        plain = {
            "linear_interpolation_relative_error_interpolation": (
                "interpolate",
                linear_interpolation,
            ),
            "last_value_relative_error_extrapolation": ("extrapolate", last_value),
            "linear_trend_relative_error_extrapolation": ("extrapolate", linear_trend),
        }
        for name, (role, states) in methods.items():
            truth.setdefault(name, []).append(t.states[r == role].ravel())
            guess.setdefault(name, []).append(states[r == role].ravel())
        for name, (role, method) in plain.items():
            states = method(t.times[train], t.states[train], t.times[r == role])
            truth.setdefault(name, []).append(t.states[r == role].ravel())
            guess.setdefault(name, []).append(states.ravel())
    errors: dict[str, object] = {}
    for name, parts in truth.items():
        error = relative_error(np.concatenate(guess[name]), np.concatenate(parts))
        errors[name] = None if np.isnan(error) else error
    return errors

"""Learning a closed-form field: regression on increments, chosen by roll-out, in a few rounds.

Round 0 integrates along interpolants of the data; each further round along the paths of the best
field so far (`graphtide.weakform.intervals`), the same paths for all families. In a round each
family is one penalised least-squares problem, solved for a few penalties from one QR factorisation;
the families that fit the increments best are rolled out from the first reading, and what counts is
how well they then meet all the training readings. Increments weigh by their own size (plus a
floor), so that small states are learned as carefully as large ones: errors made while a small state
grows are multiplied by its growth. Intervals that the data does not resolve sit out round 0.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from graphtide.dynamics.families import Coefficients, Family, NumericField, network_of
from graphtide.dynamics.problem import Problem, Sample
from graphtide.dynamics.rollout import own_rate, roll_out
from graphtide.weakform.intervals import Paths, interpolant_paths, model_paths, sharpness

__all__ = ["Candidate", "judged", "regress", "search"]

Progress = Callable[[float, str], None]

EXACT = 3e-7
"""Roll-out error at which a family counts as exact: the roll-outs' own accuracy."""
ROW_BUDGET = 12_000
"""Increments used for one regression; more change nothing but the time."""
CLEAN_PENALTIES = (1e-16, 1e-13, 1e-10)
NOISY_PENALTIES = (1e-13, 1e-11, 1e-9, 1e-6)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A family with coefficients, and how it fared.

    Args:
        family: the family.
        coefficients: shape (P, D).
        penalty: weight of the roughness.
        increment_error: root mean square of the weighted increments' residuals.
        error: mean absolute roll-out error over mean absolute state, over the training readings;
            infinite where the roll-out left the range.
        mean_square: mean square of the roll-out's residuals in units of the variables' sizes.
        round: the round that made it.
    """

    family: Family
    coefficients: Coefficients
    penalty: float
    increment_error: float
    error: float = np.inf
    mean_square: float = np.inf
    round: int = 0


def search(
    problem: Problem,
    families: list[Family],
    *,
    rounds: int = 4,
    kept: int = 4,
    judge: Problem | None = None,
    progress: Progress | None = None,
) -> list[Candidate]:
    """Return the best candidate of each family that was rolled out, best roll-out first.

    Args:
        problem: what to learn from.
        families: what to learn.
        rounds: rounds at most; the search stops when the best roll-out no longer improves.
        kept: families that go beyond the second round.
        judge: what candidates are rolled out on; default the problem itself.
        progress: told the share done.
    """
    best: dict[str, Candidate] = {}
    paths = [interpolant_paths(s.times, s.states) for s in problem.samples]
    active, last = list(families), np.inf
    for number in range(rounds):
        if progress:
            progress(number / rounds, f"round {number + 1} of {rounds}: {len(active)} families")
        solved = regress(problem, active, paths, number)
        tried = _try_out(judge or problem, solved, number)
        for candidate in tried:
            known = best.get(candidate.family.name)
            if known is None or candidate.error < known.error:
                best[candidate.family.name] = candidate
        leader = tried[0]
        done = leader.error < EXACT or (number > 1 and leader.error > 0.7 * last)
        if done or number + 1 == rounds:
            break
        last = min(last, leader.error)
        if not np.isfinite(leader.error):
            leader = min(solved, key=lambda c: (c.family.complexity, c.increment_error))
        if number > 0:
            active = _promising(solved, tried, kept)
        paths = [_paths_of(leader, sample) for sample in problem.samples]
    return sorted(best.values(), key=lambda candidate: candidate.error)


def judged(candidate: Candidate, problem: Problem, *, tolerance: float = 1e-6) -> Candidate:
    """Return the candidate with its roll-out errors over the training readings."""
    error, square = np.zeros(0), 0.0
    total: list[np.ndarray] = []
    sizes: list[np.ndarray] = []
    for sample in problem.samples:
        rollout = roll_out(
            NumericField(candidate.family, candidate.coefficients, sample.adjacency),
            sample.times,
            sample.start,
            bound=problem.bound,
            tolerance=tolerance,
            maximum_steps=10 * len(sample.times) + 600,
        )
        if rollout is None:
            return _with_errors(candidate, np.inf, np.inf)
        residual = rollout.states - sample.observed
        known = ~np.isnan(residual)
        total.append((residual / problem.size)[known])
        sizes.append((np.abs(sample.observed) / problem.size)[known])
    error = np.concatenate(total)
    square = float(np.mean(error**2))
    return _with_errors(
        candidate, float(np.abs(error).mean() / np.concatenate(sizes).mean()), square
    )


def _with_errors(candidate: Candidate, error: float, square: float) -> Candidate:
    return Candidate(
        candidate.family,
        candidate.coefficients,
        candidate.penalty,
        candidate.increment_error,
        error,
        square,
        candidate.round,
    )


def _try_out(problem: Problem, solved: list[Candidate], number: int) -> list[Candidate]:
    """Roll out the plain families that meet the increments nearly best, then the best ones."""
    lowest = min(candidate.increment_error for candidate in solved)
    order = [
        *(c for c in solved if c.increment_error <= 5.0 * lowest and not c.penalty),
        *sorted(solved, key=lambda c: c.increment_error),
    ]
    each, total = (3, 24) if problem.noisy else (2, 6 if number == 0 else 5)
    seen: dict[str, int] = {}
    tried: list[Candidate] = []
    for candidate in order:
        count = seen.get(candidate.family.name, 0)
        if count >= each or len(tried) >= total or (count and not candidate.penalty):
            continue
        seen[candidate.family.name] = count + 1
        tried.append(
            judged(candidate, problem, tolerance=1e-4 if number == 0 or problem.noisy else 1e-6)
        )
        if tried[-1].error < EXACT:
            break
    return sorted(tried, key=lambda c: c.error)


def _promising(solved: list[Candidate], tried: list[Candidate], kept: int) -> list[Family]:
    """Return the families with the best roll-outs and increments, and what is as good and plain."""
    lowest = min(candidate.increment_error for candidate in solved)
    order: list[Family] = []
    finite = [c for c in tried if np.isfinite(c.error)]
    plain = [c for c in solved if not c.penalty and c.increment_error <= 5.0 * lowest]
    best = sorted(solved, key=lambda c: c.increment_error)
    for candidate in [*plain[:2], *finite[:2], *best]:
        if candidate.family not in order:
            order.append(candidate.family)
    chosen = order[:kept]
    return sorted(chosen, key=lambda family: family.complexity)


def _paths_of(candidate: Candidate, sample: Sample) -> list[Paths]:
    family, coefficients, adjacency = candidate.family, candidate.coefficients, sample.adjacency
    return model_paths(
        sample.times,
        sample.states,
        NumericField(family, coefficients, adjacency),
        lambda states: own_rate(family, coefficients, adjacency, states),
    )


def regress(
    problem: Problem, families: list[Family], paths: list[list[Paths]], number: int
) -> list[Candidate]:
    """Solve every family on the paths of this round."""
    rows = [_Rows(problem, s, p, number) for s, p in zip(problem.samples, paths, strict=True)]
    target = np.concatenate([r.target for r in rows])
    weight = np.concatenate([r.weight for r in rows])
    length = np.concatenate([r.length for r in rows])
    result = []
    for family in families:
        design = np.concatenate([r.design(family) for r in rows])
        rough = family.roughness
        if not rough.any():
            penalties: tuple[float, ...] = (0.0,)
        else:
            penalties = NOISY_PENALTIES if problem.noisy else CLEAN_PENALTIES
        solutions = np.empty((len(penalties), family.size, target.shape[1]))
        for d in range(target.shape[1]):
            scale = np.mean((weight[:, d] * length) ** 2)
            solutions[:, :, d] = _solve(
                design, target[:, d], weight[:, d], rough * scale, penalties, robust=number == 0
            )
        for penalty, coefficients in zip(penalties, solutions, strict=True):
            residual = weight * (target - design @ coefficients)
            fit = float(np.sqrt(np.mean(residual**2)))
            result.append(Candidate(family, coefficients, penalty, fit, round=number))
    return result


class _Rows:
    """The increments of one sample that enter a regression, and their design for a family."""

    def __init__(self, problem: Problem, sample: Sample, paths: list[Paths], number: int) -> None:
        times, states = sample.times, sample.states
        self.adjacency, self.paths = sample.adjacency, paths
        intervals, nodes, _ = len(times) - 1, states.shape[1], states.shape[2]
        change = np.diff(states, axis=0)
        known = ~np.isnan(sample.observed)
        usable = (known[1:] & known[:-1]) if problem.noise.max() == 0 else np.ones_like(known[1:])
        if number == 0:
            sharp = sharpness(times, states)
            resolved = sharp < 0.05
            if resolved.mean() < 0.5:
                resolved = sharp <= np.median(sharp)
            usable = usable & resolved[:, None, None]
        correction = np.zeros_like(change)
        self.good = []
        for path in paths:
            good = path.usable(problem.low, problem.high)
            self.good.append(good)
            correction[path.intervals[good]] = path.correction[good]
            usable[path.intervals[~good]] = False
        floor = np.maximum(1e-3 * problem.size, 2.0 * problem.noise)
        largest = np.abs(change).max(axis=1, keepdims=True)
        size = floor + np.abs(change) + (0.3 if number == 0 else 0.003) * largest
        total = sum((len(s.times) - 1) * s.states.shape[1] for s in problem.samples)
        share = min(1.0, ROW_BUDGET / total)
        count = max(1, round(share * nodes))
        generator = np.random.default_rng(problem.seed)
        pick = generator.permuted(np.tile(np.arange(nodes), (intervals, 1)), axis=1)[:, :count]
        self.pick = np.sort(pick, axis=1)
        place = np.arange(intervals)[:, None]
        self.target = (change + correction)[place, self.pick].reshape(-1, change.shape[2])
        self.weight = (usable / size)[place, self.pick].reshape(-1, change.shape[2])
        self.length = np.repeat(np.diff(times), count)

    def design(self, family: Family) -> np.ndarray:
        """Return the integrals of the family's terms, shape (rows, P)."""
        from graphtide.dynamics.kernels import design

        intervals, count = self.pick.shape
        result = np.zeros((intervals, count, family.size))
        network = network_of(self.adjacency)
        for path, good in zip(self.paths, self.good, strict=True):
            for place in np.flatnonzero(good):
                k = path.intervals[place]
                states = np.ascontiguousarray(path.states[place])  # (Q, N, D)
                chosen = states[:, self.pick[k]]
                design(
                    network,
                    self.pick[k],
                    path.weights[place],
                    np.ascontiguousarray(family.self_basis.evaluate(chosen)),
                    np.ascontiguousarray(family.receiver_basis.evaluate(chosen)),
                    np.ascontiguousarray(family.sender_basis.evaluate(states)),
                    result[k],
                )
        return result.reshape(-1, family.size)


def _solve(
    design: np.ndarray,
    target: np.ndarray,
    weight: np.ndarray,
    rough: np.ndarray,
    penalties: tuple[float, ...],
    *,
    robust: bool,
) -> np.ndarray:
    """Return the penalised weighted least-squares solutions, shape (penalties, P).

    One QR factorisation serves all penalties; with ``robust`` two reweightings (Cauchy) first.
    """
    rows = len(target)
    scale = np.sqrt(np.mean((design * weight[:, None]) ** 2, axis=0))
    scale = np.maximum(scale, 1e-9 * scale.max() + 1e-300)
    scaled = design / scale
    values, vectors = np.linalg.eigh(rough)
    root = (vectors * np.sqrt(np.maximum(values, 0.0))).T / scale
    size = design.shape[1]
    ridge = np.sqrt(1e-13 * rows) * np.eye(size)

    def solutions(weights: np.ndarray, chosen: tuple[float, ...]) -> np.ndarray:
        stacked = np.column_stack([scaled, target]) * weights[:, None]
        triangle: np.ndarray = np.linalg.qr(stacked, mode="r")  # pyright: ignore[reportAssignmentType]
        upper, right = triangle[:size, :size], triangle[:size, size]
        zeros = np.zeros(2 * size)
        return np.array(
            [
                np.linalg.lstsq(
                    np.vstack([upper, np.sqrt(penalty * rows) * root, ridge]),
                    np.concatenate([right, zeros]),
                    rcond=None,
                )[0]
                / scale
                for penalty in chosen
            ]
        )

    weights = weight
    if robust:
        middle = penalties[len(penalties) // 2]
        for _ in range(2):
            residual = np.abs(weight * (target - design @ solutions(weights, (middle,))[0]))
            spread = np.minimum(residual, np.quantile(residual, 0.95))
            cut = 3.0 * np.sqrt(np.mean(spread**2)) + 1e-12
            weights = weight / np.sqrt(1.0 + (residual / cut) ** 2)
    return solutions(weights, penalties)

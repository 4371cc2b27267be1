"""Multiple shooting for noisy readings: from short segments to the whole roll-out, and across.

A field that starts far from the truth cannot follow a whole roll-out, so the first fits follow
short segments, whose starts are smoothed readings (Bock, 1981). The best field that results is
handed on to all other families: each is fitted to that field's own paths, where there is neither
noise nor a gap, and goes on from there to the readings. So a rich family need not find its way
alone, and a plain one that the data hardly resolves is not lost.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from graphtide.dynamics.families import Family, NumericField
from graphtide.dynamics.problem import Problem, Sample
from graphtide.dynamics.refinement import refine
from graphtide.dynamics.regression import Candidate, judged, regress
from graphtide.dynamics.rollout import roll_out
from graphtide.weakform.intervals import step_paths

__all__ = ["corrected", "independent_share", "readings_of", "shoot"]

SEGMENTS, KEPT, JACOBIANS = (24, 5, 1), (4, 3, 3), (2, 3, 3)
"""Stages: segments, families that enter, Jacobians for each."""
HANDED_ON = 3
"""Times at most that the best field is handed on to the other families."""
HANDED_PENALTIES = (1e-13, 1e-9)
"""Penalties that are tried where a field is handed on."""
HOPELESS = 100.0
"""Mean square, in those of the best field, above which a family is not refined."""
QUICK = 1e-4
"""Tolerance of roll-outs that only compare."""

Progress = Callable[[float, str], None]


def shoot(
    candidates: list[Candidate], families: list[Family], problem: Problem, progress: Progress
) -> list[Candidate]:
    """Return candidates refined through roll-outs of noisy readings, the best ones first.

    Args:
        candidates: what the regression found.
        families: all that are offered.
        problem: the training readings.
        progress: told the share done.
    """
    everything = list(candidates)
    for stage, (count, kept) in enumerate(zip(SEGMENTS, KEPT, strict=True)):
        part = problem.in_segments(count)
        tried = [judged(c, part, tolerance=QUICK) for c in _latest(everything)]
        tried = sorted(tried, key=lambda c: corrected(c, problem))[:kept]
        limit = (3.0 if count > 1 else 10.0) * corrected(tried[0], problem)
        for number, candidate in enumerate(tried):
            name = candidate.family.name
            progress(0.2 * (stage + number / kept), f"refining '{name}' over {count} segments")
            if corrected(candidate, problem) <= limit:
                everything.append(refine(candidate, part, jacobians=JACOBIANS[stage]))
    best = _best([*everything, *_diffusion(families, problem)], problem)
    leader = min(best.values(), key=lambda c: corrected(c, problem))
    offered = families
    for turn in range(HANDED_ON):
        if not np.isfinite(leader.mean_square):
            break
        handed = _least([*_handed_on(leader, offered, problem), leader])
        starts = _least([*handed.values(), *best.values()]) if turn == 0 else handed
        for number, candidate in enumerate(starts.values()):
            name, known = candidate.family.name, best.get(candidate.family.name)
            share = (turn + number / len(starts)) / HANDED_ON
            progress(0.6 + 0.4 * share, f"refining '{name}' from '{leader.family.name}'")
            if known is not None and known.mean_square <= candidate.mean_square:
                candidate = known
            if candidate.mean_square > HOPELESS * leader.mean_square:
                continue
            found = refine(candidate, problem, jacobians=3 if turn == 0 else 6)
            if known is None or found.mean_square < known.mean_square:
                best[name] = found
        before = leader
        order = sorted(best.values(), key=lambda c: corrected(c, problem))
        leader, offered = order[0], [c.family for c in order[:3]]
        if turn > 0 and corrected(leader, problem) > 0.99 * corrected(before, problem):
            break
    return sorted(best.values(), key=lambda c: corrected(c, problem))


def readings_of(problem: Problem) -> int:
    """Return how many numbers were read."""
    return sum(int((~np.isnan(s.observed)).sum()) for s in problem.samples)


def corrected(candidate: Candidate, problem: Problem) -> float:
    """Return the mean square residual, corrected for the unknowns that were fitted."""
    share = candidate.coefficients.size / readings_of(problem)
    return candidate.mean_square / max(1.0 - share, 0.1)


def independent_share(candidate: Candidate, problem: Problem) -> float:
    """Return how many independent readings one reading is worth, from how residuals hang together.

    In time (1 - r) / (1 + r), with r the correlation of residuals with the next ones (a process of
    first order); over N nodes 1 / (1 + (N - 1) c), with c the mean correlation of two nodes at one
    time (the design effect of Kish, Survey Sampling, 1965, section 5.4). The mean of n readings is
    as uncertain as that of this share of n independent ones. 1 where the roll-out is lost.
    """
    products = squares = total = together = 0.0
    for sample in problem.samples:
        rollout = roll_out(
            NumericField(candidate.family, candidate.coefficients, sample.adjacency),
            sample.times,
            sample.start,
            bound=problem.bound,
            tolerance=QUICK,
            maximum_steps=10 * len(sample.times) + 600,
        )
        if rollout is None:
            return 1.0
        residual = np.nan_to_num((rollout.states - sample.observed) / problem.size)
        products += float((residual[1:] * residual[:-1]).sum())
        squares += float((residual[1:] ** 2 + residual[:-1] ** 2).sum() / 2)
        total += float((residual**2).sum())
        together += float((residual.sum(axis=1) ** 2).sum())
    if not squares:
        return 1.0
    in_time = min(max(products / squares, 0.0), 0.99)
    over_nodes = max(together / total, 1.0)  # 1 + (N - 1) c
    return (1.0 - in_time) / (1.0 + in_time) / over_nodes


def _latest(candidates: list[Candidate]) -> list[Candidate]:
    """Return the last candidate of each family."""
    return list({c.family.name: c for c in candidates}.values())


def _best(candidates: list[Candidate], problem: Problem) -> dict[str, Candidate]:
    """Return the candidate of each family that follows the whole roll-out best, judged by it."""
    return _least([judged(c, problem, tolerance=QUICK) for c in candidates])


def _least(candidates: list[Candidate]) -> dict[str, Candidate]:
    """Return the candidate of each family with the least mean square."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.family.name)
        if known is None or candidate.mean_square < known.mean_square:
            best[candidate.family.name] = candidate
    return best


def _diffusion(families: list[Family], problem: Problem) -> list[Candidate]:
    """Return the diffusion k sum_j A_ij (x_j - x_i) that follows the readings best, if any does.

    The plainest coupling there is, as a start for the linear family: where a transient is shorter
    than the first gap between readings, regression cannot find it.
    """
    family = next((f for f in families if f.name == "linear"), None)
    if family is None or family.tables is None:
        return []
    width = float(np.ptp(family.tables[0].breakpoints))
    span = max(float(s.times[-1] - s.times[0]) for s in problem.samples)
    degree = max(
        float(np.abs(s.adjacency.data).sum()) / s.adjacency.shape[0] for s in problem.samples
    )
    tried = []
    for strength in np.geomspace(0.1, 1000.0, 17) / (span * degree):
        coefficients = np.zeros((family.size, 1))
        pair = family.split(coefficients)[1]
        pair[0, 1, 0], pair[1, 0, 0] = strength * width, -strength * width
        start = Candidate(family, coefficients, 0.0, np.inf)
        tried.append(judged(start, problem, tolerance=QUICK))
    return [min(tried, key=lambda c: c.mean_square)]


def _handed_on(leader: Candidate, families: list[Family], problem: Problem) -> list[Candidate]:
    """Return the candidates of other families that are nearest to the leader's own paths."""
    samples, paths = [], []
    for sample in problem.samples:
        field = NumericField(leader.family, leader.coefficients, sample.adjacency)
        rollout = roll_out(
            field,
            sample.times,
            sample.start,
            bound=problem.bound,
            maximum_steps=10 * len(sample.times) + 600,
        )
        if rollout is None:
            return []
        sizes = np.array([size for part in rollout.grid for size in part])
        times, states = np.concatenate([[0.0], sizes.cumsum()]), rollout.path[:, 0]
        samples.append(Sample(sample.adjacency, times, states, states, sample.start))
        paths.append([step_paths(sizes, rollout.path, field)])
    smooth = Problem(tuple(samples), problem.noise, problem.seed)
    solved = regress(smooth, families, paths, leader.round + 1)
    best = _best([c for c in solved if c.penalty in (0.0, *HANDED_PENALTIES)], problem)
    return [c for c in best.values() if np.isfinite(c.mean_square)]

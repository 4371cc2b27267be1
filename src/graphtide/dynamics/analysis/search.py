"""Where a law leads: fixed points from many starts, how many starts end at each, what else happens.

Every start is followed for a long time and Newton's method is run from the start and from the end.
Ends that are at no fixed point go on moving (a cycle, chaos, or slow change), and some starts run
off. Where all nodes end with one common rate that the law does not feel (phases that turn
together), the search is made in the frame that turns with them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch

from graphtide.dynamics.analysis.fixed_points import (
    FixedPoint,
    analysed,
    distance,
    distinct,
    newton,
)
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.linear import scale_of_rates
from graphtide.dynamics.analysis.part import Progress, untold
from graphtide.dynamics.analysis.starts import starts_of
from graphtide.errors import ComputationError
from graphtide.ode.solve import solve

__all__ = ["Search", "long_run", "search"]

ARRIVED = 0.01
"""Distance, relative to the states, within which an end is at a fixed point."""
MOST_POINTS = 12
RUN_OFF = 1e4
"""Size, relative to the start, at which a start has run off."""
LIFETIMES = 60.0
"""Time for which starts are followed, in units of one over the median rate."""


@dataclass(frozen=True, slots=True, eq=False)
class Search:
    """What was found.

    Args:
        law: the law, in the frame that moves along where there is one.
        points: fixed points, stable ones first; at most twelve.
        different: how many different ones Newton's method met.
        starts: shape (K, N, D).
        ends: where they lead, shape (K, N, D); not-a-number where a start runs off.
        settled: number of the fixed point each start ends at; -1 elsewhere, -2 where it runs off.
        horizon: time for which they were followed.
        drift: common rate of all nodes of each variable, shape (D,); zeros without a moving frame.
    """

    law: Law
    points: tuple[FixedPoint, ...]
    different: int
    starts: np.ndarray
    ends: np.ndarray
    settled: np.ndarray
    horizon: float
    drift: np.ndarray

    @property
    def moving(self) -> np.ndarray:
        """Numbers of the starts whose end goes on moving."""
        return np.flatnonzero(self.settled == -1)

    @property
    def continuum(self) -> bool:
        """Whether the fixed points form a connected set."""
        return any(point.continuum for point in self.points)


def search(
    law: Law,
    *,
    count: int | None = None,
    seed: int = 0,
    eigenvalues: int = 10,
    progress: Progress | None = None,
) -> Search:
    """Search for the fixed points of a law, and for where it leads.

    Args:
        law: the law; where it depends on time, its rates at time 0 are taken.
        count: number of starts; None takes 18 on small systems down to 3 on very large ones.
        seed: of the starts.
        eigenvalues: how many leading eigenvalues are found at each point.
        progress: told the share done and what is being done.

    Raises:
        ComputationError: the law cannot be evaluated at its starts.
    """
    told = progress or untold
    size = law.shape[0] * law.shape[1]
    if count is None:
        count = 18 if size <= 3000 else 9 if size <= 20_000 else 3
    starts = starts_of(law, count, seed=seed)
    told(0.0, f"following {count} starts")
    ends, horizon = long_run(law, starts)
    drift = _drift(law, ends)
    if drift.any():
        velocity = torch.from_numpy(drift)
        before = law.forcing
        law = law.with_forcing(
            lambda time: -velocity if before is None else before(time) - velocity
        )
        ends, horizon = long_run(law, starts)
    found: list[tuple[np.ndarray, float]] = []
    arrived: list[np.ndarray | None] = []
    for k in range(count):
        told(0.3 + 0.4 * k / count, f"Newton's method from start {k + 1} of {count}")
        from_end = newton(law, ends[k]) if np.isfinite(ends[k]).all() else None
        near = from_end is not None and distance(law, from_end[0], ends[k]) < ARRIVED
        arrived.append(from_end[0] if from_end is not None and near else None)
        tries = [from_end] if from_end is not None else []
        if size <= 20_000:
            from_start = newton(law, starts[k])
            tries += [from_start] if from_start is not None else []
        found += tries
    different = distinct(law, found)
    points = _analysed(law, different, arrived, eigenvalues, told)
    settled = np.full(count, -1)
    for k in range(count):
        place = arrived[k]
        if not np.isfinite(ends[k]).all():
            settled[k] = -2
        elif place is not None and points:
            continua = [j for j, p in enumerate(points) if p.continuum]
            near = [distance(law, p.states, place) for p in points]
            nearest = int(np.argmin(near))
            if near[nearest] < ARRIVED:
                settled[k] = nearest
            elif continua:
                settled[k] = continua[0]
    shares = [float(np.mean(settled == j)) for j in range(len(points))]
    points = [replace(p, share=s) for p, s in zip(points, shares, strict=True)]
    return Search(law, tuple(points), len(different), starts, ends, settled, horizon, drift)


def _analysed(
    law: Law,
    different: list[tuple[np.ndarray, float, int]],
    arrived: list[np.ndarray | None],
    eigenvalues: int,
    told: Progress,
) -> list[FixedPoint]:
    """Analyse the points that starts lead to first; of a continuum only one is kept."""

    def visits(states: np.ndarray) -> int:
        return sum(a is not None and distance(law, a, states) < ARRIVED for a in arrived)

    ordered = sorted(different, key=lambda one: (-visits(one[0]), -one[2]))[:MOST_POINTS]
    points: list[FixedPoint] = []
    for k, (states, residual, reached) in enumerate(ordered):
        told(0.7 + 0.3 * k / len(ordered), f"eigenvalues at fixed point {k + 1}")
        point = analysed(law, states, residual, count=eigenvalues, reached=reached)
        if point.continuum and any(known.continuum for known in points):
            continue
        points.append(point)
    return sorted(points, key=lambda p: (not p.stable, p.kind != "neutral", p.leading.real))


def long_run(law: Law, starts: np.ndarray) -> tuple[np.ndarray, float]:
    """Return where starts lead in many lifetimes: as rates are there first, then at the ends."""
    ends, horizon = starts, 0.0
    for _ in range(2):
        known = np.flatnonzero(np.isfinite(ends).all(axis=(1, 2)))
        if not len(known):
            break
        slowest = float(np.median([_lifetime_rate(law, ends[k]) for k in known[:6]]))
        wanted = LIFETIMES / slowest
        if wanted < 1.5 * horizon:
            break
        ends = _followed(law, ends, wanted - horizon)
        horizon = wanted
    return ends, horizon


def _lifetime_rate(law: Law, states: np.ndarray) -> float:
    """Return the rate that sets the length of a lifetime: of the median mode where all are known.

    At least a hundredth of the fastest, so that a moment of slow change does not set it.
    """
    jacobian = law.jacobian(states)
    fastest = float(abs(jacobian).sum(axis=1).max())
    if jacobian.shape[0] > 200:
        return max(scale_of_rates(jacobian), 1e-3 * fastest)
    median = float(np.median(np.abs(np.linalg.eigvals(jacobian.toarray()))))
    return max(median, 0.01 * fastest) or 1.0


def _followed(law: Law, starts: np.ndarray, horizon: float) -> np.ndarray:
    """Return where starts (K, N, D) are after a time; not-a-number where they run off."""
    ends = np.full_like(starts, np.nan)
    known = np.flatnonzero(np.isfinite(starts).all(axis=(1, 2)))
    together = _end(law, starts[known], horizon) if len(known) else None
    if together is not None:
        ends[known] = together
        return ends
    for k in known:
        end = _end(law, starts[k : k + 1], horizon)
        if end is not None:
            ends[k] = end[0]
    return ends


def _end(law: Law, starts: np.ndarray, horizon: float) -> np.ndarray | None:
    """Return the states (K, N, D) after a time; None where they cannot be followed.

    What runs off is held where it is, so that the others can go on, and is not-a-number at the end.
    """
    limit = RUN_OFF * (float(np.abs(starts).max()) or 1.0)

    def rates(time: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        inside = states.abs().amax(dim=(-2, -1), keepdim=True) < limit
        moving = law.numeric(time, torch.where(inside, states, torch.zeros_like(states)))
        return torch.where(inside, moving, torch.zeros_like(states))

    try:
        with torch.no_grad():
            solution = solve(
                rates if len(starts) > 1 or law.shape[0] < 10_000 else law.numeric,
                torch.from_numpy(np.array(starts)),
                [0.0, horizon],
                method="auto",
                structure="diffusive" if law.diffusive else "plain",
                maximum_steps=20_000,
            )
    except ComputationError:
        return None
    ends = solution.states[-1].numpy()
    gone = ~(np.abs(ends).max(axis=(1, 2)) < limit)
    ends[gone] = np.nan
    return ends


def _drift(law: Law, ends: np.ndarray) -> np.ndarray:
    """Return the common rate of all nodes where the law is blind to a common shift, else zeros."""
    drift = np.zeros(law.shape[1])
    whole = [end for end in ends if np.isfinite(end).all()]
    if not whole:
        return drift
    zero = torch.tensor(0.0, dtype=torch.float64)
    for end in whole:
        rates = law.numeric(zero, torch.from_numpy(end)).numpy()
        spread = np.abs(rates - rates.mean(axis=0)).max(axis=0)
        size = np.abs(rates.mean(axis=0))
        together = (size > 1e-9) & (spread < 1e-3 * size)
        for d in np.flatnonzero(together):
            moved = end.copy()
            moved[:, d] += 0.37 * (1.0 + np.abs(end[:, d]).max())
            after = law.numeric(zero, torch.from_numpy(moved)).numpy()
            if np.allclose(after, rates, rtol=1e-6, atol=1e-6 * float(np.abs(rates).max())):
                drift[d] = rates[:, d].mean()
        if drift.any():
            return drift
    return drift

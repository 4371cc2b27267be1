"""Stability of a law: where it leads, how fast it gets there, and where that changes.

Fixed points with their eigenvalues and basins (`search`), limit cycles, Lyapunov exponents and the
master stability function where states go on moving, and branches along a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from graphtide.dynamics.analysis.continuation import Branch, follow_branch
from graphtide.dynamics.analysis.cycles import Cycle, limit_cycle
from graphtide.dynamics.analysis.ensemble import leading_half_widths
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.lyapunov import (
    Exponents,
    lyapunov_exponents,
)
from graphtide.dynamics.analysis.part import Progress, untold
from graphtide.dynamics.analysis.search import Search, search
from graphtide.dynamics.analysis.stability_result import LEVEL, Stability
from graphtide.dynamics.analysis.synchronisation import Synchronisation, master_stability
from graphtide.errors import ComputationError, InputError

__all__ = ["Stability", "stability"]

MOST_BRANCHES = 4


def stability(
    law: Law,
    *,
    vary: Mapping[str, tuple[float, float]] | None = None,
    starts: int | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> Stability:
    """Analyse the stability of a law.

    Args:
        law: the law; where it depends on time, its rates at time 0 are taken.
        vary: ranges of parameters along which branches are followed.
        starts: number of starts; None chooses by size.
        seed: of the starts.
        progress: told the share done.

    Raises:
        InputError: a parameter is unknown, or its value is outside its range.
        ComputationError: the law cannot be evaluated at its starts.
    """
    wanted = dict(vary or {})
    for name, (low, high) in wanted.items():
        if name not in law.parameters:
            known = ", ".join(law.parameters)
            raise InputError(f"the law has no parameter '{name}' to vary; it has {known}")
        value = law.parameters[name]
        if not low <= value <= high:
            raise InputError(
                f"{name} = {value:g} is not inside its range {low:g} to {high:g}: set it inside"
            )
    told = progress or untold
    found = search(
        law, count=starts, seed=seed, progress=lambda share, text: told(0.5 * share, text)
    )
    notes: list[str] = []
    cycle, exponents, synchronisation = _of_moving(found, told, notes)
    branches = _branches(found, wanted, seed, told, notes)
    result = Stability(
        found, None, cycle, exponents, synchronisation, branches, _drawn(found), tuple(notes)
    )
    widths = None
    if result.main is not None and law.members:
        count = min(10, len(result.main.spectrum.values))
        widths = leading_half_widths(found.law, result.main, count, LEVEL)
    return Stability(
        found, widths, cycle, exponents, synchronisation, branches, result.trajectories,
        tuple(notes),
    )  # fmt: skip


def _of_moving(
    found: Search, told: Progress, notes: list[str]
) -> tuple[Cycle | None, Exponents | None, Synchronisation | None]:
    """Return cycle, exponents and synchronisation of the ends that go on moving."""
    moving, law = found.moving, found.law
    if not len(moving) or law.shape[0] * law.shape[1] > 20_000 or found.continuum:
        return None, None, None
    end = found.ends[moving[0]]
    cycle = limit_cycle(law, end, found.horizon)
    told(0.55, "Lyapunov exponents")
    size = law.shape[0] * law.shape[1]
    fastest = float(abs(law.jacobian(end)).sum(axis=1).max())
    step, steps = 0.3 / fastest, 1200 if size <= 64 else 300
    exponents = synchronisation = None
    try:
        exponents = lyapunov_exponents(
            law, found.ends[moving], span=steps * step, transient=0.2 * steps * step, step=step
        )
    except ComputationError as error:
        notes.append(str(error))
    if law.shape[0] > 1 and law.graph.edge_count:
        told(0.65, "master stability function")
        try:
            synchronisation = master_stability(law, end[0], span=steps * step, step=step, points=16)
        except (InputError, ComputationError) as error:
            notes.append(f"No master stability function: {error}.")
    return cycle, exponents, synchronisation


def _branches(
    found: Search,
    wanted: Mapping[str, tuple[float, float]],
    seed: int,
    told: Progress,
    notes: list[str],
) -> tuple[Branch, ...]:
    """Follow branches through the points found here and at both ends of each range."""
    branches: list[Branch] = []
    law = found.law
    for name, (low, high) in wanted.items():
        own: list[Branch] = []
        value = law.parameters[name]
        points = [(law, p.states) for p in found.points[:MOST_BRANCHES]]
        for end in (low, high):
            if end == value or (name == "edge_weight" and end == 0.0):
                continue
            there = law.with_parameters({name: end})
            some = search(there, count=6, seed=seed, eigenvalues=4)
            points += [(there, p.states) for p in some.points[:3] if not p.continuum]
        for k, (there, states) in enumerate(points):
            told(0.7 + 0.3 * k / len(points), f"following branch {k + 1} along {name}")
            size = max(float(np.abs(b.states).max()) for b in own) if own else 1.0
            known = _on_a_branch(own, there.parameters[name], states, size)
            if len(own) >= MOST_BRANCHES or known:
                continue
            try:
                own.append(follow_branch(there, name, states, low, high))
            except ComputationError as error:
                notes.append(f"A branch along {name} was left out: {error}.")
        if not own:
            notes.append(f"No isolated fixed point was found to follow along {name}.")
        branches += own
    return tuple(branches)


def _on_a_branch(branches: list[Branch], value: float, states: np.ndarray, size: float) -> bool:
    """Return whether a fixed point lies on a branch that was followed already."""
    for branch in branches:
        crossing = np.flatnonzero(
            (branch.parameter[:-1] - value) * (branch.parameter[1:] - value) <= 0.0
        )
        for k in crossing:
            width = branch.parameter[k + 1] - branch.parameter[k]
            share = 0.0 if width == 0.0 else (value - branch.parameter[k]) / width
            near = branch.states[k] + share * (branch.states[k + 1] - branch.states[k])
            if float(np.abs(near - states).max()) < 0.03 * size:
                return True
    return False


def _drawn(found: Search) -> tuple[np.ndarray, np.ndarray] | None:
    """Return some trajectories on small systems, for phase portraits."""
    law = found.law
    if law.shape[0] * law.shape[1] > 3000:
        return None
    kept = np.flatnonzero(found.settled != -2)[:9]
    if not len(kept):
        return None
    times = 0.5 * found.horizon * np.linspace(0.0, 1.0, 300) ** 2  # the start is the fastest
    try:
        states = law.solve(found.starts[kept], times)
    except ComputationError:
        return None
    return times, np.moveaxis(states, 1, 0)

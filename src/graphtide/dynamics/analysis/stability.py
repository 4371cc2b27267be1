"""Stability of a law: where it leads, how fast it gets there, and where that changes.

Fixed points with their eigenvalues and basins (`search`), limit cycles, Lyapunov exponents and the
master stability function where states go on moving, and branches along a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas

from graphtide.dynamics.analysis.continuation import Branch, follow_branch
from graphtide.dynamics.analysis.cycles import Cycle, limit_cycle
from graphtide.dynamics.analysis.ensemble import leading_half_widths
from graphtide.dynamics.analysis.fixed_points import FixedPoint
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.lyapunov import (
    Exponents,
    kaplan_yorke_dimension,
    lyapunov_exponents,
)
from graphtide.dynamics.analysis.part import Progress, untold
from graphtide.dynamics.analysis.search import Search, search
from graphtide.dynamics.analysis.stability_words import findings
from graphtide.dynamics.analysis.synchronisation import Synchronisation, master_stability
from graphtide.errors import ComputationError, InputError

__all__ = ["Stability", "stability"]

LEVEL = 0.9
MOST_BRANCHES = 4


@dataclass(frozen=True, slots=True, eq=False)
class Stability:
    """What was found; words in `findings` of its metrics.

    Args:
        search: fixed points and where starts lead.
        half_widths: of the leading eigenvalues' real parts at the first point, from the ensemble.
        cycle: the limit cycle or closed orbit that a start ends on, if one does.
        exponents: Lyapunov exponents, where ends go on moving.
        synchronisation: of nodes that are coupled by differences, where ends go on moving.
        branches: along the parameters asked for.
        trajectories: of some starts for drawing: times (T,) and states (S, T, N, D).
        notes: what could not be done, in words.
    """

    search: Search
    half_widths: np.ndarray | None
    cycle: Cycle | None
    exponents: Exponents | None
    synchronisation: Synchronisation | None
    branches: tuple[Branch, ...]
    trajectories: tuple[np.ndarray, np.ndarray] | None
    notes: tuple[str, ...] = field(default=())

    @property
    def main(self) -> FixedPoint | None:
        """The stable point most starts end at; else the first found."""
        points = self.search.points
        return max(points, key=lambda p: (p.stable, p.share)) if points else None

    def metrics(self) -> dict[str, object]:
        """Return the figures of the part."""
        found, main, cycle = self.search, self.main, self.cycle
        result: dict[str, object] = {
            "findings": [*findings(self), *self.notes],
            "fixed_points": found.different if not found.continuum else len(found.points),
            "continuum": found.continuum,
            "starts": len(found.starts),
            "starts_settled": int((found.settled >= 0).sum()),
            "starts_moving": int((found.settled == -1).sum()),
            "starts_run_off": int((found.settled == -2).sum()),
            "followed_for": found.horizon,
        }
        if found.drift.any():
            result["common_drift"] = found.drift.tolist()
        if main is not None:
            result |= {
                "kind": main.kind,
                "leading_eigenvalue": main.leading.real,
                "leading_frequency": abs(main.leading.imag),
                "eigenvalues": [[v.real, v.imag] for v in main.spectrum.values[:10]],
                "states_outside_learned_range": main.outside,
            }
        if self.half_widths is not None:
            result["leading_eigenvalue_half_width"] = float(self.half_widths[0])
            result["level"] = LEVEL
        if cycle is not None:
            result |= {"period": cycle.period, "limit_cycle": cycle.attracting}
        if self.exponents is not None:
            values = self.exponents.values
            result |= {
                "lyapunov_exponents": values.tolist(),
                "lyapunov_standard_errors": self.exponents.standard_error.tolist(),
                "chaotic": self.exponents.chaotic,
                "kaplan_yorke_dimension": kaplan_yorke_dimension(values),
            }
        if self.synchronisation is not None:
            result["synchronises"] = self.synchronisation.synchronises
            result["transverse_exponent"] = self.synchronisation.transverse
        special = [(b.name, s) for b in self.branches for s in b.special]
        if self.branches:
            result["bifurcations"] = [
                {
                    "parameter": name,
                    "kind": s.kind,
                    "value": s.parameter,
                    "frequency": s.frequency,
                    "stability_changes": s.of_stability,
                }
                for name, s in special
            ]
        return result

    def tables(self) -> dict[str, pandas.DataFrame]:
        """Return fixed_points, eigenvalues, basins, and what else was found."""
        found = self.search
        law = found.law
        tables: dict[str, pandas.DataFrame] = {
            "fixed_points": pandas.DataFrame(
                {
                    "point": range(len(found.points)),
                    "kind": [p.kind for p in found.points],
                    "continuum": [p.continuum for p in found.points],
                    "leading_real": [p.leading.real for p in found.points],
                    "leading_imaginary": [p.leading.imag for p in found.points],
                    "share_of_starts": [p.share for p in found.points],
                    "residual": [p.residual for p in found.points],
                    **{
                        f"mean_{name}": [float(p.states[:, d].mean()) for p in found.points]
                        for d, name in enumerate(law.variables)
                    },
                }
            ),
            "eigenvalues": pandas.DataFrame(
                [
                    {"point": k, "number": j, "real": v.real, "imaginary": v.imag}
                    for k, p in enumerate(found.points)
                    for j, v in enumerate(p.spectrum.values)
                ],
                columns=["point", "number", "real", "imaginary"],
            ),
            "basins": pandas.DataFrame(
                {
                    "start": range(len(found.starts)),
                    "point": found.settled,
                    **{
                        f"{when}_mean_{name}": states[:, :, d].mean(axis=1)
                        for when, states in (("start", found.starts), ("end", found.ends))
                        for d, name in enumerate(law.variables)
                    },
                }
            ),
        }
        if self.main is not None:
            rows = {"node": law.graph.names}
            columns = {name: self.main.states[:, d] for d, name in enumerate(law.variables)}
            tables["fixed_point_states"] = pandas.DataFrame({**rows, **columns})
        if self.cycle is not None:
            tables["cycle"] = _long_table(law, self.cycle.times, self.cycle.states)
        if self.synchronisation is not None:
            known = self.synchronisation
            tables["master_stability"] = pandas.DataFrame(
                {"laplacian_eigenvalue": known.argument, "exponent": known.exponent}
            )
        if self.branches:
            tables["branches"] = pandas.concat([_branch_table(b, k) for k, b in self._numbered()])
            tables["bifurcations"] = pandas.DataFrame(
                [
                    {
                        "branch": k,
                        "parameter": b.name,
                        "kind": s.kind,
                        "value": s.parameter,
                        "mean_state": float(s.states[:, 0].mean()),
                        "frequency": s.frequency,
                        "stability_changes": s.of_stability,
                    }
                    for k, b in self._numbered()
                    for s in b.special
                ],
                columns=[
                    "branch",
                    "parameter",
                    "kind",
                    "value",
                    "mean_state",
                    "frequency",
                    "stability_changes",
                ],
            )
        if self.trajectories is not None:
            times, states = self.trajectories
            parts = [_long_table(law, times, s, start=k) for k, s in enumerate(states)]
            tables["trajectories"] = pandas.concat(parts)
        return tables

    def _numbered(self) -> list[tuple[int, Branch]]:
        return list(enumerate(self.branches))


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


def _branch_table(branch: Branch, number: int) -> pandas.DataFrame:
    return pandas.DataFrame(
        {
            "branch": number,
            "parameter": branch.name,
            "value": branch.parameter,
            "mean_state": branch.states[:, :, 0].mean(axis=1),
            "leading_real": branch.leading.real,
            "leading_imaginary": branch.leading.imag,
            "stable": branch.unstable == 0,
        }
    )


def _long_table(
    law: Law, times: np.ndarray, states: np.ndarray, start: int | None = None
) -> pandas.DataFrame:
    """Return the mean over nodes of each variable, and the first node's, through time."""
    columns: dict[str, object] = {} if start is None else {"start": start}
    columns["time"] = times
    for d, name in enumerate(law.variables):
        columns[f"mean_{name}"] = states[:, :, d].mean(axis=1)
        columns[f"first_{name}"] = states[:, 0, d]
    return pandas.DataFrame(columns)

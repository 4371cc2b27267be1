"""What an analysis of stability found: figures, tables, and its findings as plain sentences."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas

from graphtide.dynamics.analysis.continuation import Branch
from graphtide.dynamics.analysis.cycles import Cycle
from graphtide.dynamics.analysis.fixed_points import FixedPoint
from graphtide.dynamics.analysis.law import Law
from graphtide.dynamics.analysis.lyapunov import Exponents, kaplan_yorke_dimension
from graphtide.dynamics.analysis.search import Search
from graphtide.dynamics.analysis.synchronisation import Synchronisation

__all__ = ["LEVEL", "Stability"]

LEVEL = 0.9
"""Share that the intervals of eigenvalues should hold."""


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
            "findings": [*_findings(self), *self.notes],
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


def _findings(result: Stability) -> list[str]:
    """Return what was found, the most telling first."""
    found, main = result.search, result.main
    said: list[str] = []
    if main is None:
        said.append(
            "No fixed point was found: Newton's method led to none from "
            f"{len(found.starts)} starts."
        )
    elif found.continuum:
        zeros = int((np.abs(main.spectrum.values) < 1e-6 * main.spectrum.rate).sum())
        said.append(
            "There is no isolated fixed point but a continuum of them "
            f"({_count(max(zeros, 1), 'direction')} in which nothing pulls back, as from a "
            f"conserved quantity or a symmetry); across it, {_across(main)}"
        )
    else:
        said.append(_point(main, len(found.starts)))
        others = found.different - 1
        if others > 0:
            stable = sum(p.stable for p in found.points if p is not main)
            said.append(
                f"{_count(others, 'other fixed point')} {'was' if others == 1 else 'were'} found, "
                f"{stable} of them stable."
            )
        if main.kind == "neutral":
            said.append(
                "An eigenvalue is zero within its tolerance: a conserved quantity or a symmetry, "
                "or a change too slow to tell from one."
            )
        if main.outside > 0:
            said.append(
                f"{100 * main.outside:.2g} % of that point's states lie outside the range that the "
                "field was learned on, where it is a guess."
            )
    if found.drift.any():
        speeds = ", ".join(
            f"{name} {speed:.4g}"
            for name, speed in zip(found.law.variables, found.drift, strict=True)
            if speed
        )
        said.append(
            f"All nodes end by changing at one common rate ({speeds} a unit of time) that the law "
            "does not feel; the analysis is made in the frame that moves along."
        )
    said += _of_moving(result)
    run_off = int((found.settled == -2).sum())
    if run_off:
        said.append(
            f"{run_off} of {len(found.starts)} starts run off beyond {1e4:g} times their size, or "
            "cannot be followed."
        )
    if result.half_widths is not None and main is not None:
        width = float(result.half_widths[0])
        if np.isfinite(width):
            said.append(
                f"Ensemble: the leading eigenvalue is {main.leading.real:.4g} ± {width:.2g} (90 %)."
            )
        else:
            said.append("Most members of the ensemble have no fixed point near this one.")
    for branch in result.branches:
        of_stability = [s for s in branch.special if s.of_stability]
        said += [_special(branch.name, s.kind, s.parameter, s.frequency) for s in of_stability]
        if not of_stability and (branch.unstable == 0).all():
            ends = sorted((branch.parameter[0], branch.parameter[-1]))
            said.append(
                f"Along {branch.name} from {ends[0]:.4g} to {ends[1]:.4g} one branch keeps its "
                "stability."
            )
    return list(dict.fromkeys(said))


def _point(main: FixedPoint, starts: int) -> str:
    lead = main.leading
    share = f"{100 * main.share:.0f} % of {starts} starts end at it"
    if main.stable:
        return (
            f"A {main.kind} attracts ({share}); small pushes die out at the rate "
            f"{-lead.real:.4g}, halving in {np.log(2) / -lead.real:.3g} units of time."
        )
    grows = f"small pushes grow at the rate {lead.real:.4g}" if lead.real > 0 else "no push grows"
    article = "an" if main.kind.startswith("un") else "a"
    return (
        f"No stable fixed point was found; the first of those found is {article} {main.kind}: "
        f"{grows}."
    )


def _across(main: FixedPoint) -> str:
    rest = main.spectrum.values[np.abs(main.spectrum.values.real) > 1e-6 * main.spectrum.rate]
    if not len(rest):
        return "nothing changes at a rate that could be measured."
    if rest[0].real < 0:
        return f"differences die out at the rate {-rest[0].real:.4g}."
    return f"differences grow at the rate {rest[0].real:.4g}."


def _of_moving(result: Stability) -> list[str]:
    found, said = result.search, []
    moving = len(found.moving)
    if moving and not found.continuum:
        said.append(
            f"{moving} of {len(found.starts)} starts go on moving after {found.horizon:.4g}."
        )
    cycle, exponents, together = result.cycle, result.exponents, result.synchronisation
    if cycle is not None:
        what = "a limit cycle" if cycle.attracting else "a closed orbit, one of a family,"
        said.append(f"The motion is {what} of period {cycle.period:.5g}.")
    if exponents is not None:
        first = float(exponents.values[0])
        said.append(
            f"The largest Lyapunov exponent is {first:.3g}: "
            + (
                f"chaos, close states part by a factor e in {1 / first:.3g} units of time."
                if exponents.chaotic
                else "no sign of chaos."
            )
        )
    if together is not None:
        verdict = "die out" if together.synchronises else "grow"
        said.append(
            f"Differences between nodes that move alike {verdict} (largest transverse exponent "
            f"{together.transverse:.3g})."
        )
    return said


def _special(name: str, kind: str, value: float, frequency: float) -> str:
    if kind == "fold":
        return f"Fold at {name} = {value:.5g}: two fixed points meet and vanish."
    if kind == "hopf":
        period = 2 * np.pi / frequency
        return f"Hopf point at {name} = {value:.5g}: an oscillation of period {period:.4g} is born."
    return f"Branch point at {name} = {value:.5g}: another branch crosses and takes over."


def _count(number: int, what: str) -> str:
    return f"{number} {what}" + ("" if number == 1 else "s")

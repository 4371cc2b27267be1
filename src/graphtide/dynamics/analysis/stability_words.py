"""The findings on stability as plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from graphtide.dynamics.analysis.fixed_points import FixedPoint
    from graphtide.dynamics.analysis.stability import Stability

__all__ = ["findings"]


def findings(result: Stability) -> list[str]:
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

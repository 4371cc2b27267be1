"""Every family fitted to one sample: the named ones, and the sums whose powers are searched."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import combinations

import numpy as np

from graphtide.errors import InputError
from graphtide.mechanisms.distributions.crossover import fit_crossover
from graphtide.mechanisms.distributions.families import ONE_SCALE
from graphtide.mechanisms.distributions.family import Family, Summary
from graphtide.mechanisms.distributions.likelihood import Fit, fit_family, summarise
from graphtide.mechanisms.distributions.nodes import Nodes
from graphtide.mechanisms.distributions.sample import Sample
from graphtide.mechanisms.distributions.scales import (
    SEVERAL_SCALES,
    hazard_sum,
    mechanism_sum,
)

__all__ = ["FAMILY_NAMES", "FREE_CURVE", "fit_all", "fit_jump", "location"]

FREE_CURVE = "piecewise_power_law"
"""Name of the free curve among the families."""

_NAMED = {family.name: family for family in (*ONE_SCALE, *SEVERAL_SCALES)}
FAMILY_NAMES = (*_NAMED, "hazard_sum", "mechanism_sum")
"""Names of the closed families."""

_HAZARD_POWERS = (-1.0, -0.5, 0.0, 1.0)
_MECHANISM_POWERS = (-1.0, 0.0, 0.5, 1.0)
_NEGLIGIBLE = 1e-4  # share of the sum below which a term counts as absent


def fit_jump(sample: Sample) -> Fit | None:
    """Return the double power law of exact positive values, which is fitted to the rows.

    Nodes must have a break at its cross-over. None for cells, whose likelihood is smooth in it, and
    where the law cannot be fitted.
    """
    if sample.tied or not sample.positive:
        return None
    return fit_crossover(_NAMED["double_power_law"], sample)


def fit_all(
    sample: Sample, nodes: Nodes, jump: Fit | None, names: Iterable[str] | None
) -> tuple[list[Fit], dict[str, str]]:
    """Return each family's fit, and why families were left out.

    Args:
        sample: the cross-section.
        nodes: all its units.
        jump: what :func:`fit_jump` found.
        names: of the families that are wanted; None for all that may hold these values.

    Raises:
        InputError: a name is unknown, or a family that was asked for cannot hold these values.
    """
    summary = summarise(sample)
    wanted = list(FAMILY_NAMES if names is None else names)
    unknown = [name for name in wanted if name not in FAMILY_NAMES and name != FREE_CURVE]
    if unknown:
        raise InputError(
            f"there is no family '{unknown[0]}'; the names are {', '.join(FAMILY_NAMES)}"
        )
    fits: list[Fit] = []
    reasons: dict[str, str] = {}
    for name in wanted:
        if name == FREE_CURVE:
            continue
        reason = _unfit(name, sample)
        if reason and names is not None:
            raise InputError(f"the family {name} {reason}")
        found = None if reason else _fit(name, sample, nodes, jump, summary)
        if found is not None and _resolved(found, sample):
            fits.append(found)
        else:
            reasons[name] = reason or "has no maximum of the likelihood for these values"
    return fits, reasons


def location(fit: Fit, sample: Sample) -> tuple[float, float]:
    """Return the start of growth as a parameter, x_min, with its standard error.

    The lowest of n values lies above x_min by 1/(n h(x_min)) on average, with that spread. NaN
    where the start is known (cells, entries) or h has no finite value there.
    """
    density = float(fit.hazard(np.array([fit.start]))[0])
    known = sample.tied or sample.entry is not None
    if known or not np.isfinite(density) or density <= 0.0 or not fit.converged:
        return fit.start, np.nan
    spread = 1.0 / (sample.size * density)
    return fit.start - spread, spread


def _unfit(name: str, sample: Sample) -> str:
    """Return why a family cannot hold a sample's values, or nothing."""
    family = _NAMED.get(name)
    support = "start" if family is None else family.support
    lowest = float(sample.values[0])
    if support == "real":
        return ""
    if lowest < 0.0:
        return f"holds positive sizes only, and the lowest value is {lowest:g}"
    if support == "positive" and lowest == 0.0 and not sample.tied:
        return "holds sizes above 0 only, and the lowest value is 0"
    if support == "start" and sample.start <= 0.0 and name != "four_parameter":
        return f"begins at a positive size, and growth is seen from {sample.start:g}"
    return ""


def _fit(name: str, sample: Sample, nodes: Nodes, jump: Fit | None, summary: Summary) -> Fit | None:
    start = sample.start
    if name == "double_power_law" and not sample.tied:
        return jump
    if name == "hazard_sum":
        return _best(_sparse(hazard_sum, _HAZARD_POWERS), nodes, start, summary)
    if name == "mechanism_sum":
        return _best(_sparse(mechanism_sum, _MECHANISM_POWERS), nodes, start, summary)
    family = _NAMED[name]
    return fit_family(family, nodes, start, family.guesses(summary))


def _sparse(make: Callable[[Sequence[float]], Family], powers: Sequence[float]) -> list[Family]:
    """Return the sums of two terms."""
    return [make(pair) for pair in combinations(powers, 2)]


def _best(families: list[Family], nodes: Nodes, start: float, summary: Summary) -> Fit | None:
    """Return the pair of powers with the largest likelihood, both terms present."""
    best: Fit | None = None
    for family in families:
        fit = fit_family(family, nodes, start, family.guesses(summary), steps=25)
        if fit is not None and (best is None or fit.log_likelihood > best.log_likelihood):
            best = fit
    return best


def _resolved(fit: Fit, sample: Sample) -> bool:
    """Tell whether the nodes stand for the rows under a fit: no corner finer than the bins.

    A family that puts a corner between two neighbouring rows (a Burr law that turns into a Pareto
    law) is smooth nowhere near the rows of one bin, and its likelihood there means nothing.
    """
    if sample.tied or fit.family.name == "double_power_law":
        return bool(np.isfinite(fit.log_likelihood))
    width = 0.01
    places = sample.values[np.linspace(0, len(sample.values) - 1, 64).astype(int)]
    if places[0] <= 0.0:
        return bool(np.isfinite(fit.log_likelihood))
    with np.errstate(all="ignore"):
        steps = np.stack([np.log(fit.hazard(places * np.exp(k * width))) for k in (1, 2, 3)])
        bend = np.abs(steps[0] - 2.0 * steps[1] + steps[2])
    return bool(np.isfinite(fit.log_likelihood) and np.nanmax(bend) < 0.5)

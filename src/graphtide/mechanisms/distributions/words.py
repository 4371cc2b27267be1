"""What was found in plain words, and what no amount of these data could tell."""

from __future__ import annotations

import numpy as np

from graphtide.mechanisms.distributions.candidates import FREE_CURVE
from graphtide.mechanisms.distributions.explanation import Explanation
from graphtide.mechanisms.distributions.free_curve import FreeCurve

__all__ = ["cannot_be_known", "headline", "local_exponents", "notes"]

_SHARES = (0.05, 0.25, 0.5, 0.75, 0.95)
_REJECTED = 0.05


def headline(found: Explanation) -> str:
    """Return one sentence: the family and its mechanism."""
    if found.cohorts:
        law = found.cohorts[0].law
        return f"{_capital(law.mechanism)} (law {law.name}), on the clock of the dates."
    best = found.family()
    name = best.name.replace("_", " ")
    clock = "on the clock of the ages" if found.rate is not None else "up to the clock"
    return f"{_capital(best.mechanism)} ({name}), {clock}."


def local_exponents(found: Explanation) -> list[tuple[float, float, float]]:
    """Return size, p and its standard error at five quantiles, growth being locally as size^p."""
    curve = found.free_curve
    sample = found.sample
    middle = sample.middle
    places = np.quantile(middle, _SHARES)
    value, error = curve.exponent(places)
    return list(zip(places.tolist(), value.tolist(), error.tolist(), strict=True))


def notes(found: Explanation) -> list[str]:
    """Return sentences on the fit: how good, what else fits, how growth bends, where a tail is."""
    said = [*_kind_of_values(found), *_judgement(found), *_bend(found), *_tail(found)]
    if found.cohorts:
        said.append(_of_dates(found))
    return said + cannot_be_known(found)


def cannot_be_known(found: Explanation) -> list[str]:
    """Return what these data leave open, whatever their number."""
    said = []
    if found.clock == "free":
        said.append(
            "One cross-section: growth is known only up to the clock. Rates are per unit of an age "
            "whose hazard is 1; the law of the ages (--ages) or cross-sections of one cohort at "
            "two dates (--date) would set the clock."
        )
    elif found.clock == "ages":
        said.append(
            f"The clock is that of the ages as given (hazard {found.rate:g}); a population that "
            "grows at rate r would need the hazard plus r."
        )
    said.append(
        "The law takes every unit to follow the same growth and to differ only in "
        + ("its size at the first date." if found.cohorts else "age.")
    )
    low, high = float(found.sample.values[0]), float(found.sample.values[-1])
    said.append(f"Sizes outside {low:g} to {high:g} were never seen.")
    said.extend(
        f"{result.name} has reached a limit ({result.limit}); its other parameters are free."
        for result in found.families
        if result.limit and result.held_out.behind(found.families[0].held_out)[0] < 10.0
    )
    return said


def _kind_of_values(found: Explanation) -> list[str]:
    sample = found.sample
    said = []
    if sample.whole:
        said.append(
            "The values are whole numbers: each family has the probability of the cell from v to "
            f"v + 1, and counts begin at {sample.values[0]:g}."
        )
    elif sample.step > 0.0:
        said.append(
            f"The values are rounded to {sample.step:g}: each family has the probability of the "
            "cell about a value."
        )
    elif sample.ratio > 1.0:
        said.append(
            f"The values are rounded on a logarithmic scale, to powers of {sample.ratio:.4g}: each "
            "family has the probability of the cell about a value."
        )
    else:
        distinct = 1 + int(np.count_nonzero(np.diff(sample.values)))
        if distinct < 0.5 * len(sample.values):
            said.append(
                f"Only {distinct:,} of {len(sample.values):,} values differ, without a common "
                "step: ties make the distances below too large."
            )
    if sample.observed is not None:
        share = 1.0 - float(np.mean(sample.observed))
        said.append(f"{100 * share:.3g} % of the rows are censored: still growing when last seen.")
    if sample.entry is not None:
        said.append("Rows enter at a size of their own (left truncation).")
    return said


def _judgement(found: Explanation) -> list[str]:
    best = found.family()
    said = []
    if found.best == FREE_CURVE and found.nearest != FREE_CURVE:
        near = found.family(found.nearest)
        said.append(
            "No closed family holds these values: the nearest, "
            f"{near.name.replace('_', ' ')}, loses {near.lost:.2g} nats per thousand units "
            "against the free curve."
        )
    elif isinstance(best.fit, FreeCurve):
        said.append("Only the free curve could be fitted.")
    rivals = [
        r.name.replace("_", " ")
        for r in found.families
        if r.name not in (found.best, FREE_CURVE)
        and not r.limit
        and _near(r.held_out.behind(found.families[0].held_out))
    ]
    if rivals:
        said.append(
            f"Within the error of the held-out likelihood: {', '.join(rivals)}. Of those within "
            "it the simplest is named."
        )
    if found.bootstrap is not None:
        p = min(found.bootstrap.ks, found.bootstrap.anderson_darling)
        verdict = (
            "samples of the law itself are rarely this far: the law is close, not exact"
            if p < _REJECTED
            else "samples of the law itself are as far"
        )
        said.append(
            f"Parametric bootstrap: p = {found.bootstrap.ks:.2g} (Kolmogorov-Smirnov), "
            f"{found.bootstrap.anderson_darling:.2g} (Anderson-Darling); {verdict}."
        )
    if found.simulated_ks is None:
        said.append("The law could not be integrated over all ages, so it was not simulated back.")
    if found.left_out:
        reasons: dict[str, list[str]] = {}
        for name, reason in found.left_out.items():
            reasons.setdefault(reason, []).append(name)
        said.extend(
            f"Left out: {', '.join(names)} ({reason})." for reason, names in reasons.items()
        )
    return said


def _near(pair: tuple[float, float]) -> bool:
    behind, error = pair
    return behind <= min(error, float(np.sqrt(2.0 * max(behind, 0.0)))) + 1.0


def _bend(found: Explanation) -> list[str]:
    if found.cohorts or not found.free_curve.logarithmic:
        return []
    parts = [f"{size:.3g}: {p:.2f} ± {error:.2f}" for size, p, error in local_exponents(found)]
    return [
        "Growth is locally size to the power p (1 is in proportion to size); at size "
        + "; ".join(parts)
        + "."
    ]


def _tail(found: Explanation) -> list[str]:
    tail = found.tail
    if tail is None:
        return []
    error = f" ± {tail.x_min_error:.2g}" if np.isfinite(tail.x_min_error) else ""
    slope = f" ± {tail.exponent_error:.2g}" if np.isfinite(tail.exponent_error) else ""
    said = (
        f"A power-law tail of the density, exponent {tail.exponent:.3g}{slope}, fits best from "
        f"{tail.x_min:.6g}{error} on: {100 * tail.share:.3g} % of the units, "
        f"{100 * tail.mass:.3g} % of the sum of sizes, distance {tail.ks:.2g} there."
    )
    if tail.share < 0.1:
        said += " A law of so few units is no mechanism of the whole."
    return [said]


def _of_dates(found: Explanation) -> str:
    first = found.cohorts[0]
    others = [c.law.name for c in found.cohorts[1:] if c.criterion < first.criterion + 2.0]
    said = (
        f"Dates: the law {first.law.name} carries each cross-section to the next within a distance "
        f"of {first.ks:.2g} (chance of a larger misfit {first.p_value:.2g})."
    )
    if others:
        said += f" Not told apart from it: {', '.join(others)}."
    return said + " The families below describe the last date."


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]

"""Delays: at which distance in the past do states act?

For every delay tried the delayed states are known series and the law is searched with their terms,
on the same times for all delays; the one whose law leaves least is narrowed down. Among so many
delays one always fits what smoothing distorts, so a delay must take ``LEAST_GAIN`` off the log of
what is left. For short delays x - x_lag over tau is the derivative itself, whatever the law: such
laws count as nothing. States that decay exponentially show no delay: their past is a multiple of
them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import minimize_scalar

from graphtide.errors import InputError
from graphtide.mechanisms.candidates import Candidate, TermSet
from graphtide.mechanisms.known import delayed, delayed_terms
from graphtide.mechanisms.lawsearch import Found, find_law
from graphtide.mechanisms.rows import FEWEST_TIMES, Sample, prepare
from graphtide.mechanisms.search import ELBOW

__all__ = ["Delay", "with_delay"]

LONGEST = 1 / 3
"""Longest delay tried, as a share of the series."""
TRIED = 12
DIFFERENCE = 0.3
"""Coefficients of x and -x_lag, times tau, above which they are a derivative (there they are 1)."""
UNTOLD = 0.0
"""Score of a law that says nothing: that of no term at all."""
LEAST_GAIN = 1.0
"""What a delay must take off the log of the share left, terms paid for."""


@dataclass(frozen=True, slots=True, eq=False)
class Delay:
    """The samples with delayed states, and how the delay was found.

    Attributes:
        samples: the data from the time ``delay`` on; the data as they were for no delay.
        delay: the delay; 0 for none.
        profile: (delay, log of the share left plus the price of the terms) of every delay tried;
            the first is that of the law without any.
        refused: the delay that was asked for and is too short to say anything; 0 where none was.
    """

    samples: list[Sample]
    delay: float
    profile: tuple[tuple[float, float], ...]
    refused: float = 0.0


def with_delay(
    samples: Sequence[Sample],
    terms: TermSet,
    extra: Sequence[Candidate],
    delay: float | None,
    report: Callable[[float, str], None],
) -> Delay:
    """Return samples that know the states a delay ago.

    A delay that was given is refused where it yields no law but the backward difference.

    Args:
        samples: the data.
        terms: which of the house's candidates.
        extra: further candidates.
        delay: the delay; None scans delays up to a third of the shortest series.
        report: called with the share done and what is being done.

    Raises:
        InputError: the delay is not positive, or leaves fewer than 20 times.
    """
    span = min(float(s.observed.times[-1] - s.observed.times[0]) for s in samples)
    further = [*extra, *delayed_terms(samples[0].observed.variables)]
    if delay is not None:
        if not delay > 0:
            raise InputError(f"the delay {delay:g} is not positive")
        asked = [_lagged(sample, delay, delay) for sample in samples]
        if _is_difference(find_law(asked, terms, further, quick=True), delay):
            return Delay(list(samples), 0.0, (), refused=delay)
        return Delay(asked, delay, ())
    longest = LONGEST * span

    def score(value: float) -> float:
        placed = [_lagged(sample, value, longest) for sample in samples]
        found = find_law(placed, terms, further, quick=True)
        return UNTOLD if _is_difference(found, value) else _score(found)

    plain = [replace(_lagged(s, longest, longest), known=s.known) for s in samples]
    profile = [(0.0, _score(find_law(plain, terms, extra, quick=True)))]
    for k, value in enumerate(np.linspace(longest / TRIED, longest, TRIED)):
        report(0.02 + 0.06 * k / TRIED, "trying delays")
        profile.append((float(value), score(float(value))))
    best = min(profile[1:], key=lambda pair: pair[1])
    step = longest / TRIED
    found = minimize_scalar(
        score,
        bounds=(max(best[0] - step, 0.1 * step), min(best[0] + step, longest)),
        method="bounded",
        options={"maxiter": 12, "xatol": 0.02 * step},
    )
    profile.append((float(found.x), float(found.fun)))
    best = min(profile[1:], key=lambda pair: pair[1])
    if best[1] > profile[0][1] - LEAST_GAIN:
        return Delay(list(samples), 0.0, tuple(profile))
    return Delay([_lagged(s, best[0], best[0]) for s in samples], best[0], tuple(profile))


def _score(found: Found) -> float:
    left = sum(fit.log_residual for fit in found.weak)
    return left + ELBOW * sum(map(len, found.chosen))


def _is_difference(found: Found, delay: float) -> bool:
    """Tell whether a law is the backward difference (x - x_lag) / tau, true of every smooth x."""
    for variable, terms, fit in zip(
        found.samples[0].observed.variables, found.chosen, found.weak, strict=True
    ):
        values = dict(zip((t.text for t in terms), fit.coefficients * delay, strict=True))
        own, past = values.get(variable, 0.0), values.get(f"{variable}_lag", 0.0)
        if own > DIFFERENCE and past < -DIFFERENCE:
            return True
    return False


def _lagged(sample: Sample, delay: float, from_time: float) -> Sample:
    """Return the sample from a time after its first on, with the states a delay ago."""
    times = sample.observed.times
    kept = times >= times[0] + from_time - 1e-9 * (times[-1] - times[0])
    if kept.sum() < FEWEST_TIMES:
        raise InputError(
            f"a delay of {delay:g} leaves {int(kept.sum())} of {len(times)} times; at least "
            f"{FEWEST_TIMES} are needed"
        )
    past = delayed(sample.smoothed, sample.observed.variables, delay)
    shorter = prepare(sample.observed.select(kept), sample.graph)
    return replace(shorter, known=(*sample.known, *past))

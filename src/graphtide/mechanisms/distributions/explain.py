"""From a cross-section to the law of growth behind it: everything in one call.

Units start low and grow by dx/dt = f(x); each is seen at a random age of constant hazard. Then the
hazard of the sizes is h = 1/f in the ages' own clock, so that estimating a hazard is learning the
equation, and each family of distributions is a mechanism. Derivation: S(x) = P(T > t(x)) = e^-t(x)
with t(x) the time to grow to x, hence H(x) = t(x) and h = dt/dx = 1/f.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import ComputationError, InputError
from graphtide.mechanisms.distributions.candidates import (
    FREE_CURVE,
    fit_all,
    fit_jump,
    location,
)
from graphtide.mechanisms.distributions.cohorts import CohortResult, fit_cohorts
from graphtide.mechanisms.distributions.comparison import (
    HeldOut,
    choose,
    held_out_family,
    held_out_free_curve,
    vuong,
)
from graphtide.mechanisms.distributions.explanation import Explanation, FamilyResult
from graphtide.mechanisms.distributions.free_curve import FreeCurve, fit_free_curve
from graphtide.mechanisms.distributions.goodness import (
    Empirical,
    anderson_darling,
    kolmogorov_smirnov,
    parametric_bootstrap,
)
from graphtide.mechanisms.distributions.likelihood import Fit
from graphtide.mechanisms.distributions.limits import limit_of
from graphtide.mechanisms.distributions.nodes import Compressed, Nodes
from graphtide.mechanisms.distributions.proof import simulated_cross_section, simulated_distance
from graphtide.mechanisms.distributions.sample import Sample
from graphtide.mechanisms.distributions.tail import power_law_tail

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["explain_distribution"]

_FOLDS = 5


def explain_distribution(
    samples: Sample | np.ndarray | Sequence[float],
    *,
    dates: np.ndarray | Sequence[float] | None = None,
    age_rate: float | None = None,
    discrete: bool = False,
    families: Iterable[str] | None = None,
    repetitions: int = 39,
    tail_repetitions: int = 20,
    seed: int = 0,
    progress: Callable[[float, str], None] | None = None,
) -> Explanation:
    """Find the distribution of sizes and the law of growth dx/dt = f(x) that makes it.

    Args:
        samples: (n,) sizes, or a :class:`Sample` with weights, censoring or entries.
        dates: (n,) date of each size, for cross-sections of one cohort at two or more dates: their
            quantiles give the absolute clock. The families are those of the last date.
        age_rate: hazard of the ages at which units are seen, such as a death rate; without it (and
            without dates) growth is known up to the clock.
        discrete: the sizes are counts; whole numbers are recognised by themselves.
        families: names of the families to compare; None for all that may hold the sizes.
        repetitions: parametric bootstrap samples for the p-values of the best.
        tail_repetitions: bootstrap samples for the error of x_min.
        seed: of folds, bootstrap and simulated ages.
        progress: called with a share of the work and a word.

    Raises:
        InputError: fewer than eight samples, all equal, missing values, unknown families, or
            families that cannot hold the sizes.
        ComputationError: no law could be fitted.

    Example:
        >>> sizes = np.random.default_rng(0).exponential(2.0, 4000)
        >>> found = explain_distribution(sizes, repetitions=0)
        >>> found.best
        'exponential'
        >>> round(1 / found.family().parameters["rate"], 1)
        2.0
    """
    began = time.process_time()
    report = progress if progress is not None else lambda _share, _text: None
    if age_rate is not None and not (np.isfinite(age_rate) and age_rate > 0.0):
        raise InputError(f"the rate of the ages is {age_rate:g}; it must be above 0")
    sample, dated, cohorts = _cross_sections(samples, dates, discrete)
    report(0.1, "gathering values")
    jump = fit_jump(sample)
    breaks = () if jump is None else (float(jump.values[2]),)
    compressed = Compressed(sample, folds=_FOLDS, seed=seed, breaks=breaks)
    nodes = compressed.nodes()
    report(0.2, "fitting families")
    fits, left_out = fit_all(sample, nodes, jump, families)
    shift = 1.0 if sample.whole and sample.values[0] == 0.0 else 0.0
    logarithmic = sample.positive and sample.start + shift > 0.0
    curve = fit_free_curve(
        nodes, _free_start(sample, logarithmic), logarithmic=logarithmic, shift=shift
    )
    report(0.4, "judging on units held out")
    parts = [
        (compressed.nodes(without=fold), compressed.nodes(only=fold)) for fold in range(_FOLDS)
    ]
    free = held_out_free_curve(curve, parts)
    held_out = [held_out_family(fit, parts) for fit in fits]
    empirical = Empirical.of(sample)
    closest = fits[int(np.argmax([part.total for part in held_out]))] if fits else None
    results = [
        _result(fit, sample, empirical, part, free, None if fit is closest else closest, nodes)
        for fit, part in zip(fits, held_out, strict=True)
    ]
    results.append(_free_result(curve, empirical, free, nodes))
    best = _chosen(results)
    nearest = _chosen([r for r in results if r.name != FREE_CURVE] or results)
    chosen = next(r for r in results if r.name == best)
    report(0.6, "simulating the law")
    equation = chosen.equation(age_rate or 1.0)
    simulated, distance = _proof(chosen, equation, age_rate or 1.0, empirical, seed)
    report(0.8, "testing the fit")
    bootstrap = None
    if isinstance(chosen.fit, Fit):
        bootstrap = parametric_bootstrap(chosen.fit, sample, repetitions=repetitions, seed=seed)
    tail = None
    if sample.positive:
        tail = power_law_tail(sample, repetitions=tail_repetitions, seed=seed)
    results.sort(key=lambda r: -r.held_out.total)
    return Explanation(
        sample,
        empirical,
        tuple(results),
        best,
        nearest,
        curve,
        left_out,
        tail,
        equation,
        simulated,
        distance,
        anderson_darling(empirical, chosen.fit.cumulative_hazard),
        bootstrap,
        age_rate,
        dated,
        tuple(cohorts),
        time.process_time() - began,
    )


def _chosen(results: list[FamilyResult]) -> str:
    """Return the name of the simplest tied with the best; families at a limit have named heirs."""
    inside = [r for r in results if not r.limit] or results
    return choose(
        [r.name for r in inside],
        [r.complexity for r in inside],
        [r.held_out for r in inside],
        [r.ks for r in inside],
    )


def _cross_sections(
    samples: Sample | np.ndarray | Sequence[float],
    dates: np.ndarray | Sequence[float] | None,
    discrete: bool,
) -> tuple[Sample, tuple[tuple[float, Sample], ...], list[CohortResult]]:
    """Return the sample to explain, the dated ones, and the laws between dates."""
    if isinstance(samples, Sample):
        if dates is not None:
            raise InputError("dates belong to plain sizes; give the sizes as an array")
        return samples, (), []
    values = np.asarray(samples, dtype=np.float64).ravel()
    if dates is None:
        return Sample.of(values, discrete=discrete), (), []
    when = np.asarray(dates, dtype=np.float64).ravel()
    if when.shape != values.shape:
        raise InputError(f"{len(when)} dates were given for {len(values)} samples")
    if not np.isfinite(when).all():
        raise InputError("a date is missing or infinite")
    moments = np.unique(when)
    if len(moments) < 2:
        raise InputError(
            f"all dates equal {moments[0]:g}; two dates or more are needed for the clock"
        )
    groups = []
    for moment in moments:
        inside = values[when == moment]
        try:
            groups.append(Sample.of(inside, discrete=discrete))
        except InputError as error:
            raise InputError(f"date {moment:g}: {error}") from None
    dated = tuple(zip(moments.tolist(), groups, strict=True))
    return groups[-1], dated, fit_cohorts(moments.tolist(), groups)


def _free_start(sample: Sample, logarithmic: bool) -> float:
    """Return where the free curve begins: below the lowest of exact values by about one gap."""
    start = sample.start
    if sample.tied or sample.entry is not None:
        return start
    rank = max(1, min(10, len(sample.values) // 10))
    rank = max(rank, int(np.searchsorted(sample.values, start, side="right")))  # past ties
    if logarithmic:
        return float(start * (start / sample.values[rank]) ** (1.0 / rank))
    return float(start - (sample.values[rank] - start) / rank)


def _result(
    fit: Fit,
    sample: Sample,
    empirical: Empirical,
    held_out: HeldOut,
    free: HeldOut,
    rival: Fit | None,
    nodes: Nodes,
) -> FamilyResult:
    names = [p.name for p in fit.family.parameters]
    values = dict(zip(names, fit.values.tolist(), strict=True))
    errors: dict[str, float | None] = {
        name: float(e) if np.isfinite(e) else None
        for name, e in zip(names, fit.standard_errors, strict=True)
    }
    if fit.family.located:
        place, spread = location(fit, sample)
        values["x_min"] = place
        errors["x_min"] = float(spread) if np.isfinite(spread) else None
    p = None if rival is None else vuong(rival, fit, nodes)[1]
    return FamilyResult(
        fit.family.name,
        fit,
        values,
        errors,
        kolmogorov_smirnov(empirical, fit.cumulative_hazard),
        fit.log_likelihood,
        held_out,
        1000.0 * (free.total - held_out.total) / sample.size,
        limit_of(fit, sample),
        p,
    )


def _free_result(
    curve: FreeCurve, empirical: Empirical, held_out: HeldOut, nodes: Nodes
) -> FamilyResult:
    law = curve.equation()
    parameters = {k: p.value for k, p in law.parameters.items() if p.value is not None}
    errors = {k: p.standard_error for k, p in law.parameters.items()}
    return FamilyResult(
        FREE_CURVE,
        curve,
        parameters,
        errors,
        kolmogorov_smirnov(empirical, curve.cumulative_hazard),
        float(curve.pointwise(nodes) @ nodes.weight),
        held_out,
        0.0,
        "",
        None,
    )


def _proof(
    chosen: FamilyResult,
    equation: Equation,
    rate: float,
    empirical: Empirical,
    seed: int,
) -> tuple[np.ndarray | None, float | None]:
    """Return a simulated cross-section and its distance; None where the law cannot be run."""
    oldest = 0.0
    if empirical.truncation is not None:
        oldest = float(chosen.fit.cumulative_hazard(np.array([empirical.truncation]))[0])
    try:
        sizes = simulated_cross_section(
            equation, chosen.fit.trajectory, rate=rate, oldest=oldest, seed=seed
        )
    except ComputationError:
        return None, None
    if not np.isfinite(sizes).all():
        return None, None
    return sizes, simulated_distance(empirical, sizes)

"""What an explanation of a cross-section holds: each family, the choice, the law, its proof."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from graphtide.errors import InputError
from graphtide.mechanisms.distributions.cohorts import CohortResult
from graphtide.mechanisms.distributions.comparison import HeldOut
from graphtide.mechanisms.distributions.free_curve import FreeCurve
from graphtide.mechanisms.distributions.goodness import Bootstrap, Empirical
from graphtide.mechanisms.distributions.likelihood import Fit
from graphtide.mechanisms.distributions.sample import Sample
from graphtide.mechanisms.distributions.tail import PowerLawTail

if TYPE_CHECKING:
    from graphtide.equation import Equation

__all__ = ["Explanation", "FamilyResult"]

_GENERIC = 0.5  # a free or searched form ranks behind a named family of as many parameters
_CHANGE_POINT = 2  # a change point adapts to the data like three parameters: two more than itself


@dataclass(frozen=True, slots=True)
class FamilyResult:
    """One family on one sample.

    Attributes:
        name: of the family.
        fit: the family, or the free curve, at its maximum of the likelihood.
        parameters: value of each parameter.
        standard_errors: of each; None where the data do not determine it.
        ks: Kolmogorov-Smirnov distance on the whole sample.
        log_likelihood: on the whole sample.
        held_out: log-likelihood of units in five folds, each judged by a fit without it.
        lost: nats per thousand units that the free curve is better on held-out units.
        limit: the simpler law that the family has turned into, in words; empty inside its range.
        vuong_p: two-sided p-value of Vuong's test against the nearest closed family; None for that
            family itself and for the free curve.
    """

    name: str
    fit: Fit | FreeCurve
    parameters: dict[str, float]
    standard_errors: dict[str, float | None]
    ks: float
    log_likelihood: float
    held_out: HeldOut
    lost: float
    limit: str
    vuong_p: float | None

    @property
    def held_out_log_likelihood(self) -> float:
        """Held-out log-likelihood of all units, in nats."""
        return self.held_out.total

    @property
    def complexity(self) -> float:
        """Number of parameters, by which ties are judged.

        A change point of the hazard counts as three (Ninomiya, Annals of the Institute of
        Statistical Mathematics 67, 2015: its penalty in the AIC is 3 parameters' where a smooth
        one's is 1).
        """
        if isinstance(self.fit, FreeCurve):
            return self.fit.complexity + _GENERIC
        family = self.fit.family
        beside = _GENERIC if family.choices > 0 else 0.0
        return family.complexity + beside + (_CHANGE_POINT if self.fit.jumps else 0)

    @property
    def mechanism(self) -> str:
        """The growth in plain words."""
        if isinstance(self.fit, FreeCurve):
            return "growth as a power of the size, with a power that changes with size"
        return self.fit.family.mechanism

    def equation(self, rate: float = 1.0) -> Equation:
        """Return dx/dt = rate/h(x), the growth where ages have a hazard of `rate`."""
        from graphtide.equation import Equation
        from graphtide.equation.equation import Parameter

        if isinstance(self.fit, FreeCurve):
            law = self.fit.equation()
        else:
            errors = self.fit.standard_errors.tolist()
            law = self.fit.family.equation(self.fit.values.tolist(), errors, self.fit.start)
        if rate == 1.0:
            return law
        text = law.text().split(", ", 1)[0].removeprefix("dx/dt = ")
        constants = {**law.parameters, "age_rate": Parameter(rate)}
        return Equation.parse(f"dx/dt = age_rate*({text})", parameters=constants)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The law of growth behind a cross-section, and how sure it is.

    Attributes:
        sample: the cross-section; the last one where there are dates.
        empirical: its own distribution function.
        families: all that were fitted, the best held-out log-likelihood first.
        best: name of the simplest family tied with the best.
        nearest: name of the best closed family, which is `best` unless none is good enough.
        free_curve: the non-parametric trajectory.
        left_out: families that were not fitted, and why.
        tail: where a power law begins; None where values are not positive.
        equation: the mechanism of `best`.
        simulated: sizes of units that follow the equation, seen at random ages; None where it could
            not be integrated.
        simulated_ks: their distance from the data.
        anderson_darling: distance of the best.
        bootstrap: p-values of the best's distances and spread of its parameters over samples of
            itself; None for the free curve, censored and truncated samples.
        rate: hazard of the ages; None where the clock is free.
        dated: each date with its cross-section; empty without dates.
        cohorts: laws that carry dated cross-sections into each other, best first.
        seconds: processor time of the whole.
    """

    sample: Sample
    empirical: Empirical
    families: tuple[FamilyResult, ...]
    best: str
    nearest: str
    free_curve: FreeCurve
    left_out: dict[str, str]
    tail: PowerLawTail | None
    equation: Equation
    simulated: np.ndarray | None
    simulated_ks: float | None
    anderson_darling: float
    bootstrap: Bootstrap | None
    rate: float | None
    dated: tuple[tuple[float, Sample], ...]
    cohorts: tuple[CohortResult, ...]
    seconds: float

    def family(self, name: str | None = None) -> FamilyResult:
        """Return a family's result; the best without a name.

        Raises:
            InputError: no family of that name was fitted.
        """
        wanted = self.best if name is None else name
        for result in self.families:
            if result.name == wanted:
                return result
        raise InputError(
            f"'{wanted}' was not fitted; fitted were {', '.join(r.name for r in self.families)}"
        )

    @property
    def clock(self) -> str:
        """Whether rates are known: "free", "ages" or "dates"."""
        return "dates" if self.cohorts else "free" if self.rate is None else "ages"

    @property
    def law(self) -> Equation:
        """The growth in the best clock known: of the dates, else of the best family."""
        return self.cohorts[0].equation() if self.cohorts else self.equation

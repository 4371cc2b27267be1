"""Which family: held-out log-likelihood, paired differences, Vuong's test, ties to the simplest.

Units are dealt into five folds; each family is fitted on four and judged on the fifth. A family
is tied with the best where its held-out log-likelihood lies within one standard error of the paired
difference (the rule of Breiman and others, Classification and Regression Trees, 1984), and half of
log n: the price of a start of growth that all folds share. Between two laws near the data a
difference of D nats has an error of about sqrt(2 D); a larger one comes from a few units that one
law holds impossible, and counts as sqrt(2 D). Of tied families the one with fewest parameters (a
change point counts as three) is named, so that of nested families the simplest wins unless the data
show that it is not enough; of equally simple ones the closest to the data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from graphtide.mechanisms.distributions.crossover import exponents_at
from graphtide.mechanisms.distributions.free_curve import FreeCurve, fit_free_curve
from graphtide.mechanisms.distributions.likelihood import Fit, fit_family, pointwise
from graphtide.mechanisms.distributions.nodes import Nodes

__all__ = ["HeldOut", "choose", "held_out_family", "held_out_free_curve", "vuong"]


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Log-likelihood of units that a fit has not seen.

    Attributes:
        terms: (m,) log-likelihood of each item, fold after fold.
        weight: (m,) units of each item.
    """

    terms: np.ndarray
    weight: np.ndarray

    @property
    def total(self) -> float:
        """Sum over all units, in nats; minus infinity where a unit was impossible."""
        with np.errstate(invalid="ignore"):
            total = float(self.terms @ self.weight)
        return total if np.isfinite(total) else -np.inf

    def behind(self, best: HeldOut) -> tuple[float, float]:
        """Return by how many nats the other is better, and that difference's standard error."""
        if not np.isfinite(self.total):
            return np.inf, 0.0
        difference = best.terms - self.terms
        size = float(self.weight.sum())
        mean = float(difference @ self.weight) / size
        with np.errstate(over="ignore"):
            variance = float((difference - mean) ** 2 @ self.weight) / size
        return mean * size, float(np.sqrt(variance * size))


def held_out_family(fit: Fit, parts: Sequence[tuple[Nodes, Nodes]]) -> HeldOut:
    """Return the held-out log-likelihood of a family, each fold started from the whole fit.

    The start of growth, and the double power law's cross-over, are those of all units: their errors
    shrink as 1/n.

    Args:
        fit: the family on all units.
        parts: for each fold the nodes of the other units and of its own.
    """
    family = fit.family
    terms = []
    for training, own in parts:
        again: Fit | None
        if fit.jumps:
            again = exponents_at(fit, training)
        else:
            again = fit_family(family, training, fit.start, [fit.values.tolist()], steps=25)
        if again is None:
            terms.append(np.full(len(own.value), -np.inf))
            continue
        terms.append(_finite(pointwise(family, again.values.tolist(), own, fit.start)))
    return HeldOut(np.concatenate(terms), np.concatenate([own.weight for _, own in parts]))


def held_out_free_curve(curve: FreeCurve, parts: Sequence[tuple[Nodes, Nodes]]) -> HeldOut:
    """Return the held-out log-likelihood of the free curve, its knots chosen anew each time."""
    terms = []
    for training, own in parts:
        again = fit_free_curve(
            training, curve.start, logarithmic=curve.logarithmic, shift=curve.shift
        )
        terms.append(_finite(again.pointwise(own)))
    return HeldOut(np.concatenate(terms), np.concatenate([own.weight for _, own in parts]))


def choose(
    names: Sequence[str],
    complexity: Sequence[float],
    held_out: Sequence[HeldOut],
    distance: Sequence[float],
) -> str:
    """Return the name of the simplest of those that are tied with the best.

    Args:
        names: of the families.
        complexity: number of parameters of each.
        held_out: log-likelihood of each, over the same units in the same order.
        distance: Kolmogorov-Smirnov distance of each, by which equally simple ones are told apart.
    """
    best = held_out[int(np.argmax([part.total for part in held_out]))]
    price = 0.5 * float(np.log(max(best.weight.sum(), 2.0)))
    tied = []
    for k, part in enumerate(held_out):
        behind, error = part.behind(best)
        if behind <= min(error, float(np.sqrt(2.0 * max(behind, 0.0)))) + price:
            tied.append((complexity[k], distance[k], names[k]))
    return min(tied)[2]


def vuong(first: Fit, second: Fit, nodes: Nodes) -> tuple[float, float]:
    """Return Vuong's statistic and two-sided p-value; above 0 the first family is closer.

    The difference of log-likelihoods is corrected for the numbers of parameters as in the BIC
    (Vuong, Econometrica 57, 1989, equation 5.9).
    """
    one = pointwise(first.family, first.values.tolist(), nodes, first.start)
    two = pointwise(second.family, second.values.tolist(), nodes, second.start)
    difference, size = one - two, nodes.size
    total = float(difference @ nodes.weight)
    mean = total / size
    with np.errstate(over="ignore"):
        spread = float(np.sqrt(max((difference - mean) ** 2 @ nodes.weight / size, 0.0)))
    extra = first.family.complexity - second.family.complexity
    if spread <= 1e-12 * max(1.0, abs(mean)):
        return 0.0, 1.0
    statistic = (total - 0.5 * extra * np.log(size)) / (np.sqrt(size) * spread)
    return float(statistic), float(2.0 * ndtr(-abs(statistic)))


def _finite(terms: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(terms), terms, -np.inf)

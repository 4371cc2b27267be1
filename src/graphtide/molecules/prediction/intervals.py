"""How far off a prediction may be: deviations from held-out residuals, and conformal intervals.

    s(x)^2 = a + b u(x)^2 + c g(x)^2 + e t(x)^2,   a, b, c, e >= 0,

with the spread u over the members, the deviation g of the Gaussian process and the distance t to
what was learned from; the numbers are those of least squares on squared held-out residuals, each
divided by its variance (in a few rounds, as that is what is sought). The
interval at level 1 - alpha is f(x) +- q s(x), where q is the ceil((n + 1) (1 - alpha)) / n quantile
of |y - f(x)| / s(x) over held-out residuals (split conformal, with the residuals of all folds).
Sources: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, J. Am. Stat. Assoc. 113 (2018), section 5.2;
Barber, Candes, Ramdas, Tibshirani, Annals of Statistics 49 (2021) (residuals of folds).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from graphtide.errors import InputError

__all__ = ["Spread", "check_level", "conformal_quantile", "label_sets"]

_ROUNDS = 5
_MOST_RATIO = 9.0
"""A square counts as this many variances at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Spread:
    """A model of how far off predictions are.

    Args:
        coefficients: float64 (1 + C,), of a constant and of the C signs of difficulty, squared.
        factor: makes deviations match the held-out residuals.
        ratios: float64 (n,), sorted |y - f| / s of held-out molecules (before the factor).
    """

    coefficients: np.ndarray
    factor: float
    ratios: np.ndarray

    @staticmethod
    def fit(residuals: np.ndarray, signs: np.ndarray) -> Spread:
        """Fit to held-out residuals.

        Args:
            residuals: y - f(x), (n,).
            signs: what tells difficulty, such as the spread of the members, (n, C), not negative.
        """
        squares = residuals**2
        rows = np.column_stack([np.ones(len(squares)), signs**2])
        scale = np.maximum(rows.mean(axis=0), 1e-300)
        floor = 0.05 * float(squares.mean()) + 1e-12
        variance = np.full(len(squares), float(squares.mean()) + 1e-12)
        coefficients = np.zeros(rows.shape[1])
        for _ in range(_ROUNDS):
            # Relative errors of the squares count, and gross ones must not decide.
            wanted = np.minimum(squares, _MOST_RATIO * variance) / variance
            found, _norm = nnls(rows / scale / variance[:, None], wanted)
            coefficients = found / scale
            coefficients[0] = max(coefficients[0], floor)
            variance = rows @ coefficients
        deviations = np.sqrt(rows @ coefficients)
        ratios = np.sort(np.abs(residuals) / deviations)
        return Spread(coefficients, float(np.sqrt(np.mean(ratios**2))), ratios)

    def _raw(self, signs: np.ndarray) -> np.ndarray:
        rows = np.column_stack([np.ones(len(signs)), signs**2])
        return np.sqrt(rows @ self.coefficients)

    def deviations(self, signs: np.ndarray) -> np.ndarray:
        """Return standard deviations, (M,)."""
        return self.factor * self._raw(signs)

    def half_widths(self, signs: np.ndarray, level: float) -> np.ndarray:
        """Return half of the interval's width at a level such as 0.9, (M,)."""
        return conformal_quantile(self.ratios, level) * self._raw(signs)


def conformal_quantile(scores: np.ndarray, level: float) -> float:
    """Return the conformal quantile of scores; infinite where there are too few for the level.

    Args:
        scores: of held-out molecules, (n,).
        level: share of intervals that must cover, in (0, 1).

    Raises:
        InputError: the level is no such share.
    """
    check_level(level)
    rank = math.ceil((len(scores) + 1) * level)
    return math.inf if rank > len(scores) else float(np.sort(scores)[rank - 1])


def check_level(level: float) -> None:
    """Raise unless a level lies between 0 and 1.

    Raises:
        InputError: it does not.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"the level of intervals must lie between 0 and 1; it is {level:g}")


def label_sets(
    probabilities: np.ndarray, held_out: np.ndarray, labels: np.ndarray, level: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the least and the largest class (0 or 1) that cannot be excluded, (M,) each.

    Both are equal where the class is told at the level; 0 and 1 where it is not. Where neither
    class conforms, the likelier one is kept. Source: Vovk, Gammerman, Shafer, Algorithmic Learning
    in a Random World (2005), class by class.

    Args:
        probabilities: of class 1, (M,).
        held_out: probabilities of held-out molecules, (n,).
        labels: their classes, (n,).
        level: share of sets that must hold the true class.
    """
    limit = [
        conformal_quantile(np.abs(held_out - label)[labels == label], level) for label in (0, 1)
    ]
    zero, one = probabilities <= limit[0], 1.0 - probabilities <= limit[1]
    neither = ~zero & ~one
    zero |= neither & (probabilities < 0.5)
    one |= neither & (probabilities >= 0.5)
    return np.where(zero, 0.0, 1.0), np.where(one, 1.0, 0.0)

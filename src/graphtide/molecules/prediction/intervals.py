"""How far off a prediction may be: deviations from held-out residuals, and conformal intervals.

    s(x)^2 = a + b u(x)^2 + c g(x)^2 + e t(x)^2,   a, b, c, e >= 0,

with the spread u over the members, the deviation g of the Gaussian process and the distance t to
what was learned from; the numbers are those of least squares on squared held-out residuals, each
divided by its variance (in a few rounds, as that is what is sought). The
interval at level 1 - alpha is f(x) +- q s(x), where q is the ceil((n + 1) (1 - alpha)) / n quantile
of |y - f(x)| / s(x) over held-out residuals (split conformal, with the residuals of all folds).
Where whole groups (scaffolds, clusters) are held out, what comes is of new groups, and groups are
what is exchangeable, not molecules: each group counts once, its members in equal parts. As new
groups may be as large as those that were seen, the wider of both intervals is told.
Sources: Lei, G'Sell, Rinaldo, Tibshirani, Wasserman, J. Am. Stat. Assoc. 113 (2018), section 5.2;
Barber, Candes, Ramdas, Tibshirani, Annals of Statistics 49 (2021) (residuals of folds); Lee,
Barber, Willett, arXiv:2306.06342 (groups; their mass at infinity is that of a molecule here, not
of a group, as intervals without an end would come of few groups).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from graphtide.errors import InputError

__all__ = ["Spread", "check_level", "conformal_quantile", "group_weights", "label_sets"]

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
        weights: float64 (n,), how much each ratio counts, in the same order.
    """

    coefficients: np.ndarray
    factor: float
    ratios: np.ndarray
    weights: np.ndarray

    @staticmethod
    def fit(residuals: np.ndarray, signs: np.ndarray, weights: np.ndarray | None = None) -> Spread:
        """Fit to held-out residuals.

        Args:
            residuals: y - f(x), (n,).
            signs: what tells difficulty, such as the spread of the members, (n, C), not negative.
            weights: how much each molecule counts, (n,); None: all alike.
        """
        weights = np.ones(len(residuals)) if weights is None else weights
        shares = weights / weights.sum()
        squares = residuals**2
        rows = np.column_stack([np.ones(len(squares)), signs**2])
        scale = np.maximum(shares @ rows, 1e-300)
        mean = float(shares @ squares)
        floor = 0.05 * mean + 1e-12
        variance = np.full(len(squares), mean + 1e-12)
        roots = np.sqrt(len(shares) * shares)
        coefficients = np.zeros(rows.shape[1])
        for _ in range(_ROUNDS):
            # Relative errors of the squares count, and gross ones must not decide.
            wanted = np.minimum(squares, _MOST_RATIO * variance) / variance
            found, _norm = nnls(rows / scale * (roots / variance)[:, None], wanted * roots)
            coefficients = found / scale
            coefficients[0] = max(coefficients[0], floor)
            variance = rows @ coefficients
        deviations = np.sqrt(rows @ coefficients)
        ratios = np.abs(residuals) / deviations
        order = np.argsort(ratios, kind="stable")
        factor = float(np.sqrt(shares @ ratios**2))
        return Spread(coefficients, factor, ratios[order], weights[order])

    def _raw(self, signs: np.ndarray) -> np.ndarray:
        rows = np.column_stack([np.ones(len(signs)), signs**2])
        return np.sqrt(rows @ self.coefficients)

    def deviations(self, signs: np.ndarray) -> np.ndarray:
        """Return standard deviations, (M,)."""
        return self.factor * self._raw(signs)

    def half_widths(self, signs: np.ndarray, level: float) -> np.ndarray:
        """Return half of the interval's width at a level such as 0.9, (M,)."""
        return _wider_quantile(self.ratios, level, self.weights) * self._raw(signs)


def group_weights(groups: np.ndarray) -> np.ndarray:
    """Return how much each molecule counts where each group counts alike, float64 (n,), mean 1.

    Args:
        groups: number of each molecule's group, (n,).
    """
    _, place, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    return len(groups) / (len(sizes) * sizes[place].astype(np.float64))


def conformal_quantile(
    scores: np.ndarray, level: float, weights: np.ndarray | None = None
) -> float:
    """Return the conformal quantile of scores; infinite where there are too few for the level.

    It is the least score q with  sum_i w_i [s_i <= q] >= level (1 + 1/n) sum_i w_i.

    Args:
        scores: of held-out molecules, (n,).
        level: share of intervals that must cover, in (0, 1).
        weights: w, (n,), positive; None: all alike.

    Raises:
        InputError: the level is no such share.
    """
    check_level(level)
    n = len(scores)
    if not n:
        return math.inf
    weights = np.ones(n) if weights is None else weights
    order = np.argsort(scores, kind="stable")
    reached = np.cumsum(weights[order])
    # A rounding error must not cost a whole molecule.
    wanted = level * (1.0 + 1.0 / n) * reached[-1] * (1.0 - 1e-12)
    rank = int(np.searchsorted(reached, wanted))
    return math.inf if rank == n else float(scores[order[rank]])


def _wider_quantile(scores: np.ndarray, level: float, weights: np.ndarray) -> float:
    plain = conformal_quantile(scores, level)
    return max(plain, conformal_quantile(scores, level, weights))


def check_level(level: float) -> None:
    """Raise unless a level lies between 0 and 1.

    Raises:
        InputError: it does not.
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"the level of intervals must lie between 0 and 1; it is {level:g}")


def label_sets(
    probabilities: np.ndarray,
    held_out: np.ndarray,
    labels: np.ndarray,
    level: float,
    weights: np.ndarray | None = None,
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
        weights: how much each held-out molecule counts, (n,); None: all alike.
    """
    weights = np.ones(len(labels)) if weights is None else weights
    limit = [
        _wider_quantile(np.abs(held_out - label)[of], level, weights[of])
        for label, of in ((0, labels == 0), (1, labels == 1))
    ]
    zero, one = probabilities <= limit[0], 1.0 - probabilities <= limit[1]
    neither = ~zero & ~one
    zero |= neither & (probabilities < 0.5)
    one |= neither & (probabilities >= 0.5)
    return np.where(zero, 0.0, 1.0), np.where(one, 1.0, 0.0)

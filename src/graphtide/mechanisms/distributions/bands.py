"""The trajectory with no model at all: Nelson-Aalen's cumulative hazard with a band.

H(x) = sum over values up to x of events over units at risk; as H(x) = t(x), it is the time at which
growth passes x. The band holds the whole curve with probability 95 % (Hall and Wellner, Biometrika
67, 1980): S(x) (1 + n v(x)) 1.358/sqrt n on either side of the survival function, with v the sum
of events/(at risk (at risk - events)); without censoring that is Kolmogorov's band.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from graphtide.mechanisms.distributions.goodness import Empirical

__all__ = ["NelsonAalen", "nelson_aalen"]

_CRITICAL = 1.358
"""95 % point of Kolmogorov's distribution."""


@dataclass(frozen=True, slots=True)
class NelsonAalen:
    """The cumulative hazard after each distinct value.

    Attributes:
        size: (K,) values, or upper ends of cells.
        cumulative_hazard: (K,) H, the age at which growth passes the size, for ages of hazard 1.
        standard_error: (K,) of H.
        low, high: (K,) ends of the 95 % band of the whole curve.
    """

    size: np.ndarray
    cumulative_hazard: np.ndarray
    standard_error: np.ndarray
    low: np.ndarray
    high: np.ndarray


def nelson_aalen(empirical: Empirical) -> NelsonAalen:
    """Return Nelson-Aalen's estimate of a sample's cumulative hazard.

    Args:
        empirical: steps of the sample with units at risk.
    """
    events, at_risk = empirical.events, empirical.at_risk
    if empirical.upper[0] > empirical.lower[0]:
        # In a cell the hazard acts all along: H = -log(1 - q) for a share q that ends there.
        with np.errstate(divide="ignore"):
            total = np.cumsum(-np.log1p(-np.minimum(events / at_risk, 1.0)))
    else:
        total = np.cumsum(events / at_risk)
    variance = np.cumsum(events / at_risk**2)
    left = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        growth = np.cumsum(np.where(left > 0.0, events / (at_risk * left), np.inf))
        survival = 1.0 - empirical.after
        reach = np.where(
            survival > 0.0,
            _CRITICAL * survival * (1.0 + empirical.size * growth) / np.sqrt(empirical.size),
            _CRITICAL / np.sqrt(empirical.size),
        )
        low = np.abs(np.log(np.minimum(survival + reach, 1.0)))
        high = -np.log(np.maximum(survival - reach, 0.0))
    return NelsonAalen(empirical.upper, total, np.sqrt(variance), low, high)
